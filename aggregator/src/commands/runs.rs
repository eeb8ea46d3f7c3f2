//! `hxmlops runs`

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use jiff::Timestamp;

use super::output::{print, tell, width};
use super::when::When;
use crate::cli::LedgerArgs;
use crate::format;
use crate::source::Source;
use crate::store::RunFilter;

/// Runs that are listed at most: what a server answers at once.
const MOST: usize = 10_000;

/// Which runs to list.
#[derive(Debug, Args)]
pub struct RunsArgs {
    /// Only runs that ended since then: a time (RFC 3339) or how long ago (24h, 7d)
    #[arg(long, value_name = "TIME")]
    since: Option<When>,
    /// Only runs of this workflow
    #[arg(long, value_name = "NAME")]
    workflow: Option<String>,
    /// Only runs that have this stage
    #[arg(long, value_name = "NAME")]
    stage: Option<String>,
    /// Only runs of this cluster
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Lists runs.
///
/// # Errors
/// Where the ledger cannot be asked.
pub async fn run(args: &RunsArgs, ledger: &LedgerArgs) -> anyhow::Result<ExitCode> {
    let since = args.since.map(|since| since.resolve(Timestamp::now()));
    let filter = RunFilter {
        since: since.transpose().context("--since")?,
        cluster: args.cluster.clone(),
        workflow: args.workflow.clone(),
        run: None,
        stage: args.stage.clone(),
        limit: Some(MOST),
    };
    let runs = Source::open(ledger)?.runs(&filter).await?;
    if runs.len() == MOST {
        tell(&format!(
            "note: only the latest {MOST} runs are listed; ask by --since, --workflow or --stage"
        ));
    }
    if args.json {
        print(&format::json(&runs)?)?;
    } else if runs.is_empty() {
        tell("no runs in the ledger, or none that fit");
    } else {
        print(&format::runs::runs_table(&runs, width()))?;
    }
    Ok(ExitCode::SUCCESS)
}
