//! What the eBPF programs add to a task switch.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::figure::Figure;
use super::ping_pong::ns_per_switch;
use crate::run::{cargo, run as run_program};
use crate::{ebpf, workspace};

/// Rounds of runs, one of each mode in turn: the machine's own drift falls on all alike.
const ROUNDS: usize = 15;
const PING_PONGS: u32 = 100_000;

/// Arguments of the counting process; `None`: nothing counts. Software events stand in for a PMU's: reading
/// them goes the same way, the PMU's registers come on top.
const MODES: [Option<&[&str]>; 3] = [None, Some(&[]), Some(&["software"])];

/// The agent's counting, in a process of its own, for as long as this lives.
struct Counting {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Counting {
    fn start(arguments: &[&str]) -> Result<Self> {
        let program = workspace::target().join("release/examples/ebpf_usage");
        let mut process = Command::new(&program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {}", program.display()))?;
        let input = process.stdin.take();
        let output = process.stdout.take().context("it has no output")?;
        let mut counting = Self {
            process,
            input,
            output: BufReader::new(output),
        };
        if counting.line()? != "counting\n" {
            bail!("{} does not count", program.display());
        }
        Ok(counting)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        let read = self.output.read_line(&mut line);
        read.context("cannot read what the counting process says")?;
        Ok(line)
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        // It ends with its input, after a last line that its output must still be there for.
        self.input.take();
        let _ = self.process.wait();
    }
}

/// Measures.
///
/// # Errors
/// Where the programs cannot be built or loaded.
pub(crate) fn run() -> Result<Vec<Figure>> {
    ebpf::run_installing()?;
    run_program(
        cargo()
            .args(["build", "--release", "--locked", "--package", "agent"])
            .args(["--example", "ebpf_usage"]),
    )?;
    let mut runs: [Vec<f64>; 3] = Default::default();
    for round in 0..ROUNDS {
        // Each comes first, in the middle and last in turn.
        for turn in 0..MODES.len() {
            let mode = (round + turn) % MODES.len();
            runs[mode].push(measure(MODES[mode])?);
        }
    }
    let [without, with, with_events] = runs;
    let added = |with: &[f64]| {
        with.iter()
            .zip(&without)
            .map(|(with, without)| with - without)
            .collect()
    };
    Ok(vec![
        Figure::new("added by eBPF", "ns", added(&with)),
        Figure::new(
            "added by eBPF, three software events",
            "ns",
            added(&with_events),
        ),
        Figure::new("task switch without eBPF", "ns", without),
        Figure::new("task switch with eBPF", "ns", with),
    ])
}

fn measure(counting: Option<&[&str]>) -> Result<f64> {
    let _counting = counting.map(Counting::start).transpose()?;
    ns_per_switch(PING_PONGS)
}
