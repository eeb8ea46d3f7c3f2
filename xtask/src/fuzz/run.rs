//! Runs targets, as many at a time as there are CPUs, and says of each what it did.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, available_parallelism};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::test::Outcome;
use crate::workspace;

/// Bytes of an input at most; the parsers' own limits are tested where they are.
const MAX_INPUT_BYTES: u32 = 4096;
/// Seconds that one input may take.
const MAX_SECONDS: u32 = 10;
/// Lines of a failed target's log that are shown, from the cause on.
const SHOWN_LINES: usize = 40;

/// One target, built.
pub(super) struct Target {
    name: String,
    program: PathBuf,
}

/// Runs them all.
///
/// # Errors
/// Where one cannot be started. One that fails is no error here.
pub(super) fn all(targets: Vec<Target>, each: Duration) -> Result<Outcome> {
    let jobs = available_parallelism().map_or(1, usize::from);
    let left = Mutex::new(targets.into_iter());
    let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        let mut outcome = Outcome::default();
        while let Some(target) = next() {
            match target.passes(each)? {
                true => outcome.passed += 1,
                false => outcome.failed += 1,
            }
        }
        Ok(outcome)
    };
    let outcomes: Vec<Result<Outcome>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        let ends = workers.into_iter().map(thread::ScopedJoinHandle::join);
        ends.map(|end| end.expect("no worker panics")).collect()
    });
    let mut all = Outcome::default();
    for outcome in outcomes {
        all += outcome?;
    }
    Ok(all)
}

impl Target {
    pub(super) fn new(name: &str, programs: &Path) -> Self {
        Self {
            name: name.to_owned(),
            program: programs.join(name),
        }
    }

    fn passes(&self, each: Duration) -> Result<bool> {
        let log = super::directory().join(format!("{}.log", self.name));
        let status = self.run(each, &log)?;
        let text = fs::read(&log).with_context(|| format!("cannot read {}", log.display()))?;
        let text = String::from_utf8_lossy(&text);
        match Figures::find(&text).filter(|_| status.success()) {
            Some(figures) => println!("fuzz {}: passed: {figures}", self.name),
            None => self.tell_failure(status, &text, &log),
        }
        Ok(status.success())
    }

    fn run(&self, each: Duration, log: &Path) -> Result<ExitStatus> {
        let sources = workspace::root().join("fuzz");
        let found = self.made("corpus")?;
        let artifacts = self.made("artifacts")?;
        let output =
            File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new(&self.program);
        command
            .arg(format!("-max_total_time={}", each.as_secs()))
            .arg(format!("-max_len={MAX_INPUT_BYTES}"))
            .arg(format!("-timeout={MAX_SECONDS}"))
            .arg(format!("-artifact_prefix={}/", artifacts.display()))
            .arg("-print_final_stats=1");
        let dictionary = sources.join(format!("dictionaries/{}.dict", self.name));
        if dictionary.is_file() {
            command.arg(format!("-dict={}", dictionary.display()));
        }
        // New inputs go into the first directory.
        command
            .arg(&found)
            .arg(sources.join("corpus").join(&self.name))
            .stdout(output.try_clone()?)
            .stderr(output)
            .status()
            .with_context(|| format!("cannot run {}", self.program.display()))
    }

    /// Its directory below target/fuzz.
    fn made(&self, kind: &str) -> Result<PathBuf> {
        let path = super::directory().join(kind).join(&self.name);
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(path)
    }

    fn tell_failure(&self, status: ExitStatus, text: &str, log: &Path) {
        let shown = cause(text);
        println!(
            "fuzz {}: failed ({status}); from {}:",
            self.name,
            log.display()
        );
        println!("{}", shown.join("\n"));
        if let Some(input) = artifact(text) {
            let program = self.program.display();
            println!("fuzz {}: again with `{program} {input}`", self.name);
            println!("mended, it belongs into fuzz/corpus/{}", self.name);
        }
    }
}

/// The log from the first panic or report of a sanitizer on, else its end.
fn cause(log: &str) -> Vec<&str> {
    let lines: Vec<&str> = log.lines().collect();
    let is_cause = |line: &&str| line.contains(" panicked at ") || line.contains("ERROR: ");
    let last = lines.len().saturating_sub(SHOWN_LINES);
    let from = lines.iter().position(is_cause).unwrap_or(last);
    lines.into_iter().skip(from).take(SHOWN_LINES).collect()
}

/// The input that a target failed on.
fn artifact(log: &str) -> Option<&str> {
    let mut lines = log.lines().rev();
    lines.find_map(|line| Some(line.split_once("Test unit written to ")?.1))
}

/// What a run did.
#[derive(Debug, PartialEq, Eq)]
struct Figures {
    inputs: u64,
    /// Edges of the program that were reached.
    coverage: u64,
    /// Inputs that reached something new.
    new: u64,
}

impl Figures {
    /// `None` where the target did not come to its end.
    fn find(log: &str) -> Option<Self> {
        let stat = |name: &str| {
            let mut lines = log.lines().rev();
            let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            value.trim().parse().ok()
        };
        let (_, coverage) = log.rsplit_once(" cov: ")?;
        Some(Self {
            inputs: stat("stat::number_of_executed_units")?,
            coverage: coverage.split(' ').next()?.parse().ok()?,
            new: stat("stat::new_units_added")?,
        })
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            inputs,
            coverage,
            new,
        } = self;
        write!(
            f,
            "{inputs} inputs, {coverage} edges covered, {new} inputs kept"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_those_of_the_end() {
        let log = "#2\tINITED cov: 3 ft: 4 corp: 1/1b\n#900\tDONE   cov: 71 ft: 88 corp: 9/60b lim: 4 exec/s: 0 rss: 40Mb\n\
                   Done 900 runs in 2 second(s)\nstat::number_of_executed_units: 900\nstat::new_units_added:          8\n";
        let expected = Figures {
            inputs: 900,
            coverage: 71,
            new: 8,
        };
        assert_eq!(Figures::find(log), Some(expected));
        assert_eq!(Figures::find("#2\tINITED cov: 3 ft: 4\n"), None);
        assert_eq!(artifact(log), None);
    }

    #[test]
    fn a_failure_names_its_input() {
        let log = "artifact_prefix='/t/'; Test unit written to /t/crash-1\nBase64: QQ==\n";
        assert_eq!(artifact(log), Some("/t/crash-1"));
        let panic = "#7 NEW\nthread '<unnamed>' (1) panicked at a.rs:1:2:\nodd";
        assert_eq!(cause(panic)[1..], ["odd"]);
    }
}
