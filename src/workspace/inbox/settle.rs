//! Which of the files seen in a listing are whole, and which were handed out already. No disk: times are arguments.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A file that has not changed for so long is taken as whole.
pub(in crate::workspace::inbox) const SETTLED_AFTER: Duration = Duration::from_millis(500);
/// Writers open a file before they fill it, so an empty one gets more time.
const EMPTY_SETTLED_AFTER: Duration = Duration::from_secs(5);
/// A file that was neither accepted nor rejected (a full disk, say) is handed out again after this time.
const OFFERED_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// What tells that a file has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::workspace::inbox) struct Look {
    pub(in crate::workspace::inbox) inode: u64,
    pub(in crate::workspace::inbox) bytes: u64,
    /// Nanoseconds since 1970, of the content.
    pub(in crate::workspace::inbox) modified_ns: i128,
}

#[derive(Debug)]
struct Known {
    look: Look,
    since: Instant,
    offered: Option<Instant>,
}

/// What is known of the files in the folder.
#[derive(Debug, Default)]
pub(in crate::workspace::inbox) struct Settling {
    known: BTreeMap<PathBuf, Known>,
}

impl Settling {
    /// Takes a listing made at `now`; gives the files to hand out, by name. Files not listed are forgotten.
    pub(in crate::workspace::inbox) fn update(&mut self, listing: Vec<(PathBuf, Look)>, now: Instant) -> Vec<PathBuf> {
        let mut before = std::mem::take(&mut self.known);
        for (path, look) in listing {
            let known = match before.remove(&path) {
                Some(known) if known.look == look => known,
                _ => Known { look, since: now, offered: None },
            };
            self.known.insert(path, known);
        }
        let due = self.known.iter_mut().filter(|(_, known)| known.is_due(now));
        due.map(|(path, known)| {
            known.offered = Some(now);
            path.clone()
        })
        .collect()
    }

    /// True if some file may become whole soon.
    pub(in crate::workspace::inbox) fn is_waiting(&self) -> bool {
        self.known.values().any(|known| known.offered.is_none())
    }
}

impl Known {
    fn is_due(&self, now: Instant) -> bool {
        let settled_after = if self.look.bytes == 0 { EMPTY_SETTLED_AFTER } else { SETTLED_AFTER };
        match self.offered {
            None => now.duration_since(self.since) >= settled_after,
            Some(offered) => now.duration_since(offered) >= OFFERED_AGAIN_AFTER,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::{Duration, Instant};

    use crate::workspace::inbox::settle::{Look, Settling};

    fn look(bytes: u64) -> Look {
        Look { inode: 1, bytes, modified_ns: 0 }
    }

    /// One file, its size at each moment (milliseconds), and whether it is handed out then.
    fn check(moments: &[(u64, Option<u64>, bool)]) {
        let (start, mut settling) = (Instant::now(), Settling::default());
        for (ms, bytes, expected) in moments {
            let listing = bytes.iter().map(|bytes| (PathBuf::from("a.json"), look(*bytes))).collect();
            let due = settling.update(listing, start + Duration::from_millis(*ms));
            assert_eq!(!due.is_empty(), *expected, "at {ms} ms of {moments:?}");
        }
    }

    #[test]
    fn whole_files_are_handed_out_once() {
        check(&[(0, Some(5), false), (400, Some(5), false), (500, Some(5), true), (1000, Some(5), false)]);
        // Growing.
        check(&[(0, Some(5), false), (600, Some(6), false), (1000, Some(6), false), (1100, Some(6), true)]);
        // Empty.
        check(&[(0, Some(0), false), (4000, Some(0), false), (5000, Some(0), true)]);
        // Taken away and dropped again.
        check(&[
            (0, Some(5), false),
            (600, Some(5), true),
            (700, None, false),
            (800, Some(5), false),
            (1300, Some(5), true),
        ]);
        // Neither accepted nor rejected.
        check(&[(0, Some(5), false), (500, Some(5), true), (60_400, Some(5), false), (60_500, Some(5), true)]);
        // Changed after it was handed out.
        check(&[(0, Some(5), false), (500, Some(5), true), (600, Some(7), false), (1100, Some(7), true)]);
    }

    #[test]
    fn waits_only_for_files_not_handed_out() {
        let (start, mut settling) = (Instant::now(), Settling::default());
        assert!(!settling.is_waiting());
        settling.update(vec![(PathBuf::from("a.json"), look(1))], start);
        assert!(settling.is_waiting());
        settling.update(vec![(PathBuf::from("a.json"), look(1))], start + Duration::from_secs(1));
        assert!(!settling.is_waiting());
    }
}
