//! Layout of a workspace, version 1: every name in it is built here.
//!
//! ```text
//! <workspace>/
//!   layout-version             "1": written first, so a folder without it is not ours
//!   dpm.lock  dpm.sock  state.db
//!   inbox/                     accepted/ and rejected/ below
//!   daq/<id>/                  specification.json, inputs.json, sources/, logs/merge.log, product.partial
//!   products/<fileId>.fits
//! ```
//!
//! Nothing here looks into a file, except into `layout-version` and a specification that is already there.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::durable::{self, DurableError, DurableErrorKind};
use crate::workspace::name::{NameFault, check_name, source_file_name};

/// Version of the layout that this build reads and writes.
pub const LAYOUT_VERSION: u32 = 1;
/// Most bytes read of the version file: a version is a short number.
const VERSION_BYTES_MAX: u64 = 32;
const VERSION_FILE: &str = "layout-version";
const DAQS: &str = "daq";
const INBOX: &str = "inbox";
const PRODUCTS: &str = "products";
const DATABASE: &str = "state.db";

/// A workspace that cannot be used, or a file in it.
#[derive(Debug, thiserror::Error)]
#[error("cannot use workspace file {}", path.display())]
pub struct WorkspaceError {
    /// The file or folder concerned.
    pub path: PathBuf,
    /// Why it cannot be used.
    #[source]
    pub kind: WorkspaceErrorKind,
}

/// Why a workspace, or a file in it, cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkspaceErrorKind {
    /// An identifier that cannot be a file name.
    #[error(transparent)]
    Name(#[from] NameFault),
    /// A newer dpm wrote the workspace.
    #[error("its layout has version {found}, this build knows {LAYOUT_VERSION}: start the newer dpm")]
    LayoutNewer {
        /// Version found.
        found: u32,
    },
    /// The version file holds no version.
    #[error(
        "it should hold a layout version such as {LAYOUT_VERSION} but holds '{text}': restore it, or choose another workspace"
    )]
    LayoutUnreadable {
        /// What it holds, shortened.
        text: String,
    },
    /// The folder holds data but no version.
    #[error(
        "the folder has '{found}' but no layout-version: it is not a whole workspace; restore it or choose another"
    )]
    NotAWorkspace {
        /// A name that belongs to a workspace.
        found: &'static str,
    },
    /// The folder has no workspace in it and none was to be made.
    #[error("there is no workspace here (is the file system mounted?)")]
    NoWorkspace,
    /// A name of the layout is taken by a symbolic link or a file.
    #[error("it should be a folder and no symbolic link: move it away")]
    NotAFolder,
    /// A durable change failed.
    #[error(transparent)]
    Durable(#[from] DurableError),
    /// The file system refuses to read.
    #[error("the file system refuses")]
    Io {
        /// The kernel's answer.
        #[from]
        source: io::Error,
    },
}

impl WorkspaceError {
    /// Ties a reason to the path that it concerns.
    pub(in crate::workspace) fn at(path: &Path, kind: impl Into<WorkspaceErrorKind>) -> WorkspaceError {
        WorkspaceError { path: path.to_path_buf(), kind: kind.into() }
    }

    /// True if the file system is full: the same call may succeed later.
    pub fn is_no_space(&self) -> bool {
        matches!(&self.kind, WorkspaceErrorKind::Durable(error) if error.is_no_space())
    }
}

