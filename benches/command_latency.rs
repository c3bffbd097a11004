//! The promises of the command socket: status within a tenth of a millisecond, many replies, durable queueing at many
//! times the rate of one sync after another.
//!
//! `cargo bench --bench command_latency [-- --quick]`; works in `DPM_BENCH_DIR`, else in the target folder.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints its result")]

mod support;

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::daemon::{Client, Daemon, line};
use crate::support::verdict::{Bar, tell};
use crate::support::{Outcome, fsync, space};

/// Clients at once, where there are several.
const CLIENTS: usize = 16;
/// Requests that a pipelining client has under way.
const AHEAD: usize = 64;

/// Bytes of an image (of holes) whose merge no disk has room for.
const HUGE_BYTES: u64 = 1 << 43;

struct Scale {
    looks: usize,
    replies: usize,
    queued: usize,
    syncs: usize,
}

fn main() -> ExitCode {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let scale = match quick {
        true => Scale { looks: 500, replies: 4_000, queued: 160, syncs: 200 },
        false => Scale { looks: 20_000, replies: 320_000, queued: 8_000, syncs: 2_000 },
    };
    match run(&scale) {
        Ok(true) => ExitCode::SUCCESS,
        // At so small a scale nothing is promised.
        Ok(false) if quick => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("command_latency: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(scale: &Scale) -> Outcome<bool> {
    let folder = tempfile::Builder::new().prefix("dpm-bench-").tempdir_in(space::folder())?;
    let workspace = folder.path().join("workspace");
    // The first DAQ keeps the only slot: the socket and the database are measured, not the merges.
    let settings = [
        ("DPM_LIMITS__QUEUE_LENGTH", "1000000"),
        ("DPM_LIMITS__DAQS", "1"),
        ("DPM_RETRY__ATTEMPTS", "1000"),
        ("DPM_RETRY__FIRST_PAUSE_SECONDS", "3600"),
        ("DPM_RETRY__LONGEST_PAUSE_SECONDS", "3600"),
    ];
    let (daemon, _) = Daemon::start(&workspace, &settings, ("GetServerStatus", Value::Null))?;
    let mut client = daemon.client()?;
    occupy(&mut client, folder.path())?;

    println!("| what | figure | bar | |\n|---|---|---|---|");
    let looks = looks(&mut client, scale.looks)?;
    let mut is_good = tell("GetDaqStatus, one client, p50", milliseconds(at(&looks, 0.50)), "ms", Bar::Below(0.1));
    tell("GetDaqStatus, one client, p99", milliseconds(at(&looks, 0.99)), "ms", Bar::Told);
    let replies = pipelined(&daemon, scale.replies / CLIENTS)?;
    is_good &= tell("GetDaqStatus, 16 pipelining clients", replies, "replies/s", Bar::Above(30_000.0));

    let syncs = scale.syncs as f64 / fsync::appends(folder.path(), scale.syncs)?.as_secs_f64();
    tell("floor: appends of 4 KiB, each with fdatasync", syncs, "/s", Bar::Told);
    let one = queued(&daemon, "one", 1, scale.queued / CLIENTS)?;
    tell("QueueDaq, durable, one client", one, "/s", Bar::Told);
    let many = queued(&daemon, "many", CLIENTS, scale.queued / CLIENTS)?;
    tell("QueueDaq, durable, 16 clients", many, "/s", Bar::Told);
    tell("QueueDaq, 16 clients to one client", many / one, "times", Bar::Told);
    is_good &= tell("QueueDaq, 16 clients to the floor", many / syncs, "times", Bar::Above(5.0));
    Ok(is_good)
}

/// Queues a DAQ that waits for room for its product, which no disk has, and returns once it does.
fn occupy(client: &mut Client, folder: &Path) -> Outcome<()> {
    let cards = |cards: &[&str]| {
        let text: String = cards.iter().chain(&["END"]).map(|card| format!("{card:<80}")).collect();
        format!("{text:<2880}")
    };
    let rows = HUGE_BYTES / (1 << 20);
    let axis = format!("NAXIS2  = {rows:>20}");
    let image = ["XTENSION= 'IMAGE   '", "BITPIX  =                    8", "NAXIS   =                    2"];
    let axes =
        ["NAXIS1  =              1048576", &axis, "PCOUNT  =                    0", "GCOUNT  =                    1"];
    let primary =
        ["SIMPLE  =                    T", "BITPIX  =                    8", "NAXIS   =                    0"];
    let path = folder.join("huge.fits");
    let mut file = File::create(&path)?;
    file.write_all((cards(&primary) + &cards(&[image.as_slice(), &axes].concat())).as_bytes())?;
    file.set_len(2 * 2880 + HUGE_BYTES.next_multiple_of(2880))?;
    let mut request = specification("first");
    request["specification"]["sources"][0]["location"] = json!(path);
    client.call("QueueDaq", &request)?;
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(20) {
        client.send(line("GetInternalDaqStatus", &json!({"id": "first"})).as_bytes())?;
        if client.receive()?.contains("\"run\":\"pausing\"") {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Err("the first DAQ does not wait for room: is this disk larger than its product?".into())
}

/// A small DAQ.
fn specification(id: &str) -> Value {
    let source = json!({"type": "fitsFile", "sourceName": "det", "location": "/nowhere/det.fits"});
    json!({"specification": {"id": id, "sources": [source], "target": {"fileId": id}}})
}

/// Sorted times of one question after another.
fn looks(client: &mut Client, count: usize) -> Outcome<Vec<Duration>> {
    let question = line("GetDaqStatus", &json!({"id": "first"}));
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let began = Instant::now();
        client.send(question.as_bytes())?;
        client.receive()?;
        times.push(began.elapsed());
    }
    times.sort();
    Ok(times)
}

/// Replies per second of all clients, each of which asks [`AHEAD`] questions ahead.
fn pipelined(daemon: &Daemon, each: usize) -> Outcome<f64> {
    let question = line("GetDaqStatus", &json!({"id": "first"}));
    per_second(daemon, CLIENTS, each, |client, _| {
        let mut left = each;
        while left > 0 {
            let batch = left.min(AHEAD);
            client.send(question.repeat(batch).as_bytes())?;
            (0..batch).try_for_each(|_| client.receive().map(|_| ()))?;
            left -= batch;
        }
        Ok(())
    })
}

/// DAQs per second of `clients`, each of which waits for each acknowledgement.
fn queued(daemon: &Daemon, name: &str, clients: usize, each: usize) -> Outcome<f64> {
    per_second(daemon, clients, each, |client, number| {
        (0..each).try_for_each(|index| client.call("QueueDaq", &specification(&format!("{name}-{number}-{index}"))))
    })
}

fn per_second(
    daemon: &Daemon,
    clients: usize,
    each: usize,
    work: impl Fn(&mut Client, usize) -> Outcome<()> + Sync,
) -> Outcome<f64> {
    let mut connected = (0..clients).map(|_| daemon.client()).collect::<Outcome<Vec<Client>>>()?;
    let began = Instant::now();
    let outcomes: Vec<Result<(), String>> = std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = connected
            .iter_mut()
            .enumerate()
            .map(|(number, client)| scope.spawn(move || work(client, number).map_err(|error| error.to_string())))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err("a client panicked".to_owned())))
            .collect()
    });
    let time = began.elapsed();
    outcomes.into_iter().collect::<Result<(), String>>()?;
    Ok((clients * each) as f64 / time.as_secs_f64())
}

fn at(sorted: &[Duration], share: f64) -> Duration {
    sorted.get((sorted.len() as f64 * share) as usize).copied().unwrap_or_default()
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
