//! Data Interface Dictionaries: which keywords there are, of which type, in which format, with which comment.
//!
//! The text format is that of ESO's Data Interface Control Document, chapter "Data Interface Dictionaries", read as
//! forgivingly as the dictionaries that ESO's pipelines ship need it. Opens nothing: where the files lie is
//! [`crate::merge::dictionaries`]'s business.

use std::path::PathBuf;

// Reading order: each file uses only those above it.
mod comment;
mod number_format;
mod range;
mod template;

pub mod parse;

pub mod judge;

/// Where dictionaries are, and how much they count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DictionarySettings {
    /// Folders, searched in order; without any, nothing is judged (unless it is strict).
    pub path: Vec<PathBuf>,
    /// Whether what a dictionary complains of ends the merge.
    pub strict: bool,
}
