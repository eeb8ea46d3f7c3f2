//! `hxmlops ledger`: work on a ledger as a whole.

mod export;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::output::{Progress, print, tell};
use crate::cli::WHERE_THE_LEDGER_IS;
use crate::config::default_data_dir;
use crate::format::escape;
use crate::store::{CheckReport, LostEnergy, SqliteStore, Store};

/// Exit code where the check says no.
const DOES_NOT_HOLD: u8 = 3;

/// Arguments of `hxmlops ledger`.
#[derive(Args, Clone, Debug)]
#[command(arg_required_else_help = true)]
pub struct LedgerArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: LedgerCommand,
    /// Directory of the ledger [default: $XDG_DATA_HOME/hxmlops, else ~/.local/share/hxmlops]
    #[arg(
        long,
        global = true,
        help_heading = WHERE_THE_LEDGER_IS,
        value_name = "DIR",
        env = "HXMLOPS_DATA_DIR"
    )]
    pub data_dir: Option<PathBuf>,
}

/// What can be done with a whole ledger.
#[derive(Subcommand, Clone, Debug)]
pub enum LedgerCommand {
    /// Prove conservation: sum up all batches again and compare with every row; exit code 3 where it fails
    Check,
    /// Copy the ledger to a file, also while a server uses it
    ///
    /// The copy is the ledger as it was when the command began. To use or check it, name it ledger.db in a directory
    /// of its own, and that directory with --data-dir.
    Backup {
        /// The copy; nothing may be there yet
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Export a year of every site by the hour as CSV: kWh and gCO2e, location-based and market-based
    ///
    /// For Scope 2 in a yearly statement (CSRD, ESRS E1). Hours are in UTC. The year's sums go to standard error.
    Export(export::ExportArgs),
}

/// Does it on the ledger in the given directory, or in the one that a server would use.
///
/// # Errors
/// Where there is no ledger or it cannot be read.
pub fn run(args: &LedgerArgs) -> anyhow::Result<ExitCode> {
    let data_dir = match &args.data_dir {
        Some(directory) => directory.clone(),
        None => default_data_dir()?,
    };
    match &args.command {
        LedgerCommand::Check => check(&data_dir),
        LedgerCommand::Backup { file } => backup(&data_dir, file),
        LedgerCommand::Export(args) => export::run(&data_dir, args),
    }
}

fn backup(data_dir: &Path, file: &Path) -> anyhow::Result<ExitCode> {
    let store = SqliteStore::open_existing(data_dir)?;
    let mut bar: Option<Progress> = None;
    let copied = store.backup(file, &mut |done, total| {
        bar.get_or_insert_with(|| Progress::new(total, "pages"))
            .set(done);
    });
    // Off the screen, before there are lines on it.
    drop(bar);
    copied?;
    let line = format!("{} is a copy of {}", file.display(), data_dir.display());
    print(&(escape::terminal(&line) + "\n"))?;
    Ok(ExitCode::SUCCESS)
}

fn check(data_dir: &Path) -> anyhow::Result<ExitCode> {
    let store = SqliteStore::open_existing(data_dir)?;
    let mut bar: Option<Progress> = None;
    let report = store.check(&mut |done, total| {
        bar.get_or_insert_with(|| Progress::new(total, "batches"))
            .set(done);
    });
    // Off the screen, before there are lines on it.
    drop(bar);
    let report = report?;
    for fault in &report.faults {
        tell(fault);
    }
    let printed = print(&format!("{}\n", verdict(&report)));
    if report.faults.is_empty() {
        printed?;
        return Ok(ExitCode::SUCCESS);
    }
    // What was found out is worth more than where it could be written.
    if let Err(error) = printed {
        tell(&format!("error: {error:#}"));
    }
    Ok(ExitCode::from(DOES_NOT_HOLD))
}

/// What was proved, or that it was not.
fn verdict(report: &CheckReport) -> String {
    let CheckReport {
        batches,
        cells,
        measured,
        faults,
        ..
    } = report;
    let looked_at = format!("{batches} batches, {cells} zone-minutes, {measured}");
    let verdict = if faults.is_empty() {
        format!("{looked_at}: workloads + system + idle = measured, to the microjoule")
    } else {
        format!("{looked_at}: it does not hold, see the lines above")
    };
    let mut lines = vec![verdict];
    lines.extend(report.losses.iter().map(lost));
    if report.missing > 0 {
        lines.push(format!(
            "missing: {} batches have not come (yet), later ones of their streams have",
            report.missing
        ));
    }
    if report.raw_forgotten {
        lines.push(
            "raw batches beyond the retention are forgotten: rollups of their time were held against each other only"
                .to_owned(),
        );
    }
    lines.join("\n")
}

fn lost(lost: &LostEnergy) -> String {
    let LostEnergy {
        by,
        batches,
        energy,
    } = lost;
    format!(
        "lost ({}): {batches} batches, {energy}, in no sum above",
        by.as_str()
    )
}

#[cfg(test)]
mod tests {
    use wire::Energy;

    use super::*;
    use crate::store::LostBy;

    #[test]
    fn the_verdict_says_what_was_proved() {
        let mut report = CheckReport {
            batches: 2,
            cells: 4,
            measured: Energy::from_microjoules(9_500_000),
            ..CheckReport::default()
        };
        assert_eq!(
            verdict(&report),
            "2 batches, 4 zone-minutes, 9.500000 J: workloads + system + idle = measured, to the microjoule"
        );
        report.missing = 3;
        report.losses.push(LostEnergy {
            by: LostBy::Dropped,
            batches: 1,
            energy: Energy::from_microjoules(1_500_001),
        });
        let told = verdict(&report);
        let lines: Vec<&str> = told.lines().skip(1).collect();
        assert_eq!(
            lines[0],
            "lost (dropped): 1 batches, 1.500001 J, in no sum above"
        );
        assert!(lines[1].starts_with("missing: 3 batches"), "{told}");
        report = CheckReport::default();
        report.faults.push("fault".to_owned());
        assert!(verdict(&report).ends_with("it does not hold, see the lines above"));
    }
}
