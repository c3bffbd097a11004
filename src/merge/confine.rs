//! Confines the worker process: it may read its inputs, write its own folder, and nothing else; it dies with the daemon.
//!
//! Best effort on older kernels; [`support`] says how far it goes, and the daemon tells that in its status.

use std::path::{Path, PathBuf};
use std::time::Duration;

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetStatus,
};
use rustix::process::{Resource, Rlimit, Signal};

/// Newest Landlock interface that this code asks for; older kernels enforce what they know.
const LANDLOCK_ABI: ABI = ABI::V5;
/// Address space of a worker: far above what a merge needs, far below what would hurt the machine.
const ADDRESS_SPACE_BYTES: u64 = 2 * 1024 * 1024 * 1024;

/// What a confined process may do.
#[derive(Clone, Debug)]
pub struct Confinement {
    /// Files that may be read.
    pub readable: Vec<PathBuf>,
    /// Folder in which files may be made, written and renamed; none where nothing is written.
    pub writable: Option<PathBuf>,
}

/// Dies with the parent from now on (prctl(2), PR_SET_PDEATHSIG), gives up core dumps and bounds its memory.
///
/// `parent` is the process id of the daemon that started this process: an orphan must not write into the workspace
/// beside the workers of the next daemon.
///
/// # Errors
///
/// The system's answer, as text for the log.
pub fn tie_to_parent(parent: Option<u32>, niceness: i32) -> Result<(), String> {
    let before = rustix::process::getppid();
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| error.to_string())?;
    let now = rustix::process::getppid();
    // The daemon may have died before this process could ask anything: only its own id tells.
    let is_orphan =
        parent.is_some_and(|parent| now.map(|now| now.as_raw_nonzero().get().cast_unsigned()) != Some(parent));
    if is_orphan || now != before {
        return Err("the daemon ended before the worker began".to_owned());
    }
    let no_core = Rlimit { current: Some(0), maximum: Some(0) };
    rustix::process::setrlimit(Resource::Core, no_core).map_err(|error| error.to_string())?;
    let space = Rlimit { current: Some(ADDRESS_SPACE_BYTES), maximum: Some(ADDRESS_SPACE_BYTES) };
    rustix::process::setrlimit(Resource::As, space).map_err(|error| error.to_string())?;
    rustix::process::nice(niceness).map(|_| ()).map_err(|error| error.to_string())
}

/// Gives up writing into files and, after `limit` of processor time, running at all.
///
/// # Errors
///
/// The system's answer, as text for the log.
pub fn forbid_writing(limit: Duration) -> Result<(), String> {
    let both = |value| Rlimit { current: Some(value), maximum: Some(value) };
    rustix::process::setrlimit(Resource::Fsize, both(0)).map_err(|error| error.to_string())?;
    rustix::process::setrlimit(Resource::Cpu, both(limit.as_secs())).map_err(|error| error.to_string())
}

/// Restricts the file system to what `confinement` names. Cannot be undone.
///
/// # Errors
///
/// Landlock's answer, as text for the log; a kernel without Landlock is no error.
pub fn restrict(confinement: &Confinement) -> Result<&'static str, String> {
    let read = AccessFs::from_read(LANDLOCK_ABI) & !AccessFs::Execute;
    let write = (AccessFs::from_all(LANDLOCK_ABI)) & !AccessFs::Execute;
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(LANDLOCK_ABI))
        .and_then(Ruleset::create)
        .map_err(|error| error.to_string())?;
    for path in &confinement.readable {
        let access = if path.is_dir() { read } else { read & AccessFs::from_file(LANDLOCK_ABI) };
        ruleset = allow(ruleset, path, access)?;
    }
    if let Some(folder) = &confinement.writable {
        ruleset = allow(ruleset, folder, write)?;
    }
    // linkat(2) of a nameless file resolves its own entry here.
    ruleset = allow(ruleset, Path::new("/proc/self/fd"), read)?;
    let status = ruleset.restrict_self().map_err(|error| error.to_string())?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => "fully enforced",
        RulesetStatus::PartiallyEnforced => "partly enforced",
        RulesetStatus::NotEnforced => "not available in this kernel",
    })
}

fn allow(
    ruleset: landlock::RulesetCreated,
    path: &Path,
    access: landlock::BitFlags<AccessFs>,
) -> Result<landlock::RulesetCreated, String> {
    let Ok(descriptor) = PathFd::new(path) else {
        // Nothing there: nothing to allow; opening it will tell.
        return Ok(ruleset);
    };
    ruleset.add_rule(PathBeneath::new(descriptor, access)).map_err(|error| error.to_string())
}

/// How far this kernel confines a worker; asking restricts nothing.
pub fn support() -> &'static str {
    let knows = |abi: ABI| {
        let asked = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
        asked.handle_access(AccessFs::from_all(abi)).and_then(Ruleset::create).is_ok()
    };
    match (knows(LANDLOCK_ABI), knows(ABI::V1)) {
        (true, _) => "fully enforced",
        (false, true) => "partly enforced",
        (false, false) => "not available in this kernel",
    }
}
