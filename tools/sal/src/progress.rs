//! What the tool says while it works: a spinner on a terminal, one line elsewhere. Always on standard error.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::Duration;

/// Something that takes a while.
pub(crate) struct Step {
    bar: Option<ProgressBar>,
    what: String,
}

impl Step {
    /// Says what is being done.
    pub(crate) fn start(what: impl Into<String>) -> Step {
        let what = what.into();
        if !std::io::stderr().is_terminal() {
            eprintln!("sal: {what}");
            return Step { bar: None, what };
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("sal: {spinner} {msg} ({elapsed})") {
            bar.set_style(style);
        }
        bar.set_message(what.clone());
        bar.enable_steady_tick(Duration::from_millis(100));
        Step { bar: Some(bar), what }
    }

    /// Says how far it is.
    pub(crate) fn detail(&self, detail: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{}: {detail}", self.what));
        }
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
            eprintln!("sal: {} ({:.1} s)", self.what, bar.elapsed().as_secs_f32());
        }
    }
}
