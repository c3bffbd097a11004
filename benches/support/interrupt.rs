//! Ctrl-C and SIGTERM end a bench in order, so that what it made is removed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{SignalKind, signal};

use crate::support::Outcome;

/// Whether the bench is to end.
pub(crate) struct Interrupt {
    asked: Arc<AtomicBool>,
}

impl Interrupt {
    /// From now on these signals no longer end the process by themselves.
    ///
    /// # Errors
    ///
    /// The system refuses.
    pub(crate) fn listen() -> Outcome<Interrupt> {
        let asked = Arc::new(AtomicBool::new(false));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let heard = Arc::clone(&asked);
        let (mut interrupt, mut terminate) = {
            let _entered = runtime.enter();
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
        };
        std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
            });
            heard.store(true, Ordering::Relaxed);
        });
        Ok(Interrupt { asked })
    }

    /// # Errors
    ///
    /// The bench is to end.
    pub(crate) fn check(&self) -> Outcome<()> {
        if self.asked.load(Ordering::Relaxed) { Err("interrupted".into()) } else { Ok(()) }
    }
}
