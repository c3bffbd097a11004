//! Where a source lies, and where a receiver is: `host:/path`, `/path`, a relative path, or a URL.
//!
//! Everything that could turn into an option of rsync or ssh, leave a folder, hide in a log or look like something
//! else is refused here, once. Opens nothing and asks no name service.

use std::fmt;

use thiserror::Error;

use crate::specification::fault::quoted;
use crate::specification::location::url::{split_scheme, url};

pub use crate::specification::location::url::{RemoteUrl, Scheme};

mod url;

/// Longest location in bytes: `PATH_MAX` of Linux.
pub const LOCATION_BYTES_MAX: usize = 4096;

/// Names that always mean this host.
/// The name under which a relative path may be given, so that specifications can move between machines.
const LOCALHOST: &str = "localhost";
const LOCAL_HOSTS: [&str; 4] = ["localhost", "127.0.0.1", "[::1]", "::1"];

/// A valid location.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Location {
    /// A path on this host: absolute, or relative to the folder of the specification.
    Local(String),
    /// `host:/path`, the ELT's form; `host` may be `user@host`, the path is absolute.
    Host {
        /// Host name, address, or IPv6 address in brackets; perhaps `user@` before it. Never begins with `-`.
        host: String,
        /// Absolute path.
        path: String,
    },
    /// A URL.
    Url(RemoteUrl),
}

/// Why a text is no location.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
#[error("{} is no location: {reason}", quoted(text))]
pub struct LocationFault {
    /// The text as given.
    pub text: String,
    /// What is wrong.
    pub reason: LocationReason,
    /// What to write instead.
    pub hint: Option<String>,
}

/// What is wrong with a location.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum LocationReason {
    /// Nothing there.
    #[error("it is empty")]
    Empty,
    /// Beyond [`LOCATION_BYTES_MAX`].
    #[error("it is longer than {LOCATION_BYTES_MAX} bytes")]
    TooLong,
    /// A control character, or one that is invisible or turns the text around.
    #[error("it holds the character U+{:04X}", u32::from(*character))]
    Character {
        /// The character.
        character: char,
    },
    /// A leading `-`: it would be read as an option.
    #[error("{part} begins with `-`")]
    LeadingDash {
        /// The part that does.
        part: &'static str,
    },
    /// A component `..`.
    #[error("it has a component `..`")]
    ParentFolder,
    /// Ends in a slash, or is a folder by nature.
    #[error("it names a folder, not a file")]
    Folder,
    /// `host::module`.
    #[error("`::` asks for a module of an rsync daemon")]
    RsyncModule,
    /// Not a host name.
    #[error("{} is no host name", quoted(host))]
    Host {
        /// What stands in its place.
        host: String,
    },
    /// Not a user name.
    #[error("{} is no user name", quoted(user))]
    User {
        /// What stands in its place.
        user: String,
    },
    /// A password or key in the URL.
    #[error("it carries credentials")]
    Credentials,
    /// Unknown scheme.
    #[error("the scheme {} is unknown", quoted(scheme))]
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// `file://elsewhere/..`.
    #[error("a file URL cannot name a host")]
    FileHost,
    /// The URL breaks a rule of RFC 3986.
    #[error("{problem}")]
    Url {
        /// Which.
        problem: &'static str,
    },
    /// A relative path where only an absolute one will do.
    #[error("the path is not absolute")]
    NotAbsolute,
}

impl Location {
    /// Parses the location of a file.
    ///
    /// `a:b` is a host and a path only if `b` is absolute and `a` holds no slash; otherwise it is a relative path, as
    /// ESO's file names hold colons.
    ///
    /// # Errors
    ///
    /// [`LocationFault`] with what to write instead.
    pub fn parse(text: &str) -> Result<Location, LocationFault> {
        parse(text).map_err(|(reason, hint)| LocationFault { text: text.to_owned(), reason, hint })
    }

    /// True if the file lies on this host; `local_host_names` are its names and addresses.
    pub fn is_on(&self, local_host_names: &[String]) -> bool {
        self.local_path(local_host_names).is_some()
    }

    /// The path, if the file lies on this host: `/p`, `p`, `file:///p`, and `host:/p` where `host` is this host.
    pub fn local_path(&self, local_host_names: &[String]) -> Option<&str> {
        match self {
            Self::Local(path) => Some(path),
            Self::Host { host, path } => is_local_host(host, local_host_names).then_some(path),
            Self::Url(url) => (url.scheme == Scheme::File).then_some(&url.path),
        }
    }

