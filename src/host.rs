//! What this machine is called, to recognise `host:/path` locations that are here, and how much memory it has.

use rustix::process::{Resource, Rlimit};

/// Names under which a location on this machine may be given: its host name, long and short, and the loopback names.
pub fn local_names() -> Vec<String> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
    let uname = rustix::system::uname();
    if let Ok(node) = uname.nodename().to_str() {
        let short = node.split('.').next().unwrap_or(node);
        for name in [node, short] {
            if !name.is_empty() && !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
    }
    names
}

/// Bytes of memory of this machine.
pub fn memory_bytes() -> u64 {
    let facts = rustix::system::sysinfo();
    (facts.totalram as u64).saturating_mul(u64::from(facts.mem_unit))
}

/// Lets this process have `count` files open, as far as the hard limit allows: each source of a merge is one.
pub fn allow_open_files(count: u64) {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let Some(soft) = limit.current.filter(|soft| *soft < count) else { return };
    let raised = limit.maximum.map_or(count, |hard| hard.min(count));
    if raised > soft {
        // A process may always raise its soft limit to its hard one; if not, opening the files tells.
        let _ = rustix::process::setrlimit(Resource::Nofile, Rlimit { current: Some(raised), ..limit });
    }
}
