//! The thread that lists the inbox: woken by notify, and on its own every few seconds.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use crate::workspace::inbox::settle::{Look, SETTLED_AFTER, Settling};

/// Time between two listings when nothing wakes the thread: events can be lost, and NFS has none.
const LISTED_EVERY: Duration = Duration::from_secs(5);
/// Shortest time between two listings: a writer makes an event with each write.
const LISTED_AT_MOST_EVERY: Duration = Duration::from_millis(50);
/// Files looked at in one listing; the others come with the next, after these were filed away.
const LISTED_MAX: usize = 10_000;

/// Why the thread wakes.
#[derive(Debug)]
enum Wake {
    Look,
    Stop,
}

/// A running watch; dropping it ends the thread.
#[derive(Debug)]
pub(in crate::workspace::inbox) struct Watch {
    /// Kept alive: its end is the end of the hints. None where the kernel gives no watch.
    _watcher: Option<RecommendedWatcher>,
    wakes: SyncSender<Wake>,
    shared: Arc<Shared>,
}

/// What the handle and the thread know in common.
#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    listing_count: AtomicU64,
}

#[cfg(test)]
impl Watch {
    /// Listings made so far.
    pub(in crate::workspace::inbox) fn listing_count(&self) -> u64 {
        self.shared.listing_count.load(Ordering::Relaxed)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        // Full means that a wake is waiting already. Not joined: the thread may wait for a slow receiver.
        let _ = self.wakes.try_send(Wake::Stop);
    }
}

/// Starts the thread.
pub(in crate::workspace::inbox) fn start(folder: &Path, paths: mpsc::Sender<PathBuf>) -> io::Result<Watch> {
    // One waiting wake is enough: a listing sees everything that happened before it.
    let (wakes, woken) = sync_channel(1);
    let watcher = hints(folder, wakes.clone());
    let shared = Arc::new(Shared::default());
    let lister = Lister {
        folder: folder.to_path_buf(),
        settling: Settling::default(),
        paths,
        shared: Arc::clone(&shared),
        is_readable: true,
    };
    std::thread::Builder::new().name("dpm-inbox".to_owned()).spawn(move || lister.run(&woken))?;
    Ok(Watch { _watcher: watcher, wakes, shared })
}

fn hints(folder: &Path, wakes: SyncSender<Wake>) -> Option<RecommendedWatcher> {
    let watch = notify::recommended_watcher(move |event: notify::Result<Event>| {
        if is_reason_to_look(&event) {
            let _ = wakes.try_send(Wake::Look);
        }
    })
    .and_then(|mut watcher| watcher.watch(folder, RecursiveMode::NonRecursive).map(|()| watcher));
    watch
        .inspect_err(|error| {
            tracing::warn!(folder = %folder.display(), %error, "no events of the inbox: it is listed every 5 s");
        })
        .ok()
}

/// Events of nearly any kind, also "rescan" and errors, mean the same: look. Not those of opening and reading: our own
/// listing makes them, and would wake itself for ever.
fn is_reason_to_look(event: &notify::Result<Event>) -> bool {
    match event {
        Ok(event) => {
            event.need_rescan()
                || !matches!(event.kind, EventKind::Access(_))
                || matches!(event.kind, EventKind::Access(AccessKind::Close(AccessMode::Write)))
        }
        Err(_) => true,
    }
}

struct Lister {
    folder: PathBuf,
    settling: Settling,
    paths: mpsc::Sender<PathBuf>,
    shared: Arc<Shared>,
    /// Tells the first failed listing, which is logged, from those after it.
    is_readable: bool,
}

impl Lister {
    fn run(mut self, woken: &Receiver<Wake>) {
        while !self.shared.stop.load(Ordering::Relaxed) {
            let listing = self.listing();
            for path in self.settling.update(listing, Instant::now()) {
                if self.paths.blocking_send(path).is_err() {
                    return;
                }
            }
            let pause = if self.settling.is_waiting() { SETTLED_AFTER } else { LISTED_EVERY };
            std::thread::sleep(LISTED_AT_MOST_EVERY);
            match woken.recv_timeout(pause) {
                Ok(Wake::Look) | Err(RecvTimeoutError::Timeout) => {}
                Ok(Wake::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// The files that count; none while the folder cannot be listed.
    fn listing(&mut self) -> Vec<(PathBuf, Look)> {
        self.shared.listing_count.fetch_add(1, Ordering::Relaxed);
        let outcome = list(&self.folder);
        match &outcome {
            Err(error) if self.is_readable => {
                tracing::warn!(folder = %self.folder.display(), %error, "the inbox cannot be listed");
            }
            _ => {}
        }
        self.is_readable = outcome.is_ok();
        outcome.unwrap_or_default()
    }
}

fn list(folder: &Path) -> io::Result<Vec<(PathBuf, Look)>> {
    let mut files = Vec::new();
    for entry in folder.read_dir()? {
        let entry = entry?;
        if !is_specification_name(&entry.file_name()) {
            continue;
        }
        // Gone meanwhile, or unreadable: the next listing tells.
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_file() {
            let modified_ns = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
            files.push((entry.path(), Look { inode: metadata.ino(), bytes: metadata.len(), modified_ns }));
        }
        if files.len() >= LISTED_MAX {
            break;
        }
    }
    Ok(files)
}

/// Text (so that it can be filed and logged as it is), `.json`, not hidden.
fn is_specification_name(name: &OsStr) -> bool {
    name.to_str().is_some() && name.as_bytes().ends_with(b".json") && !name.as_bytes().starts_with(b".")
}