    /// The last component of the path: the file's own name.
    pub fn file_name(&self) -> &str {
        let path = match self {
            Self::Local(path) | Self::Host { path, .. } => path,
            Self::Url(url) => &url.path,
        };
        path.rsplit('/').next().unwrap_or_default()
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(path) => f.write_str(path),
            Self::Host { host, path } => write!(f, "{host}:{path}"),
            Self::Url(url) => f.write_str(&url.text),
        }
    }
}

/// True if `host` (perhaps with `user@`) is one of `local_host_names` or always local.
pub fn is_local_host(host: &str, local_host_names: &[String]) -> bool {
    let name = host.rsplit('@').next().unwrap_or_default();
    let names = local_host_names.iter().map(String::as_str).chain(LOCAL_HOSTS);
    names.into_iter().any(|local| local.eq_ignore_ascii_case(name))
}

/// Parses the URL of an object or a prefix of objects (it may end in a slash).
///
/// # Errors
///
/// [`LocationFault`], also for text that is no URL.
pub fn parse_url(text: &str) -> Result<RemoteUrl, LocationFault> {
    let parse = || {
        check_text(text)?;
        let (scheme, rest) = split_scheme(text)?.ok_or_else(|| {
            let hint = "write it like s3://bucket/prefix".to_owned();
            (LocationReason::Url { problem: "it is no URL" }, Some(hint))
        })?;
        url(text, scheme, rest)
    };
    parse().map_err(|(reason, hint)| LocationFault { text: text.to_owned(), reason, hint })
}

/// Checks the absolute path of a folder.
///
/// # Errors
///
/// [`LocationFault`] if it is relative, holds `..`, a control or an invisible character.
pub fn check_absolute_path(text: &str) -> Result<(), LocationFault> {
    let check = || {
        check_text(text)?;
        check_path(text)?;
        if !text.starts_with('/') {
            return Err((LocationReason::NotAbsolute, Some("begin it with `/`".to_owned())));
        }
        Ok(())
    };
    check().map_err(|(reason, hint)| LocationFault { text: text.to_owned(), reason, hint })
}

/// Checks a host name, an address, or an IPv6 address in brackets; `user@` may stand before it.
///
/// # Errors
///
/// [`LocationFault`] if it is none, or could be read as an option.
pub fn check_host(text: &str) -> Result<(), LocationFault> {
    authority(text).map_err(|(reason, hint)| LocationFault { text: text.to_owned(), reason, hint })
}

/// A reason and a hint, before the text is added.
pub(crate) type Refusal = (LocationReason, Option<String>);

/// Refuses with a hint.
pub(crate) fn refuse<T>(reason: LocationReason, hint: &str) -> Result<T, Refusal> {
    Err((reason, Some(hint.to_owned())))
}

fn parse(text: &str) -> Result<Location, Refusal> {
    check_text(text)?;
    if let Some((scheme, rest)) = split_scheme(text)? {
        let url = url(text, scheme, rest)?;
        check_is_file(&url.path)?;
        return Ok(Location::Url(url));
    }
    let location = match split_host(text)? {
        Some((host, path)) => {
            if let Some(scheme) = Scheme::ALL.iter().find(|scheme| scheme.as_str() == host) {
                let hint = format!("a URL is written {}://", scheme.as_str());
                return Err((LocationReason::Host { host: host.to_owned() }, Some(hint)));
            }
            authority(host)?;
            check_path(path)?;
            Location::Host { host: host.to_owned(), path: path.to_owned() }
        }
        None => {
            check_path(text)?;
            Location::Local(text.to_owned())
        }
    };
    match &location {
        Location::Local(path) | Location::Host { path, .. } => check_is_file(path)?,
        Location::Url(_) => {}
    }
    Ok(location)
}

/// What every location keeps, whatever its form.
fn check_text(text: &str) -> Result<(), Refusal> {
    if text.is_empty() {
        return refuse(LocationReason::Empty, "write host:/path, /path, a relative path or a URL");
    }
    if text.len() > LOCATION_BYTES_MAX {
        return Err((LocationReason::TooLong, None));
    }
    if let Some(character) = text.chars().find(|c| is_deceptive(*c)) {
        return refuse(LocationReason::Character { character }, "write it with plain, visible characters");
    }
    if text.starts_with('-') {
        return refuse(LocationReason::LeadingDash { part: "it" }, "put `./` before a relative path");
    }
    Ok(())
}

