//! `delete`: what a module runs goes; its data stay, unless somebody says otherwise.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Serialize;

use super::place::Place;
use super::{DeleteArgs, find, release};
use crate::cli::Usage;
use crate::commands::ask::{self, Asker};
use crate::commands::interrupt;
use crate::commands::output::{print, tell};
use crate::deploy::catalogue::module::Kind;
use crate::deploy::catalogue::{Catalogue, Module};
use crate::deploy::needs::Planned;
use crate::deploy::needs::current;
use crate::deploy::observe::{self, Scope};
use crate::format;

/// What would be deleted, for programs.
#[derive(Debug, Serialize)]
struct Deleting<'d> {
    module: String,
    release: &'d str,
    domain: &'d str,
    namespace: &'d str,
    /// Its data would go, too.
    purge: bool,
    /// Who uses it.
    used_by: &'d [String],
}

/// What became of a module.
#[derive(Debug, Serialize)]
struct Deleted {
    module: String,
    release: String,
    domain: String,
    namespace: String,
    /// It was there.
    deleted: bool,
    /// What of its data went.
    purged: Vec<String>,
}

pub(super) async fn run(
    kind: Kind,
    group: Option<&str>,
    args: &DeleteArgs,
) -> anyhow::Result<ExitCode> {
    let limit = args.wait.limit()?;
    let catalogue = args.catalogue.read()?;
    let module = find(&catalogue, kind, group, &args.name.module)?;
    let release = release(module, args.name.name.as_deref())?;
    let place = Place::find(&args.place).await?;
    let what = format!("{} ({release}) in {}", module.full_name(), place.shown());
    let checked = place.check_owner(module, &release).await;
    checked.with_context(|| what.clone())?;
    let data = if args.purge {
        "with its volumes and secrets"
    } else {
        "its volumes and secrets stay"
    };
    if !args.dry_run && !args.yes && !ask::is_possible() {
        return Err(
            Usage("delete asks first, and nobody can be asked here: say --yes".to_owned()).into(),
        );
    }
    let users = users(&place, &catalogue, (module, &release)).await;
    let users = users.with_context(|| what.clone())?;
    if args.dry_run {
        let deleting = Deleting {
            module: module.full_name(),
            release: &release,
            domain: &place.name,
            namespace: &place.cluster.namespace,
            purge: args.purge,
            used_by: &users,
        };
        return announce(args, &deleting, (&what, data));
    }
    if !is_wanted(args, &place, (&what, data), &users)? {
        bail!("nothing is deleted");
    }
    let deleted = delete(&place, module, &release, limit).await;
    let deleted = deleted.with_context(|| what.clone())?;
    let scope = Scope::new(module, &release, &place.cluster.namespace);
    if args.wait.waits() && !place.wait_gone(&release, &scope, limit).await? {
        bail!(
            "{what}: pods are still there after {} s; delete again to wait on",
            limit.as_secs()
        );
    }
    let mut purged = Vec::new();
    if args.purge {
        let purge = observe::purge(&place.cluster, module, &release);
        purged = interrupt::unless(&place.end, purge).await??;
    }
    show(
        args,
        &Deleted {
            module: module.full_name(),
            release,
            domain: place.name.clone(),
            namespace: place.cluster.namespace.clone(),
            deleted,
            purged,
        },
    )
}

/// Says what would be deleted.
fn announce(
    args: &DeleteArgs,
    deleting: &Deleting<'_>,
    (what, data): (&str, &str),
) -> anyhow::Result<ExitCode> {
    if args.output.is_json() {
        print(&format::json(deleting)?)?;
    } else {
        let users = used_by(deleting.used_by);
        let users = users.map_or(String::new(), |users| format!("; it {users}"));
        tell(&format!("would delete {what}; {data}{users}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks, unless that was answered before; who uses what goes is named in any case.
fn is_wanted(
    args: &DeleteArgs,
    place: &Place,
    (what, data): (&str, &str),
    users: &[String],
) -> anyhow::Result<bool> {
    let users = used_by(users);
    if args.yes {
        if let Some(users) = users {
            tell(&format!("warning: {what} {users}"));
        }
        return Ok(true);
    }
    let users = users.map_or(String::new(), |users| format!(" It {users}."));
    let role = place.domain.role;
    Asker::terminal().yes(&format!("Delete {what} ({role})? {data}.{users}"), false)
}

fn used_by(users: &[String]) -> Option<String> {
    (!users.is_empty()).then(|| format!("is used by {}", users.join(", ")))
}

/// The releases that use one, and as what: `api/modelsharing (share: database)`.
async fn users(
    place: &Place,
    catalogue: &Catalogue,
    provider: (&Module, &str),
) -> anyhow::Result<Vec<String>> {
    if provider.0.file.offers.is_empty() {
        return Ok(Vec::new());
    }
    let namespace = &place.cluster.namespace;
    let deployed = observe::deployed(&place.cluster);
    let mut users = Vec::new();
    for one in interrupt::unless(&place.end, deployed).await?? {
        let module = catalogue.by_label(&one.label);
        let Some(module) = module.filter(|module| current::may_use(module, provider.0)) else {
            continue;
        };
        let values = place.helm().await?.values(&one.release).await?;
        let wires = current::wires(module, &values.unwrap_or_default());
        if let Some(need) = current::met_by(module, &wires, provider, namespace) {
            users.push(format!("{} ({}: {need})", module.full_name(), one.release));
        }
    }
    Ok(users)
}

/// True where something was there.
async fn delete(
    place: &Place,
    module: &Module,
    release: &str,
    limit: Duration,
) -> anyhow::Result<bool> {
    let Some(steps) = &module.file.steps else {
        return Ok(place.helm().await?.uninstall(release, limit).await?);
    };
    let planned = Planned {
        module,
        release: release.to_owned(),
        wires: Vec::new(),
        uses: Vec::new(),
    };
    let kubectl = place.kubectl().await?;
    for step in steps.iter().rev() {
        let objects = kubectl.objects(step, &planned).await?;
        kubectl.delete(&objects, limit).await?;
    }
    Ok(true)
}

fn show(args: &DeleteArgs, deleted: &Deleted) -> anyhow::Result<ExitCode> {
    if args.output.is_json() {
        print(&format::json(deleted)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let Deleted {
        module,
        release,
        namespace,
        ..
    } = deleted;
    let done = if deleted.deleted {
        "is deleted"
    } else {
        "was not there"
    };
    print(&format!(
        "{module} ({release}) {done} in namespace {namespace}\n"
    ))?;
    for one in &deleted.purged {
        print(&format!("  {one} is deleted\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}
