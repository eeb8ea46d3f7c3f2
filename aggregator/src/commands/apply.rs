//! `hxmlops apply` and `hxmlops diff`: a whole environment from one file. What is as it is to be, is left alone; what the
//! file leaves out stays.

mod plan;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use futures_util::{StreamExt as _, stream};
use serde::Serialize;

use self::plan::{Placement, Step};
use super::interrupt;
use super::module::create::{self, Created, described};
use super::module::diff::{DIFFERS, Difference, Effect, difference};
use super::module::{CatalogueArgs, OutputArgs, QuietArgs, WaitArgs};
use super::output::{Progress, print, tell};
use crate::format;

/// Which environment.
#[derive(Args, Clone, Debug)]
struct FileArgs {
    /// File of the environment (YAML); - is standard input
    #[arg(long, short, value_name = "FILE")]
    file: PathBuf,
    /// Create what modules need, too, where it lacks and the file does not have it
    #[arg(long)]
    with_dependencies: bool,
    /// Domain, where the file says none [default: the default domain]
    #[arg(long, value_name = "NAME")]
    domain: Option<String>,
    /// Namespace, where the file says none [default: the domain's]
    #[arg(long, short, value_name = "NAME")]
    namespace: Option<String>,
    #[command(flatten)]
    catalogue: CatalogueArgs,
}

/// Arguments of `hxmlops apply`.
#[derive(Args, Debug)]
#[command(after_help = "Modules that the file leaves out stay; delete them by their names.")]
pub struct ApplyArgs {
    #[command(flatten)]
    file: FileArgs,
    #[command(flatten)]
    wait: WaitArgs,
    /// Say what would be done, and change nothing; diff shows it line by line
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    quiet: QuietArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Arguments of `hxmlops diff`.
#[derive(Args, Debug)]
pub struct DiffArgs {
    #[command(flatten)]
    file: FileArgs,
}

/// What is done with a module, for programs.
#[derive(Serialize)]
struct Doing<'s> {
    effect: Effect,
    module: String,
    release: &'s str,
    domain: &'s str,
    namespace: &'s str,
}

/// What was done with a module, for programs.
#[derive(Serialize)]
struct Done {
    effect: Effect,
    #[serde(flatten)]
    created: Created,
}

/// Brings all modules of the file to what is wanted.
///
/// # Errors
/// Where something in the file is wrong, and nothing is changed then; or where a module fails, and the rest is left.
pub async fn run(args: &ApplyArgs) -> anyhow::Result<ExitCode> {
    let limit = args.wait.limit()?;
    let catalogue = args.file.catalogue.read()?;
    let placement = Placement::read(&args.file, &catalogue).await?;
    let steps = placement.steps(&catalogue, args.file.with_dependencies);
    let steps = steps.await.map_err(unchanged)?;
    let effects = differences(&placement, &steps).await.map_err(unchanged)?;
    let effects: Vec<Effect> = effects.iter().map(|one| one.effect).collect();
    if args.dry_run {
        return show_plan(&steps, &effects, args.output.is_json());
    }
    let wait = args.wait.waits().then_some(limit);
    let mut done = Vec::new();
    for (number, (step, effect)) in steps.iter().zip(&effects).enumerate() {
        match apply(step, *effect, limit, wait).await {
            Ok(one) => done.push(one),
            Err(error) => {
                // People read it in the error.
                if args.output.is_json() {
                    print(&format::json(&done)?)?;
                }
                return Err(error.context(stopped(&placement.file, &steps, number)));
            }
        }
    }
    show(&done, args.output.is_json())
}

