//! `hxmlops report RUN`

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, ValueEnum};
use jiff::Timestamp;

use super::output::{print, width};
use super::rewrite::rewrite;
use super::when::When;
use crate::cli::{LedgerArgs, Usage};
use crate::format::model_card::{self, CardFacts, TrainingType};
use crate::format::report_form::{FormError, ReportForm};
use crate::format::report_table::report_table;
use crate::format::units::known_mass;
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
    /// Tell the difference from this run, and its reasons
    #[arg(long, value_name = "RUN")]
    baseline: Option<String>,
    /// Tell what the grams compare to, by published factors
    #[arg(long)]
    equivalents: bool,
    #[command(flatten)]
    query: QueryArgs,
    #[command(flatten)]
    unit: UnitArgs,
    #[command(flatten)]
    card: CardArgs,
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

/// What a model card has beside the report's figures, and where it goes.
#[derive(Debug, Args)]
#[command(next_help_heading = "With --format modelcard")]
struct CardArgs {
    /// Put the emissions into the front matter of this README instead of printing them; the rest of it stays as it is
    #[arg(long, value_name = "FILE")]
    merge: Option<PathBuf>,
    /// Kind of training that the run was
    #[arg(long, value_enum, value_name = "KIND")]
    training_type: Option<TrainingType>,
    /// Hardware that it ran on, such as "2 x NVIDIA H100"
    #[arg(long, value_name = "TEXT")]
    hardware: Option<String>,
}

impl CardArgs {
    /// # Errors
    /// [`Usage`] where some are given and another form is asked for.
    fn check(&self, format: Format) -> Result<(), Usage> {
        let given = [
            ("--merge", self.merge.is_some()),
            ("--training-type", self.training_type.is_some()),
            ("--hardware", self.hardware.is_some()),
        ];
        match given.iter().find(|(_, is_given)| *is_given) {
            Some((flag, _)) if !matches!(format, Format::Modelcard) => {
                Err(Usage(format!("{flag} goes with --format modelcard")))
            }
            _ => Ok(()),
        }
    }

    fn facts(&self) -> CardFacts {
        CardFacts {
            training_type: self.training_type,
            hardware: self.hardware.clone(),
        }
    }
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
            baseline: None,
            equivalents: false,
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
    /// One file to read and to print, with charts
    Html,
    /// Emissions in grams for the front matter of a Hugging Face model card (YAML)
    Modelcard,
}

impl Format {
    /// The form that is a file; `None` for what depends on the terminal.
    const fn form(self) -> Option<ReportForm> {
        match self {
            Self::Table => None,
            Self::Json => Some(ReportForm::Json),
            Self::Csv => Some(ReportForm::Csv),
            Self::Markdown => Some(ReportForm::Markdown),
            Self::Html => Some(ReportForm::Html),
            Self::Modelcard => Some(ReportForm::Modelcard),
        }
    }

    fn render(self, report: &Report, card: &CardArgs) -> Result<String, FormError> {
        match self.form() {
            None => Ok(report_table(report, width())),
            Some(form) => form.render(report, &card.facts()),
        }
    }
}

/// Prints a report, or puts it into a README.
///
/// # Errors
/// Where there is no such run or several, the ledger cannot be asked, or the README cannot be changed.
pub async fn run(args: &ReportArgs, ledger: &LedgerArgs) -> anyhow::Result<ExitCode> {
    args.card.check(args.format)?;
    let unit = args.unit.unit.clone().zip(args.unit.count);
    let query = ReportQuery {
        unit: unit.map(|(unit, count)| FunctionalUnit { unit, count }),
        baseline: args.baseline.clone(),
        equivalents: args.equivalents,
        course: args.format.form().is_some_and(ReportForm::shows_course),
        ..args.query.of(&args.run)?
    };
    let report = Source::open(ledger)?.report(&query).await?;
    let text = match &args.card.merge {
        Some(readme) => merge(readme, &report, &args.card)?,
        None => args.format.render(&report, &args.card)?,
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// Puts the emissions into a README; returns what to say of it.
fn merge(readme: &Path, report: &Report, card: &CardArgs) -> anyhow::Result<String> {
    let entry = model_card::entry(report, &card.facts())?;
    rewrite(readme, |text| Ok(model_card::merge(text, &entry)?))?;
    let grams = known_mass(report.carbon_grams);
    Ok(format!("{} states {grams} CO2e now\n", readme.display()))
}
