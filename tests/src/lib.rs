//! What the end-to-end tests have in common: the real programs, started and stopped, and a powercap tree that
//! stands in for RAPL's registers.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

pub mod accuracy;
pub mod agent_cost;
pub mod authority;
pub mod cgroups;
pub mod chaos;
pub mod cluster;
pub mod load;
pub mod nvml;
pub mod powercap;
pub mod prometheus;
pub mod redfish;
mod scrape;
pub mod simulated;
pub mod truth;

pub use scrape::{check_metrics, get, metric, metric_sum};

/// Longer than anything here takes, on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which code does the cryptography of this process' HTTP clients, which want to know also where there is none.
pub fn install_crypto() {
    // Fails only where there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The path of one of our programs, built as the tests are.
///
/// # Panics
/// Where it cannot be built.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let directory = BUILT.get_or_init(|| build().expect("the programs under test can be built"));
    directory.join(name)
}

/// Builds both programs, and the GPU driver that is none, into the folder that the running test was built in.
fn build() -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    let profile = test
        .ancestors()
        .nth(2)
        .context("a test lies in PROFILE/deps")?;
    let target = profile
        .parent()
        .context("a profile lies in the target folder")?;
    let mut cargo = cargo();
    cargo.args([
        "build",
        "--quiet",
        "--locked",
        "--bins",
        "--lib",
        "--package",
        "agent",
        "--package",
        "aggregator",
        "--package",
        "fake-nvml",
        "--target-dir",
    ]);
    cargo.arg(target);
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    let status = cargo.status()?;
    ensure!(status.success(), "cargo build: {status}");
    Ok(profile.to_path_buf())
}

/// Cargo, not told of the test's own package: ring's build script asks for that, and would have everything above it built
/// again.
#[must_use]
pub fn cargo() -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&name);
        }
    }
    cargo
}

/// A copy of one of our programs that any user may execute.
///
/// # Errors
/// Where it cannot be made.
pub fn public_copy(name: &str) -> anyhow::Result<tempfile::TempPath> {
    use std::os::unix::fs::PermissionsExt;
    let copy = tempfile::NamedTempFile::new()?.into_temp_path();
    std::fs::copy(program(name), &copy)?;
    std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o755))?;
    Ok(copy)
}

/// Runs a program to its end.
///
/// # Errors
/// Where it cannot be started.
pub fn output(name: &str, args: &[&str]) -> anyhow::Result<Output> {
    let output = Command::new(program(name))
        .args(args)
        .stdin(Stdio::null())
        .output();
    output.with_context(|| format!("cannot run {name}"))
}

/// Runs a program to its end, which must be a good one; returns what it printed.
///
/// # Errors
/// Where it fails; its standard error is in the message.
pub fn success(name: &str, args: &[&str]) -> anyhow::Result<String> {
    let output = output(name, args)?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{name} {args:?}: {}: {stderr}",
        output.status
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// One of our servers, running. Killed when it is dropped.
pub struct Running {
    child: Child,
    url: String,
    /// Lines of its standard error.
    lines: Receiver<String>,
}

impl Running {
    /// Starts a program that says where it listens.
    ///
    /// # Errors
    /// Where it ends, or says nothing.
    pub fn start(name: &str, args: &[&str]) -> anyhow::Result<Self> {
        let mut command = Command::new(program(name));
        command.args(args);
        Self::spawn(command)
    }

    /// Starts a command that ends up as such a program.
    ///
    /// # Errors
    /// As [`Running::start`].
    pub fn spawn(mut command: Command) -> anyhow::Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        let (sender, lines) = channel();
        let outputs: [Option<Box<dyn Read + Send>>; 2] = [
            child
                .stdout
                .take()
                .map(|out| Box::new(out) as Box<dyn Read + Send>),
            child
                .stderr
                .take()
                .map(|out| Box::new(out) as Box<dyn Read + Send>),
        ];
        for output in outputs.into_iter().flatten() {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    // The test may have stopped listening.
                    let _ = sender.send(line);
                }
            });
        }
        let mut running = Self {
            child,
            url: String::new(),
            lines,
        };
        let line = running.wait_for_line("listening on ")?;
        let url = line
            .split_once("listening on ")
            .map(|(_, url)| url.trim().to_owned());
        running.url = url.context("the line was found by these words")?;
        Ok(running)
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line of its output that has `part` in it.
    ///
    /// # Errors
    /// Where none comes.
    pub fn wait_for_line(&self, part: &str) -> anyhow::Result<String> {
        let mut seen = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(part) => return Ok(line),
                Ok(line) => seen.push(line),
                Err(error) => bail!(
                    "no line with '{part}' ({error}); it said:\n{}",
                    seen.join("\n")
                ),
            }
        }
    }

    /// Tells it to stop, and waits until it has: it must end well.
    ///
    /// # Errors
    /// Where it does not.
    pub fn stop(mut self) -> anyhow::Result<()> {
        let pid = Pid::from_raw(self.child.id() as i32).context("a pid is positive")?;
        kill_process(pid, Signal::TERM)?;
        let status = self.child.wait()?;
        let said: Vec<String> = self.lines.try_iter().collect();
        ensure!(
            status.success(),
            "it ended with {status}; it said:\n{}",
            said.join("\n")
        );
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Either it has ended, or it ends now.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Tries until something is there.
///
/// # Errors
/// Where it does not come, or `try_it` fails.
pub fn poll<T>(
    what: &str,
    mut try_it: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let begin = std::time::Instant::now();
    loop {
        if let Some(found) = try_it()? {
            return Ok(found);
        }
        ensure!(begin.elapsed() < PATIENCE, "{what}: not in {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Runs one future to its end.
///
/// # Errors
/// Those of the future.
pub fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(future)
}

/// A path as text.
#[must_use]
pub fn text(path: &Path) -> &str {
    path.to_str().expect("the tests' paths are UTF-8")
}
