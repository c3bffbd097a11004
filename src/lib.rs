#![doc = include_str!("../ARCHITECTURE.md")]
#![cfg_attr(not(feature = "cfitsio"), forbid(unsafe_code))]

// Reading order: each module uses only those above it (tests/layers.rs). The blank lines keep rustfmt from sorting.

pub mod fits;

pub mod specification;

pub mod dictionary;

pub mod status;

pub mod control;

pub mod clock;

pub mod host;

pub mod durable;

pub mod merge;

pub mod cfitsio;

pub mod transfer;

pub mod workspace;

pub mod release;

pub mod store;

pub mod engine;

pub mod command;

pub mod server;

pub mod client;

pub mod bench;

pub mod config;

pub mod telemetry;

pub mod cli;
