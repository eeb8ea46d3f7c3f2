//! `hxmlops serve` in a process and on a ledger of its own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::Figure;

/// A server that runs until it is stopped or dropped.
pub(super) struct Server {
    child: Child,
    /// Its address, with http://.
    pub(super) url: String,
    /// Its data directory.
    pub(super) data: TempDir,
}

impl Server {
    /// The program in `directory`, on a new ledger.
    pub(super) fn start(directory: &Path, arguments: &[&str]) -> anyhow::Result<Self> {
        let data = TempDir::new()?;
        let mut child = Command::new(directory.join("hxmlops"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data.path())
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run hxmlops in {}", directory.display()))?;
        let mut line = String::new();
        let stdout = child.stdout.take().context("it has an output")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let Some(url) = line.trim().strip_prefix("listening on ") else {
            bail!("the server did not start: '{line}'");
        };
        Ok(Self {
            url: url.to_owned(),
            child,
            data,
        })
    }

    /// A figure of /proc/PID/status in MiB: `VmHWM`, the most memory that it ever had.
    pub(super) fn most_memory_mib(&self) -> anyhow::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kib: f64 = kib
            .context("the kernel tells VmHWM in kB")?
            .trim()
            .parse()?;
        Ok(kib / 1024.0)
    }

    /// The same as a figure.
    pub(super) fn memory_figure(&self, name: &str) -> anyhow::Result<Figure> {
        Ok(Figure::new(name, "MiB", vec![self.most_memory_mib()?]))
    }

    /// CPU seconds that it has used.
    pub(super) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let (_, fields) = stat.rsplit_once(')').context("a stat line has a name")?;
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: Result<Vec<f64>, _> = ticks.map(str::parse).collect();
        Ok(ticks?.iter().sum::<f64>() / 100.0)
    }

    /// Stops it and waits until all is in one file; returns that file's size.
    pub(super) fn stop(&mut self) -> anyhow::Result<u64> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "the server ended with {status}");
        Ok(fs::metadata(self.data.path().join("ledger.db"))?.len())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
