//! `hxmlops component`, `link` and `stage`: the modules of the catalogue, deployed and looked after.

pub(super) mod create;
mod delete;
pub(super) mod diff;
mod energy;
pub(super) mod place;
mod preview;
mod show;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;

use super::when;
use crate::cli::{LedgerArgs, Usage};
use crate::deploy::catalogue::module::Kind;
use crate::deploy::catalogue::{Catalogue, Module};
use crate::deploy::files::UserValues;
use crate::deploy::set;

/// Arguments of `hxmlops component`, `link` and `stage`.
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub struct ModuleArgs {
    /// Group of the module, such as storage
    #[arg(value_name = "GROUP")]
    group: Option<String>,
    #[command(subcommand)]
    command: ModuleCommand,
}

#[derive(Subcommand, Debug)]
enum ModuleCommand {
    /// Deploy a module, or bring it to what is wanted; waits until it is ready
    Create(CreateArgs),
    /// Remove a module; its volumes and secrets stay, unless --purge is given
    Delete(DeleteArgs),
    /// Say how far a module is, and what it uses; exit code 3 where it is not deployed or not ready
    ///
    /// Where an aggregator is known (the domain's, or the one of --server), there is the power of each module, the mean
    /// of the last five minutes that are told, and what it used since midnight on this machine's clock: grams of CO2e, or
    /// energy where no grams are known. Both are active energy; the idle energy of the nodes is in no module.
    Status(StatusArgs),
    /// Show what create would change; exit code 3 where that is something
    Diff(DiffArgs),
    /// Describe a module: what it is, needs and offers, and the values that it runs with
    Info(InfoArgs),
    /// List the modules of the group, or of all groups
    List(ListArgs),
    /// List the values of a module that are set most
    #[command(alias = "list_values")]
    ListValues(ListValuesArgs),
}

/// Where modules come from.
#[derive(Args, Clone, Debug)]
pub(super) struct CatalogueArgs {
    /// Folder with modules of your own, as GROUP/NAME.yaml; they win over those of the program
    #[arg(
        long,
        value_name = "DIR",
        env = "HXMLOPS_CATALOGUE",
        hide_env_values = true
    )]
    pub(super) catalogue: Option<PathBuf>,
}

impl CatalogueArgs {
    pub(super) fn read(&self) -> anyhow::Result<Catalogue> {
        let catalogue = Catalogue::built_in()?;
        match &self.catalogue {
            Some(directory) => catalogue.with_directory(directory),
            None => Ok(catalogue),
        }
    }
}

/// Where modules go to.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct PlaceArgs {
    /// Domain [default: the default domain]
    #[arg(long, value_name = "NAME")]
    pub(super) domain: Option<String>,
    /// Namespace [default: the domain's]
    #[arg(long, short, value_name = "NAME")]
    pub(super) namespace: Option<String>,
}

/// Which release of a module.
#[derive(Args, Clone, Debug)]
struct NameArgs {
    /// Name of the module
    #[arg(value_name = "NAME")]
    module: String,
    /// Name of the release, where it is not the module's: the same module can be deployed several times
    #[arg(long, value_name = "RELEASE")]
    name: Option<String>,
}

/// Values of the user.
#[derive(Args, Clone, Debug)]
struct ValueArgs {
    /// File with values (YAML), as list-values has them; several are taken in order
    #[arg(long, short, value_name = "FILE")]
    file: Vec<PathBuf>,
    /// Set a value, as helm does: path.to.it=value; wins over files
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<String>,
}

impl ValueArgs {
    fn read(&self) -> anyhow::Result<UserValues> {
        for setting in &self.set {
            if !setting.contains('=') {
                return Err(Usage(format!("--set '{setting}' is no PATH=VALUE")).into());
            }
            let laid = set::lay(&mut Value::Null, setting);
            laid.map_err(|why| Usage(format!("--set '{setting}': {why}")))?;
        }
        let values = UserValues {
            files: self.file.clone(),
            inline: None,
            set: self.set.clone(),
        };
        let checked = values.check_files();
        checked.map_err(|error| anyhow::anyhow!("--file {error}"))?;
        Ok(values)
    }
}

/// What a module takes from others.
#[derive(Args, Clone, Debug)]
struct NeedArgs {
    /// Release that gives what the module needs, by the need's name, where several could
    #[arg(long = "use", value_name = "NEED=RELEASE")]
    using: Vec<String>,
    /// Create what the module needs, too, where it lacks
    #[arg(long)]
    with_dependencies: bool,
}

impl NeedArgs {
    fn using(&self) -> Result<Vec<(String, String)>, Usage> {
        let pair = |text: &String| {
            let pair = text.split_once('=');
            let pair = pair.map(|(need, release)| (need.to_owned(), release.to_owned()));
            pair.ok_or_else(|| Usage(format!("--use '{text}' is no NEED=RELEASE")))
        };
        self.using.iter().map(pair).collect()
    }
}

