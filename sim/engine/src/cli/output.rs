//! Where words go: results to the standard output, progress and errors to the other.

use super::Trouble;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal, StdoutLock, Write};
use std::time::{Duration, Instant};

/// The standard output. Once nobody reads it, the command ends.
pub(super) struct Out(StdoutLock<'static>);

impl Out {
    pub(super) fn new() -> Out {
        Out(io::stdout().lock())
    }

    pub(super) fn line(&mut self, line: &str) -> Result<(), Trouble> {
        writeln!(self.0, "{line}").and_then(|()| self.0.flush()).map_err(|error| {
            match error.kind() {
                io::ErrorKind::BrokenPipe => Trouble::Closed,
                _ => Trouble::Infrastructure(format!("cannot write the output: {error}")),
            }
        })
    }

    pub(super) fn lines<'a>(
        &mut self,
        lines: impl IntoIterator<Item = &'a String>,
    ) -> Result<(), Trouble> {
        lines.into_iter().try_for_each(|line| self.line(line))
    }

    /// A value as one line of JSON.
    pub(super) fn json(&mut self, value: &impl serde::Serialize) -> Result<(), Trouble> {
        let text = serde_json::to_string(value)
            .map_err(|error| Trouble::Infrastructure(format!("cannot write JSON: {error}")))?;
        self.line(&text)
    }
}

/// Says something on the standard error, if anybody reads it.
pub(super) fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// How often progress is told where there is no terminal.
const PLAIN: Duration = Duration::from_secs(10);

/// How far a command has come: a bar on a terminal, and now and then a line elsewhere.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    began: Instant,
    told: Instant,
    seeds: u64,
    failures: u64,
}

impl Progress {
    /// Towards so many seeds, if their number is fixed.
    pub(super) fn new(seeds: Option<u64>) -> Progress {
        let bar = io::stderr().is_terminal().then(|| match seeds {
            Some(seeds) => {
                let style = "{bar:30} {pos}/{len} seeds, {per_sec}, {eta} left {msg}";
                styled(ProgressBar::new(seeds), style)
            }
            None => styled(ProgressBar::no_length(), "{spinner} {pos} seeds in {elapsed} {msg}"),
        });
        let now = Instant::now();
        Progress { bar, began: now, told: now, seeds: 0, failures: 0 }
    }

    pub(super) fn add(&mut self, seeds: u64, failures: u64) {
        self.seeds += seeds;
        self.failures += failures;
        let failed = match self.failures {
            0 => String::new(),
            many => format!("({many} failed)"),
        };
        if let Some(bar) = &self.bar {
            bar.inc(seeds);
            bar.set_message(failed);
        } else if self.told.elapsed() >= PLAIN {
            self.told = Instant::now();
            let seconds = self.began.elapsed().as_secs();
            note(format!("{} seeds in {seconds} s {failed}", self.seeds).trim_end());
        }
    }

    pub(super) fn end(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
