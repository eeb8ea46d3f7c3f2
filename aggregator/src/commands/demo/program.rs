//! Programs that the demo starts beside itself, and stops again whatever happens.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

/// A program that has not said where it listens by then never will.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// A running program.
pub(super) struct Program {
    name: &'static str,
    child: Child,
    address: String,
    ended: bool,
}

impl Program {
    /// Starts a program and waits until it says where it listens. Its warnings are shown.
    pub(super) fn start(name: &'static str, mut command: Command) -> anyhow::Result<Self> {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.with_context(|| format!("cannot start {name}"))?;
        let (found, address) = channel();
        if let Some(stdout) = child.stdout.take() {
            watch(name, stdout, found.clone());
        }
        if let Some(stderr) = child.stderr.take() {
            watch(name, stderr, found);
        }
        let mut program = Self {
            name,
            child,
            address: String::new(),
            ended: false,
        };
        match address.recv_timeout(START_TIMEOUT) {
            Ok(address) => program.address = address,
            Err(RecvTimeoutError::Timeout) => bail!("{name} does not say where it listens"),
            Err(RecvTimeoutError::Disconnected) => bail!("{name} did not start"),
        }
        Ok(program)
    }

    /// Starts a program that listens nowhere.
    pub(super) fn start_silent(name: &'static str, mut command: Command) -> anyhow::Result<Self> {
        let child = command
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self {
            name,
            child,
            address: String::new(),
            ended: false,
        })
    }

    /// Its URL.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Tells it to stop, and waits until it has.
    pub(super) fn stop(mut self) -> anyhow::Result<()> {
        self.terminate();
        self.finish()
    }

    /// Waits until it ends.
    pub(super) fn wait(mut self) -> anyhow::Result<()> {
        self.finish()
    }

    fn finish(&mut self) -> anyhow::Result<()> {
        let status = self.child.wait()?;
        self.ended = true;
        if !status.success() {
            bail!("{} ended with {status}", self.name);
        }
        Ok(())
    }

    fn terminate(&self) {
        if let Some(pid) = Pid::from_raw(self.child.id() as i32) {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::TERM);
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if !self.ended {
            self.terminate();
            let _ = self.child.wait();
        }
    }
}

/// Reads a program's output to its end: finds its address, and shows what it has to say until then, and its
/// warnings after that.
fn watch(name: &'static str, output: impl std::io::Read + Send + 'static, found: Sender<String>) {
    std::thread::spawn(move || {
        let mut found = Some(found);
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if let Some((_, address)) = line.split_once("listening on ") {
                if let Some(found) = found.take() {
                    // Nobody waits any more once it took too long.
                    let _ = found.send(address.trim().to_owned());
                }
                continue;
            }
            match line.split_once(" INFO ") {
                Some((_, said)) if found.is_some() => eprintln!("{name}: {}", said.trim()),
                Some(_) => {}
                None => eprintln!("{name}: {line}"),
            }
        }
    });
}
