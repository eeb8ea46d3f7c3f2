//! `hxmlops report RUN`

use std::num::NonZeroU64;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, ValueEnum};
use jiff::Timestamp;

use super::output::{print, width};
use super::when::When;
use crate::cli::LedgerArgs;
use crate::format;
use crate::ledger::ReportQuery;
use crate::report::{EmbodiedPolicy, FunctionalUnit, IdlePolicy, Report};
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
    #[command(flatten)]
    unit: UnitArgs,
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
    /// How the carbon of making the nodes is shared out
    #[arg(long, value_enum, value_name = "POLICY", default_value_t = EmbodiedPolicy::Use)]
    embodied: EmbodiedPolicy,
    /// With the intensities and settings that were known then: a time (RFC 3339) or how long ago
    #[arg(long, value_name = "TIME")]
    as_of: Option<When>,
}

/// The functional unit of an SCI.
#[derive(Debug, Args)]
struct UnitArgs {
    /// Functional unit of the software carbon intensity, such as "1000 inferences"
    #[arg(long, value_name = "NAME", requires = "count")]
    unit: Option<String>,
    /// How many such units the run made
    #[arg(long, value_name = "N", requires = "unit")]
    count: Option<NonZeroU64>,
}

impl QueryArgs {
    /// The question for one run.
    ///
    /// # Errors
    /// Where the time that is asked for lies before all times.
    pub fn of(&self, run: &str) -> anyhow::Result<ReportQuery> {
        let as_of = self.as_of.map(|when| when.resolve(Timestamp::now()));
        Ok(ReportQuery {
            run: run.to_owned(),
            workflow: self.workflow.clone(),
            cluster: self.cluster.clone(),
            idle: self.idle,
            embodied: self.embodied,
            unit: None,
            course: false,
            as_of: as_of.transpose().context("--as-of")?,
        })
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// For a terminal
    Table,
    /// All figures, full precision
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
    let unit = args.unit.unit.clone().zip(args.unit.count);
    let query = ReportQuery {
        unit: unit.map(|(unit, count)| FunctionalUnit { unit, count }),
        ..args.query.of(&args.run)?
    };
    let report = Source::open(ledger)?.report(&query).await?;
    print(&args.format.render(&report)?)?;
    Ok(ExitCode::SUCCESS)
}
