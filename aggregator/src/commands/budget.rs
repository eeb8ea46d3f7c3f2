//! `hxmlops budget`: how much runs may use, and whether they used more.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::output::{print, tell, width};
use crate::budget::{Budget, BudgetRule, BudgetState, Scope, Standing, Unit};
use crate::carbon::JOULES_PER_KWH;
use crate::cli::{LedgerArgs, Usage};
use crate::format;
use crate::ledger::{BudgetQuery, RunById};
use crate::source::Source;

/// A budget is used up beyond its limit.
const OVER: u8 = 3;

/// Arguments of `hxmlops budget`.
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub struct BudgetArgs {
    #[command(subcommand)]
    command: BudgetCommand,
}

#[derive(Subcommand, Debug)]
enum BudgetCommand {
    /// Set a budget, in place of one of the same name
    Set(SetArgs),
    /// List budgets
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove a budget
    Remove {
        /// Its name
        name: String,
    },
    /// Say how far budgets are used up; exit code 3 where one is exceeded, 1 where that is not known
    Check(CheckArgs),
}

#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("scope").required(true).args(["run", "workflow", "cluster", "all"]))]
#[command(group = clap::ArgGroup::new("limit").required(true).args(["grams", "kwh"]))]
struct SetArgs {
    /// Its name
    name: String,
    /// For the run with this id
    #[arg(long, value_name = "ID")]
    run: Option<String>,
    /// For each run of this workflow; with --month for all of them together
    #[arg(long, value_name = "NAME")]
    workflow: Option<String>,
    /// For all runs of this cluster together, with --month
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// For all runs together, with --month
    #[arg(long)]
    all: bool,
    /// For a calendar month (UTC): of a run's energy counts what it used in that month
    #[arg(long)]
    month: bool,
    /// Limit in gCO2e
    #[arg(long, value_name = "G")]
    grams: Option<f64>,
    /// Limit in kWh on the IT side
    #[arg(long, value_name = "K")]
    kwh: Option<f64>,
}

#[derive(Args, Debug)]
struct CheckArgs {
    /// Names of budgets; all unless given
    names: Vec<String>,
    /// Only what counts this run: the month in which it ended, or it alone [default: this month, and each run of the
    /// last 24 hours]
    #[arg(long, value_name = "ID")]
    run: Option<String>,
    /// Workflow of the run, where its id alone does not tell
    #[arg(long, value_name = "NAME", requires = "run")]
    workflow: Option<String>,
    /// Cluster of the run, where its id alone does not tell
    #[arg(long, value_name = "NAME", requires = "run")]
    cluster: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Does it, on a server or in a data directory.
///
/// # Errors
/// Where the ledger cannot be reached, does not take it, or has no such budget or run.
pub async fn run(args: &BudgetArgs, ledger: &LedgerArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        BudgetCommand::Set(args) => set(args, ledger).await?,
        BudgetCommand::List { json } => list(*json, ledger).await?,
        BudgetCommand::Remove { name } => {
            let source = Source::open_for_writing(ledger)?;
            source.remove_budget(name).await?;
            tell(&format!("budget {name} is removed"));
        }
        BudgetCommand::Check(args) => return check(args, ledger).await,
    }
    Ok(ExitCode::SUCCESS)
}

async fn set(args: &SetArgs, ledger: &LedgerArgs) -> anyhow::Result<()> {
    let budget = Budget {
        name: args.name.clone(),
        rule: args.rule()?,
    };
    budget
        .validate()
        .map_err(|invalid| Usage(invalid.to_string()))?;
    Source::open_for_writing(ledger)?
        .put_budget(&budget)
        .await?;
    let (name, limit) = (&budget.name, format::budgets::limit(&budget));
    let scope = format::budgets::scope(&budget);
    tell(&format!("budget {name} is set: {limit} for {scope}"));
    Ok(())
}

impl SetArgs {
    fn rule(&self) -> Result<BudgetRule, Usage> {
        let one = |what: &str| Usage(format!("say one of {what}"));
        let named = [
            self.run.clone().map(Scope::Run),
            self.workflow.clone().map(Scope::Workflow),
            self.cluster.clone().map(Scope::Cluster),
            self.all.then_some(Scope::All),
        ];
        let scope = named.into_iter().flatten().next();
        let kwh = self.kwh.map(|kwh| kwh * JOULES_PER_KWH);
        let (unit, limit) = match (self.grams, kwh) {
            (Some(grams), _) => (Unit::Grams, grams),
            (None, Some(joules)) => (Unit::Joules, joules),
            (None, None) => return Err(one("--grams and --kwh")),
        };
        Ok(BudgetRule {
            scope: scope.ok_or_else(|| one("--run, --workflow, --cluster and --all"))?,
            monthly: self.month,
            unit,
            limit,
        })
    }
}

async fn list(json: bool, ledger: &LedgerArgs) -> anyhow::Result<()> {
    let budgets = Source::open(ledger)?.budgets().await?;
    if json {
        return print(&format::json(&budgets)?);
    }
    if budgets.is_empty() {
        tell("no budgets; `hxmlops budget set` makes one");
        return Ok(());
    }
    print(&format::budgets::list_table(&budgets, width()))
}

async fn check(args: &CheckArgs, ledger: &LedgerArgs) -> anyhow::Result<ExitCode> {
    let source = Source::open(ledger)?;
    let mut states = Vec::new();
    for query in args.queries() {
        states.extend(source.budget_states(&query).await?);
    }
    if args.json {
        print(&format::json(&states)?)?;
    } else if states.is_empty() {
        tell(match args.run {
            Some(_) => "no budget counts this run",
            None => "no budgets; `hxmlops budget set` makes one",
        });
    } else {
        print(&format::budgets::states_table(&states, width()))?;
    }
    Ok(verdict(&states))
}

impl CheckArgs {
    /// One question for each name, or one for all.
    fn queries(&self) -> Vec<BudgetQuery> {
        let run = self.run.as_ref().map(|run| RunById {
            run: run.clone(),
            workflow: self.workflow.clone(),
            cluster: self.cluster.clone(),
        });
        let query = |name: Option<&String>| BudgetQuery {
            name: name.cloned(),
            run: run.clone(),
        };
        if self.names.is_empty() {
            return vec![query(None)];
        }
        self.names.iter().map(|name| query(Some(name))).collect()
    }
}

/// What is exceeded counts before what is not known, of which a line is said each.
fn verdict(states: &[BudgetState]) -> ExitCode {
    let is = |standing| move |state: &&BudgetState| state.standing == standing;
    for state in states.iter().filter(is(Standing::Unknown)) {
        tell(&format!("error: {}", format::budgets::unknown(state)));
    }
    if states.iter().any(|state| is(Standing::Over)(&state)) {
        return ExitCode::from(OVER);
    }
    if states.iter().any(|state| is(Standing::Unknown)(&state)) {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
