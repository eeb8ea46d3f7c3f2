//! The table of contents of the command line.

use std::future::Future;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use tokio::runtime::Runtime;

use crate::commands::{
    apply, budget, check, compare, completion, demo, exec, explain, import, init, intensity,
    ledger, man, module, output, plan, report, runs, serve, token,
};
use crate::deploy::catalogue::module::Kind;

/// The energy and carbon ledger of machine-learning workflows.
#[derive(Debug, Parser)]
#[command(
    name = "hxmlops",
    version,
    max_term_width = 80,
    arg_required_else_help = true,
    subcommand_required = true
)]
pub struct Cli {
    #[command(flatten)]
    ledger: LedgerArgs,
    #[command(subcommand)]
    command: Command,
}

/// Heads the options that say it, in the help of every command that asks a ledger.
pub(crate) const WHERE_THE_LEDGER_IS: &str = "Where the ledger is";

/// Where the ledger is.
#[derive(Clone, Debug, Args)]
pub struct LedgerArgs {
    /// Server to ask
    #[arg(
        long,
        global = true,
        help_heading = WHERE_THE_LEDGER_IS,
        value_name = "URL",
        env = "HXMLOPS_SERVER",
        hide_env_values = true,
        default_value = "http://127.0.0.1:8642"
    )]
    pub server: String,
    /// Read this data directory of a server directly, instead of asking the server
    #[arg(long, global = true, help_heading = WHERE_THE_LEDGER_IS, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// File with the token that the server asks for
    #[arg(
        long,
        global = true,
        help_heading = WHERE_THE_LEDGER_IS,
        value_name = "FILE",
        env = "HXMLOPS_TOKEN_FILE",
        hide_env_values = true
    )]
    pub token_file: Option<PathBuf>,
    /// Roots that the server's certificate is checked against (PEM) [default: the system's]
    #[arg(
        long,
        global = true,
        help_heading = WHERE_THE_LEDGER_IS,
        value_name = "FILE",
        env = "HXMLOPS_CA_FILE",
        hide_env_values = true
    )]
    pub ca_file: Option<PathBuf>,
    /// Whether the user has said where it is: the server is not the default one, or there is a data directory.
    #[arg(skip)]
    pub is_told: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server: agents, dashboard, API and metrics
    Serve(Box<serve::ServeArgs>),
    /// List runs, the latest first
    Runs(runs::RunsArgs),
    /// Report the energy and carbon of a run
    Report(report::ReportArgs),
    /// Compare two runs, stage by stage, with the reasons for the difference
    Compare(compare::CompareArgs),
    /// Run a command on its own line of the ledger
    Exec(exec::ExecArgs),
    /// Say to which run and stage a pod belongs, and by which rule
    Explain(explain::ExplainArgs),
    /// Show the carbon intensity of a grid
    Intensity(intensity::IntensityArgs),
    /// Limit the grams or the energy of runs, and check that
    Budget(budget::BudgetArgs),
    /// Find the start at which work draws the least carbon
    Plan(Box<plan::PlanArgs>),
    /// Bring energy or carbon intensities from a file
    Import(import::ImportArgs),
    /// Make, list and revoke the tokens that a server asks for
    Token(token::TokenArgs),
    /// Work on a ledger as a whole
    Ledger(ledger::LedgerArgs),
    /// Say where modules are deployed to: domains, each a context of the kubeconfig
    Init(init::InitArgs),
    /// Check that domains can be deployed to
    Check(check::CheckArgs),
    /// Deploy the platform's components, look after them, and remove them
    Component(module::ModuleArgs),
    /// The same for links, by which platforms of several parties share
    Link(module::ModuleArgs),
    /// The same for stages of workflows
    Stage(module::ModuleArgs),
    /// Deploy an environment from a file that names its modules, or bring it to what is wanted
    Apply(Box<apply::ApplyArgs>),
    /// Show what apply would change; exit code 3 where that is something
    Diff(apply::DiffArgs),
    /// Measure a small ML workflow with a server and an agent of its own
    Demo(demo::DemoArgs),
    /// Print a script that completes commands in a shell
    Completion(completion::CompletionArgs),
    /// Write the manual pages
    Man(man::ManArgs),
}

