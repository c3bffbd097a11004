//! Runs DAQs through a real engine, with its real worker processes, and takes the times of its stages.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::json;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use crate::bench::floor::{self, Sync};
use crate::bench::plan::{FileSet, SMALL_DAQS, SMALL_SET};
use crate::bench::report::{self, Figure, Group, name};
use crate::bench::scratch::{self, Scratch};
use crate::bench::{BenchError, io_error};
use crate::client::Client;
use crate::command::dispatch::Commander;
use crate::control::Control;
use crate::engine::handle::EngineHandle;
use crate::merge::job;
use crate::merge::verify::{self, SumVerdict};
use crate::server::unix::{self, UnixOptions};
use crate::status::{DaqStatus, SubState};

/// Fsyncs in a row, in each round.
const FSYNCS: u32 = 20;
/// Commands that are measured, behind as many that warm up.
const COMMANDS: usize = 1000;
/// No command takes so long.
const COMMAND_LIMIT: Duration = Duration::from_secs(30);
/// The command socket of the bench: its limits are those of one client.
const REQUEST_BYTES_MAX: usize = 1 << 20;

/// Tells work that it is to end.
#[derive(Debug, Default)]
pub struct Stop(AtomicBool);

impl Stop {
    /// Asks the work to end.
    pub fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Control for Stop {
    fn progress(&self, _bytes_done: u64, _bytes_total: u64) {}

    fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What is measured: an engine, and the folders of the bench.
#[derive(Clone, Debug)]
pub struct Bed {
    /// The engine.
    pub engine: EngineHandle,
    /// Its commands.
    pub commander: Commander,
    /// Folder of made samples.
    pub samples: PathBuf,
    /// Folder of the receiver.
    pub received: PathBuf,
    /// Folder of plain copies.
    pub copies: PathBuf,
    /// Rounds that count, behind one that warms up.
    pub rounds: usize,
    /// Where the command socket may be made.
    pub socket: PathBuf,
    /// Ends blocking work early.
    pub stop: Arc<Stop>,
}

/// Seconds of one DAQ and of its stages.
struct DaqTimes {
    collect: f64,
    merge: f64,
    release: f64,
    whole: f64,
    product: PathBuf,
}

impl Bed {
    /// Makes the files of `set`, measures it, and removes them.
    ///
    /// # Errors
    ///
    /// [`BenchError`].
    pub async fn measure_set(&self, set: FileSet) -> Result<Group, BenchError> {
        let paths = self.make(set).await?;
        let work = format!("one DAQ of {} files", set.count);
        let group = self.measure_files(&set.to_string(), &work, paths).await?;
        Scratch::clear(&self.samples)?;
        Ok(group)
    }

    async fn make(&self, set: FileSet) -> Result<Vec<PathBuf>, BenchError> {
        let folder = self.samples.clone();
        self.blocking(move |stop| scratch::make(&folder, &set, stop)).await
    }

    /// Measures one DAQ that merges `inputs`, beside plain loops over the same bytes.
    ///
    /// # Errors
    ///
    /// [`BenchError`].
    pub async fn measure_files(&self, name: &str, work: &str, inputs: Vec<PathBuf>) -> Result<Group, BenchError> {
        let bytes = bytes_of(&inputs)?;
        let id = format!("BENCH-{}", name.replace(|c: char| !c.is_ascii_alphanumeric(), "-"));
        let (mut floors, mut stages) = ([const { Vec::new() }; 4], [const { Vec::new() }; 5]);
        // Round 0 warms up.
        for round in 0..=self.rounds {
            let (files, copies) = (inputs.clone(), self.copies.clone());
            let measured = self
                .blocking(move |stop| {
                    let read = floor::read(&files, stop)?;
                    let copy = floor::copy(&files, &copies, Sync::No, stop)?;
                    let synced = floor::copy(&files, &copies, Sync::Yes, stop)?;
                    Ok([read, copy, synced, floor::fsync(&copies, FSYNCS, stop)?])
                })
                .await?;
            let daq = self.run_one(&format!("{id}-{round}"), &inputs).await?;
            let product = daq.product.clone();
            let verified = self.blocking(move |stop| verify_product(&product, stop)).await?;
            self.remove_products(&[daq.product])?;
            if round > 0 {
                floors.iter_mut().zip(measured).for_each(|(times, seconds)| times.push(seconds));
                let seconds = [daq.collect, daq.merge, daq.release, verified, daq.whole];
                stages.iter_mut().zip(seconds).for_each(|(times, seconds)| times.push(seconds));
            }
        }
        let [read, copy, synced, fsync] = floors;
        let read = Figure::of(name::READ, &read, bytes).as_floor();
        let copy = Figure::of(name::COPY, &copy, bytes).as_floor();
        let synced = Figure::of(name::COPY_SYNC, &synced, bytes).as_floor();
        let fsync = Figure::of(name::FSYNC, &fsync, 0).as_floor();
        let [collect, merge, release, verify, whole] = stages;
        let stages = vec![
            Figure::of(name::COLLECT, &collect, 0).beside(&fsync),
            Figure::of(name::MERGE, &merge, bytes).beside(&synced),
            Figure::of(name::RELEASE, &release, 0).beside(&fsync),
            Figure::of(name::END_TO_END, &whole, bytes).beside(&synced),
            Figure::of(name::VERIFY, &verify, bytes).beside(&read),
        ];
        let figures: Vec<Figure> = [read, copy, synced, fsync].into_iter().chain(stages).collect();
        let verdict = report::verdict_of_set(&figures, bytes);
        Ok(Group { name: name.to_owned(), work: work.to_owned(), bytes, figures, verdict })
    }

    /// Measures many small DAQs that are queued at once.
    ///
    /// # Errors
    ///
    /// [`BenchError`].
    pub async fn measure_small(&self) -> Result<Group, BenchError> {
        let inputs = self.make(SMALL_SET).await?;
        let (mut fsyncs, mut daqs) = (Vec::new(), Vec::new());
        for round in 0..=self.rounds {
            let copies = self.copies.clone();
            let fsync = self.blocking(move |stop| floor::fsync(&copies, FSYNCS, stop)).await?;
            let ids: BTreeSet<String> = (0..SMALL_DAQS).map(|index| format!("BENCH-small-{round}-{index}")).collect();
            let seconds = self.run_many(&ids, &inputs).await?;
            if round > 0 {
                fsyncs.push(fsync);
                daqs.push(seconds / SMALL_DAQS as f64);
            }
        }
        Scratch::clear(&self.samples)?;
        let bytes = SMALL_SET.bytes_total();
        let fsync = Figure::of(name::FSYNC, &fsyncs, 0).as_floor();
        let daq = Figure { bytes_per_second: 0.0, ..Figure::of(name::DAQ, &daqs, bytes).beside(&fsync) };
        let figures = vec![fsync, daq];
        let verdict = report::verdict_of_small(&figures);
        let work = format!("{SMALL_DAQS} DAQs of {SMALL_SET} queued at once, their time divided by their number");
        Ok(Group { name: "small DAQs".to_owned(), work, bytes, figures, verdict })
    }

    /// Measures how fast the command socket answers about a DAQ that waits.
    ///
    /// # Errors
    ///
    /// [`BenchError`].
    pub async fn measure_commands(&self) -> Result<Group, BenchError> {
        let echo = self.blocking(|_| floor::echo(2 * COMMANDS)).await?;
        // Its source does not exist, so it is parked and can be asked about.
        let id = "BENCH-waiting";
        self.queue(id, &[self.samples.join("missing.fits")]).await?;
        let (listener, bound) = unix::bind(&self.socket).map_err(BenchError::Socket)?;
        let options = UnixOptions {
            path: self.socket.clone(),
            request_bytes_max: REQUEST_BYTES_MAX,
            connections_max: 2,
            idle_limit: COMMAND_LIMIT,
            storage_interval: COMMAND_LIMIT,
        };
        let stop = CancellationToken::new();
        let server = tokio::spawn(unix::serve(listener, self.commander.clone(), options, stop.clone()));
        let asked = ask(&self.socket, id).await;
        stop.cancel();
        if let Err(panic) = server.await {
            tracing::error!(%panic, "the server ended unexpectedly");
        }
        bound.remove();
        let times = asked?;
        self.engine.abort(id.to_owned()).await.map_err(|error| refused(error.into()))?;
        let behind_warm_up = |times: &[f64]| times.iter().skip(COMMANDS).copied().collect::<Vec<f64>>();
        let echo = Figure::of(name::ECHO, &behind_warm_up(&echo), 0).as_floor();
        let status = Figure::of(name::STATUS, &behind_warm_up(&times), 0).beside(&echo);
        let figures = vec![echo, status];
        let verdict = report::verdict_of_commands(&figures);
        let work = format!("{COMMANDS} requests of one client, one after the other");
        Ok(Group { name: "commands".to_owned(), work, bytes: 0, figures, verdict })
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Stop) -> Result<T, BenchError> + Send + 'static,
    ) -> Result<T, BenchError> {
        let stop = Arc::clone(&self.stop);
        match tokio::task::spawn_blocking(move || work(&stop)).await {
            Ok(outcome) => outcome,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(BenchError::Interrupted),
        }
    }

    async fn queue(&self, id: &str, inputs: &[PathBuf]) -> Result<(), BenchError> {
        let text = scratch::specification(id, inputs, &self.received);
        let request = self.commander.queue_request(text, None, None).map_err(refused)?;
        self.engine.queue(request).await.map_err(|error| refused(error.into()))
    }

    async fn run_one(&self, id: &str, inputs: &[PathBuf]) -> Result<DaqTimes, BenchError> {
        let changes = self.engine.subscribe();
        let began = Instant::now();
        self.queue(id, inputs).await?;
        self.completed(BTreeSet::from([id.to_owned()]), changes).await?;
        let whole = began.elapsed().as_secs_f64();
        let stored = self.engine.find_ended(id).await.map_err(|error| refused(error.into()))?;
        let row = stored.ok_or(BenchError::EngineEnded)?.status;
        let entered = |state: SubState| {
            let text = row.timings.get(state.as_str()).and_then(serde_json::Value::as_str);
            text.and_then(|text| text.parse::<Timestamp>().ok())
        };
        let between = |from: SubState, to: SubState| match (entered(from), entered(to)) {
            (Some(from), Some(to)) => to.duration_since(from).as_secs_f64(),
            _ => 0.0,
        };
        Ok(DaqTimes {
            collect: between(SubState::Collecting, SubState::Merging),
            merge: between(SubState::Merging, SubState::Releasing),
            release: between(SubState::Releasing, SubState::Completed),
            whole,
            product: PathBuf::from(row.result),
        })
    }

    async fn run_many(&self, ids: &BTreeSet<String>, inputs: &[PathBuf]) -> Result<f64, BenchError> {
        let changes = self.engine.subscribe();
        let began = Instant::now();
        let mut queueing = tokio::task::JoinSet::new();
        for id in ids {
            let (bed, id, inputs) = (self.clone(), id.clone(), inputs.to_vec());
            queueing.spawn(async move { bed.queue(&id, &inputs).await });
        }
        for queued in queueing.join_all().await {
            queued?;
        }
        let products = self.completed(ids.clone(), changes).await?;
        let seconds = began.elapsed().as_secs_f64();
        self.remove_products(&products)?;
        Ok(seconds)
    }

    /// Waits until all are completed; gives their products.
    async fn completed(
        &self,
        mut waiting: BTreeSet<String>,
        mut changes: Receiver<DaqStatus>,
    ) -> Result<Vec<PathBuf>, BenchError> {
        let mut products = Vec::new();
        while !waiting.is_empty() {
            let news = match changes.recv().await {
                Ok(status) => vec![status],
                Err(RecvError::Lagged(_)) => {
                    let mut news = Vec::new();
                    for id in &waiting {
                        news.push(self.commander.present_status(id).await.map_err(refused)?);
                    }
                    news
                }
                Err(RecvError::Closed) => return Err(BenchError::EngineEnded),
            };
            for status in news {
                if !waiting.contains(&status.id) {
                    continue;
                }
                if status.error || status.sub_state == SubState::Aborted {
                    let alert = status.alerts.into_iter().next().map(|alert| alert.description);
                    let message = alert.unwrap_or(status.message);
                    return Err(BenchError::NotCompleted { id: status.id, message });
                }
                if status.sub_state == SubState::Completed {
                    waiting.remove(&status.id);
                    products.push(PathBuf::from(status.result));
                }
            }
        }
        Ok(products)
    }

    fn remove_products(&self, products: &[PathBuf]) -> Result<(), BenchError> {
        for product in products {
            std::fs::remove_file(product).map_err(io_error("remove", product))?;
        }
        Scratch::clear(&self.received)
    }
}

async fn ask(socket: &Path, id: &str) -> Result<Vec<f64>, BenchError> {
    let mut client = Client::connect(socket).await.map_err(BenchError::Client)?;
    let mut times = Vec::with_capacity(2 * COMMANDS);
    for _ in 0..2 * COMMANDS {
        let began = Instant::now();
        client.request("GetDaqStatus", json!({"id": id}), COMMAND_LIMIT).await.map_err(BenchError::Client)?;
        times.push(began.elapsed().as_secs_f64());
    }
    Ok(times)
}

fn refused(error: crate::command::error::CommandError) -> BenchError {
    BenchError::Refused(error)
}

fn bytes_of(inputs: &[PathBuf]) -> Result<u64, BenchError> {
    let size = |path: &PathBuf| path.metadata().map(|metadata| metadata.len()).map_err(io_error("read", path));
    inputs.iter().map(size).sum()
}

/// Seconds to verify a product as `dpm verify` does.
fn verify_product(product: &Path, stop: &Stop) -> Result<f64, BenchError> {
    let began = Instant::now();
    let file = job::open_regular(product).map_err(io_error("open", product))?;
    let file = file.ok_or_else(|| bad(product, "it is no regular file"))?;
    let verdict = verify::verify(product, &file, stop).map_err(|error| io_error("read", product)(error.source))?;
    // Other faults are those of the sources, which are copied as they are.
    match verdict.hdus.iter().find(|hdu| [hdu.datasum, hdu.checksum].contains(&SumVerdict::Wrong)) {
        None => Ok(began.elapsed().as_secs_f64()),
        Some(hdu) => Err(bad(product, &format!("a sum of HDU {} is wrong", hdu.index))),
    }
}

fn bad(product: &Path, message: &str) -> BenchError {
    BenchError::BadProduct { path: product.to_owned(), message: message.to_owned() }
}
