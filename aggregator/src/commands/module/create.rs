//! `create`: plans what is needed, then deploys one module after the other.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Serialize;
use serde_json::Value;

use super::place::Place;
use super::preview::preview;
use super::{CreateArgs, NameArgs, NeedArgs, check_values, find, release};
use crate::commands::interrupt;
use crate::commands::output::{print, tell};
use crate::deploy::catalogue::module::Kind;
use crate::deploy::catalogue::{Catalogue, Module};
use crate::deploy::files::{ChartFiles, UserValues};
use crate::deploy::helm::Repaired;
use crate::deploy::manifest;
use crate::deploy::needs::current::{self, Wires};
use crate::deploy::needs::{self, Planned, Planner, Wanted};
use crate::deploy::observe::{self, Scope};
use crate::deploy::rollout::Rollout;
use crate::format;

/// What became of a module.
#[derive(Debug, Serialize)]
pub(in crate::commands) struct Created {
    module: String,
    release: String,
    domain: String,
    namespace: String,
    /// Who gives what it needs, as (need, release).
    uses: Vec<(String, String)>,
    offers: Vec<Offered>,
    /// How far it is; none where one did not wait.
    rollout: Option<Rollout>,
}

#[derive(Debug, Serialize)]
struct Offered {
    capability: String,
    /// HOST:PORT within the cluster.
    address: String,
    endpoint: String,
    secret: Option<String>,
}

pub(super) async fn run(
    kind: Kind,
    group: Option<&str>,
    args: &CreateArgs,
) -> anyhow::Result<ExitCode> {
    let (limit, user) = (args.wait.limit()?, args.values.read()?);
    let catalogue = args.catalogue.read()?;
    let module = find(&catalogue, kind, group, &args.name.module)?;
    check_values(module, &user)?;
    let place = Place::find(&args.place).await?;
    let wanted = wanted(&catalogue, (kind, group), &args.name, &args.needs, &user)?;
    let plan = plan(&place, &catalogue, wanted, args.needs.with_dependencies).await;
    let plan = plan.map_err(|error| interrupt::left(error, "nothing is changed"))?;
    for planned in &plan {
        let checked = place.check_owner(planned.module, &planned.release).await;
        let checked = checked.with_context(|| failed(&place, planned));
        checked.map_err(|error| interrupt::left(error, "nothing is changed"))?;
    }
    // The user's values are for the module that was asked for, which is the last.
    let mut steps: Vec<_> = plan
        .iter()
        .map(|one| (one, UserValues::default()))
        .collect();
    if let Some((_, own)) = steps.last_mut() {
        *own = user;
    }
    if args.dry_run {
        print(&preview(&place, &steps, args.output.is_json()).await?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut created = Vec::new();
    let wait = args.wait.waits().then_some(limit);
    let deployed = deploy(&place, &steps, (limit, wait), &mut created).await;
    // What was done is told also where the next one failed.
    let shown = show(&created, args.output.is_json());
    deployed.and(shown)?;
    Ok(ExitCode::SUCCESS)
}

async fn deploy(
    place: &Place,
    steps: &[(&Planned<'_>, UserValues)],
    (limit, wait): (Duration, Option<Duration>),
    created: &mut Vec<Created>,
) -> anyhow::Result<()> {
    for (planned, user) in steps {
        bring(place, planned, user, limit).await?;
        let rollout = ready(place, planned, wait).await?;
        created.push(self::created(place, planned, rollout));
    }
    Ok(())
}

fn show(created: &[Created], json: bool) -> anyhow::Result<()> {
    if json {
        return print(&format::json(&created)?);
    }
    let described = created.iter().map(|one| described(one, "deployed"));
    print(&described.collect::<String>())
}

/// A module as the arguments want it.
pub(super) fn wanted<'c>(
    catalogue: &'c Catalogue,
    (kind, group): (Kind, Option<&str>),
    name: &NameArgs,
    needs: &NeedArgs,
    user: &UserValues,
) -> anyhow::Result<Wanted<'c>> {
    let module = find(catalogue, kind, group, &name.module)?;
    let wires = module.file.needs.iter().flat_map(|need| need.wire.keys());
    Ok(Wanted {
        module,
        release: release(module, name.name.as_deref())?,
        using: needs.using()?.into_iter().collect(),
        set_paths: user.paths(wires)?,
        current: Wires::new(),
    })
}

/// With what its release, where it is there, uses now: that it keeps.
pub(in crate::commands) async fn with_current<'c>(
    place: &Place,
    mut wanted: Wanted<'c>,
) -> anyhow::Result<Wanted<'c>> {
    let Module { file, .. } = wanted.module;
    let mut needs = file.needs.iter();
    let is_open = needs.any(|need| !wanted.using.contains_key(&need.name));
    if is_open && file.steps.is_none() {
        let values = place.helm().await?.values(&wanted.release).await?;
        wanted.current = current::wires(wanted.module, &values.unwrap_or_default());
    }
    Ok(wanted)
}

/// What is to be deployed, in order.
pub(super) async fn plan<'c>(
    place: &'c Place,
    catalogue: &'c Catalogue,
    wanted: Wanted<'c>,
    with_dependencies: bool,
) -> anyhow::Result<Vec<Planned<'c>>> {
    // Most modules need nobody, and are not worth the question.
    let deployed = if wanted.module.file.needs.is_empty() {
        Vec::new()
    } else {
        let deployed = observe::deployed(&place.cluster);
        interrupt::unless(&place.end, deployed).await??
    };
    let namespace = &place.cluster.namespace;
    let mut planner = Planner::new(catalogue, namespace, deployed, with_dependencies);
    planner.add(&with_current(place, wanted).await?)?;
    Ok(planner.plan())
}

