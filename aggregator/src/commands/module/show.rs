//! `info`, `list`, `list-values` and `status`: what there is, and how it stands.

use std::process::ExitCode;

use anyhow::Context as _;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;
use serde_json::Value;

use super::place::Place;
use super::{InfoArgs, ListArgs, ListValuesArgs, StatusArgs, energy, find, release};
use crate::cli::{LedgerArgs, Usage};
use crate::commands::interrupt;
use crate::commands::output::{print, tell, width};
use crate::deploy::catalogue::module::{CheckedAgainst, Kind, Need, Offer, Settable};
use crate::deploy::catalogue::{Catalogue, Module};
use crate::deploy::energy::{ModuleEnergy, Release};
use crate::deploy::needs::Deployed;
use crate::deploy::observe::{self, Scope};
use crate::deploy::owner::Owner;
use crate::deploy::state::{ModuleState, Standing, standing};
use crate::deploy::{set, values, yaml};
use crate::format;

/// Something is not deployed, or not ready.
const NOT_READY: u8 = 3;

/// helm is asked about so many releases at the same time.
const AT_ONCE: usize = 4;

/// A module, for programs.
#[derive(Serialize)]
struct Shown<'m> {
    group: &'m str,
    name: &'m str,
    kind: Kind,
    title: &'m str,
    about: &'m str,
    deprecated: bool,
    version: &'m str,
    aliases: &'m [String],
    needs: &'m [Need],
    offers: &'m [Offer],
    settable: &'m [Settable],
    checked: &'m CheckedAgainst,
}

impl<'m> Shown<'m> {
    fn new(module: &'m Module) -> Self {
        let file = &module.file;
        Self {
            group: &module.group,
            name: &module.name,
            kind: file.kind,
            title: &file.title,
            about: file.about.trim(),
            deprecated: file.deprecated,
            version: &file.version,
            aliases: &file.aliases,
            needs: &file.needs,
            offers: &file.offers,
            settable: &file.values,
            checked: &file.checked,
        }
    }
}

