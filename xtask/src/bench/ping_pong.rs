//! Two processes that hand a byte to and fro: on one CPU, each round is two task switches.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::run::output;

/// Task switches of one round where both processes share a CPU.
const SWITCHES: f64 = 2.0;

/// Hands a byte to and fro, and prints how many nanoseconds that took.
#[derive(clap::Args)]
pub(crate) struct Args {
    rounds: u32,
}

/// One measurement, in a process of its own on CPU 0: nanoseconds per task switch.
///
/// # Errors
/// Where it cannot be run.
pub(crate) fn ns_per_switch(rounds: u32) -> Result<f64> {
    let own = std::env::current_exe().context("cannot find this program")?;
    let mut taskset = Command::new("taskset");
    taskset
        .args(["--cpu-list", "0"])
        .arg(own)
        .args(["ping-pong", &rounds.to_string()]);
    let printed = output(&mut taskset)?;
    let ns: f64 = printed
        .parse()
        .with_context(|| format!("'{printed}' is no number"))?;
    Ok(ns / f64::from(rounds) / SWITCHES)
}

/// The measured process itself; the other one is `cat`.
///
/// # Errors
/// Where `cat` does not start or ends.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut cat = Command::new("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run cat")?;
    let mut to = cat.stdin.take().context("cat has no input")?;
    let mut from = cat.stdout.take().context("cat has no output")?;
    let mut byte = [0_u8];
    let begin = Instant::now();
    for _ in 0..args.rounds {
        to.write_all(&byte)
            .and_then(|()| from.read_exact(&mut byte))
            .context("cat ended")?;
    }
    println!("{}", begin.elapsed().as_nanos());
    drop(to);
    cat.wait().context("cannot wait for cat")?;
    Ok(())
}
