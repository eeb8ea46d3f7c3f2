//! `hxmlops ledger`: work on a ledger as a whole.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};

use crate::config::default_data_dir;
use crate::store::{CheckReport, SqliteStore, Store};

/// Exit code where the check says no.
const DOES_NOT_HOLD: u8 = 3;
/// What is over sooner needs no progress bar.
const BAR_AFTER: Duration = Duration::from_secs(1);

/// Arguments of `hxmlops ledger`.
#[derive(Args, Clone, Debug)]
#[command(arg_required_else_help = true)]
pub struct LedgerArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: LedgerCommand,
}

/// What can be done with a whole ledger.
#[derive(Subcommand, Clone, Debug)]
pub enum LedgerCommand {
    /// Prove conservation: sum up all batches again and compare with every row; exit code 3 where it fails
    Check,
}

/// Does it on the ledger in `data_dir`, or in the directory that a server would use.
///
/// # Errors
/// Where there is no ledger or it cannot be read.
pub fn run(args: &LedgerArgs, data_dir: Option<&Path>) -> anyhow::Result<ExitCode> {
    let data_dir: PathBuf = match data_dir {
        Some(directory) => directory.to_owned(),
        None => default_data_dir()?,
    };
    match args.command {
        LedgerCommand::Check => check(&data_dir),
    }
}

fn check(data_dir: &Path) -> anyhow::Result<ExitCode> {
    let store = SqliteStore::open_existing(data_dir)?;
    let mut bar = Bar::new();
    let report = store.check(&mut |done, total| bar.show(done, total));
    bar.clear();
    let report = report?;
    for fault in &report.faults {
        eprintln!("{fault}");
    }
    writeln!(std::io::stdout(), "{}", verdict(&report))?;
    Ok(if report.faults.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(DOES_NOT_HOLD)
    })
}

/// What was proved, or that it was not.
fn verdict(report: &CheckReport) -> String {
    let CheckReport {
        batches,
        cells,
        measured,
        faults,
    } = report;
    let looked_at = format!("{batches} batches, {cells} zone-minutes, {measured}");
    if faults.is_empty() {
        format!("{looked_at}: workloads + system + idle = measured, to the microjoule")
    } else {
        format!("{looked_at}: it does not hold, see the lines above")
    }
}

/// A progress bar that appears after a while, on a terminal only.
struct Bar {
    started: Instant,
    bar: Option<ProgressBar>,
}

impl Bar {
    fn new() -> Self {
        Self {
            started: Instant::now(),
            bar: None,
        }
    }

    fn show(&mut self, done: u64, total: u64) {
        if self.bar.is_none() {
            if self.started.elapsed() < BAR_AFTER || !std::io::stderr().is_terminal() {
                return;
            }
            let style = ProgressStyle::with_template("{bar:40} {pos}/{len} batches, {eta} left");
            let bar = ProgressBar::new(total);
            self.bar = Some(match style {
                Ok(style) => bar.with_style(style),
                Err(_) => bar,
            });
        }
        if let Some(bar) = &self.bar {
            bar.set_position(done);
        }
    }

    fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use wire::Energy;

    use super::*;

    #[test]
    fn the_verdict_says_what_was_proved() {
        let mut report = CheckReport {
            batches: 2,
            cells: 4,
            measured: Energy::from_microjoules(9_500_000),
            faults: Vec::new(),
        };
        assert_eq!(
            verdict(&report),
            "2 batches, 4 zone-minutes, 9.500000 J: workloads + system + idle = measured, to the microjoule"
        );
        report.faults.push("fault".to_owned());
        assert!(verdict(&report).ends_with("it does not hold, see the lines above"));
    }
}
