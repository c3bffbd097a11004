//! The FITS format on bytes (FITS Standard 4.0): cards, headers, the structure of a file, checksums.
//!
//! Knows no paths, no specification, no clock. Every loop is bounded by the bytes at hand or by a limit that was
//! checked before it starts, and no sequence of bytes makes it panic.

// Reading order: each file uses only those above it.
pub mod keyword;
pub mod value;

pub mod fault;
mod field;
mod layout;

pub mod card;
pub mod header;

mod amend;

pub mod checksum;
pub mod structure;

pub mod hdu;

pub mod overview;

pub mod conformance;

/// Length of one card (keyword record) in bytes (Standard 3.3.1 and 4.1).
pub const CARD_BYTES: usize = 80;
/// Length of one FITS block in bytes (Standard 3.1): headers and data units are padded to a multiple of it.
pub const BLOCK_BYTES: usize = 2880;
/// Number of cards in one block.
pub const CARDS_PER_BLOCK: usize = 36;

#[cfg(test)]
mod tests;
