//! `hxmlops plan` and `hxmlops plan score`

use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};

use super::output::print;
use super::when::{When, length};
use crate::cli::{LedgerArgs, Usage};
use crate::format;
use crate::intensity::Signal;
use crate::ledger::{PlanQuery, RunById};
use crate::source::Source;

/// What to plan.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct PlanArgs {
    #[command(flatten)]
    work: WorkArgs,
    #[command(subcommand)]
    command: Option<PlanCommand>,
}

#[derive(Debug, Subcommand)]
enum PlanCommand {
    /// Say what came of a plan, when its window is over
    Score(ScoreArgs),
}

#[derive(Debug, Args)]
struct ScoreArgs {
    /// When the plan was made: a time (RFC 3339) or how long ago (24h, 7d)
    #[arg(long, value_name = "TIME")]
    at: When,
    #[command(flatten)]
    work: WorkArgs,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("where").required(true).multiple(true).args(["intensity_zone", "site", "like"]))]
struct WorkArgs {
    /// How long the work takes, such as 90m or 2h [default with --like: as long as that run]
    #[arg(long, value_name = "TIME", value_parser = length, required_unless_present = "like")]
    duration: Option<SignedDuration>,
    /// Time within which it is to be done, such as 24h; 31 days at most
    #[arg(long, value_name = "TIME", value_parser = length, default_value = "24h")]
    within: SignedDuration,
    /// Intensity zone of the grid that feeds it, such as FR
    #[arg(long, value_name = "ZONE")]
    intensity_zone: Option<String>,
    /// Site that it runs at: its grid, signal and PUE, where they are not given
    #[arg(long, value_name = "NAME")]
    site: Option<String>,
    /// What the intensity counts [default: the site's, else average-lifecycle-production]
    #[arg(long, value_name = "KIND")]
    signal: Option<Signal>,
    /// Mean power of the work, for grams
    #[arg(long, value_name = "W", conflicts_with = "like")]
    watts: Option<f64>,
    /// Run that it is like: its power, and its duration, site and PUE where they are not given
    #[arg(long, value_name = "RUN")]
    like: Option<String>,
    /// Workflow of that run, where its id alone does not tell
    #[arg(long, value_name = "NAME", requires = "like")]
    workflow: Option<String>,
    /// Cluster of that run, where its id alone does not tell
    #[arg(long, value_name = "NAME", requires = "like")]
    cluster: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl WorkArgs {
    fn query(&self, at: Option<Timestamp>) -> Result<PlanQuery, Usage> {
        if let Some(duration) = self.duration
            && duration > self.within
        {
            let within = self.within;
            return Err(Usage(format!(
                "--duration {duration:#} is longer than --within {within:#}"
            )));
        }
        Ok(PlanQuery {
            intensity_zone: self.intensity_zone.clone(),
            site: self.site.clone(),
            signal: self.signal,
            duration: self.duration,
            within: self.within,
            watts: self.watts,
            like: self.like.as_ref().map(|run| RunById {
                run: run.clone(),
                workflow: self.workflow.clone(),
                cluster: self.cluster.clone(),
            }),
            at,
        })
    }
}

/// Finds the greenest start, or says what came of one.
///
/// # Errors
/// Where no intensity is known, or the window to be scored is not over.
pub async fn run(args: &PlanArgs, ledger: &LedgerArgs) -> anyhow::Result<ExitCode> {
    let text = match &args.command {
        None => plan(&args.work, ledger).await?,
        Some(PlanCommand::Score(args)) => score(args, ledger).await?,
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

async fn plan(args: &WorkArgs, ledger: &LedgerArgs) -> anyhow::Result<String> {
    let plan = Source::open(ledger)?.plan(&args.query(None)?).await?;
    if args.json {
        return Ok(format::json(&plan)?);
    }
    Ok(format::plan::plan_table(&plan))
}

async fn score(args: &ScoreArgs, ledger: &LedgerArgs) -> anyhow::Result<String> {
    let at = args.at.resolve(Timestamp::now()).context("--at")?;
    let query = args.work.query(Some(at))?;
    let score = Source::open(ledger)?.plan_score(&query).await?;
    if args.work.json {
        return Ok(format::json(&score)?);
    }
    Ok(format::plan_score::score_table(&score))
}
