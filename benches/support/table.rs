//! Medians of interleaved rounds, and the lines that tell them.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::support::interrupt::Interrupt;
use crate::support::process::{self, Taken};
use crate::support::{MEBIBYTE, Outcome};

/// What one merge may take, whatever it merges.
pub(crate) const MEMORY_BYTES_MAX: u64 = 32 * MEBIBYTE;
/// A contender gets fewer rounds where all of them would take longer.
const CONTENDER_TIME_MAX: Duration = Duration::from_secs(12);
/// But at least so many, unless one round alone is longer.
const ROUNDS_MIN: usize = 3;

/// One way of doing the work.
pub(crate) struct Contender {
    /// Its name in the table.
    pub(crate) name: String,
    /// Made anew for each round.
    pub(crate) command: Box<dyn Fn() -> Outcome<Command>>,
    /// Files that it makes, removed after each round, outside of its time.
    pub(crate) outputs: Vec<PathBuf>,
}

/// Which ratio is asked for.
pub(crate) struct Bar {
    /// Index of the contender that is judged.
    pub(crate) subject: usize,
    /// Index of the contender that it is compared with.
    pub(crate) floor: usize,
    /// What the ratio of the medians may be; none where it is only told.
    pub(crate) bar: Option<f64>,
}

/// One row of the table: some work, done in several ways.
pub(crate) struct Work {
    /// What is done, for people.
    pub(crate) text: String,
    /// All ways of doing it.
    pub(crate) contenders: Vec<Contender>,
    /// What is asked for.
    pub(crate) bars: Vec<Bar>,
}

/// Measured times of one contender.
#[derive(Default)]
struct Times {
    sorted: Vec<Duration>,
    peak_bytes: u64,
    rounds: usize,
}

impl Times {
    fn median(&self) -> f64 {
        self.sorted.get(self.sorted.len() / 2).map_or(f64::NAN, Duration::as_secs_f64)
    }

    /// Median, least and most.
    fn text(&self, name: &str) -> String {
        let end = |time: Option<&Duration>| time.map_or(f64::NAN, Duration::as_secs_f64);
        let (least, most) = (end(self.sorted.first()), end(self.sorted.last()));
        match self.sorted.len() {
            1 => format!("{name} {}", seconds(self.median())),
            _ => format!("{name} {} ({} to {})", seconds(self.median()), seconds(least), seconds(most)),
        }
    }
}

/// Runs every contender once to warm up, then all in turn for `rounds` rounds.
///
/// Prints a line for each bar; gives the number of bars that were missed.
///
/// # Errors
///
/// A contender fails.
pub(crate) fn measure(name: &str, work: &Work, rounds: usize, interrupt: &Interrupt) -> Outcome<usize> {
    let mut times: Vec<Times> = Vec::new();
    for contender in &work.contenders {
        interrupt.check()?;
        let taken = once(contender)?;
        let affordable = (CONTENDER_TIME_MAX.as_secs_f64() / taken.time.as_secs_f64()) as usize;
        let mut mine = Times { rounds: affordable.max(ROUNDS_MIN).min(rounds), ..Times::default() };
        if taken.time > CONTENDER_TIME_MAX {
            // Its warm-up is its measurement: nothing so slow depends on the first touch of memory.
            mine.rounds = 0;
            note(&mut mine, taken);
        }
        times.push(mine);
    }
    for round in 0..rounds {
        for (contender, mine) in work.contenders.iter().zip(&mut times) {
            if round < mine.rounds {
                interrupt.check()?;
                let taken = once(contender)?;
                note(mine, taken);
            }
        }
    }
    times.iter_mut().for_each(|mine| mine.sorted.sort());
    let mut missed = 0;
    for bar in &work.bars {
        let (subject, floor) = (&times[bar.subject], &times[bar.floor]);
        let ratio = subject.median() / floor.median();
        let is_missed = bar.bar.is_some_and(|bar| ratio > bar);
        let is_large = subject.peak_bytes > MEMORY_BYTES_MAX;
        missed += usize::from(is_missed) + usize::from(is_large);
        println!(
            "| {name}: {} | {} | {} | {} | {} | {} | {:.1} MiB{} |",
            work.text,
            subject.text(&work.contenders[bar.subject].name),
            floor.text(&work.contenders[bar.floor].name),
            fine(ratio),
            bar.bar.map_or_else(|| "none".to_owned(), fine),
            match (bar.bar, is_missed) {
                (None, _) => "told",
                (Some(_), false) => "PASS",
                (Some(_), true) => "MISS",
            },
            subject.peak_bytes as f64 / MEBIBYTE as f64,
            if is_large { ", MISS" } else { "" },
        );
    }
    Ok(missed)
}

/// Titles above the lines of [`measure`].
pub(crate) fn head() -> String {
    "| row: work | measured: median (least to most) | beside it | ratio | bar | verdict | peak memory, bar 32 MiB |\n\
     |---|---|---|---|---|---|---|"
        .to_owned()
}

fn note(times: &mut Times, taken: Taken) {
    times.sorted.push(taken.time);
    times.peak_bytes = times.peak_bytes.max(taken.peak_bytes);
}

fn once(contender: &Contender) -> Outcome<Taken> {
    let taken = process::run(&mut (contender.command)()?)?;
    for output in &contender.outputs {
        if output.is_dir() {
            for entry in output.read_dir()? {
                std::fs::remove_file(entry?.path())?;
            }
        } else {
            std::fs::remove_file(output)?;
        }
    }
    Ok(taken)
}

fn seconds(seconds: f64) -> String {
    if seconds < 0.1 { format!("{:.1} ms", seconds * 1e3) } else { format!("{seconds:.3} s") }
}

fn fine(ratio: f64) -> String {
    if ratio < 0.1 { format!("{ratio:.4}") } else { format!("{ratio:.2}") }
}
