//! `hxmlops compare RUN RUN`

use std::process::ExitCode;

use clap::Args;

use super::output::{print, width};
use super::report::QueryArgs;
use crate::cli::LedgerArgs;
use crate::compare::compare;
use crate::format;
use crate::source::Source;

/// Which runs to compare.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// Id of the run to compare against
    baseline: String,
    /// Id of the run to compare
    run: String,
    #[command(flatten)]
    query: QueryArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Compares two runs.
///
/// # Errors
/// Where one of the runs has no report, or their grams count different things.
pub async fn run(args: &CompareArgs, ledger: &LedgerArgs) -> anyhow::Result<ExitCode> {
    let source = Source::open(ledger)?;
    let baseline = source.report(&args.query.of(&args.baseline)?).await?;
    let run = source.report(&args.query.of(&args.run)?).await?;
    let comparison = compare(&baseline, &run)?;
    print(&if args.json {
        format::json(&comparison)?
    } else {
        format::comparison::comparison_table(&comparison, width())
    })?;
    Ok(ExitCode::SUCCESS)
}
