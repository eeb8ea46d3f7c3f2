//! helm and kubectl: found in PATH, checked for their version, run with a limit of time, their errors made one line.
//!
//! Neither is ever downloaded. A child has a process group of its own, so that Ctrl-C reaches this program alone, which
//! then has the child end in its own way: helm writes down how far a release has come.

mod said;
pub mod version;

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::version::Version;

/// Asking a program for its version takes no longer than this, even on a busy machine.
const VERSION_TIMEOUT: Duration = Duration::from_secs(20);
/// Time for a child to end in its own way after it was told to.
const GRACE: Duration = Duration::from_secs(10);

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// helm, 3.12 or later, or 4.
    Helm,
    /// kubectl, 1.20 or later.
    Kubectl,
}

impl Program {
    /// Its name in PATH.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Helm => "helm",
            Self::Kubectl => "kubectl",
        }
    }

    /// The variable that names another file.
    #[must_use]
    pub fn variable(self) -> &'static str {
        match self {
            Self::Helm => "HXMLOPS_HELM",
            Self::Kubectl => "HXMLOPS_KUBECTL",
        }
    }

    /// Older ones are long out of their projects' care, and nothing here is tried with them.
    #[must_use]
    pub fn minimum(self) -> Version {
        match self {
            Self::Helm => Version(3, 12, 0),
            Self::Kubectl => Version(1, 20, 0),
        }
    }

    fn version_args(self) -> &'static [&'static str] {
        match self {
            Self::Helm => &["version", "--template", "{{.Version}}"],
            Self::Kubectl => &["version", "--client", "--output", "json"],
        }
    }
}

/// Why a program did not do what it was to do. One line each.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// It is not there.
    #[error("no {0} in PATH: install {0} {1} or later, or name its file with {2}")]
    Missing(&'static str, Version, &'static str),
    /// The file that a variable names is none, or cannot be run.
    #[error("cannot run {0}: {1}")]
    CannotRun(String, io::Error),
    /// It is too old.
    #[error("{0} is version {1}, which is too old: {2} or later is needed")]
    TooOld(String, Version, Version),
    /// It says nothing that is a version.
    #[error("{0} is no {1}: it tells no version")]
    NoVersion(String, &'static str),
    /// It failed.
    #[error("{0} failed: {1}")]
    Failed(String, String),
    /// It took too long, and was ended.
    #[error("{0} did not end within {1} s")]
    TimedOut(String, u64),
    /// Somebody ended this program (Ctrl-C), which ended the other.
    #[error("interrupted")]
    Interrupted,
}

/// A program that is there and new enough.
#[derive(Clone, Debug)]
pub struct Engine {
    program: Program,
    path: PathBuf,
    version: Version,
}

/// One run of a program.
#[derive(Clone, Debug)]
pub struct Call {
    args: Vec<OsString>,
    input: Option<String>,
    limit: Duration,
}

impl Call {
    /// With arguments; the limit is a minute.
    pub fn new<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Self {
        Self {
            args: args
                .into_iter()
                .map(|arg| arg.as_ref().to_owned())
                .collect(),
            input: None,
            limit: Duration::from_secs(60),
        }
    }

    /// And one more argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// And more arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// With a text at its standard input.
    #[must_use]
    pub fn input(mut self, text: String) -> Self {
        self.input = Some(text);
        self
    }

    /// With another limit of time.
    #[must_use]
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }
}

impl Engine {
    /// Finds a program: the file that its variable names, else the first in PATH.
    ///
    /// # Errors
    /// Where there is none, or it is too old.
    pub async fn find(program: Program, end: &CancellationToken) -> Result<Self, EngineError> {
        let path = match std::env::var_os(program.variable()) {
            Some(path) if !path.is_empty() => PathBuf::from(path),
            _ => in_path(program.name()).ok_or(EngineError::Missing(
                program.name(),
                program.minimum(),
                program.variable(),
            ))?,
        };
        Self::at(program, path, end).await
    }

