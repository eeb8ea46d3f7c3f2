//! `diff`: what create would change, as helm's record of the release has it. Of what was changed by hand, only
//! that workloads are gone is seen.

use std::fmt;
use std::process::ExitCode;

use anyhow::Context as _;
use serde::Serialize;
use serde_json::Value;

use super::DiffArgs;
use super::create::{failed, objects, plan, wanted};
use super::place::Place;
use crate::commands::interrupt;
use crate::commands::output::{print, tell};
use crate::deploy::catalogue::module::Kind;
use crate::deploy::files::UserValues;
use crate::deploy::manifest;
use crate::deploy::needs::Planned;
use crate::deploy::observe::{self, Scope};
use crate::deploy::rollout::Workload;
use crate::deploy::state::Record;

/// Kinds of workloads, as a rollout has them.
const WORKLOADS: [&str; 3] = ["Deployment", "StatefulSet", "DaemonSet"];

/// Something differs.
pub(in crate::commands) const DIFFERS: u8 = 3;

/// What becomes of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::commands) enum Effect {
    /// It was not there.
    Created,
    /// It was there, and not as it is to be.
    Changed,
    /// It is as it is to be.
    Unchanged,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
        })
    }
}

/// What create would change of a module.
pub(in crate::commands) struct Difference {
    pub(in crate::commands) effect: Effect,
    /// As a unified diff.
    pub(in crate::commands) text: String,
}

pub(super) async fn run(
    kind: Kind,
    group: Option<&str>,
    args: &DiffArgs,
) -> anyhow::Result<ExitCode> {
    let user = args.values.read()?;
    let catalogue = args.catalogue.read()?;
    let wanted = wanted(&catalogue, (kind, group), &args.name, &args.needs, &user)?;
    let place = Place::find(&args.place).await?;
    let plan = plan(&place, &catalogue, wanted, args.needs.with_dependencies).await?;
    let mut differs = String::new();
    for (number, planned) in plan.iter().enumerate() {
        let own = if number + 1 == plan.len() {
            user.clone()
        } else {
            UserValues::default()
        };
        differs += &difference(&place, planned, &own).await?.text;
    }
    if differs.is_empty() {
        tell("nothing would change");
        return Ok(ExitCode::SUCCESS);
    }
    print(&differs)?;
    Ok(ExitCode::from(DIFFERS))
}

/// What one module would change. Where helm's record says that its last change did not end well, that is still to be made: what
/// is wanted is compared with what was deployed before, if anything was.
pub(in crate::commands) async fn difference(
    place: &Place,
    planned: &Planned<'_>,
    user: &UserValues,
) -> anyhow::Result<Difference> {
    let checked = place.check_owner(planned.module, &planned.release).await;
    checked.with_context(|| failed(place, planned))?;
    let mut after = objects(place, planned, user).await?;
    if planned.module.file.steps.is_some() {
        let (text, is_there) = place.kubectl().await?.diff(&after).await?;
        let effect = effect(is_there, &text);
        return Ok(Difference { effect, text });
    }
    let helm = place.helm().await?;
    let records = observe::records(&place.cluster);
    let records = interrupt::unless(&place.end, records).await??;
    let record = records.get(&planned.release);
    let broken = record.filter(|record| record.status != "deployed");
    let deployed = broken.and_then(|record| record.deployed);
    let found = helm.manifest(&planned.release, deployed).await?;
    let before = manifest::objects(found.as_deref().unwrap_or_default());
    let mut before = before
        .map_err(anyhow::Error::msg)
        .context("helm get manifest")?;
    let scope = Scope::new(planned.module, &planned.release, &place.cluster.namespace);
    drop_gone(place, &scope, &mut before).await?;
    if !helm.looks_up() {
        manifest::drop_secret_data(&mut before);
        manifest::drop_secret_data(&mut after);
    }
    let text = broken.map_or(String::new(), repeated) + &manifest::diff(&before, &after);
    let effect = effect(found.is_some(), &text);
    Ok(Difference { effect, text })
}

/// Leaves out the workloads that helm's record has and the cluster does not: somebody has deleted them.
async fn drop_gone(place: &Place, scope: &Scope, objects: &mut Vec<Value>) -> anyhow::Result<()> {
    let is_workload = |object: &Value| WORKLOADS.iter().any(|kind| object["kind"] == *kind);
    if !objects.iter().any(is_workload) {
        return Ok(());
    }
    let rollout = observe::rollout(&place.cluster, scope);
    let there = interrupt::unless(&place.end, rollout).await??.workloads;
    objects.retain(|object| {
        let (kind, name) = (&object["kind"], &object["metadata"]["name"]);
        let is_it = |one: &Workload| *kind == one.kind && *name == *one.name;
        !is_workload(object) || there.iter().any(is_it)
    });
    Ok(())
}

/// A line that is no part of the diff: patch passes it over.
fn repeated(record: &Record) -> String {
    let Record {
        revision, status, ..
    } = record;
    format!("# the last change (revision {revision}) is {status}: it would be made again\n")
}

fn effect(is_there: bool, text: &str) -> Effect {
    match (is_there, text.is_empty()) {
        (false, _) => Effect::Created,
        (true, false) => Effect::Changed,
        (true, true) => Effect::Unchanged,
    }
}