/// The objects that would be applied.
pub(super) async fn objects(
    place: &Place,
    planned: &Planned<'_>,
    user: &UserValues,
) -> anyhow::Result<Vec<Value>> {
    if let Some(files) = ChartFiles::write(planned, place.domain.site.as_deref(), user)? {
        let manifest = place.helm().await?.preview(&planned.release, &files).await;
        let manifest = manifest.with_context(|| failed(place, planned))?;
        return manifest::objects(&manifest).map_err(anyhow::Error::msg);
    }
    let mut objects = Vec::new();
    for step in planned.module.file.steps.iter().flatten() {
        objects.extend(place.kubectl().await?.objects(step, planned).await?);
    }
    Ok(objects)
}

/// What something went wrong with.
pub(super) fn failed(place: &Place, planned: &Planned<'_>) -> String {
    format!(
        "{} as {} in {}",
        planned.module.full_name(),
        planned.release,
        place.shown()
    )
}

/// Deploys one module, or brings it to what is wanted.
pub(in crate::commands) async fn bring(
    place: &Place,
    planned: &Planned<'_>,
    user: &UserValues,
    limit: Duration,
) -> anyhow::Result<()> {
    let (module, release) = (planned.module, &planned.release);
    if module.file.deprecated {
        tell(&format!(
            "warning: {}: {}",
            module.full_name(),
            module.file.about.trim()
        ));
    }
    let applied = match ChartFiles::write(planned, place.domain.site.as_deref(), user)? {
        Some(files) => upgrade(place, release, &files, limit).await,
        None => apply(place, planned, limit).await,
    };
    let left = "some of it may be deployed, and the same command goes on";
    let applied = applied.map_err(|error| interrupt::left(error, left));
    applied.with_context(|| failed(place, planned))
}

/// Waits until a deployed module is ready, as long as is said. How far it is then; none where one does not wait.
pub(in crate::commands) async fn ready(
    place: &Place,
    planned: &Planned<'_>,
    wait: Option<Duration>,
) -> anyhow::Result<Option<Rollout>> {
    let Some(limit) = wait else {
        return Ok(None);
    };
    let (module, release) = (planned.module, &planned.release);
    let scope = Scope::new(module, release, &place.cluster.namespace);
    let reached = place.wait_ready(release, &scope, limit).await;
    let left = "it stays deployed, and the same command goes on waiting";
    let reached = reached.map_err(|error| interrupt::left(error, left));
    let reached = reached.with_context(|| failed(place, planned))?;
    if reached.is_ready() {
        return Ok(Some(reached));
    }
    tell(&format!(
        "{} is not ready: {}",
        failed(place, planned),
        reached.line()
    ));
    place.explain(&scope, &reached).await;
    let seconds = limit.as_secs();
    bail!(
        "{} is not ready after {seconds} s; it stays deployed, and the same command goes on waiting",
        module.full_name()
    )
}

async fn upgrade(
    place: &Place,
    release: &str,
    files: &ChartFiles,
    limit: Duration,
) -> anyhow::Result<()> {
    let helm = place.helm().await?;
    if helm.repair(release, limit).await? == Repaired::BrokenOff {
        tell(&format!(
            "a change of release {release} was broken off before; it is taken up again"
        ));
    }
    Ok(helm.upgrade(release, files, limit).await?)
}

async fn apply(place: &Place, planned: &Planned<'_>, limit: Duration) -> anyhow::Result<()> {
    let kubectl = place.kubectl().await?;
    for step in planned.module.file.steps.iter().flatten() {
        let objects = kubectl.objects(step, planned).await?;
        kubectl.apply(step, &objects, limit).await?;
    }
    Ok(())
}

/// What became of a module, and what it offers.
pub(in crate::commands) fn created(
    place: &Place,
    planned: &Planned<'_>,
    rollout: Option<Rollout>,
) -> Created {
    let namespace = &place.cluster.namespace;
    let offered = planned.module.file.offers.iter().map(|offer| {
        let facts = needs::facts(offer, &planned.release, namespace);
        Offered {
            capability: offer.capability.clone(),
            address: format!("{}:{}", facts["host"], facts["port"]),
            endpoint: facts["endpoint"].clone(),
            secret: facts.get("secret").cloned(),
        }
    });
    Created {
        module: planned.module.full_name(),
        release: planned.release.clone(),
        domain: place.name.clone(),
        namespace: namespace.clone(),
        uses: planned.uses.clone(),
        offers: offered.collect(),
        rollout,
    }
}

/// In some lines, with a word for what was done.
pub(in crate::commands) fn described(created: &Created, done: &str) -> String {
    let Created {
        module,
        release,
        domain,
        namespace,
        ..
    } = created;
    let state = created
        .rollout
        .as_ref()
        .map_or("not waited for".to_owned(), Rollout::figures);
    let mut text = format!(
        "{module} is {done} as {release} in domain {domain}, namespace {namespace}: {state}\n"
    );
    for (need, release) in &created.uses {
        text += &format!("  {need}: given by {release}\n");
    }
    for offered in &created.offers {
        let secret = offered
            .secret
            .as_ref()
            .map_or(String::new(), |name| format!(", secret {name}"));
        text += &format!("  {} at {}{secret}\n", offered.capability, offered.address);
    }
    text
}
