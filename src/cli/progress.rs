//! Progress bars on standard error, where that is a terminal.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::control::Control;

/// Look of a bar whose end is known; the message says what it is of. Decimal units, as in the tables.
const MEASURED: &str =
    "{msg:44!} [{bar:24}] {decimal_bytes:>9} of {decimal_total_bytes:>9} {decimal_bytes_per_sec:>11}";
/// Look of a bar before anything can be measured.
const UNMEASURED: &str = "{msg:44!}";

/// A bar that shows one operation.
pub(crate) struct BarControl {
    bar: ProgressBar,
}

impl BarControl {
    /// A bar named `what`; hidden where nobody watches.
    pub(crate) fn new(what: &str) -> BarControl {
        let bar = bar(what);
        if !std::io::stderr().is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        BarControl { bar }
    }

    /// Takes the bar away.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// A bar that has nothing to measure yet.
pub(crate) fn bar(what: &str) -> ProgressBar {
    ProgressBar::new(0).with_style(style(UNMEASURED)).with_message(what.to_owned())
}

/// Moves a bar; a total of 0 is not known yet.
pub(crate) fn set(bar: &ProgressBar, bytes_done: u64, bytes_total: u64) {
    let was_unmeasured = bar.length().unwrap_or(0) == 0;
    if was_unmeasured != (bytes_total == 0) {
        bar.set_style(style(if bytes_total == 0 { UNMEASURED } else { MEASURED }));
    }
    bar.set_length(bytes_total);
    bar.set_position(bytes_done);
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("=> ")
}

impl Control for BarControl {
    fn progress(&self, bytes_done: u64, bytes_total: u64) {
        set(&self.bar, bytes_done, bytes_total);
    }

    fn is_cancelled(&self) -> bool {
        false
    }
}
