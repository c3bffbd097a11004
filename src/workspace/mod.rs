//! The folder that a daemon owns: where everything lies, who holds it, how full it is, what is dropped into it.
//!
//! The workspace knows names and files. It does not know states (the database is the only truth about those),
//! reads no specification, and never builds a path from a name that it has not checked.

pub mod inbox;
mod layout;
pub mod lock;
mod name;
pub mod storage;

pub use crate::workspace::layout::{DaqFolder, LAYOUT_VERSION, Workspace, WorkspaceError, WorkspaceErrorKind};
pub use crate::workspace::name::{NAME_BYTES_MAX, NameFault, check_name};
