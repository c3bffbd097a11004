//! Transports: bytes to commands and back, nothing else.

pub mod jsonrpc;
pub mod unix;
