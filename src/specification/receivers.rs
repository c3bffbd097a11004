//! Receivers of a specification: where a product may be delivered.
//!
//! Checks paths, hosts and URLs as text; whether they exist is asked when something is delivered.

use crate::specification::fault::quoted;
use crate::specification::location::{LocationFault, Scheme, check_absolute_path, check_host, parse_url};
use crate::specification::model::{FolderMode, FolderReceiver, OlasReceiver, Receiver};
use crate::specification::node::{Findings, Node, Problem};

/// One receiver; none where it is faulty.
pub(crate) fn receiver(node: &Node<'_>, findings: &mut Findings) -> Option<Receiver> {
    match node.text("type")? {
        "olasReceiver" => olas(node, findings).map(Receiver::Olas),
        "folderReceiver" => {
            let mode = match node.text("mode") {
                Some("hardLink") => FolderMode::HardLink,
                Some("symlink") => FolderMode::Symlink,
                Some("copy") => FolderMode::Copy,
                _ => FolderMode::Auto,
            };
            folder(node, findings).map(|path| Receiver::Folder(FolderReceiver { path, mode }))
        }
        "objectReceiver" => object(node, findings).map(|url| Receiver::Object { url }),
        "commandReceiver" => command(node, findings).map(|argv| Receiver::Command { argv }),
        _ => None,
    }
}

fn refused(member: &'static str, fault: &LocationFault) -> Problem {
    Problem::new(member, format!("{}: {}", quoted(&fault.text), fault.reason), fault.hint.clone())
}

fn folder(node: &Node<'_>, findings: &mut Findings) -> Option<String> {
    let path = node.text("path")?;
    check_absolute_path(path).map_err(|fault| findings.problem(node, refused("path", &fault))).ok()?;
    Some(path.to_owned())
}

fn olas(node: &Node<'_>, findings: &mut Findings) -> Option<OlasReceiver> {
    let host = node.text("host").unwrap_or_default();
    if !host.is_empty()
        && let Err(fault) = check_host(host)
    {
        findings.problem(node, refused("host", &fault));
    }
    let options = node.member("options");
    let flag = |name| options.as_ref().and_then(|options| options.flag(name));
    let allow_symlink = match (flag("allowSymlink"), flag("noSymlink")) {
        (Some(allow), Some(no)) if allow == no => {
            let hint = "keep allowSymlink".to_owned();
            findings.problem(node, Problem::new("options", "allowSymlink and noSymlink contradict", Some(hint)));
            return None;
        }
        (Some(allow), _) => allow,
        (None, Some(no)) => !no,
        (None, None) => true,
    };
    let path = folder(node, findings)?;
    Some(OlasReceiver { path, host: host.to_owned(), allow_symlink })
}

fn object(node: &Node<'_>, findings: &mut Findings) -> Option<String> {
    let text = node.text("url")?;
    match parse_url(text) {
        Ok(url) if !matches!(url.scheme, Scheme::File | Scheme::Ssh | Scheme::Rsync) => Some(text.to_owned()),
        Ok(url) => {
            let message = format!("{} is no object store", quoted(url.scheme.as_str()));
            let hint = "s3, gs, az, http or https; a folder of this host is a folderReceiver".to_owned();
            findings.problem(node, Problem::new("url", message, Some(hint)));
            None
        }
        Err(fault) => {
            findings.problem(node, refused("url", &fault));
            None
        }
    }
}

fn command(node: &Node<'_>, findings: &mut Findings) -> Option<Vec<String>> {
    let list = node.member("argv")?;
    let mut argv = Vec::new();
    for (index, argument) in list.items().enumerate() {
        let text = argument.value.as_str()?;
        if text.contains(|c: char| c.is_control()) {
            findings.fault(&argument, "an argument holds a control character", Some("remove it".to_owned()));
        }
        if index == 0 && (text.is_empty() || text.starts_with('-')) {
            findings.fault(&argument, format!("{} is no program", quoted(text)), Some("name a program".to_owned()));
        }
        argv.push(text.to_owned());
    }
    (!argv.is_empty()).then_some(argv)
}
