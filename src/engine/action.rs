//! What goes into the dispatcher and what comes out of it.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::engine::schedule::Limits;
use crate::engine::state::Step;
use crate::merge::report::Notice;
use crate::release::Delivered;
use crate::specification::model::{DaqId, Specification};
use crate::status::{DaqStatus, Progress};
use crate::store::{Change, NewDaq, ProductRow, StoreError};
use crate::transfer::Collected;

/// A DAQ that somebody wants to have run.
#[derive(Clone, Debug)]
pub struct QueueRequest {
    /// The specification, verbatim.
    pub text: Arc<str>,
    /// The specification, valid.
    pub specification: Arc<Specification>,
    /// BLAKE3 of the specification in canonical form: tells the same one from another.
    pub digest: String,
    /// Folder against which relative locations resolve.
    pub root: Option<PathBuf>,
    /// Who asks.
    pub user: Option<String>,
}

/// Why the engine refuses a request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// No unfinished DAQ has this id.
    #[error("no DAQ '{id}' is being worked on: it was never queued, or it has ended (see the history)")]
    UnknownDaq {
        /// The id as given.
        id: String,
    },
    /// The id belongs to a DAQ with another specification.
    #[error("DAQ '{id}' exists with another specification: give a new acquisition a new id")]
    DuplicateDaq {
        /// The id as given.
        id: String,
    },
    /// The DAQ is in a sub-state in which this cannot be done.
    #[error("DAQ '{id}' is {state}: {advice}")]
    WrongState {
        /// The DAQ.
        id: String,
        /// Its sub-state, and whether it is parked.
        state: String,
        /// What can be done.
        advice: &'static str,
    },
    /// The queue is full.
    #[error("{active} DAQs are unfinished, which is the limit: wait until some have ended")]
    Busy {
        /// Unfinished DAQs.
        active: usize,
    },
    /// The state cannot be kept.
    #[error("the state database refuses")]
    Store(#[source] Arc<StoreError>),
    /// Files of the DAQ cannot be removed.
    #[error("DAQ '{id}' cannot be aborted: {message}")]
    AbortFailed {
        /// The DAQ.
        id: String,
        /// Why.
        message: String,
    },
    /// The engine is stopping.
    #[error("dpm is stopping: send the request again when it is back")]
    Stopping,
}

/// How an answer travels back.
pub type Answer<T> = oneshot::Sender<Result<T, EngineError>>;

/// One thing that happens to the engine.
#[derive(Debug)]
pub enum Input {
    /// A client wants a DAQ run.
    Queue {
        /// What to run.
        request: QueueRequest,
        /// Answered when the DAQ is durable.
        answer: Answer<()>,
    },
    /// The insertion of a new DAQ ended.
    Inserted {
        /// The DAQ.
        id: DaqId,
        /// Whether it is durable.
        outcome: Result<(), StoreError>,
    },
    /// Changes of a DAQ are durable, or never will be: the store refuses for good.
    Saved {
        /// The DAQ.
        id: DaqId,
        /// Whether they are durable.
        outcome: Result<(), StoreError>,
    },
    /// A client aborts a DAQ.
    Abort {
        /// Its id.
        id: String,
        /// Answered when the DAQ is gone.
        answer: Answer<()>,
    },
    /// A client lets a parked DAQ try again.
    Retry {
        /// Its id.
        id: String,
        /// Answered when the retry is durable.
        answer: Answer<()>,
    },
    /// A running step tells how far it is.
    Progressed {
        /// The DAQ.
        id: DaqId,
        /// How far.
        progress: Progress,
    },
    /// A running step noticed a condition.
    Noticed {
        /// The DAQ.
        id: DaqId,
        /// The condition.
        notice: Notice,
    },
    /// A running step has tried to collect a file.
    Collected {
        /// The DAQ.
        id: DaqId,
        /// 0-based position among all files of the specification.
        ordinal: usize,
        /// Where it is, or why not.
        collected: Result<Collected, String>,
    },
    /// A running step has tried to deliver the product to a receiver.
    Delivered {
        /// The DAQ.
        id: DaqId,
        /// 0-based position among the receivers.
        ordinal: usize,
        /// Where it is, or why not.
        delivered: Result<Delivered, String>,
    },
    /// A running step ended.
    StepEnded {
        /// The DAQ.
        id: DaqId,
        /// How.
        outcome: Result<StepOutcome, StepFailure>,
    },
    /// The files of an aborting DAQ are gone, or could not be removed.
    Removed {
        /// The DAQ.
        id: DaqId,
        /// Why not.
        outcome: Result<(), String>,
    },
    /// The limits changed.
    SetLimits(Limits),
    /// Time has passed.
    Tick,
    /// The engine is to stop: no new step starts.
    Stop,
}

