//! Runs one command as a child: passes signals on, reaps what ends, returns the command's exit code.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::process::{Command, ExitCode};

use anyhow::{Context, anyhow};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, getpgrp, kill_process, wait};
use rustix::termios::tcgetpgrp;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::cgroup::Cgroups;
use crate::commands::output::tell;

/// Exit codes of shells for a command that could not be run.
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

/// Signals that are passed on, and whether a terminal sends them to all of its foreground processes.
const PASSED_ON: [(Signal, bool); 6] = [
    (Signal::INT, true),
    (Signal::QUIT, true),
    (Signal::TERM, false),
    (Signal::HUP, false),
    // Batch systems ask for a checkpoint by these.
    (Signal::USR1, false),
    (Signal::USR2, false),
];

/// Runs the command, in its cgroups where there are any, and waits for it; processes that it leaves behind
/// are not waited for.
pub(super) fn run(command: &[OsString], cgroups: Option<&Cgroups>) -> anyhow::Result<ExitCode> {
    // One thread: a child is never reaped between the decision to signal it and the signal.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot wait for signals")?;
    let code = runtime.block_on(supervise(command, cgroups))?;
    Ok(ExitCode::from(code))
}

async fn supervise(command: &[OsString], cgroups: Option<&Cgroups>) -> anyhow::Result<u8> {
    // Before there is a child, so that no signal and no end of it is missed.
    let mut passed_on = listen().context("cannot listen for signals")?;
    let mut child_ended = signal(SignalKind::child()).context("cannot listen for SIGCHLD")?;
    let child = match spawn(command, cgroups)? {
        Ok(child) => child,
        Err(code) => return Ok(code),
    };
    loop {
        if let Some(status) = reap(child)? {
            return Ok(exit_code(status));
        }
        tokio::select! {
            _ = child_ended.recv() => {}
            Some((signal, from_terminal)) = passed_on.recv() => {
                if !(from_terminal && is_in_foreground()) {
                    // It may have ended meanwhile: that is seen next.
                    let _ = kill_process(child, signal);
                }
            }
        }
    }
}

/// Starts the command; the inner error is an exit code, its reason already told.
fn spawn(command: &[OsString], cgroups: Option<&Cgroups>) -> anyhow::Result<Result<Pid, u8>> {
    let (program, args) = command.split_first().context("no command was given")?;
    let spawn = || Command::new(program).args(args).spawn();
    let spawned = match cgroups {
        Some(cgroups) => cgroups
            .inside(spawn)
            .context("cannot join the command's cgroup")?,
        None => spawn(),
    };
    match spawned {
        Ok(child) => {
            let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            pid.map(Ok)
                .ok_or_else(|| anyhow!("the command has no process id"))
        }
        Err(error) => {
            let program = program.to_string_lossy();
            tell(&format!("error: cannot run '{program}': {error}"));
            let not_found = error.kind() == io::ErrorKind::NotFound;
            Ok(Err(if not_found { NOT_FOUND } else { NOT_EXECUTABLE }))
        }
    }
}

/// Listens for the signals that are passed on. What this process was told to ignore (`nohup`, or a shell's
/// `&`) is left alone, and the command ignores it too.
fn listen() -> io::Result<mpsc::UnboundedReceiver<(Signal, bool)>> {
    let ignored = ignored_signals();
    let (sender, receiver) = mpsc::unbounded_channel();
    for (passed_on, from_terminal) in PASSED_ON {
        let number = passed_on.as_raw();
        if ignored & (1 << (number - 1)) != 0 {
            continue;
        }
        let mut arrived = signal(SignalKind::from_raw(number))?;
        let sender = sender.clone();
        tokio::spawn(async move {
            while arrived.recv().await.is_some() {
                if sender.send((passed_on, from_terminal)).is_err() {
                    return;
                }
            }
        });
    }
    Ok(receiver)
}

/// The bits of `SigIgn` in `/proc/self/status`; none where it cannot be read.
fn ignored_signals() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

/// Whether this process is in its terminal's foreground: then Ctrl-C reached the command as well, and a
/// second SIGINT would make many a program stop without saving.
fn is_in_foreground() -> bool {
    let foreground = File::open("/dev/tty").map(tcgetpgrp);
    matches!(foreground, Ok(Ok(group)) if group == getpgrp())
}

/// Reaps all that has ended, adopted orphans too; the command's status once it is among them.
fn reap(child: Pid) -> anyhow::Result<Option<WaitStatus>> {
    let mut ended = None;
    while let Some((pid, status)) = wait(WaitOptions::NOHANG).or_else(|error| {
        // No children are left, which is so once the command was reaped.
        if error == rustix::io::Errno::CHILD && ended.is_some() {
            Ok(None)
        } else {
            Err(error)
        }
    })? {
        if pid == child {
            ended = Some(status);
        }
    }
    Ok(ended)
}

fn exit_code(status: WaitStatus) -> u8 {
    let code = status
        .exit_status()
        .or_else(|| status.terminating_signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok())
        .unwrap_or(u8::MAX)
}