pub(super) fn list(kind: Kind, group: Option<&str>, args: &ListArgs) -> anyhow::Result<ExitCode> {
    let catalogue = args.catalogue.read()?;
    let modules = catalogue.list(kind, group)?;
    if args.output.is_json() {
        let modules: Vec<Shown> = modules.into_iter().map(Shown::new).collect();
        print(&format::json(&modules)?)?;
    } else if modules.is_empty() {
        tell(&format!("the catalogue has no {kind}s"));
    } else {
        print(&format::modules::list(&modules, width()))?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn list_values(
    kind: Kind,
    group: Option<&str>,
    args: &ListValuesArgs,
) -> anyhow::Result<ExitCode> {
    let catalogue = args.catalogue.read()?;
    let (group, name) = match (group, &*args.names) {
        (group, [name]) => (group, name),
        (None, [group, name]) => (Some(group.as_str()), name),
        _ => return Err(Usage("the group is said twice".to_owned()).into()),
    };
    let module = find(&catalogue, kind, group, name)?;
    if args.output.is_json() {
        print(&format::json(&module.file.values)?)?;
    } else if module.file.values.is_empty() {
        tell(&format!("{} has no values to set", module.full_name()));
    } else {
        print(&format::modules::values(&module.file.values, width()))?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn info(kind: Kind, group: Option<&str>, args: &InfoArgs) -> anyhow::Result<ExitCode> {
    let catalogue = args.catalogue.read()?;
    let module = find(&catalogue, kind, group, &args.module)?;
    let values = effective(module, args)?;
    if args.output.is_json() {
        let mut shown = serde_json::to_value(Shown::new(module))?;
        shown["values"] = values.unwrap_or_default();
        print(&format::json(&shown)?)?;
    } else {
        let values = values
            .map(|values| serde_saphyr::to_string(&values))
            .transpose()?;
        print(&format::modules::info(
            module,
            &values.unwrap_or_default(),
            width(),
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The module's values with the user's over them.
fn effective(module: &Module, args: &InfoArgs) -> anyhow::Result<Option<Value>> {
    let file = &module.file;
    let own = file.own.as_ref().map(|own| &own.values);
    let Some(mut merged) = file.chart.as_ref().or(own).cloned().map(Value::Object) else {
        return Ok(None);
    };
    let user = args.values.read()?;
    for file in &user.files {
        let name = || format!("--file {}", file.display());
        let text = std::fs::read_to_string(file).with_context(name)?;
        let over: Value = yaml::parse(&text)
            .map_err(anyhow::Error::msg)
            .with_context(name)?;
        values::merge(&mut merged, over);
    }
    for setting in &user.set {
        set::lay(&mut merged, setting).map_err(|why| Usage(format!("--set '{setting}': {why}")))?;
    }
    Ok(Some(merged))
}

/// A module's state with what it uses, for programs.
#[derive(Serialize)]
struct WithEnergy<'s> {
    #[serde(flatten)]
    state: &'s ModuleState,
    /// None where nothing is told of it, or no aggregator is known.
    energy: Option<&'s ModuleEnergy>,
}

pub(super) async fn status(
    kind: Kind,
    group: Option<&str>,
    args: &StatusArgs,
    ledger: &LedgerArgs,
) -> anyhow::Result<ExitCode> {
    let catalogue = args.catalogue.read()?;
    let place = Place::find(&args.place).await?;
    let asking = async {
        let modules = match &args.module {
            Some(name) => {
                let module = find(&catalogue, kind, group, name)?;
                let release = release(module, args.name.as_deref())?;
                vec![named(&place, module, release).await?]
            }
            None => all(&place, &catalogue, kind, group).await?,
        };
        let states = states(&place, &modules).await?;
        let today = today(&place, ledger, &modules).await?;
        anyhow::Ok((states, today))
    };
    let (states, today) = interrupt::unless(&place.end, asking).await??;
    if args.output.is_json() {
        print(&format::json(&with_energy(&states, today.as_ref()))?)?;
    } else if states.is_empty() {
        tell(&format!("no {kind} is deployed in {}", place.shown()));
    } else {
        let energies = today.as_ref().map(|today| &*today.energies);
        print(&format::modules::states(&states, energies, width()))?;
        if let Some(today) = &today {
            print(&format::modules::foot(
                &today.energies,
                &today.since,
                width(),
            ))?;
        }
    }
    let is_ready = states.iter().all(|state| state.standing == Standing::Ready);
    Ok(if is_ready {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(NOT_READY)
    })
}

/// What the modules used today, where an aggregator is known.
async fn today(
    place: &Place,
    ledger: &LedgerArgs,
    modules: &[(&Module, String)],
) -> anyhow::Result<Option<energy::Today>> {
    if modules.is_empty() {
        return Ok(None);
    }
    let of = |(module, release): &(&Module, String)| {
        let scope = Scope::new(module, release, &place.cluster.namespace);
        // Our own chart names its pods' energy itself, whatever its release is called.
        let is_own = module.file.own.is_some();
        let component = if is_own {
            module.release()
        } else {
            release.clone()
        };
        (component, scope)
    };
    let named: Vec<(String, Scope)> = modules.iter().map(of).collect();
    let releases: Vec<Release> = named
        .iter()
        .map(|(name, scope)| Release {
            name,
            namespaces: scope.namespaces(),
        })
        .collect();
    energy::today(place, ledger, &releases).await
}

fn with_energy<'s>(
    states: &'s [ModuleState],
    today: Option<&'s energy::Today>,
) -> Vec<WithEnergy<'s>> {
    let numbered = states.iter().enumerate();
    let of = |number: usize| today?.energies.get(number)?.as_ref();
    let one = |(number, state)| WithEnergy {
        state,
        energy: of(number),
    };
    numbered.map(one).collect()
}

/// All modules of the kind that are in the namespace: by their workloads, and by helm's records where those lack.
async fn all<'c>(
    place: &Place,
    catalogue: &'c Catalogue,
    kind: Kind,
    group: Option<&str>,
) -> anyhow::Result<Vec<(&'c Module, String)>> {
    let of_kind = catalogue.list(kind, group)?;
    let mut deployed = observe::deployed(&place.cluster).await?;
    let records = observe::records(&place.cluster).await?;
    let has_workload = |release: &&String| deployed.iter().any(|one| one.release == **release);
    let bare: Vec<&String> = records
        .keys()
        .filter(|release| !has_workload(release))
        .collect();
    let owners = stream::iter(bare).map(|release| async move {
        let owner = place.owner(release).await?;
        anyhow::Ok((release, owner))
    });
    let owners: Vec<_> = owners.buffered(AT_ONCE).try_collect().await?;
    deployed.extend(owners.into_iter().filter_map(|(release, owner)| {
        let Owner::Module(label) = owner else {
            return None;
        };
        let release = release.clone();
        Some(Deployed { label, release })
    }));
    deployed.sort_by(|a, b| a.release.cmp(&b.release));
    let known = |one: Deployed| {
        let module = of_kind.iter().find(|module| module.label() == one.label)?;
        Some((*module, one.release))
    };
    Ok(deployed.into_iter().filter_map(known).collect())
}

/// The one that was asked for by its name, which may be something else's.
async fn named<'c>(
    place: &Place,
    module: &'c Module,
    release: String,
) -> anyhow::Result<(&'c Module, String)> {
    if module.file.steps.is_some() {
        return Ok((module, release));
    }
    let owner = place.owner(&release).await?;
    match owner.refusal(module, &release, &place.cluster.namespace) {
        Some(why) => anyhow::bail!(why),
        None => Ok((module, release)),
    }
}

async fn states(place: &Place, modules: &[(&Module, String)]) -> anyhow::Result<Vec<ModuleState>> {
    let records = observe::records(&place.cluster).await?;
    let mut states = Vec::new();
    for (module, release) in modules {
        let scope = Scope::new(module, release, &place.cluster.namespace);
        let rollout = observe::rollout(&place.cluster, &scope).await?;
        let record = records.get(release).cloned();
        states.push(ModuleState {
            module: module.full_name(),
            release: release.clone(),
            standing: standing(record.as_ref(), &rollout),
            record,
            rollout,
        });
    }
    Ok(states)
}