/// What a step achieved.
#[derive(Clone, Debug)]
pub enum StepOutcome {
    /// Every source is where the merge can read it.
    Collected(Vec<Collected>),
    /// The product is whole.
    Merged(MergedProduct),
    /// Every receiver has it.
    Released {
        /// Where the product is in the workspace.
        product: PathBuf,
    },
}

/// A product as the worker that made it reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergedProduct {
    /// Size and digest.
    pub product: ProductRow,
    /// Number of HDUs.
    pub hdus: usize,
    /// BLAKE3 of each source file in the order of the specification's files, where sources are digested.
    pub source_digests: Vec<String>,
}

/// Why a step ended without achieving anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepFailure {
    /// Somebody stopped it.
    Cancelled,
    /// It failed.
    Failed {
        /// Stable id of the alert, such as `SourceCollectionError:guider`.
        alert: String,
        /// What is wrong, where, and what to do.
        description: String,
        /// True if it may pass by itself.
        transient: bool,
    },
    /// A source changed after it was looked at: it is collected again.
    SourceChanged {
        /// Stable id of the alert where it keeps changing.
        alert: String,
        /// What was found.
        description: String,
    },
    /// What an earlier step left is no longer good.
    FellBack {
        /// The step to do again.
        to: Step,
        /// What was found.
        description: String,
    },
}

/// Everything that a step needs.
#[derive(Clone, Debug)]
pub struct StepRequest {
    /// The DAQ.
    pub id: DaqId,
    /// Which step.
    pub step: Step,
    /// Its specification, verbatim.
    pub text: Arc<str>,
    /// Its specification, valid.
    pub specification: Arc<Specification>,
    /// Folder against which relative locations resolve.
    pub root: Option<PathBuf>,
    /// What was collected, in order of the files; empty before.
    pub inputs: Vec<Collected>,
    /// The product's size and digest; `None` before the merge.
    pub product: Option<ProductRow>,
    /// True if the product may have lain unwatched (restart, retry): its bytes are proved before it is released.
    pub prove_product: bool,
}

/// Everything that the removal of an aborting DAQ needs.
#[derive(Clone, Debug)]
pub struct RemovalRequest {
    /// The DAQ.
    pub id: DaqId,
    /// Its specification: files that were handed over go back.
    pub specification: Arc<Specification>,
    /// Folder against which relative locations resolve.
    pub root: Option<PathBuf>,
    /// The product's size and digest, where it was merged.
    pub product: Option<ProductRow>,
}

/// What the executor does for the dispatcher, in order.
#[derive(Debug)]
pub enum Action {
    /// Make a new DAQ durable, then report [`Input::Inserted`].
    Insert(Box<NewDaq>),
    /// Make changes durable, then report [`Input::Saved`].
    Save {
        /// The DAQ.
        id: DaqId,
        /// What changed.
        changes: Vec<Change>,
    },
    /// Run a step, then report [`Input::StepEnded`].
    Start(Box<StepRequest>),
    /// Stop the running step of a DAQ; it reports [`StepFailure::Cancelled`].
    Cancel {
        /// The DAQ.
        id: DaqId,
    },
    /// Remove what an aborting DAQ has in the workspace, then report [`Input::Removed`].
    Remove(Box<RemovalRequest>),
    /// Remove the folder of a DAQ that has ended.
    CleanUp {
        /// The DAQ.
        id: DaqId,
    },
    /// Tell subscribers.
    Publish(Box<DaqStatus>),
}
