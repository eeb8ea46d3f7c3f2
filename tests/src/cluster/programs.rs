//! The cluster's programs: where they are, and as servers that end with the test.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, bail};

/// How much of a server's log is shown where it fails.
const LAST_LINES: usize = 15;

/// A program that `cargo xtask cluster` installs: the project's own, else the one in PATH.
///
/// # Errors
/// Where there is none.
pub fn tool(name: &str) -> anyhow::Result<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut directories = std::iter::once(own).chain(std::env::split_paths(&path));
    let file = directories.find_map(|directory| {
        let file = directory.join(name);
        file.is_file().then_some(file)
    });
    file.with_context(|| format!("no program {name}: `cargo xtask cluster` installs it"))
}

/// A port of the loopback that was free just now.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A server. Killed when it is dropped.
pub(crate) struct Server {
    child: Child,
    name: &'static str,
    log: PathBuf,
}

impl Server {
    /// Starts it; what it says is appended to a log in `directory`.
    pub(crate) fn start(
        name: &'static str,
        args: &[String],
        directory: &Path,
    ) -> anyhow::Result<Self> {
        let log = directory.join(format!("{name}.log"));
        let open = || File::options().create(true).append(true).open(&log);
        let child = Command::new(tool(name)?)
            .args(args)
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(open()?)
            .stderr(open()?)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self { child, name, log })
    }

    /// Whether it still runs.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!(
                "{} ended with {status}; it said:\n{}",
                self.name,
                self.last_said()
            );
        }
        Ok(())
    }

    /// The end of its log.
    pub(super) fn last_said(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Either it has ended, or it ends now.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
