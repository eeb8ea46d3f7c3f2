//! `hxmlops report RUN`

use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::output::{print, width};
use crate::cli::LedgerArgs;
use crate::format;
use crate::ledger::ReportQuery;
use crate::report::{IdlePolicy, Report};
use crate::source::Source;

/// Which report, and in which form.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Id of the run
    run: String,
    /// Form of the report
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    #[command(flatten)]
    query: QueryArgs,
}

/// What narrows down a run and its figures; `report` and `compare` have it in common.
#[derive(Debug, Args)]
pub struct QueryArgs {
    /// How idle energy is shared out among those who ran
    #[arg(long, value_enum, value_name = "POLICY", default_value_t = IdlePolicy::Usage)]
    idle: IdlePolicy,
    /// Workflow of the run, where its id alone does not tell
    #[arg(long, value_name = "NAME")]
    workflow: Option<String>,
    /// Cluster of the run, where its id alone does not tell
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
}

impl QueryArgs {
    /// The question for one run.
    #[must_use]
    pub fn of(&self, run: &str) -> ReportQuery {
        ReportQuery {
            run: run.to_owned(),
            workflow: self.workflow.clone(),
            cluster: self.cluster.clone(),
            idle: self.idle,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// For a terminal
    Table,
    /// All that is known, full precision
    Json,
    /// A row per stage, full precision
    Csv,
    /// For a comment on a pull request
    Markdown,
}

impl Format {
    fn render(self, report: &Report) -> anyhow::Result<String> {
        Ok(match self {
            Self::Table => format::report_table::report_table(report, width()),
            Self::Json => format::json(report)?,
            Self::Csv => format::report_csv::report_csv(report)?,
            Self::Markdown => format::report_markdown::report_markdown(report),
        })
    }
}

/// Prints a report.
///
/// # Errors
/// Where there is no such run or several, or the ledger cannot be asked.
pub async fn run(args: &ReportArgs, ledger: &LedgerArgs) -> anyhow::Result<ExitCode> {
    let query = args.query.of(&args.run);
    let report = Source::open(ledger)?.report(&query).await?;
    print(&args.format.render(&report)?)?;
    Ok(ExitCode::SUCCESS)
}
