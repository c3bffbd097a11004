//! Delivers a product into a folder of this machine, by the cheapest way that works there.
//!
//! The receiver sees nothing or the whole product: links appear at once, files are made as `.NAME.dpm-part` and
//! renamed without replacing. Does not make folders, and knows nothing of other machines.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::Access;
use rustix::io::Errno;

use crate::durable::sync_directory;
use crate::merge::fingerprint::Fingerprint;
use crate::merge::proof;
use crate::release::error::{ReleaseErrorKind, errno};
use crate::release::{Delivered, Method, Product, Proof};
use crate::transfer::Control;
use crate::transfer::copy::{CopyError, clone_whole, copy_whole, proof_like};
use crate::transfer::partial::{PartialFile, is_same_file, open_plain};
use crate::transfer::source::Silent;

/// What came of trying one way.
enum Attempt {
    /// The product is there.
    Done,
    /// This way does not work between these two places.
    Unavailable(io::Error),
    /// Meanwhile the name was taken.
    Taken,
}

/// Reads the product once and compares it with its digest.
///
/// # Errors
///
/// [`ReleaseErrorKind::ProductDamaged`] and the other product kinds, or the cancellation.
pub(crate) fn prove(product: &Product, control: &dyn Control) -> Result<Proof, ReleaseErrorKind> {
    let (file, before) = open_product(product)?;
    let digest = proof_like(&product.digest, &product.path, &file, product.bytes, control)
        .map_err(|error| kind_of_copy(product, &product.path, error))?;
    check_digest(product, &digest)?;
    let after = Fingerprint::of(&file).map_err(|source| unreadable(product, source))?;
    if !after.is_same_but_renamed(&before) {
        return Err(damaged(product, "it changed while it was read".to_owned()));
    }
    Ok(Proof(after))
}

/// Delivers the product into `folder` by the first of `methods` that works there.
///
/// # Errors
///
/// See [`ReleaseErrorKind`]; after any error the receiver sees nothing new, except a complete file whose folder could
/// not be synced.
pub(crate) fn deliver(
    folder: &Path,
    methods: &[Method],
    product: &Product,
    proof: Option<&Proof>,
    control: &dyn Control,
) -> Result<Delivered, ReleaseErrorKind> {
    if Path::new(&product.name).file_name().is_none_or(|name| name != product.name.as_str()) {
        return Err(ReleaseErrorKind::BadName);
    }
    check_folder(folder)?;
    let delivery = Delivery::new(folder, product, proof, control)?;
    remove_leftover(&delivery.partial)
        .map_err(|source| ReleaseErrorKind::Write { path: delivery.partial.clone(), source })?;
    if let Some(method) = delivery.existing(methods)? {
        return delivery.finish(method, true);
    }
    let mut last = None;
    for &method in methods {
        match delivery.attempt(method)? {
            Attempt::Done => return delivery.finish(method, false),
            Attempt::Unavailable(source) => last = Some((method, source)),
            Attempt::Taken => {
                return match delivery.existing(methods)? {
                    Some(method) => delivery.finish(method, true),
                    None => Err(delivery.taken("gone again")),
                };
            }
        }
    }
    let (method, source) = last.unwrap_or((Method::Copy, io::ErrorKind::Unsupported.into()));
    Err(ReleaseErrorKind::MethodUnavailable { method, source })
}

/// The hidden name under which a product is made.
pub(crate) fn partial(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!(".{name}.dpm-part"))
}

/// Removes what a killed try left under the hidden name `partial`; nothing there is fine.
///
/// # Errors
///
/// The system's answer.
pub(crate) fn remove_leftover(partial: &Path) -> io::Result<()> {
    match std::fs::remove_file(partial) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// One product on its way into one folder.
struct Delivery<'a> {
    product: &'a Product,
    file: File,
    folder: &'a Path,
    name: PathBuf,
    partial: PathBuf,
    is_proved: Cell<bool>,
    control: &'a dyn Control,
}

