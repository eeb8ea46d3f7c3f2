//! `hxmlops import energy FILE` and `hxmlops import intensity FILE`: a file is read whole and checked
//! before anything of it is sent.

pub mod batches;
pub mod energy_csv;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::output::{Progress, print};
use crate::cli::LedgerArgs;
use crate::format::{escape, units};
use crate::intensity;
use crate::source::Source;
use crate::store::Written;

/// Bytes of a file that is read: several million rows.
const MAX_FILE_BYTES: u64 = 256 << 20;
/// Slots of one request.
const SLOTS_PER_REQUEST: usize = 2_000;

/// What to bring in.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true, subcommand_required = true)]
pub struct ImportArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Energy that was metered elsewhere
    ///
    /// CSV: start,end,site,workflow,run,stage,zone,joules,basis (times RFC 3339; basis measured or
    /// modelled). A file that was imported before changes nothing. A file that has changed since is another
    /// file: import each row once, in new files.
    Energy(FileArgs),
    /// Carbon intensities
    ///
    /// CSV: intensity_zone,from,to,g_per_kwh,kind,source and, if known, basis (measured, estimated,
    /// forecast or annual). A figure for a slot that has another becomes its new revision.
    Intensity(FileArgs),
}

#[derive(Debug, Args)]
struct FileArgs {
    /// CSV file
    file: PathBuf,
}

/// Imports a file.
///
/// # Errors
/// Where the file has a bad row (then nothing was imported) or the ledger does not take it.
pub async fn run(args: &ImportArgs, ledger: &LedgerArgs) -> anyhow::Result<ExitCode> {
    let line = match &args.what {
        What::Energy(args) => import_energy(&args.file, ledger).await?,
        What::Intensity(args) => import_intensity(&args.file, ledger).await?,
    };
    print(&(escape::terminal(&line) + "\n"))?;
    Ok(ExitCode::SUCCESS)
}

async fn import_energy(file: &Path, ledger: &LedgerArgs) -> anyhow::Result<String> {
    let content = read(file)?;
    let name = file.display().to_string();
    let rows = energy_csv::parse(&name, &content)?;
    let joules: f64 = rows.iter().map(|row| row.energy.joules()).sum();
    let runs = rows.iter().map(|row| (&row.workflow, &row.run));
    let runs: BTreeSet<_> = runs.filter(|(_, run)| !run.is_empty()).collect();
    let what = format!(
        "{} (rows: {}, runs: {})",
        units::energy(joules),
        rows.len(),
        runs.len()
    );
    let batches =
        batches::from_rows(&rows, &content).with_context(|| format!("cannot import {name}"))?;

    let source = Source::open_for_writing(ledger)?;
    let progress = Progress::new(batches.len() as u64, "importing");
    let total = batches.len();
    let mut new = 0;
    for (done, batch) in batches.into_iter().enumerate() {
        let written = source.write_batch(batch).await;
        let written = written.with_context(|| {
            format!(
                "cannot import {name}: {done} of {total} batches are in; import it again to go on"
            )
        })?;
        new += usize::from(written == Written::New);
        progress.set(done as u64 + 1);
    }
    Ok(match new {
        0 => format!("{name}: already imported, nothing changed: {what}"),
        new if new == total => format!("{name}: imported {what}"),
        new => format!(
            "{name}: imported {new} of {total} batches, the others were there already: {what}"
        ),
    })
}

async fn import_intensity(file: &Path, ledger: &LedgerArgs) -> anyhow::Result<String> {
    let content = read(file)?;
    let name = file.display().to_string();
    let slots = intensity::csv::parse(&name, &content)?;
    if slots.is_empty() {
        bail!("{name} has a header and no rows: nothing to import");
    }
    let now = Timestamp::now();
    for (row, slot) in slots.iter().enumerate() {
        slot.validate_at(now)
            .with_context(|| format!("{name}: row {}", row + 1))?;
    }
    let source = Source::open_for_writing(ledger)?;
    let progress = Progress::new(slots.len() as u64, "importing");
    let mut changed = 0;
    let mut done = 0;
    for chunk in slots.chunks(SLOTS_PER_REQUEST) {
        let written = source.put_slots(chunk).await;
        changed += written.with_context(|| format!("cannot import {name}"))?;
        done += chunk.len() as u64;
        progress.set(done);
    }
    drop(progress);
    let total = slots.len();
    Ok(match changed {
        0 => format!("{name}: already imported, nothing changed (slots: {total})"),
        changed => format!("{name}: {changed} of {total} slots are new or changed"),
    })
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    let name = file.display();
    let opened = File::open(file).with_context(|| format!("cannot open {name}"))?;
    let mut content = Vec::new();
    opened
        .take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut content)
        .with_context(|| format!("cannot read {name}"))?;
    if content.len() as u64 > MAX_FILE_BYTES {
        bail!(
            "{name} is larger than {} MiB: split it",
            MAX_FILE_BYTES >> 20
        );
    }
    Ok(content)
}