/// Whether one waits, and how long.
#[derive(Args, Clone, Debug)]
pub(super) struct WaitArgs {
    /// Wait until it is done [default]
    #[arg(long, overrides_with = "no_wait")]
    wait: bool,
    /// Do not wait
    #[arg(long)]
    no_wait: bool,
    /// Longest wait for each module
    #[arg(long, value_name = "TIME", default_value = "10m")]
    timeout: String,
}

impl WaitArgs {
    pub(super) fn waits(&self) -> bool {
        self.wait || !self.no_wait
    }

    pub(super) fn limit(&self) -> Result<Duration, Usage> {
        let length = when::length(&self.timeout);
        let length = length.map_err(|why| Usage(format!("--timeout '{}': {why}", self.timeout)))?;
        let length = Duration::try_from(length).unwrap_or_default();
        if length.is_zero() {
            return Err(Usage("--timeout is 0: say --no-wait instead".to_owned()));
        }
        Ok(length)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// Text for people
    Table,
    /// JSON for programs
    Json,
}

#[derive(Args, Clone, Debug)]
pub(super) struct OutputArgs {
    /// Form of the output
    #[arg(long, short, value_enum, value_name = "FORM", default_value = "table")]
    output: Output,
}

impl OutputArgs {
    pub(super) fn is_json(&self) -> bool {
        self.output == Output::Json
    }
}

/// What scripts say to every command, and what these need not be told: nothing is asked.
#[derive(Args, Clone, Debug)]
pub(super) struct QuietArgs {
    /// Nothing is asked anyway
    #[arg(long = "yes", short = 'y', hide = true)]
    _yes: bool,
}

#[derive(Args, Debug)]
struct CreateArgs {
    #[command(flatten)]
    name: NameArgs,
    #[command(flatten)]
    values: ValueArgs,
    #[command(flatten)]
    needs: NeedArgs,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    wait: WaitArgs,
    /// Print the manifests that would be applied (without the secrets in them), and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    quiet: QuietArgs,
    #[command(flatten)]
    catalogue: CatalogueArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Args, Debug)]
struct DeleteArgs {
    #[command(flatten)]
    name: NameArgs,
    /// Delete its volumes and secrets, too: all of its data
    #[arg(long)]
    purge: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// Say what would be deleted, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    catalogue: CatalogueArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Args, Debug)]
struct StatusArgs {
    /// Name of the module; all of the namespace where none is named
    #[arg(value_name = "NAME")]
    module: Option<String>,
    /// Name of the release, where it is not the module's
    #[arg(long, value_name = "RELEASE", requires = "module")]
    name: Option<String>,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    catalogue: CatalogueArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Args, Debug)]
struct DiffArgs {
    #[command(flatten)]
    name: NameArgs,
    #[command(flatten)]
    values: ValueArgs,
    #[command(flatten)]
    needs: NeedArgs,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    catalogue: CatalogueArgs,
}

#[derive(Args, Debug)]
struct InfoArgs {
    /// Name of the module
    #[arg(value_name = "NAME")]
    module: String,
    #[command(flatten)]
    values: ValueArgs,
    #[command(flatten)]
    catalogue: CatalogueArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Args, Debug)]
struct ListArgs {
    #[command(flatten)]
    catalogue: CatalogueArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Args, Debug)]
struct ListValuesArgs {
    /// Name of the module; before it the group, where that was not said yet
    #[arg(value_name = "[GROUP] NAME", num_args = 1..=2, required = true)]
    names: Vec<String>,
    #[command(flatten)]
    catalogue: CatalogueArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Does it.
///
/// # Errors
/// Where there is no such module or domain, or the cluster or a program fails.
pub async fn run(kind: Kind, args: &ModuleArgs, ledger: &LedgerArgs) -> anyhow::Result<ExitCode> {
    let group = args.group.as_deref();
    match &args.command {
        ModuleCommand::Create(args) => create::run(kind, group, args).await,
        ModuleCommand::Delete(args) => delete::run(kind, group, args).await,
        ModuleCommand::Status(args) => show::status(kind, group, args, ledger).await,
        ModuleCommand::Diff(args) => diff::run(kind, group, args).await,
        ModuleCommand::Info(args) => show::info(kind, group, args),
        ModuleCommand::List(args) => show::list(kind, group, args),
        ModuleCommand::ListValues(args) => show::list_values(kind, group, args),
    }
}

/// The module that is meant.
fn find<'c>(
    catalogue: &'c Catalogue,
    kind: Kind,
    group: Option<&str>,
    name: &str,
) -> anyhow::Result<&'c Module> {
    let usage = || {
        Usage(format!(
            "say the group before the command: hxmlops {kind} GROUP … {name}"
        ))
    };
    Ok(catalogue.find(kind, group.ok_or_else(usage)?, name)?)
}

/// The release that is meant.
fn release(module: &Module, name: Option<&str>) -> Result<String, Usage> {
    let named = module.release_named(name);
    named.map_err(|error| Usage(format!("--name {error}")))
}

/// Whether a module can have these values.
pub(super) fn check_values(module: &Module, user: &UserValues) -> anyhow::Result<()> {
    if module.file.steps.is_some() && !user.is_empty() {
        let name = module.full_name();
        anyhow::bail!("{name} has no values: nothing would change by those that are given");
    }
    Ok(())
}
