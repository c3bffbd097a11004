//! What was measured, as figures beside their floors, and what that means.

use serde::Serialize;

/// DAQs come at this interval where the verdict says how busy they keep the machine.
const INTERVAL_SECONDS: f64 = 30.0;
/// A stage that takes less than this part of a DAQ is not worth a word.
const LIMITING_SHARE: f64 = 0.4;
/// A stage at most so many times its floor is limited by the machine, not by dpm.
const FLOOR_RATIO: f64 = 1.5;

/// Everything that was measured. The document of `dpm bench --json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BenchReport {
    /// Version of dpm.
    pub version: String,
    /// Folder in which was measured.
    pub folder: String,
    /// Kind of its file system.
    pub file_system: String,
    /// Processors that dpm may use.
    pub processors: usize,
    /// Rounds behind the warm-up; figures are their medians.
    pub rounds: usize,
    /// What was measured together.
    pub groups: Vec<Group>,
}

/// Figures that belong beside one another.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    /// `16x64MB`, `small DAQs`, `commands`.
    pub name: String,
    /// What is done once in each round, for people.
    pub work: String,
    /// Bytes of the files that one DAQ merges; 0 where that is not the question.
    pub bytes: u64,
    /// Floors first, then stages in order.
    pub figures: Vec<Figure>,
    /// What limits, and what that means.
    pub verdict: String,
}

/// How long one thing takes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figure {
    /// `copy`, `merge`, `end to end`.
    pub name: String,
    /// Whether the machine alone is measured.
    pub is_floor: bool,
    /// Median of the rounds, in seconds.
    pub seconds: f64,
    /// Shortest round.
    pub seconds_least: f64,
    /// Longest round.
    pub seconds_most: f64,
    /// What it is compared with.
    pub floor: Option<String>,
    /// Its median divided by that of its floor.
    pub ratio: Option<f64>,
    /// Bytes of the set divided by the median; 0 where no bytes are counted.
    pub bytes_per_second: f64,
    /// What is done so often in a second: 1 / the median.
    pub per_second: f64,
}

impl Figure {
    /// Sums the rounds up. `bytes` are those of one round.
    pub fn of(name: &str, rounds: &[f64], bytes: u64) -> Figure {
        let mut sorted = rounds.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or_default();
        let seconds = at(sorted.len() / 2);
        let per_second = if seconds > 0.0 { 1.0 / seconds } else { 0.0 };
        Figure {
            name: name.to_owned(),
            is_floor: false,
            seconds,
            seconds_least: at(0),
            seconds_most: at(sorted.len().saturating_sub(1)),
            floor: None,
            ratio: None,
            bytes_per_second: bytes as f64 * per_second,
            per_second,
        }
    }

    /// A figure of the machine alone.
    #[must_use]
    pub fn as_floor(self) -> Figure {
        Figure { is_floor: true, ..self }
    }

    /// Compares it with `floor`.
    #[must_use]
    pub fn beside(self, floor: &Figure) -> Figure {
        let ratio = (floor.seconds > 0.0).then(|| self.seconds / floor.seconds);
        Figure { floor: Some(floor.name.clone()), ratio, ..self }
    }
}

/// The figure called `name`.
fn find<'a>(figures: &'a [Figure], name: &str) -> Option<&'a Figure> {
    figures.iter().find(|figure| figure.name == name)
}

/// Names of the figures that verdicts speak of.
pub mod name {
    /// Reading all files.
    pub const READ: &str = "read";
    /// Reading and writing all bytes, as `cp` does.
    pub const COPY: &str = "read + write";
    /// The same until it is on the disk.
    pub const COPY_SYNC: &str = "read + write + fsync";
    /// One small write and one fsync.
    pub const FSYNC: &str = "fsync";
    /// The stage Collecting.
    pub const COLLECT: &str = "collect";
    /// The stage Merging: the worker process, with fsync.
    pub const MERGE: &str = "merge";
    /// The stage Releasing.
    pub const RELEASE: &str = "release";
    /// `dpm verify` of the product.
    pub const VERIFY: &str = "verify";
    /// From the call that queues a DAQ until it is completed.
    pub const END_TO_END: &str = "end to end";
    /// The same, divided by the number of DAQs that are under way together.
    pub const DAQ: &str = "one DAQ of many";
    /// A message to another thread and back, over a socket.
    pub const ECHO: &str = "socket echo";
    /// `GetDaqStatus` over the command socket.
    pub const STATUS: &str = "GetDaqStatus";
}

/// Which stage limits a DAQ of large files, and what that means.
pub fn verdict_of_set(figures: &[Figure], bytes: u64) -> String {
    let (Some(whole), Some(disk)) = (find(figures, name::END_TO_END), find(figures, name::COPY_SYNC)) else {
        return String::new();
    };
    let stages = [name::COLLECT, name::MERGE, name::RELEASE].into_iter().filter_map(|stage| find(figures, stage));
    let Some(longest) = stages.max_by(|one, other| one.seconds.total_cmp(&other.seconds)) else {
        return String::new();
    };
    let share = longest.seconds / whole.seconds.max(f64::MIN_POSITIVE);
    let limit = if share < LIMITING_SHARE {
        "no stage limits alone: the steps between them (commits, a process started) take the time".to_owned()
    } else if longest.ratio.is_some_and(|ratio| ratio <= FLOOR_RATIO) {
        format!("the disk limits: {} takes {} of a DAQ and is as fast as the disk", longest.name, percent(share))
    } else {
        format!("{} limits: it takes {} of a DAQ", longest.name, percent(share))
    };
    let rate = rate(bytes as f64 / whole.seconds.max(f64::MIN_POSITIVE));
    let ratio = whole.seconds / disk.seconds.max(f64::MIN_POSITIVE);
    format!(
        "{limit}. A DAQ goes through at {rate}, in {ratio:.1} times the time of a plain copy; one every \
         {INTERVAL_SECONDS} s keeps this machine busy {} of the time.",
        percent(whole.seconds / INTERVAL_SECONDS)
    )
}

