//! Reads specifications named on the command line.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::cli::exit::{CliError, Exit};
use crate::specification::document::{Document, TEXT_BYTES_MAX};

/// A specification as it was named and read.
#[derive(Clone, Debug)]
pub(crate) struct NamedSpecification {
    /// What to call it in messages: the path, or `standard input`.
    pub(crate) name: String,
    /// The text.
    pub(crate) text: String,
    /// Folder against which its relative locations resolve, absolute.
    pub(crate) root: PathBuf,
}

/// Reads the specification at `path`; `-` is standard input. Relative locations resolve against `root`, else the
/// specification's folder, else the current one.
pub(crate) fn read(path: &Path, root: Option<&Path>) -> Result<NamedSpecification, CliError> {
    let is_stdin = path.as_os_str() == "-";
    let name = if is_stdin { "standard input".to_owned() } else { path.display().to_string() };
    let bytes = if is_stdin { read_limited(std::io::stdin().lock()) } else { read_file(path) }
        .map_err(|error| CliError::io(&format!("cannot read {name}"), &error))?;
    let text = Document::text_of(&bytes).map_err(|error| CliError::new(Exit::Data, format!("{name}: {error}")))?;
    let folder = match (root, path.parent()) {
        (Some(root), _) => root,
        (None, Some(parent)) if !is_stdin && !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let root = std::path::absolute(folder).map_err(|error| CliError::io("cannot find the current folder", &error))?;
    Ok(NamedSpecification { name, text: text.to_owned(), root })
}

fn read_file(path: &Path) -> std::io::Result<Vec<u8>> {
    let file = std::fs::File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(std::io::Error::new(std::io::ErrorKind::IsADirectory, "it is a folder: name a file"));
    }
    read_limited(file)
}

/// Reads one byte more than is allowed, so that the reader of the document can refuse it.
fn read_limited(source: impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(TEXT_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
