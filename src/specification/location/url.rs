//! The URLs among the locations: their schemes, parts and rules.
//!
//! Fetches nothing; the transports read the parts.

use crate::specification::fault::nearest;
use crate::specification::location::{
    LocationReason, Refusal, check_host_name, check_path, check_user, is_deceptive, refuse,
};

/// How a URL is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// A file on this host.
    File,
    /// A file reached through ssh.
    Ssh,
    /// A module of an rsync daemon.
    Rsync,
    /// HTTP.
    Http,
    /// HTTP over TLS.
    Https,
    /// An object of S3 or a store that speaks its language.
    S3,
    /// An object of Google Cloud Storage.
    Gs,
    /// An object of Azure Blob Storage.
    Az,
}

impl Scheme {
    /// Every scheme.
    pub const ALL: [Scheme; 8] =
        [Scheme::File, Scheme::Ssh, Scheme::Rsync, Scheme::Http, Scheme::Https, Scheme::S3, Scheme::Gs, Scheme::Az];

    /// The scheme as written before `://`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Ssh => "ssh",
            Self::Rsync => "rsync",
            Self::Http => "http",
            Self::Https => "https",
            Self::S3 => "s3",
            Self::Gs => "gs",
            Self::Az => "az",
        }
    }
}

/// A URL in its parts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RemoteUrl {
    /// How it is served.
    pub scheme: Scheme,
    /// The URL as written: printable ASCII.
    pub text: String,
    /// User, only for ssh and rsync.
    pub user: Option<String>,
    /// Host or bucket; empty for `file`.
    pub host: String,
    /// Port, if one is given.
    pub port: Option<u16>,
    /// Path with its first slash, percent-decoded, without the query.
    pub path: String,
}

/// Splits `scheme://rest`; `None` if the text is no URL.
pub(crate) fn split_scheme(text: &str) -> Result<Option<(Scheme, &str)>, Refusal> {
    let Some((name, rest)) = text.split_once("://") else { return Ok(None) };
    let is_scheme = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+.-".contains(&byte));
    if !is_scheme {
        return Ok(None);
    }
    let known = Scheme::ALL.map(Scheme::as_str);
    let found = Scheme::ALL.into_iter().find(|scheme| scheme.as_str().eq_ignore_ascii_case(name));
    found.map(|scheme| Some((scheme, rest))).ok_or_else(|| {
        let hint = match nearest(name, known) {
            Some(near) => format!("did you mean {near}://"),
            None => format!("known are {}; a host and path are written host:/path", known.join(", ")),
        };
        (LocationReason::Scheme { scheme: name.to_owned() }, Some(hint))
    })
}

/// Takes the URL apart; `rest` is what follows `scheme://` in `text`.
pub(crate) fn url(text: &str, scheme: Scheme, rest: &str) -> Result<RemoteUrl, Refusal> {
    if !text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte)) {
        let problem = LocationReason::Url { problem: "a URL holds neither spaces nor such characters" };
        return refuse(problem, "percent-encode them: a space is %20");
    }
    if rest.contains('#') {
        return refuse(LocationReason::Url { problem: "it has a fragment" }, "write # as %23");
    }
    let (before_query, query) = rest.split_once('?').map_or((rest, None), |(head, query)| (head, Some(query)));
    if query.is_some() && !matches!(scheme, Scheme::Http | Scheme::Https) {
        return refuse(LocationReason::Url { problem: "only http and https have a query" }, "write ? as %3F");
    }
    let slash = before_query.find('/').unwrap_or(before_query.len());
    let (authority, raw_path) = before_query.split_at(slash);
    let path = percent_decoded(if raw_path.is_empty() { "/" } else { raw_path })?;
    if let Some(character) = path.chars().find(|c| is_deceptive(*c)) {
        return Err((LocationReason::Character { character }, None));
    }
    check_path(&path)?;
    let (user, host, port) = url_authority(scheme, authority)?;
    Ok(RemoteUrl { scheme, text: text.to_owned(), user, host, port, path })
}

type Authority = (Option<String>, String, Option<u16>);

fn url_authority(scheme: Scheme, text: &str) -> Result<Authority, Refusal> {
    if scheme == Scheme::File {
        return match text.is_empty() || text.eq_ignore_ascii_case("localhost") {
            true => Ok((None, String::new(), None)),
            false => refuse(LocationReason::FileHost, "write file:///path, or host:/path"),
        };
    }
    let (user, host_port) = match text.rsplit_once('@') {
        Some((user, rest)) => (Some(user), rest),
        None => (None, text),
    };
    if let Some(user) = user {
        if user.contains(':') || !matches!(scheme, Scheme::Ssh | Scheme::Rsync) {
            return refuse(LocationReason::Credentials, "credentials belong into the configuration of the daemon");
        }
        check_user(user)?;
    }
    let (host, port) = match host_port.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => {
            let port = port.parse::<u16>().ok().filter(|port| *port > 0);
            let Some(port) = port else {
                return refuse(LocationReason::Url { problem: "the port is no number" }, "ports are 1 to 65535");
            };
            (host, Some(port))
        }
        _ => (host_port, None),
    };
    check_host_name(host)?;
    Ok((user.map(str::to_owned), host.to_owned(), port))
}

fn percent_decoded(text: &str) -> Result<String, Refusal> {
    let wrong = || {
        let problem = LocationReason::Url { problem: "a percent sign is not followed by the code of a UTF-8 byte" };
        (problem, Some("write % as %25".to_owned()))
    };
    let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (high, low) = (digit(rest.next()).ok_or_else(wrong)?, digit(rest.next()).ok_or_else(wrong)?);
        bytes.push(u8::try_from(high * 16 + low).map_err(|_| wrong())?);
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}