/// Parses the arguments, runs the command, and turns what came of it into an exit code: 0 done, 1 failed,
/// 2 usage, 3 a check said no.
#[must_use]
pub fn main() -> ExitCode {
    let matches = command().get_matches();
    let mut cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let is_default = matches.value_source("server") == Some(ValueSource::DefaultValue);
    cli.ledger.is_told = !is_default || cli.ledger.data_dir.is_some();
    match run(cli) {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

/// Flags for all commands that some commands do without.
const NOT_FOR: [(&str, &[&str]); 14] = [
    ("serve", &["server", "ca_file"]),
    ("exec", ALL_OF_THE_LEDGER),
    ("explain", ALL_OF_THE_LEDGER),
    ("ledger", &["server", "token_file", "ca_file"]),
    ("check", ALL_OF_THE_LEDGER),
    ("init", ALL_OF_THE_LEDGER),
    ("component", ALL_OF_THE_LEDGER),
    ("link", ALL_OF_THE_LEDGER),
    ("stage", ALL_OF_THE_LEDGER),
    ("apply", ALL_OF_THE_LEDGER),
    ("diff", ALL_OF_THE_LEDGER),
    ("demo", ALL_OF_THE_LEDGER),
    ("completion", ALL_OF_THE_LEDGER),
    ("man", ALL_OF_THE_LEDGER),
];

const ALL_OF_THE_LEDGER: &[&str] = &["server", "data_dir", "token_file", "ca_file"];

/// Commands of modules that ask a ledger, where one is known: (their kind, the command).
const OF_MODULES: [(&str, &str); 3] = [
    ("component", "status"),
    ("link", "status"),
    ("stage", "status"),
];

/// The grammar, with the flags for all commands left out of the help of those that do without.
pub(crate) fn command() -> clap::Command {
    let all = Cli::command();
    let command = NOT_FOR.iter().fold(all.clone(), |command, (name, flags)| {
        let hidden = all
            .get_arguments()
            .filter(|arg| flags.contains(&arg.get_id().as_str()))
            .map(|flag| flag.clone().hide(true));
        command.mut_subcommand(name, |command| command.args(hidden))
    });
    with_groups(with_flags_of_modules(command, &all))
}

/// Says in the usage of each command of modules where the group goes, which the grammar alone would leave out.
fn with_groups(command: clap::Command) -> clap::Command {
    let kinds = [Kind::Component, Kind::Link, Kind::Stage];
    kinds.into_iter().fold(command, |command, kind| {
        let kind = kind.to_string();
        command.mut_subcommand(&kind, |of_kind| {
            of_kind.mut_subcommands(|command| {
                let name = command.get_name().to_owned();
                let group = match &*name {
                    // It may stand beside the name, and its usage says so.
                    "list-values" => return command,
                    "list" | "status" => "[GROUP]",
                    _ => "<GROUP>",
                };
                let usage = command.clone().render_usage().to_string();
                let rest = usage
                    .trim_start_matches("Usage: ")
                    .trim_start_matches(&*name);
                command.override_usage(format!("hxmlops {kind} {group} {name}{rest}"))
            })
        })
    })
}

fn with_flags_of_modules(command: clap::Command, all: &clap::Command) -> clap::Command {
    OF_MODULES.iter().fold(command, |command, (kind, name)| {
        let shown = all.get_arguments().filter_map(for_modules);
        let with = |command: clap::Command| command.args(shown);
        command.mut_subcommand(kind, |kind| kind.mut_subcommand(name, with))
    })
}

/// A flag for all commands as commands of modules have it: there is no server unless one is known.
fn for_modules(flag: &clap::Arg) -> Option<clap::Arg> {
    let id = flag.get_id().as_str();
    let said = ALL_OF_THE_LEDGER.contains(&id).then(|| flag.clone())?;
    Some(match id {
        "server" => said
            .default_value(None::<&str>)
            .help("Server to ask for energy [default: the domain's aggregator]"),
        "token_file" => said.help("File with the token that --server asks for"),
        "ca_file" => said.help(
            "Roots that the certificate of --server is checked against (PEM) [default: the system's]",
        ),
        _ => said,
    })
}

/// The grammar for completion, which would offer what is only hidden: commands have the flags for all commands, or not.
pub(crate) fn offered() -> clap::Command {
    let all = Cli::command();
    let flags: Vec<clap::Arg> = all.get_arguments().cloned().collect();
    let own = all.clone().mut_args(|flag| flag.global(false));
    let own = own.mut_subcommands(|command| {
        let left_out = NOT_FOR.iter().find(|(name, _)| *name == command.get_name());
        let has = |flag: &clap::Arg| {
            command
                .get_arguments()
                .any(|own| own.get_id() == flag.get_id())
        };
        let is_offered = |flag: &&clap::Arg| {
            let id = flag.get_id().as_str();
            !has(flag) && left_out.is_none_or(|(_, flags)| !flags.contains(&id))
        };
        let offered: Vec<clap::Arg> = flags.iter().filter(is_offered).cloned().collect();
        command.args(offered)
    });
    with_flags_of_modules(own, &all)
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let asked = &cli.ledger;
    match cli.command {
        // It gives signals and children to a runtime of its own kind.
        Command::Exec(args) => exec::run(&args),
        Command::Ledger(args) => ledger::run(&args),
        Command::Init(args) => init::run(&args),
        Command::Completion(args) => completion::run(&args, offered()),
        Command::Man(args) => man::run(&args, command()),
        Command::Serve(args) => block_on(serve::run(*args)),
        Command::Runs(args) => block_on(runs::run(&args, asked)),
        Command::Report(args) => block_on(report::run(&args, asked)),
        Command::Compare(args) => block_on(compare::run(&args, asked)),
        Command::Explain(args) => block_on(explain::run(&args)),
        Command::Component(args) => block_on(module::run(Kind::Component, &args, asked)),
        Command::Link(args) => block_on(module::run(Kind::Link, &args, asked)),
        Command::Stage(args) => block_on(module::run(Kind::Stage, &args, asked)),
        Command::Apply(args) => block_on(apply::run(&args)),
        Command::Diff(args) => block_on(apply::diff(&args)),
        Command::Check(args) => block_on(check::run(&args)),
        Command::Intensity(args) => block_on(intensity::run(&args, asked)),
        Command::Budget(args) => block_on(budget::run(&args, asked)),
        Command::Plan(args) => block_on(plan::run(&args, asked)),
        Command::Import(args) => block_on(import::run(&args, asked)),
        Command::Token(args) => block_on(token::run(&args, asked)),
        Command::Demo(args) => block_on(demo::run(args)),
    }
}

fn block_on(command: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    drive(Runtime::new()?, command)
}

/// Work on other threads that a command left behind may end within this time; then the process ends.
const LAST_WORK: Duration = Duration::from_secs(1);

/// Runs a command to its end. Dropping the runtime instead would wait for all blocking work, without limit.
fn drive<T>(runtime: Runtime, command: impl Future<Output = T>) -> T {
    let done = runtime.block_on(command);
    runtime.shutdown_timeout(LAST_WORK);
    done
}

/// A mistake in the arguments that the grammar alone cannot see.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// Exit code of a mistake in the arguments, as the grammar's own has it.
const USAGE: u8 = 2;

fn fail(error: &anyhow::Error) -> ExitCode {
    if error.is::<output::ClosedPipe>() {
        return ExitCode::SUCCESS;
    }
    // One line: the message, then its causes.
    output::tell(&format!("error: {error:#}"));
    if error.is::<Usage>() {
        return ExitCode::from(USAGE);
    }
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_command_ends_though_blocking_work_does_not() {
        let (work, endless) = mpsc::channel::<()>();
        let (end, ended) = mpsc::channel();
        std::thread::spawn(move || {
            let command = async {
                tokio::task::spawn_blocking(move || endless.recv());
            };
            drive(Runtime::new().unwrap(), command);
            end.send(()).unwrap();
        });
        // The bound only makes a failure of what would else wait without end.
        ended.recv_timeout(Duration::from_secs(60)).unwrap();
        drop(work);
    }
}
