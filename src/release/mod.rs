//! Releasing: delivers a finished product to its receivers, each exactly once, never over another file.
//!
//! [`folder`] puts it into a folder of this machine (the OLAS ingestion folder too). Keeps no journal and does not
//! retry: the engine does. Never removes the product.

mod error;
pub mod folder;

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::merge::fingerprint::Fingerprint;
use crate::specification::location::is_local_host;
use crate::specification::model::{FolderMode, OlasReceiver, Receiver};
use crate::transfer::Control;

pub use crate::release::error::{ReleaseError, ReleaseErrorKind};

/// A finished product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// Where it lies: a regular file of ours.
    pub path: PathBuf,
    /// Archive name, under which it is delivered.
    pub name: String,
    /// Size in bytes.
    pub bytes: u64,
    /// What proves it, see [`crate::merge::proof`]: BLAKE3 of the whole file, lower-case hex, or that of its headers.
    pub digest: String,
}

/// How a product came to a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Method {
    /// A second name of the product's file.
    HardLink,
    /// A file of its own that shares the product's blocks.
    Reflink,
    /// A symbolic link to the product, which must stay where it is.
    Symlink,
    /// A file of its own.
    Copy,
}

impl Method {
    /// Name in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::HardLink => "hard link",
            Method::Reflink => "reflink",
            Method::Symlink => "symbolic link",
            Method::Copy => "copy",
        }
    }
}

/// A product at its receiver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delivered {
    /// The file that the receiver sees.
    pub path: PathBuf,
    /// How it came there; of an equal file that was there before, only that it is a file of its own: `copy`.
    pub method: Method,
    /// It was there before, of an earlier try.
    pub already_there: bool,
}

/// What is known at a delivery besides the product.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeliveryOptions<'a> {
    /// Further names of this machine.
    pub local_hosts: &'a [String],
    /// The product's bytes were proved just before: spares reading them again for links.
    pub proof: Option<&'a Proof>,
}

/// A product whose bytes were read and found right.
#[derive(Clone, Debug)]
pub struct Proof(pub(crate) Fingerprint);

/// Reads the product once and compares it with its digest: worth it before delivering to several receivers.
///
/// # Errors
///
/// [`ReleaseErrorKind::ProductDamaged`] and the other product kinds, or the cancellation.
pub fn prove(product: &Product, control: &dyn Control) -> Result<Proof, ReleaseError> {
    folder::prove(product, control).map_err(|kind| ReleaseError {
        receiver: "any receiver".to_owned(),
        name: product.name.clone(),
        kind,
    })
}

/// Delivers the product to a receiver that this machine's own name makes local. Blocks. May be repeated.
///
/// As [`deliver_with`] without options.
///
/// # Errors
///
/// As [`deliver_with`].
pub fn deliver(receiver: &Receiver, product: &Product, control: &dyn Control) -> Result<Delivered, ReleaseError> {
    deliver_with(receiver, product, &DeliveryOptions::default(), control)
}

/// Delivers the product; on return it survives a power cut at the receiver. Blocks. May be repeated.
///
/// A damaged product is not delivered: links are made only after its bytes were read and compared.
///
/// # Errors
///
/// [`ReleaseError`] names product, receiver and what to do. No temporary file stays.
pub fn deliver_with(
    receiver: &Receiver,
    product: &Product,
    options: &DeliveryOptions<'_>,
    control: &dyn Control,
) -> Result<Delivered, ReleaseError> {
    place(receiver, options.local_hosts)
        .and_then(|(folder, methods)| folder::deliver(folder, methods, product, options.proof, control))
        .map_err(|kind| ReleaseError { receiver: describe(receiver), name: product.name.clone(), kind })
}

/// Removes what a killed delivery of the product `name` left at the receiver; nothing there is fine. May be repeated.
///
/// # Errors
///
/// The system's answer: the receiver's folder cannot be written.
pub fn discard(receiver: &Receiver, name: &str, local_hosts: &[String]) -> io::Result<()> {
    // What cannot be served was never delivered to.
    place(receiver, local_hosts).map_or(Ok(()), |(folder, _)| folder::remove_leftover(&folder::partial(folder, name)))
}

/// Says at queue time whether this build can deliver to the receiver at all; looks at no disk.
///
/// # Errors
///
/// [`ReleaseErrorKind::NotBuilt`].
pub fn check(receiver: &Receiver, local_hosts: &[String]) -> Result<(), ReleaseError> {
    place(receiver, local_hosts).map(|_| ()).map_err(|kind| ReleaseError {
        receiver: describe(receiver),
        name: "a product".to_owned(),
        kind,
    })
}

