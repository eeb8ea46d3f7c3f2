//! Writing to the terminal: standard output that may be closed, and progress on standard error.

use std::io::{ErrorKind, IsTerminal, Write, stderr, stdout};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::format::{self, escape};

/// Whoever read the output has stopped reading (`| head`). That is no failure.
#[derive(Debug, thiserror::Error)]
#[error("the reader of the output has closed it")]
pub struct ClosedPipe;

/// Prints text.
///
/// # Errors
/// [`ClosedPipe`], or that the output could not be written (a full disk).
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(ClosedPipe.into()),
        written => written.context("cannot write the output"),
    }
}

/// Says something on standard error: a line, with what could harm a terminal made visible. Where nobody can
/// read it, it goes unsaid.
pub fn tell(line: &str) {
    let _ = writeln!(stderr(), "{}", shown(line));
}

/// A line as standard error shows it: at a terminal it is broken between words.
#[must_use]
pub fn shown(line: &str) -> String {
    let line = escape::terminal(line);
    match columns(&stderr()) {
        Some(columns) => format::wrapped(&line, columns.into()),
        None => line,
    }
}

/// Columns of the terminal; `None` where the output is not one.
#[must_use]
pub fn width() -> Option<u16> {
    columns(&stdout())
}

fn columns(output: &(impl IsTerminal + AsFd)) -> Option<u16> {
    if !output.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(output).ok()?;
    // Narrower than this no table can be read, and some terminals say 0.
    (size.ws_col >= 40).then_some(size.ws_col)
}

/// A bar on standard error for what takes longer than a second. It shows nothing where standard error is
/// not a terminal.
pub struct Progress {
    bar: ProgressBar,
    started: Instant,
}

impl Progress {
    /// Shown only after this time, so that quick work does not flicker.
    const DELAY: Duration = Duration::from_secs(1);

    /// Towards `total` of something.
    #[must_use]
    pub fn new(total: u64, what: &'static str) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
        let style = ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len} {eta}");
        if let Ok(style) = style {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(what);
        Self {
            bar,
            started: Instant::now(),
        }
    }

    /// Tells how much is done.
    pub fn set(&self, done: u64) {
        if self.bar.is_hidden() && self.started.elapsed() >= Self::DELAY {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.set_position(done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A line on standard error that says how far something is: one line that changes at a terminal, else a line for each
/// change.
pub struct Live {
    bar: ProgressBar,
    last: String,
}

impl Live {
    /// Nothing is shown yet.
    #[must_use]
    pub fn new() -> Self {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            bar.set_style(style.tick_chars("|/-\\ "));
        }
        Self {
            bar,
            last: String::new(),
        }
    }

    /// Shows how far it is now.
    pub fn set(&mut self, line: &str) {
        let is_new = self.last != line;
        if is_new {
            line.clone_into(&mut self.last);
        }
        if self.bar.is_hidden() {
            if is_new {
                tell(line);
            }
            return;
        }
        self.bar.set_message(escape::terminal(line));
        self.bar.tick();
    }
}

impl Default for Live {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
