//! A machine under QEMU, without hardware help: slow, and the same everywhere.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::{Kernel, Report, directory};

/// A guest takes half a minute to two on an idle machine; one that hangs must end.
const LIMIT: Duration = Duration::from_secs(480);
const CPUS: u32 = 2;
const POLL: Duration = Duration::from_millis(100);
/// Lines of the console that an error shows.
const LAST_LINES: usize = 25;

/// A machine that is not started yet.
pub(crate) struct Machine<'a> {
    /// Names its files below target/guest/runs.
    pub(crate) name: &'a str,
    /// What it boots.
    pub(crate) kernel: &'a Kernel,
    /// One socket with two CPUs, or two with one each.
    pub(crate) sockets: u32,
}

impl Machine<'_> {
    /// Where the root's image goes.
    ///
    /// # Errors
    /// Where the directory cannot be made.
    pub(crate) fn initramfs(&self) -> Result<PathBuf> {
        let runs = directory().join("runs");
        fs::create_dir_all(&runs).with_context(|| format!("cannot make {}", runs.display()))?;
        Ok(self.file("cpio"))
    }

    /// Boots it, waits until it has powered off, and reads its report.
    ///
    /// # Errors
    /// Where it does not come to its end, with the last lines of its console.
    pub(crate) fn run(&self) -> Result<Report> {
        let (console, report) = (self.file("console"), self.file("report"));
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args(["-nodefaults", "-no-user-config", "-display", "none"])
            .args(["-no-reboot", "-accel", "tcg", "-m", "1024"])
            // One that the kernel's RAPL driver knows.
            .args(["-cpu", "Skylake-Server"])
            .arg("-smp")
            .arg(format!(
                "{CPUS},sockets={},cores={},threads=1",
                self.sockets,
                CPUS / self.sockets
            ))
            .arg("-kernel")
            .arg(self.kernel.image())
            .arg("-initrd")
            .arg(self.file("cpio"))
            .args(["-append", "console=ttyS0 panic=-1"])
            .arg("-serial")
            .arg(serial(&console))
            .arg("-serial")
            .arg(serial(&report));
        let said = File::create(self.file("qemu")).context("cannot write below target/guest")?;
        let mut process = qemu.stderr(said).spawn().context("cannot run QEMU")?;
        let status = wait(&mut process)?;
        let report = Report::parse(&read(&report)?);
        if let Some(status) = status.filter(|_| report.is_over) {
            ensure!(status.success(), "QEMU failed ({status}): {}", self.said()?);
            return Ok(report);
        }
        let why = status.map_or_else(
            || format!("was not done after {} s", LIMIT.as_secs()),
            |status| format!("ended before its time ({status})"),
        );
        bail!(
            "the guest {why}: {}\n{}",
            self.said()?,
            last_lines(&read(&console)?)
        );
    }

    fn said(&self) -> Result<String> {
        let said = read(&self.file("qemu"))?;
        // The CPU has features that no emulation needs.
        let lines = said
            .lines()
            .filter(|line| !line.contains("TCG doesn't support"));
        Ok(lines.collect::<Vec<_>>().join("\n"))
    }

    fn file(&self, extension: &str) -> PathBuf {
        directory()
            .join("runs")
            .join(format!("{}.{extension}", self.name))
    }
}

/// `None` where it had to be killed.
fn wait(process: &mut Child) -> Result<Option<ExitStatus>> {
    let begin = Instant::now();
    while begin.elapsed() < LIMIT {
        if let Some(status) = process.try_wait().context("cannot wait for QEMU")? {
            return Ok(Some(status));
        }
        thread::sleep(POLL);
    }
    process.kill().context("cannot end QEMU")?;
    process.wait().context("cannot wait for QEMU")?;
    Ok(None)
}

fn serial(path: &Path) -> String {
    // In QEMU's options a comma is written twice.
    format!("file:{}", path.display().to_string().replace(',', ",,"))
}

fn read(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes).replace('\r', ""))
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}