impl<'a> Delivery<'a> {
    fn new(
        folder: &'a Path,
        product: &'a Product,
        proof: Option<&Proof>,
        control: &'a dyn Control,
    ) -> Result<Delivery<'a>, ReleaseErrorKind> {
        let (file, fingerprint) = open_product(product)?;
        let is_proved = Cell::new(proof.is_some_and(|proof| proof.0.is_same_but_renamed(&fingerprint)));
        let name = folder.join(&product.name);
        let partial = partial(folder, &product.name);
        Ok(Delivery { product, file, folder, name, partial, is_proved, control })
    }

    /// Looks whether this very product is there from an earlier try, and how it came.
    fn existing(&self, methods: &[Method]) -> Result<Option<Method>, ReleaseErrorKind> {
        let metadata = match self.name.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            outcome => outcome.map_err(|source| self.refused_folder(source))?,
        };
        if metadata.is_symlink() {
            let is_product = matches!(
                (self.name.metadata(), Fingerprint::of(&self.file)),
                (Ok(target), Ok(product)) if Fingerprint::of_metadata(&target).is_same_file(&product)
            );
            return match (is_product, methods.contains(&Method::Symlink)) {
                (true, true) => Ok(Some(Method::Symlink)),
                (true, false) => Err(self.taken("a symbolic link, which this receiver does not allow")),
                (false, _) => Err(self.taken("a symbolic link to something else")),
            };
        }
        if !metadata.is_file() {
            return Err(self.taken("no file"));
        }
        if is_same_file(&self.file, &self.name) {
            return Ok(Some(Method::HardLink));
        }
        if metadata.size() != self.product.bytes || !self.is_equal()? {
            return Err(self.taken("another file"));
        }
        Ok(Some(Method::Copy))
    }

    /// Reads the file that has the name and compares its digest with the product's.
    fn is_equal(&self) -> Result<bool, ReleaseErrorKind> {
        let file = open_plain(&self.name).map_err(|source| self.refused_folder(source))?;
        let (wanted, bytes) = (&self.product.digest, self.product.bytes);
        match proof_like(wanted, &self.name, &file, bytes, &Silent(self.control)) {
            Ok(digest) => Ok(digest == self.product.digest),
            Err(CopyError::Shrank { .. } | CopyError::Grew { .. }) => Ok(false),
            Err(CopyError::Cancelled { bytes_done }) => Err(ReleaseErrorKind::Cancelled { bytes_done }),
            Err(CopyError::Read { source, .. } | CopyError::Write { source, .. }) => Err(self.refused_folder(source)),
        }
    }

    fn attempt(&self, method: Method) -> Result<Attempt, ReleaseErrorKind> {
        match method {
            Method::HardLink => self.hard_link(),
            Method::Reflink => self.reflink(),
            Method::Symlink => self.symbolic_link(),
            Method::Copy => self.copy(),
        }
    }

    fn hard_link(&self) -> Result<Attempt, ReleaseErrorKind> {
        if !self.is_one_file_system() {
            // Known without reading the product for its proof.
            return Ok(Attempt::Unavailable(Errno::XDEV.into()));
        }
        self.prove()?;
        self.linked(std::fs::hard_link(&self.product.path, &self.name))
    }

    fn symbolic_link(&self) -> Result<Attempt, ReleaseErrorKind> {
        self.prove()?;
        let target = self.product.path.canonicalize().map_err(|source| unreadable(self.product, source))?;
        self.linked(symlink(target, &self.name))
    }

    /// Sorts the kernel's answer to a link of either kind.
    fn linked(&self, outcome: io::Result<()>) -> Result<Attempt, ReleaseErrorKind> {
        let Err(source) = outcome else { return Ok(Attempt::Done) };
        match errno(&source) {
            Some(Errno::EXIST) => Ok(Attempt::Taken),
            // Another mount, a file system without links, links to others' files forbidden, too many links.
            Some(Errno::XDEV | Errno::PERM | Errno::MLINK | Errno::OPNOTSUPP | Errno::NOSYS) => {
                Ok(Attempt::Unavailable(source))
            }
            _ => Err(ReleaseErrorKind::of_write(self.name.clone(), 0, source)),
        }
    }

    fn reflink(&self) -> Result<Attempt, ReleaseErrorKind> {
        let partial = self.create_partial()?;
        let is_cloned = clone_whole(&self.file, partial.file()).map_err(|source| self.refused_write(source))?;
        if !is_cloned {
            return Ok(Attempt::Unavailable(Errno::OPNOTSUPP.into()));
        }
        let digest = self.proof_of(&partial)?;
        self.publish(partial, &digest)
    }

    fn copy(&self) -> Result<Attempt, ReleaseErrorKind> {
        let partial = self.create_partial()?;
        let digest = copy_whole(&self.file, partial.file(), self.product.bytes, self.control)
            .map_err(|error| kind_of_copy(self.product, &self.partial, error))?;
        let digest = if proof::is_by_headers(&self.product.digest) { self.proof_of(&partial)? } else { digest };
        self.publish(partial, &digest)
    }

    /// Reads the hidden file: what proves it, in the form of the product's proof.
    fn proof_of(&self, partial: &PartialFile) -> Result<String, ReleaseErrorKind> {
        proof_like(&self.product.digest, &self.partial, partial.file(), self.product.bytes, self.control)
            .map_err(|error| kind_of_copy(self.product, &self.partial, error))
    }

    /// Makes the hidden file, with the product's permissions.
    fn create_partial(&self) -> Result<PartialFile, ReleaseErrorKind> {
        let metadata = self.file.metadata().map_err(|source| unreadable(self.product, source))?;
        PartialFile::create(&self.partial, metadata.mode() & 0o777).map_err(|source| self.refused_write(source))
    }

    fn publish(&self, partial: PartialFile, digest: &str) -> Result<Attempt, ReleaseErrorKind> {
        check_digest(self.product, digest)?;
        match partial.publish(&self.name) {
            Ok(_) => Ok(Attempt::Done),
            Err(error) if error.is_exists() => Ok(Attempt::Taken),
            Err(source) => Err(ReleaseErrorKind::Publish { source }),
        }
    }

    /// Reads the product, once for all ways, before a link to it is shown to anybody.
    fn prove(&self) -> Result<(), ReleaseErrorKind> {
        if !self.is_proved.get() {
            prove(self.product, self.control)?;
            self.is_proved.set(true);
        }
        Ok(())
    }

    /// Makes the name survive a power cut. An earlier try may have been killed just before this.
    fn finish(&self, method: Method, already_there: bool) -> Result<Delivered, ReleaseErrorKind> {
        sync_directory(self.folder).map_err(|source| ReleaseErrorKind::Publish { source })?;
        self.control.progress(self.product.bytes, self.product.bytes);
        Ok(Delivered { path: self.name.clone(), method, already_there })
    }

    fn is_one_file_system(&self) -> bool {
        match (self.file.metadata(), self.folder.metadata()) {
            (Ok(product), Ok(folder)) => product.dev() == folder.dev(),
            _ => false,
        }
    }

    fn taken(&self, found: &'static str) -> ReleaseErrorKind {
        ReleaseErrorKind::Exists { path: self.name.clone(), found }
    }

    fn refused_folder(&self, source: io::Error) -> ReleaseErrorKind {
        ReleaseErrorKind::Folder { path: self.folder.to_path_buf(), source }
    }

    fn refused_write(&self, source: io::Error) -> ReleaseErrorKind {
        ReleaseErrorKind::of_write(self.partial.clone(), self.product.bytes, source)
    }
}

