//! Keeps the changes of one DAQ in the order in which they were decided, although one may have to be tried again.
//!
//! Knows neither the store nor the dispatcher: how a change is handed in and what its end means are arguments.

use std::collections::HashMap;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::specification::model::DaqId;
use crate::status::with_causes;
use crate::store::StoreError;

/// The last change of each DAQ that is on its way to the disk.
pub(crate) struct Saves {
    last: HashMap<DaqId, JoinHandle<()>>,
    /// Pause before a change that found the disk full is tried again.
    pause: Duration,
}

impl Saves {
    pub(crate) fn new(pause: Duration) -> Saves {
        Saves { last: HashMap::new(), pause }
    }

    /// Hands in a change by `submit`, at once where no earlier change of `id` is on its way, else after it; tries
    /// again while the disk is full; tells the end by `report`.
    pub(crate) fn save<S, F, R>(
        &mut self,
        id: DaqId,
        submit: S,
        report: impl FnOnce(Result<(), StoreError>) -> R + Send + 'static,
    ) where
        S: Fn() -> F + Send + 'static,
        F: Future<Output = Result<(), StoreError>> + Send + 'static,
        R: Future<Output = ()> + Send,
    {
        self.last.retain(|_, task| !task.is_finished());
        let earlier = self.last.remove(&id);
        // Handed in here and now, so that changes of different DAQs share one fsync.
        let first = if earlier.is_none() { Some(submit()) } else { None };
        let (pause, name) = (self.pause, id.clone());
        let task = tokio::spawn(async move {
            if let Some(earlier) = earlier {
                // Its own end was reported by itself.
                let _ = earlier.await;
            }
            let mut outcome = match first {
                Some(first) => first.await,
                None => submit().await,
            };
            while let Err(error) = &outcome {
                tracing::error!(id = %name, error = %with_causes(error), "the state of a DAQ cannot be saved");
                if !error.kind.may_retry() {
                    break;
                }
                tokio::time::sleep(pause).await;
                outcome = submit().await;
            }
            report(outcome).await;
        });
        self.last.insert(id, task);
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use crate::engine::saves::Saves;
    use crate::specification::model::DaqId;
    use crate::store::{StoreError, StoreErrorKind};

    fn refused(kind: StoreErrorKind) -> Result<(), StoreError> {
        Err(StoreError { action: "change", path: PathBuf::from("state.db"), kind })
    }

    /// Saves `name`, which the store refuses `refusals` times; what takes effect is written down.
    fn save(saves: &mut Saves, name: &'static str, refusals: usize, written: &Arc<Mutex<Vec<&'static str>>>) {
        let (left, seen) = (Arc::new(Mutex::new(refusals)), Arc::clone(written));
        let submit = move || {
            let (left, seen) = (Arc::clone(&left), Arc::clone(&seen));
            async move {
                let mut left = left.lock().unwrap();
                if *left > 0 {
                    *left -= 1;
                    return refused(StoreErrorKind::Overloaded);
                }
                seen.lock().unwrap().push(name);
                Ok(())
            }
        };
        let id: DaqId = name[..1].parse().unwrap();
        saves.save(id, submit, |outcome| async move { outcome.unwrap() });
    }

    async fn settle(saves: &mut Saves) {
        for (_, task) in saves.last.drain() {
            task.await.unwrap();
        }
    }

    /// An aborted DAQ came back as one that is merging: its older state had found the disk full, slept, and was then
    /// written over the newer one.
    #[tokio::test]
    async fn a_retried_change_does_not_overtake_a_later_one() {
        let written = Arc::new(Mutex::new(Vec::new()));
        let mut saves = Saves::new(Duration::from_millis(5));
        save(&mut saves, "a-merging", 3, &written);
        save(&mut saves, "a-aborting", 0, &written);
        save(&mut saves, "b-other", 0, &written);
        save(&mut saves, "a-aborted", 1, &written);
        settle(&mut saves).await;
        assert_eq!(*written.lock().unwrap(), ["b-other", "a-merging", "a-aborting", "a-aborted"]);
    }

    #[tokio::test]
    async fn what_can_never_be_saved_is_told_once() {
        let mut saves = Saves::new(Duration::from_millis(1));
        let (told, mut tales) = tokio::sync::mpsc::unbounded_channel();
        let report = move |outcome: Result<(), StoreError>| async move { told.send(outcome.is_err()).unwrap() };
        saves.save("a".parse().unwrap(), || async { refused(StoreErrorKind::Closed) }, report);
        settle(&mut saves).await;
        assert_eq!((tales.recv().await, tales.recv().await), (Some(true), None));
    }
}
