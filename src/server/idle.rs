//! Idle connections, the longest idle first: who gives way when all places are taken.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

/// What is known of an idle connection.
struct Entry {
    /// Cancelled to end it.
    give_way: CancellationToken,
    /// True while something that it has asked for goes on beside its silence.
    is_waiting: Box<dyn Fn() -> bool + Send>,
}

/// When it became idle, and a number that tells it from others of the same moment.
type Since = (Instant, u64);

/// The idle connections of a server.
#[derive(Default)]
pub(in crate::server) struct IdleList {
    entries: Mutex<BTreeMap<Since, Entry>>,
    count: AtomicU64,
}

impl IdleList {
    /// Notes a connection as idle until the returned note is dropped.
    pub(in crate::server) fn note(
        self: &Arc<Self>,
        give_way: CancellationToken,
        is_waiting: impl Fn() -> bool + Send + 'static,
    ) -> IdleNote {
        let since = (Instant::now(), self.count.fetch_add(1, Ordering::Relaxed));
        self.lock().insert(since, Entry { give_way, is_waiting: Box::new(is_waiting) });
        IdleNote { list: Arc::clone(self), since }
    }

    /// Ends the connection that has been idle longest, if that is at least `limit`; true if there was one.
    pub(in crate::server) fn evict(&self, limit: Duration) -> bool {
        let mut entries = self.lock();
        let longest = entries
            .iter()
            .take_while(|((since, _), _)| since.elapsed() >= limit)
            .find(|(_, entry)| !(entry.is_waiting)())
            .map(|(since, _)| *since);
        let evicted = longest.and_then(|since| entries.remove(&since));
        if let Some(entry) = &evicted {
            entry.give_way.cancel();
        }
        evicted.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Since, Entry>> {
        // Nothing in here panics half-way.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place in the list.
pub(in crate::server) struct IdleNote {
    list: Arc<IdleList>,
    since: Since,
}

impl Drop for IdleNote {
    fn drop(&mut self) {
        self.list.lock().remove(&self.since);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio_util::sync::CancellationToken;

    use crate::server::idle::IdleList;

    #[test]
    fn the_longest_idle_goes_first_and_who_waits_stays() {
        let list = Arc::new(IdleList::default());
        let tokens: Vec<CancellationToken> = (0..4).map(|_| CancellationToken::new()).collect();
        let notes: Vec<_> =
            tokens.iter().enumerate().map(|(index, token)| list.note(token.clone(), move || index == 0)).collect();
        let mut notes = notes.into_iter();
        let (waiting, busy_again) = (notes.next(), notes.next());
        drop(busy_again);
        assert!(!list.evict(Duration::from_secs(3600)));
        let evicted = |list: &IdleList| {
            list.evict(Duration::ZERO);
            tokens.iter().map(CancellationToken::is_cancelled).collect::<Vec<_>>()
        };
        assert_eq!(evicted(&list), [false, false, true, false]);
        assert_eq!(evicted(&list), [false, false, true, true]);
        assert!(!list.evict(Duration::ZERO));
        drop((waiting, notes));
        assert_eq!(list.entries.lock().unwrap().len(), 0);
    }
}