/// Checks what OLAS promises of its folder: it exists, is a folder, is writable.
fn check_folder(path: &Path) -> Result<(), ReleaseErrorKind> {
    let path_buf = || path.to_path_buf();
    let sort = |source: io::Error| match errno(&source) {
        Some(Errno::NOENT) => ReleaseErrorKind::FolderMissing { path: path_buf() },
        Some(Errno::NOTDIR) => ReleaseErrorKind::NotAFolder { path: path_buf() },
        Some(Errno::ACCESS | Errno::PERM | Errno::ROFS) => {
            ReleaseErrorKind::FolderNotWritable { path: path_buf(), source }
        }
        _ => ReleaseErrorKind::Folder { path: path_buf(), source },
    };
    if !path.metadata().map_err(sort)?.is_dir() {
        return Err(ReleaseErrorKind::NotAFolder { path: path_buf() });
    }
    // Listing too: without it the folder cannot be opened, and so not synced.
    let access = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
    rustix::fs::access(path, access).map_err(|errno| sort(errno.into()))
}

/// Opens the product: a regular file of the right size, no link to one.
fn open_product(product: &Product) -> Result<(File, Fingerprint), ReleaseErrorKind> {
    let file = open_plain(&product.path).map_err(|source| match errno(&source) {
        Some(Errno::NOENT | Errno::NOTDIR) => ReleaseErrorKind::ProductMissing { path: product.path.clone() },
        Some(Errno::LOOP) => damaged(product, "it is a symbolic link".to_owned()),
        _ => unreadable(product, source),
    })?;
    let fingerprint = Fingerprint::of(&file).map_err(|source| unreadable(product, source))?;
    if fingerprint.bytes != product.bytes {
        return Err(damaged(product, format!("{} bytes instead of {}", fingerprint.bytes, product.bytes)));
    }
    Ok((file, fingerprint))
}

fn check_digest(product: &Product, digest: &str) -> Result<(), ReleaseErrorKind> {
    if digest == product.digest {
        return Ok(());
    }
    Err(damaged(product, format!("BLAKE3 {digest} instead of {}", product.digest)))
}

/// Sorts what ended the reading of the product, or its copying to `to`.
fn kind_of_copy(product: &Product, to: &Path, error: CopyError) -> ReleaseErrorKind {
    match error {
        CopyError::Cancelled { bytes_done } => ReleaseErrorKind::Cancelled { bytes_done },
        CopyError::Shrank { .. } | CopyError::Grew { .. } => damaged(product, error.to_string()),
        CopyError::Read { source, .. } => unreadable(product, source),
        CopyError::Write { source, .. } => ReleaseErrorKind::of_write(to.to_path_buf(), product.bytes, source),
    }
}

fn damaged(product: &Product, found: String) -> ReleaseErrorKind {
    ReleaseErrorKind::ProductDamaged { path: product.path.clone(), found }
}

fn unreadable(product: &Product, source: io::Error) -> ReleaseErrorKind {
    ReleaseErrorKind::ProductUnreadable { path: product.path.clone(), source }
}

#[cfg(test)]
mod tests;