/// What many small DAQs cost.
pub fn verdict_of_small(figures: &[Figure]) -> String {
    let (Some(daq), Some(fsync)) = (find(figures, name::DAQ), find(figures, name::FSYNC)) else {
        return String::new();
    };
    let syncs = daq.seconds / fsync.seconds.max(f64::MIN_POSITIVE);
    format!(
        "{:.0} DAQs/s, {:.0} an hour. Each takes the time of {syncs:.1} fsyncs of this disk, which makes {:.0} a second: \
         {}.",
        daq.per_second,
        daq.per_second * 3600.0,
        fsync.per_second,
        if syncs < 12.0 { "its syncs limit" } else { "the processes and commits of a DAQ limit, not its syncs" }
    )
}

/// How fast commands are answered.
pub fn verdict_of_commands(figures: &[Figure]) -> String {
    let Some(status) = find(figures, name::STATUS) else {
        return String::new();
    };
    format!(
        "a client that asks once a second for each of 100 DAQs keeps the daemon busy {} of the time.",
        percent(100.0 * status.seconds)
    )
}

fn percent(share: f64) -> String {
    if share < 0.095 { format!("{:.1} %", 100.0 * share) } else { format!("{:.0} %", 100.0 * share) }
}

/// Bytes a second for people.
pub fn rate(bytes_per_second: f64) -> String {
    match bytes_per_second {
        rate if rate >= 1e9 => format!("{:.2} GB/s", rate / 1e9),
        rate if rate >= 1e6 => format!("{:.0} MB/s", rate / 1e6),
        rate => format!("{:.0} kB/s", rate / 1e3),
    }
}

/// A time for people.
pub fn duration(seconds: f64) -> String {
    match seconds {
        seconds if seconds >= 1.0 => format!("{seconds:.2} s"),
        seconds if seconds >= 1e-3 => format!("{:.1} ms", seconds * 1e3),
        seconds => format!("{:.0} us", seconds * 1e6),
    }
}

#[cfg(test)]
mod tests {
    use crate::bench::report::{Figure, duration, name, rate, verdict_of_commands, verdict_of_set, verdict_of_small};

    #[test]
    fn figures_are_medians_with_their_ends() {
        let figure = Figure::of("x", &[3.0, 1.0, 2.0, 9.0, 4.0], 6_000_000);
        assert_eq!((figure.seconds, figure.seconds_least, figure.seconds_most), (3.0, 1.0, 9.0));
        assert_eq!((figure.bytes_per_second, figure.ratio), (2_000_000.0, None));
        let beside = figure.beside(&Figure::of("floor", &[2.0], 0));
        assert_eq!((beside.ratio, beside.floor.as_deref()), (Some(1.5), Some("floor")));
        assert_eq!(Figure::of("none", &[], 5).bytes_per_second, 0.0);
    }

    fn set(merge: f64, whole: f64) -> Vec<Figure> {
        let disk = Figure::of(name::COPY_SYNC, &[2.0], 0).as_floor();
        vec![
            Figure::of(name::COLLECT, &[0.1], 0),
            Figure::of(name::MERGE, &[merge], 0).beside(&disk),
            Figure::of(name::RELEASE, &[0.1], 0),
            Figure::of(name::END_TO_END, &[whole], 0),
            disk,
        ]
    }

    #[test]
    fn the_verdict_names_what_limits() {
        let begins = |figures: &[Figure], start: &str| {
            let verdict = verdict_of_set(figures, 1_000_000_000);
            assert!(verdict.starts_with(start), "{verdict}");
        };
        begins(&set(2.0, 2.5), "the disk limits: merge takes 80 %");
        begins(&set(8.0, 9.0), "merge limits: it takes 89 %");
        begins(&set(0.2, 9.0), "no stage limits alone");
        assert!(verdict_of_set(&set(2.0, 3.0), 1_000_000_000).ends_with("busy 10 % of the time."));
        assert_eq!(verdict_of_set(&[], 5), "");
    }

    #[test]
    fn small_daqs_are_counted_in_syncs() {
        let fsync = Figure::of(name::FSYNC, &[0.001], 0);
        let few = verdict_of_small(&[fsync.clone(), Figure::of(name::DAQ, &[0.008], 0)]);
        assert!(few.starts_with("125 DAQs/s, 450000 an hour") && few.ends_with("its syncs limit."), "{few}");
        let many = verdict_of_small(&[fsync, Figure::of(name::DAQ, &[0.08], 0)]);
        assert!(many.contains("80.0 fsyncs") && many.ends_with("not its syncs."), "{many}");
        assert!(verdict_of_commands(&[Figure::of(name::STATUS, &[0.0001], 0)]).contains("busy 1.0 % of"));
    }

    #[test]
    fn numbers_read_as_people_say_them() {
        assert_eq!((rate(2.5e9), rate(3.2e6), rate(1500.0)), ("2.50 GB/s".into(), "3 MB/s".into(), "2 kB/s".into()));
        assert_eq!(
            (duration(1.5), duration(0.0123), duration(4e-5)),
            ("1.50 s".into(), "12.3 ms".into(), "40 us".into())
        );
    }
}
