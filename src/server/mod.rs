//! Transports: bytes to commands and back, nothing else.

mod idle;
pub mod jsonrpc;
pub mod unix;