/// An opened workspace: absolute paths of everything in it.
#[derive(Clone, Debug)]
pub struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// Opens the workspace at `path`; makes it where the folder is missing or empty.
    ///
    /// On return the folders are there and survive a power cut. Does not lock: see [`crate::workspace::lock`].
    ///
    /// # Errors
    ///
    /// [`WorkspaceErrorKind::LayoutNewer`] or [`WorkspaceErrorKind::LayoutUnreadable`] if another program wrote it;
    /// [`WorkspaceErrorKind::NotAWorkspace`] if there are data of a workspace without version; nothing is changed then.
    pub fn open(path: &Path) -> Result<Workspace, WorkspaceError> {
        durable::create_directory(path).map_err(|error| WorkspaceError::at(path, error))?;
        let workspace = Workspace::at(path)?;
        if !workspace.check_version()? {
            workspace.write_version()?;
        }
        workspace.create_folders()?;
        Ok(workspace)
    }

    /// Opens the workspace at `path` only if it was made before, so that an unmounted disk is not mistaken for a new one.
    ///
    /// # Errors
    ///
    /// As [`Workspace::open`], and [`WorkspaceErrorKind::NoWorkspace`] if there is none.
    pub fn open_existing(path: &Path) -> Result<Workspace, WorkspaceError> {
        let workspace = match Workspace::at(path) {
            Err(WorkspaceError { kind: WorkspaceErrorKind::Io { source }, .. })
                if source.kind() == io::ErrorKind::NotFound =>
            {
                return Err(WorkspaceError::at(path, WorkspaceErrorKind::NoWorkspace));
            }
            outcome => outcome?,
        };
        if !workspace.check_version()? {
            return Err(WorkspaceError::at(path, WorkspaceErrorKind::NoWorkspace));
        }
        workspace.create_folders()?;
        Ok(workspace)
    }

    /// The workspace itself, absolute and without symbolic links.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `dpm.lock`.
    pub fn lock_path(&self) -> PathBuf {
        self.root.join("dpm.lock")
    }

    /// `dpm.sock`, unless the configuration puts the socket elsewhere.
    pub fn socket_path(&self) -> PathBuf {
        self.root.join("dpm.sock")
    }

    /// `state.db`.
    pub fn database_path(&self) -> PathBuf {
        self.root.join(DATABASE)
    }

    /// `inbox/`.
    pub fn inbox(&self) -> PathBuf {
        self.root.join(INBOX)
    }

    /// `products/`.
    pub fn products(&self) -> PathBuf {
        self.root.join(PRODUCTS)
    }

    /// `daq/`, the folder of all DAQ folders.
    pub fn daqs(&self) -> PathBuf {
        self.root.join(DAQS)
    }

    /// `products/<fileId>.fits`.
    ///
    /// # Errors
    ///
    /// [`WorkspaceErrorKind::Name`] if `file_id` cannot be a file name.
    pub fn product_path(&self, file_id: &str) -> Result<PathBuf, WorkspaceError> {
        let name = check_name(file_id).map_err(|fault| WorkspaceError::at(&self.products(), fault))?;
        Ok(self.products().join(format!("{name}.fits")))
    }

    /// The folder `daq/<id>/`, which need not be there.
    ///
    /// # Errors
    ///
    /// [`WorkspaceErrorKind::Name`] if `id` cannot be a file name.
    pub fn daq_folder(&self, id: &str) -> Result<DaqFolder, WorkspaceError> {
        let name = check_name(id).map_err(|fault| WorkspaceError::at(&self.daqs(), fault))?;
        Ok(DaqFolder { path: self.daqs().join(name) })
    }

    /// Identifiers of the DAQ folders that are there, sorted; names that are no identifiers are left out.
    ///
    /// # Errors
    ///
    /// [`WorkspaceErrorKind::Io`] if the folder cannot be listed.
    pub fn daq_ids(&self) -> Result<Vec<String>, WorkspaceError> {
        let daqs = self.daqs();
        let refused = |source: io::Error| WorkspaceError::at(&daqs, source);
        let mut ids = Vec::new();
        for entry in std::fs::read_dir(&daqs).map_err(refused)? {
            let name = entry.map_err(refused)?.file_name();
            if let Some(id) = name.to_str().filter(|name| check_name(name).is_ok()) {
                ids.push(id.to_owned());
            }
        }
        ids.sort_unstable();
        Ok(ids)
    }

    /// Removes temporary files of killed writers from the workspace's own folders and `daq/<id>/`; gives their number.
    ///
    /// Call it at recovery, with the lock held and before anything is written.
    ///
    /// # Errors
    ///
    /// [`WorkspaceErrorKind::Durable`] if the file system refuses.
    pub fn remove_temporaries(&self) -> Result<usize, WorkspaceError> {
        let inbox = self.inbox();
        let mut folders = vec![self.root.clone(), self.products(), inbox.join("accepted"), inbox.join("rejected")];
        folders.extend(self.daq_ids()?.into_iter().map(|id| self.daqs().join(id)).filter(|path| is_real_folder(path)));
        let mut count = 0;
        for folder in folders {
            count += durable::remove_temporaries(&folder).map_err(|error| WorkspaceError::at(&folder, error))?;
        }
        Ok(count)
    }

    fn at(path: &Path) -> Result<Workspace, WorkspaceError> {
        // Absolute and resolved once, so that a changed working directory or link cannot move the workspace.
        let root = path.canonicalize().map_err(|source| WorkspaceError::at(path, source))?;
        Ok(Workspace { root })
    }

    /// False if the workspace is still to be made.
    fn check_version(&self) -> Result<bool, WorkspaceError> {
        let path = self.root.join(VERSION_FILE);
        let refused = |source: io::Error| WorkspaceError::at(&path, source);
        let mut text = Vec::new();
        match File::open(&path) {
            Err(source) if source.kind() == io::ErrorKind::NotFound => return self.check_unused(),
            outcome => outcome.map_err(refused)?.take(VERSION_BYTES_MAX).read_to_end(&mut text).map_err(refused)?,
        };
        let text = String::from_utf8_lossy(&text);
        match text.trim_ascii().parse::<u32>() {
            Ok(LAYOUT_VERSION) => Ok(true),
            Ok(found) if found > LAYOUT_VERSION => {
                Err(WorkspaceError::at(&path, WorkspaceErrorKind::LayoutNewer { found }))
            }
            _ => {
                let text = text.escape_default().to_string();
                Err(WorkspaceError::at(&path, WorkspaceErrorKind::LayoutUnreadable { text }))
            }
        }
    }

    /// A folder without version may be taken only if nothing in it looks like a workspace that lost its version.
    fn check_unused(&self) -> Result<bool, WorkspaceError> {
        match [DATABASE, DAQS, PRODUCTS].into_iter().find(|name| self.root.join(name).symlink_metadata().is_ok()) {
            Some(found) => Err(WorkspaceError::at(&self.root, WorkspaceErrorKind::NotAWorkspace { found })),
            None => Ok(false),
        }
    }

    fn write_version(&self) -> Result<(), WorkspaceError> {
        let path = self.root.join(VERSION_FILE);
        match durable::write_new(&path, format!("{LAYOUT_VERSION}\n").as_bytes()) {
            // Another process made the workspace at the same moment; the lock decides later who owns it.
            Err(error) if error.is_exists() => self.check_version().map(|_| ()),
            outcome => outcome.map_err(|error| WorkspaceError::at(&path, error)),
        }
    }

    fn create_folders(&self) -> Result<(), WorkspaceError> {
        [self.daqs(), self.products(), self.inbox()].iter().try_for_each(|path| create_real_folder(path))
    }
}

