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
use crate::deploy::catalogue::Module;
use crate::deploy::catalogue::module::Kind;
use crate::deploy::needs::Planned;
use crate::deploy::observe::{self, Scope};
use crate::format;

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
    let data = if args.purge {
        "with its volumes and secrets"
    } else {
        "its volumes and secrets stay"
    };
    if args.dry_run {
        tell(&format!("would delete {what}; {data}"));
        return Ok(ExitCode::SUCCESS);
    }
    if !args.yes && !is_wanted(&place, &what, data)? {
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

fn is_wanted(place: &Place, what: &str, data: &str) -> anyhow::Result<bool> {
    if !ask::is_possible() {
        return Err(
            Usage("delete asks first, and nobody can be asked here: say --yes".to_owned()).into(),
        );
    }
    let role = place.domain.role;
    Asker::terminal().yes(&format!("Delete {what} ({role})? {data}."), false)
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