/// Names the receiver in messages and in the journal: kind and place, never a secret.
pub fn describe(receiver: &Receiver) -> String {
    match receiver {
        Receiver::Olas(OlasReceiver { path, host, .. }) if host.is_empty() => format!("olasReceiver {path}"),
        Receiver::Olas(OlasReceiver { path, host, .. }) => format!("olasReceiver {host}:{path}"),
        Receiver::Folder(folder) => format!("folderReceiver {}", folder.path),
        Receiver::Object { url } => format!("objectReceiver {}", without_secrets(url)),
        // Arguments may be secrets.
        Receiver::Command { argv } => format!("commandReceiver {}", argv.first().map_or("", String::as_str)),
    }
}

/// Cuts user, password and query (signatures) out of a URL.
fn without_secrets(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = host.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}{path}")
}

/// Gives the receiver's folder on this machine and the ways to put a file there, cheapest first.
fn place<'a>(
    receiver: &'a Receiver,
    local_hosts: &[String],
) -> Result<(&'a Path, &'static [Method]), ReleaseErrorKind> {
    use Method::{Copy, HardLink, Reflink, Symlink};
    let not_built = |kind: &str| Err(ReleaseErrorKind::NotBuilt { kind: kind.to_owned() });
    match receiver {
        Receiver::Olas(olas) if !is_here(&olas.host, local_hosts) => {
            not_built(&format!("an olasReceiver on another host ({})", olas.host))
        }
        Receiver::Olas(olas) if olas.allow_symlink => Ok((Path::new(&olas.path), &[HardLink, Reflink, Symlink, Copy])),
        Receiver::Olas(olas) => Ok((Path::new(&olas.path), &[HardLink, Reflink, Copy])),
        Receiver::Folder(folder) => {
            let methods: &[Method] = match folder.mode {
                FolderMode::Auto => &[HardLink, Reflink, Copy],
                FolderMode::HardLink => &[HardLink],
                FolderMode::Symlink => &[Symlink],
                FolderMode::Copy => &[Copy],
            };
            Ok((Path::new(&folder.path), methods))
        }
        Receiver::Object { .. } => not_built("an objectReceiver"),
        Receiver::Command { .. } => not_built("a commandReceiver"),
    }
}

/// True if `host` is this machine: empty, one of `local_hosts`, or the kernel's node name, with or without domain.
fn is_here(host: &str, local_hosts: &[String]) -> bool {
    if host.is_empty() || is_local_host(host, local_hosts) {
        return true;
    }
    let system = rustix::system::uname();
    let node = system.nodename().to_string_lossy().into_owned();
    let short = node.split('.').next().unwrap_or_default().to_owned();
    is_local_host(host, &[node, short])
}

#[cfg(test)]
mod tests {
    use crate::release::{ReleaseErrorKind, check, describe};
    use crate::specification::model::{FolderMode, FolderReceiver, OlasReceiver, Receiver};
    use crate::transfer::Remedy;

    fn olas(host: &str) -> Receiver {
        Receiver::Olas(OlasReceiver { path: "/ingest/in".to_owned(), host: host.to_owned(), allow_symlink: true })
    }

    fn object(url: &str) -> Receiver {
        Receiver::Object { url: url.to_owned() }
    }

    #[test]
    fn receivers_are_described_without_secrets() {
        let folder = FolderReceiver { path: "/out".to_owned(), mode: FolderMode::Auto };
        let argv = vec!["/usr/bin/send".to_owned(), "--password=x".to_owned()];
        for (receiver, expected) in [
            (olas(""), "olasReceiver /ingest/in"),
            (olas("dhs1"), "olasReceiver dhs1:/ingest/in"),
            (Receiver::Folder(folder), "folderReceiver /out"),
            (object("s3://bucket/a/b"), "objectReceiver s3://bucket/a/b"),
            (object("az://me:key@account/a@b?sig=x"), "objectReceiver az://account/a@b"),
            (object("s3://k@bucket"), "objectReceiver s3://bucket"),
            (Receiver::Command { argv }, "commandReceiver /usr/bin/send"),
        ] {
            assert_eq!(describe(&receiver), expected);
        }
    }

    #[test]
    fn what_cannot_be_served_is_known_early() {
        let hosts = ["dhs1".to_owned()];
        let node = rustix::system::uname().nodename().to_string_lossy().into_owned();
        for host in ["", "localhost", "dhs1", "DHS1", &node] {
            assert!(check(&olas(host), &hosts).is_ok(), "{host}");
        }
        for (receiver, what) in [
            (olas("dhs2"), "an olasReceiver on another host (dhs2)"),
            (object("s3://bucket"), "an objectReceiver"),
            (Receiver::Command { argv: vec!["x".to_owned()] }, "a commandReceiver"),
        ] {
            let error = check(&receiver, &hosts).unwrap_err();
            assert!(matches!(&error.kind, ReleaseErrorKind::NotBuilt { kind } if kind == what), "{error:?}");
            assert_eq!(error.remedy(), Remedy::AskOperator);
        }
    }
}
