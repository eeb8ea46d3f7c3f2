//! `power-truth` as tests and benches hold it.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

/// The program, running, and the tree that it serves.
pub struct PowerTruth {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    sys_root: TempDir,
}

impl PowerTruth {
    /// Starts it and tells it these lines (`zone ...`, `cpu ...`), then `start`.
    ///
    /// # Errors
    /// Where it does not start or refuses a line.
    pub fn start(program: &Path, lines: &[&str]) -> anyhow::Result<Self> {
        // In memory where that can be: the files are written hundreds of times a second.
        let memory = PathBuf::from("/dev/shm");
        let sys_root = if memory.is_dir() {
            TempDir::new_in(memory)?
        } else {
            TempDir::new()?
        };
        let mut child = Command::new(program)
            .arg(sys_root.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {}", program.display()))?;
        let output = child.stdout.take().context("it is piped")?;
        let mut truth = Self {
            input: child.stdin.take(),
            output: BufReader::new(output),
            child,
            sys_root,
        };
        for line in lines.iter().chain(&["start"]) {
            truth.tell(line)?;
        }
        Ok(truth)
    }

    /// What the agent takes for /sys.
    #[must_use]
    pub fn sys_root(&self) -> &Path {
        self.sys_root.path()
    }

    /// Tells it one line.
    ///
    /// # Errors
    /// Where it refuses.
    pub fn tell(&mut self, line: &str) -> anyhow::Result<()> {
        let answer = self.ask(line)?;
        ensure!(answer == "ok", "'{line}': {answer}");
        Ok(())
    }

    /// The truth as of now, which the files then show.
    ///
    /// # Errors
    /// Where it has ended.
    pub fn sync(&mut self) -> anyhow::Result<Truth> {
        Ok(Truth(serde_json::from_str(&self.ask("sync")?)?))
    }

    fn ask(&mut self, line: &str) -> anyhow::Result<String> {
        let input = self.input.as_mut().context("its input is open")?;
        writeln!(input, "{line}").context("power-truth has ended")?;
        let mut answer = String::new();
        if self.output.read_line(&mut answer)? == 0 {
            bail!("power-truth has ended");
        }
        Ok(answer.trim_end().to_owned())
    }
}

impl Drop for PowerTruth {
    fn drop(&mut self) {
        // It ends with its input.
        self.input.take();
        let _ = self.child.wait();
    }
}

/// What was used since the start; zones by the names that the agent gives them.
#[derive(Clone, Debug)]
pub struct Truth(Value);

impl Truth {
    /// All of a zone's energy, in joules.
    #[must_use]
    pub fn total(&self, zone: &str) -> f64 {
        joules(&self.0["zones"][zone]["total_uj"])
    }

    /// Its idle part.
    #[must_use]
    pub fn idle(&self, zone: &str) -> f64 {
        joules(&self.0["zones"][zone]["idle_uj"])
    }

    /// What was used outside of all groups.
    #[must_use]
    pub fn rest(&self, zone: &str) -> f64 {
        joules(&self.0["zones"][zone]["rest_uj"])
    }

    /// What a group used; 0 before it was told of.
    #[must_use]
    pub fn group(&self, zone: &str, path: &str) -> f64 {
        joules(&self.0["zones"][zone]["groups"][path])
    }

    /// A group's CPU time in seconds; 0 before it was told of.
    #[must_use]
    pub fn cpu_seconds(&self, path: &str) -> f64 {
        self.0["groups"][path].as_f64().unwrap_or(0.0) / 1e9
    }

    /// CPU time outside of all groups, in seconds.
    #[must_use]
    pub fn rest_seconds(&self) -> f64 {
        self.0["rest_ns"].as_f64().unwrap_or(0.0) / 1e9
    }

    /// Time since the start, in seconds.
    #[must_use]
    pub fn elapsed_seconds(&self) -> f64 {
        self.0["elapsed_ns"].as_f64().unwrap_or(0.0) / 1e9
    }
}

fn joules(microjoules: &Value) -> f64 {
    microjoules.as_f64().unwrap_or(0.0) / 1e6
}
