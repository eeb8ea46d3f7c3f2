//! A machine under QEMU, without hardware help: slow, and the same everywhere.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};

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
    /// A file that is its disk, /dev/nvme0n1.
    pub(crate) disk: Option<&'a Path>,
    /// More words for the kernel's command line, which the round may read.
    pub(crate) append: &'a str,
}

/// How long a machine runs.
#[derive(Clone, Copy)]
enum End<'a> {
    /// Until it powers off.
    ByItself,
    /// Until this is so of its report, and then not a moment longer.
    When(&'a dyn Fn(&str) -> bool),
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
        let status = self.run_until(End::ByItself)?;
        let report = Report::parse(&self.reported()?);
        if let Some(status) = status.filter(|_| report.is_over) {
            ensure!(status.success(), "QEMU failed ({status}): {}", self.said()?);
            return Ok(report);
        }
        Err(self.ended_early(status))
    }

    /// Boots it and takes its power away when `is_enough` is so of what it has reported. Returns all that it had
    /// reported by then.
    ///
    /// # Errors
    /// Where it ended before, or that did not come.
    pub(crate) fn run_and_kill(&self, is_enough: &dyn Fn(&str) -> bool) -> Result<String> {
        let status = self.run_until(End::When(is_enough))?;
        let reported = self.reported()?;
        if status.is_some() || !is_enough(&reported) {
            return Err(self.ended_early(status));
        }
        Ok(reported)
    }

    fn reported(&self) -> Result<String> {
        read(&self.file("report"))
    }

    fn ended_early(&self, status: Option<ExitStatus>) -> anyhow::Error {
        let why = status.map_or_else(
            || format!("was not done after {} s", LIMIT.as_secs()),
            |status| format!("ended before its time ({status})"),
        );
        let said = self.said().unwrap_or_default();
        let console = read(&self.file("console")).unwrap_or_default();
        anyhow!("the guest {why}: {said}\n{}", last_lines(&console))
    }

    /// `None` where it had to be killed.
    fn run_until(&self, end: End<'_>) -> Result<Option<ExitStatus>> {
        let (console, report) = (self.file("console"), self.file("report"));
        // That of an earlier run is not this one's.
        fs::write(&report, "").with_context(|| format!("cannot write {}", report.display()))?;
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args(["-nodefaults", "-no-user-config", "-display", "none"])
            // With a thread for each CPU, QEMU 7.2 may go on with code that another CPU has patched since: a kernel
            // that has just switched a tracepoint on or off then loops at a breakpoint that is gone.
            .args(["-no-reboot", "-accel", "tcg,thread=single"])
            .args(["-m", "1024"])
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
            .arg("-append")
            .arg(format!("console=ttyS0 panic=-1 {}", self.append))
            .arg("-serial")
            .arg(serial(&console))
            .arg("-serial")
            .arg(serial(&report));
        if let Some(disk) = self.disk {
            let disk = option(disk);
            // Debian's kernels have this driver built in.
            qemu.arg("-drive")
                .arg(format!("file={disk},if=none,id=disk,format=raw"))
                .args(["-device", "nvme,drive=disk,serial=1"]);
        }
        let said = File::create(self.file("qemu")).context("cannot write below target/guest")?;
        let mut process = qemu.stderr(said).spawn().context("cannot run QEMU")?;
        wait(&mut process, &|| match end {
            End::ByItself => false,
            End::When(is_enough) => read(&report).is_ok_and(|reported| is_enough(&reported)),
        })
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

/// `None` where it was killed, because it was enough or took too long.
fn wait(process: &mut Child, is_enough: &dyn Fn() -> bool) -> Result<Option<ExitStatus>> {
    let begin = Instant::now();
    while begin.elapsed() < LIMIT && !is_enough() {
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
    format!("file:{}", option(path))
}

/// In QEMU's options a comma is written twice.
fn option(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

fn read(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes).replace('\r', ""))
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}