    /// The program in a file.
    ///
    /// # Errors
    /// Where it cannot be run, tells no version, or is too old.
    pub async fn at(
        program: Program,
        path: PathBuf,
        end: &CancellationToken,
    ) -> Result<Self, EngineError> {
        let unknown = Self {
            program,
            path,
            version: program.minimum(),
        };
        let call = Call::new(program.version_args()).within(VERSION_TIMEOUT);
        let told = unknown.run(&call, end).await?;
        let name = unknown.path.display().to_string();
        let version = match program {
            Program::Helm => Version::parse(&told),
            Program::Kubectl => version::of_kubectl(&told),
        };
        let version =
            version.ok_or_else(|| EngineError::NoVersion(name.clone(), program.name()))?;
        if version < program.minimum() {
            return Err(EngineError::TooOld(name, version, program.minimum()));
        }
        Ok(Self { version, ..unknown })
    }

    /// Its version.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Its file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs it; returns what it printed.
    ///
    /// # Errors
    /// Where it fails, or takes too long, or `end` comes: then it has ended as well.
    pub async fn run(&self, call: &Call, end: &CancellationToken) -> Result<String, EngineError> {
        let output = self.output(call, end).await?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(self.failed(call, &output))
    }

    /// Runs a comparison, whose exit code 1 says that it found a difference; returns what it printed, and whether.
    ///
    /// # Errors
    /// As [`Engine::run`].
    pub async fn compare(
        &self,
        call: &Call,
        end: &CancellationToken,
    ) -> Result<(String, bool), EngineError> {
        let output = self.output(call, end).await?;
        match output.status.code() {
            Some(code @ (0 | 1)) => {
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                Ok((text, code == 1))
            }
            _ => Err(self.failed(call, &output)),
        }
    }

    fn failed(&self, call: &Call, output: &Output) -> EngineError {
        let why = said::reason(&String::from_utf8_lossy(&output.stderr));
        let why = why.unwrap_or_else(|| output.status.to_string());
        EngineError::Failed(self.what(call), why)
    }

    async fn output(&self, call: &Call, end: &CancellationToken) -> Result<Output, EngineError> {
        let cannot = |error| EngineError::CannotRun(self.path.display().to_string(), error);
        let mut child = self.command(call).spawn().map_err(cannot)?;
        let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let ended = feed(&mut child, call.input.clone());
        let ended = async { tokio::join!(ended, child.wait_with_output()).1 };
        tokio::pin!(ended);
        let error = tokio::select! {
            output = &mut ended => return output.map_err(cannot),
            () = tokio::time::sleep(call.limit) => EngineError::TimedOut(self.what(call), call.limit.as_secs()),
            () = end.cancelled() => EngineError::Interrupted,
        };
        if let Some(group) = group {
            // Fails only where all of it has ended.
            let _ = kill_process_group(group, Signal::TERM);
            if timeout(GRACE, &mut ended).await.is_err() {
                let _ = kill_process_group(group, Signal::KILL);
                let _ = ended.await;
            }
        }
        Err(error)
    }

    fn command(&self, call: &Call) -> Command {
        let input = if call.input.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        };
        let mut command = Command::new(&self.path);
        command
            .args(&call.args)
            .process_group(0)
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// The program and what it was asked for, without what the arguments hold: `helm upgrade`.
    fn what(&self, call: &Call) -> String {
        let first = call.args.first().map(|arg| arg.to_string_lossy());
        format!("{} {}", self.program.name(), first.unwrap_or_default())
    }
}

/// Writes the input, while the output is read. A child that does not want it all says itself what it lacks.
fn feed(child: &mut Child, input: Option<String>) -> impl Future<Output = ()> + use<> {
    let stdin = child.stdin.take();
    async move {
        if let (Some(mut stdin), Some(input)) = (stdin, input) {
            let _ = stdin.write_all(input.as_bytes()).await;
        }
    }
}

fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut files = std::env::split_paths(&path).map(|directory| directory.join(name));
    files.find(|file| is_program(file))
}

fn is_program(file: &Path) -> bool {
    let metadata = file.metadata();
    metadata.is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests;