/// Where one DAQ's files lie: `daq/<id>/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaqFolder {
    path: PathBuf,
}

impl DaqFolder {
    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `specification.json`, verbatim as it was queued.
    pub fn specification(&self) -> PathBuf {
        self.path.join("specification.json")
    }

    /// `inputs.json`, what the worker is told.
    pub fn inputs(&self) -> PathBuf {
        self.path.join("inputs.json")
    }

    /// `sources/`.
    pub fn sources(&self) -> PathBuf {
        self.path.join("sources")
    }

    /// `sources/NNNN-NAME` for the source with the 0-based `ordinal`; `name` is its own file name, made harmless.
    pub fn source_path(&self, ordinal: usize, name: &str) -> PathBuf {
        self.sources().join(source_file_name(ordinal, name))
    }

    /// `logs/`.
    pub fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    /// `logs/merge.log`.
    pub fn merge_log(&self) -> PathBuf {
        self.logs().join("merge.log")
    }

    /// `product.partial`, the product while it is made.
    pub fn product_partial(&self) -> PathBuf {
        self.path.join("product.partial")
    }

    /// Makes the folder and writes the specification into it, for the steps of its DAQ.
    ///
    /// Nothing here is the only copy of anything: the database has the specification, and what a power cut takes or
    /// tears is made again by the next call. So nothing is synced; a file that is the only one needs
    /// [`DaqFolder::sync`] first. Repeating the call is fine; only the holder of the workspace's lock may call it.
    ///
    /// # Errors
    ///
    /// [`WorkspaceErrorKind::NotAFolder`] where a link or a file has the name of a folder, or the system's refusal.
    pub fn create(&self, specification_text: &str) -> Result<(), WorkspaceError> {
        for path in [&self.path, &self.sources(), &self.logs()] {
            durable::create_directory_for_now(path).map_err(|error| folder_error(path, error))?;
        }
        let path = self.specification();
        if !is_same(&path, specification_text) {
            let written = durable::write_for_now(&path, specification_text.as_bytes());
            written.map_err(|error| WorkspaceError::at(&path, error))?;
        }
        Ok(())
    }

    /// Makes the folder and its `sources/` survive a power cut; what is in them is synced by whoever puts it there.
    ///
    /// # Errors
    ///
    /// [`WorkspaceErrorKind::Durable`] if the disk refuses.
    pub fn sync(&self) -> Result<(), WorkspaceError> {
        let folders = [Some(self.path.as_path()), self.path.parent()];
        folders
            .into_iter()
            .flatten()
            .try_for_each(|path| durable::sync_directory(path).map_err(|error| WorkspaceError::at(path, error)))
    }

    /// Removes the folder with all that is in it. Missing is fine.
    ///
    /// A power cut may bring it back; then the recovery, which finds no unfinished DAQ of this name, removes it again.
    ///
    /// # Errors
    ///
    /// [`WorkspaceErrorKind::Durable`] if the file system refuses; the call may be repeated.
    pub fn remove(&self) -> Result<(), WorkspaceError> {
        durable::remove_tree_for_now(&self.path).map_err(|error| WorkspaceError::at(&self.path, error))
    }
}

/// True if the file at `path` holds `text`. The size is compared first: what is there may be larger than memory.
fn is_same(path: &Path, text: &str) -> bool {
    let is_as_long =
        path.symlink_metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() == text.len() as u64);
    is_as_long && std::fs::read(path).is_ok_and(|bytes| bytes == text.as_bytes())
}

fn is_real_folder(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir())
}

/// Makes a folder inside the workspace; a symbolic link is refused, because it could lead outside.
pub(in crate::workspace) fn create_real_folder(path: &Path) -> Result<(), WorkspaceError> {
    match durable::create_directory(path) {
        Ok(()) if is_real_folder(path) => Ok(()),
        Ok(()) => Err(WorkspaceError::at(path, WorkspaceErrorKind::NotAFolder)),
        Err(error) => Err(folder_error(path, error)),
    }
}

fn folder_error(path: &Path, error: DurableError) -> WorkspaceError {
    match error.kind {
        DurableErrorKind::NotAFolder | DurableErrorKind::Exists => {
            WorkspaceError::at(path, WorkspaceErrorKind::NotAFolder)
        }
        _ => WorkspaceError::at(path, error),
    }
}

#[cfg(test)]
mod tests;