/// Says what apply would change.
///
/// # Errors
/// Where something in the file is wrong, or a cluster or a program fails.
pub async fn diff(args: &DiffArgs) -> anyhow::Result<ExitCode> {
    let catalogue = args.file.catalogue.read()?;
    let placement = Placement::read(&args.file, &catalogue).await?;
    let steps = placement
        .steps(&catalogue, args.file.with_dependencies)
        .await?;
    let mut text = String::new();
    for (step, difference) in steps.iter().zip(differences(&placement, &steps).await?) {
        if difference.effect != Effect::Unchanged {
            text += &format!("# {}\n{}", would(step, difference.effect), difference.text);
        }
    }
    if text.is_empty() {
        tell("nothing would change");
        return Ok(ExitCode::SUCCESS);
    }
    print(&text)?;
    Ok(ExitCode::from(DIFFERS))
}

/// An error of what only looks.
fn unchanged(error: anyhow::Error) -> anyhow::Error {
    interrupt::left(error, "nothing is changed")
}

/// helm is asked about so many modules at the same time.
const AT_ONCE: usize = 4;

/// What deploying each would change. helm makes all manifests for that, and refuses values that a chart does not have.
async fn differences(
    placement: &Placement<'_>,
    steps: &[Step<'_>],
) -> anyhow::Result<Vec<Difference>> {
    let progress = Progress::new(steps.len() as u64, "comparing");
    let compared = stream::iter(steps).map(|step| compared(placement, step));
    let mut compared = compared.buffered(AT_ONCE);
    let mut differences = Vec::new();
    while let Some(one) = compared.next().await {
        differences.push(one?);
        progress.set(differences.len() as u64);
    }
    Ok(differences)
}

async fn compared(placement: &Placement<'_>, step: &Step<'_>) -> anyhow::Result<Difference> {
    let one = difference(step.place, &step.planned, &step.user).await;
    one.with_context(|| placement.at(step.line))
}

async fn apply(
    step: &Step<'_>,
    effect: Effect,
    limit: Duration,
    wait: Option<Duration>,
) -> anyhow::Result<Done> {
    let Step {
        place,
        planned,
        user,
        ..
    } = step;
    if effect != Effect::Unchanged {
        create::bring(place, planned, user, limit).await?;
    }
    // What is as it is to be may yet have to come up.
    let rollout = create::ready(place, planned, wait).await?;
    let created = create::created(place, planned, rollout);
    Ok(Done { effect, created })
}

fn stopped(file: &str, steps: &[Step<'_>], number: usize) -> String {
    let named = |steps: &[Step]| {
        let names = steps.iter().map(|step| {
            format!(
                "{} ({})",
                step.planned.module.full_name(),
                step.planned.release
            )
        });
        let names: Vec<String> = names.collect();
        if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        }
    };
    format!(
        "{file}: {} failed; done: {}; not begun: {}; apply again to go on",
        named(&steps[number..=number]),
        named(&steps[..number]),
        named(&steps[number + 1..]),
    )
}

fn would(step: &Step<'_>, effect: Effect) -> String {
    let would = match effect {
        Effect::Unchanged => "would stay as it is,".to_owned(),
        effect => format!("would be {effect}"),
    };
    let module = step.planned.module.full_name();
    format!(
        "{module} {would} as {} in {}",
        step.planned.release,
        step.place.shown()
    )
}

fn show_plan(steps: &[Step<'_>], effects: &[Effect], json: bool) -> anyhow::Result<ExitCode> {
    let steps = steps.iter().zip(effects);
    if json {
        let doing = steps.map(|(step, effect)| Doing {
            effect: *effect,
            module: step.planned.module.full_name(),
            release: &step.planned.release,
            domain: &step.place.name,
            namespace: &step.place.cluster.namespace,
        });
        print(&format::json(&doing.collect::<Vec<_>>())?)?;
    } else {
        let lines = steps.map(|(step, effect)| would(step, *effect) + "\n");
        print(&lines.collect::<String>())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn show(done: &[Done], json: bool) -> anyhow::Result<ExitCode> {
    if json {
        print(&format::json(&done)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let lines = done
        .iter()
        .map(|one| described(&one.created, &one.effect.to_string()));
    print(&lines.collect::<String>())?;
    if done.iter().all(|one| one.effect == Effect::Unchanged) {
        tell("nothing was changed");
    }
    Ok(ExitCode::SUCCESS)
}
