//! The life of data acquisitions: who runs next, what each step's end means, what survives a restart.
//!
//! [`state`] and [`schedule`] decide and are pure. The [`dispatcher`] owns every DAQ and turns one input into a list
//! of actions; the [`executor`] performs them and reports back as inputs. [`handle`] is how commands reach the
//! dispatcher.

pub mod action;
pub mod daq;
pub mod dispatcher;
pub mod executor;
pub mod handle;
pub(crate) mod lineup;
pub(crate) mod outcome;
pub mod recovery;
pub(crate) mod saves;
pub mod schedule;
pub mod settings;
pub mod state;
pub mod steps;
pub mod worker;
