//! What can be asked of dpm, and what it answers, apart from how the bytes travel.
//!
//! [`request`] gives a method and its parameters a type, [`dispatch`] performs it on an engine, [`reply`] and [`error`]
//! are what comes back. No transport, no socket: adding a transport touches nothing here.

pub mod dispatch;
pub mod error;
pub mod reply;
pub mod request;