/// Control and format characters, and those that look like a separator of paths and URLs but are none.
pub(crate) fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
        || matches!(
            c,
            '\u{2024}'
                | '\u{2025}'
                | '\u{2026}'
                | '\u{2044}'
                | '\u{2215}'
                | '\u{2236}'
                | '\u{29f8}'
                | '\u{a789}'
                | '\u{fe52}'
                | '\u{fe55}'
                | '\u{fe6b}'
                | '\u{ff0d}'
                | '\u{ff0e}'
                | '\u{ff0f}'
                | '\u{ff1a}'
                | '\u{ff20}'
                | '\u{ff3c}'
                | '\u{2010}'..='\u{2015}' | '\u{2212}'
        )
}

/// Refuses paths that leave their folder.
pub(crate) fn check_path(path: &str) -> Result<(), Refusal> {
    if path.split('/').any(|component| component == "..") {
        return refuse(LocationReason::ParentFolder, "write the path without `..`, or the absolute path");
    }
    Ok(())
}

fn check_is_file(path: &str) -> Result<(), Refusal> {
    match path.rsplit('/').next() {
        None | Some("" | ".") => refuse(LocationReason::Folder, "name the file itself"),
        Some(_) => Ok(()),
    }
}

/// Splits `host:/path`, and `localhost:path` with a relative path; `None` if the text is a path of this host.
fn split_host(text: &str) -> Result<Option<(&str, &str)>, Refusal> {
    let after_address = match text.find('[') {
        // The colons of an IPv6 address end no host name.
        Some(open) if !text.get(..open).unwrap_or_default().contains(['/', ':']) => text.find(']').unwrap_or(0),
        _ => 0,
    };
    let Some(colon) = text.get(after_address..).and_then(|rest| rest.find(':')).map(|at| at + after_address) else {
        return Ok(None);
    };
    let (host, path) = (text.get(..colon).unwrap_or_default(), text.get(colon + 1..).unwrap_or_default());
    if host.contains('/') {
        return Ok(None);
    }
    if path.starts_with(':') {
        let hint = "write rsync://host/module/path, or host:/path for ssh";
        return refuse(LocationReason::RsyncModule, hint);
    }
    if path.is_empty() || host.is_empty() {
        return refuse(LocationReason::NotAbsolute, "write host:/path; a relative path with `:` begins with `./`");
    }
    // A file name may hold colons (`XMPL.2031-02-03T04:05:06.fits`), but none begins with the name of this host.
    Ok((path.starts_with('/') || host == LOCALHOST).then_some((host, path)))
}

/// Checks `[user@]host`, which may stand on the command line of ssh.
fn authority(text: &str) -> Result<(), Refusal> {
    let host = match text.split_once('@') {
        Some((user, host)) => {
            check_user(user)?;
            host
        }
        None => text,
    };
    check_host_name(host)
}

/// Refuses all but plain user names.
pub(crate) fn check_user(user: &str) -> Result<(), Refusal> {
    if user.starts_with('-') {
        return Err((LocationReason::LeadingDash { part: "the user" }, None));
    }
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if user.is_empty() || user.len() > 64 || !user.bytes().all(is_legal) {
        let hint = "letters, digits and . _ - only; a password has no place here";
        return refuse(LocationReason::User { user: user.to_owned() }, hint);
    }
    Ok(())
}

/// Refuses all but host names and addresses.
pub(crate) fn check_host_name(host: &str) -> Result<(), Refusal> {
    if host.starts_with('-') {
        return Err((LocationReason::LeadingDash { part: "the host" }, None));
    }
    let is_address = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok());
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    // 253 bytes: the longest name of the domain name system (RFC 1035).
    let is_name = !host.is_empty() && host.len() <= 253 && host.bytes().all(is_legal) && !host.starts_with('.');
    if is_address || is_name {
        return Ok(());
    }
    refuse(LocationReason::Host { host: host.to_owned() }, "letters, digits and . _ - only; IPv6 in brackets")
}

#[cfg(test)]
mod tests;
