//! A ledger of a year: 100,000 runs on two nodes each, one of three days with many pods, and the intensity of 20 grids by 5
//! minutes; and what is asked of it, of a server and of its data directory.

mod grids;
mod runs;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tempfile::TempDir;

use super::Figure;
use super::ask::Asker;
use super::server::Server;

/// Two-letter codes of the yearly table: nothing has to be told of them before the server starts.
const ZONES: [&str; 20] = [
    "AT", "BE", "BG", "CH", "CZ", "DE", "DK", "ES", "FI", "FR", "GB", "GR", "HU", "IE", "IT", "NL",
    "NO", "PL", "PT", "SE",
];
/// Budgets: a workflow's runs each, its month, and the month of all.
const BUDGETS: [(&str, &str, bool); 3] = [
    ("each", "workflow", false),
    ("month", "workflow", true),
    ("all", "all", true),
];
/// A run that a year's ledger was filled with long ago, and one of these days.
const OLD: usize = 40_000;
const LATE: usize = runs::RUNS - 5;
/// Between two questions that are asked while budgets are looked at.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) async fn run(directory: &Path) -> anyhow::Result<Vec<Figure>> {
    let files = TempDir::new()?;
    let config = files.path().join("config.yaml");
    fs::write(&config, configuration())?;
    let config = config.to_string_lossy();
    // Hours would be fewer rows, and folding a year at once takes hours.
    let server = Server::start(directory, &["--config", &config, "--keep-minutes", "400d"])?;
    let asker = Asker::new(&server, directory);
    let now = Timestamp::from_second(Timestamp::now().as_second() / 60 * 60)?;

    let mut figures = Vec::new();
    figures.push(timed("year: making the runs", runs::fill(&asker, now)).await?);
    figures.push(timed("year: making the slots", grids::fill(&asker, now)).await?);
    let before = Timestamp::now();
    grids::revise(&asker, now).await?;
    figures.push(server.memory_figure("year: most memory of the server, filling")?);
    ask_server(&asker, before, &mut figures).await?;
    ask_budgets(&asker, &mut figures).await?;
    ask_directory(&asker, now, before, &mut figures)?;
    figures.push(server.memory_figure("year: most memory of the server")?);
    Ok(figures)
}

/// A site for each zone, of that name.
fn configuration() -> String {
    let sites: Vec<_> = ZONES
        .iter()
        .map(|zone| json!({ "name": zone, "intensity_zone": zone, "pue": 1.2 }))
        .collect();
    json!({ "sites": sites }).to_string()
}

async fn timed(
    name: &str,
    task: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<Figure> {
    eprintln!("{name}");
    let started = Instant::now();
    task.await?;
    Ok(Figure::new(
        name,
        "s",
        vec![started.elapsed().as_secs_f64()],
    ))
}

async fn ask_server(
    asker: &Asker,
    before: Timestamp,
    figures: &mut Vec<Figure>,
) -> anyhow::Result<()> {
    let workflow = runs::workflow(LATE);
    let week_ago = before - SignedDuration::from_hours(7 * 24);
    let (old, late, long) = (runs::id(OLD), runs::id(LATE), runs::LONG);
    for (name, path) in [
        ("runs", "runs".to_owned()),
        ("runs of a workflow", format!("runs?workflow={workflow}")),
        ("runs of a week", format!("runs?since={week_ago}")),
        ("runs of an id", format!("runs?run={late}")),
        ("report of an old run", format!("runs/{old}/report")),
        ("report of a late run", format!("runs/{late}/report")),
        ("report of 3 days, 160 pods", format!("runs/{long}/report")),
        (
            "report of 3 days, 160 pods, as of before",
            format!("runs/{long}/report?as_of={before}"),
        ),
        (
            "plan of 24 h",
            "plan?intensity_zone=FR&duration_s=7200&within_s=86400".to_owned(),
        ),
        (
            "plan of 7 days",
            "plan?intensity_zone=FR&duration_s=7200&within_s=604800".to_owned(),
        ),
        (
            "plan of 24 h, like a run",
            format!("plan?run={late}&within_s=86400"),
        ),
        ("intensity of a day", "intensity?zone=FR".to_owned()),
    ] {
        let name = format!("year: {name}");
        figures.push(asker.server(&name, &format!("/api/v1/{path}")).await?);
    }
    figures.push(asker.server("year: /metrics", "/metrics").await?);
    Ok(())
}

/// The first look counts every run of the month; others have their answers meanwhile.
async fn ask_budgets(asker: &Asker, figures: &mut Vec<Figure>) -> anyhow::Result<()> {
    for (name, scope, monthly) in BUDGETS {
        let mut rule = json!({ "scope": scope, "monthly": monthly, "unit": "grams", "limit": 1e6 });
        if scope == "workflow" {
            rule["of"] = runs::workflow(LATE).into();
        }
        let url = format!("{}/api/v1/budgets/{name}", asker.url);
        asker.send(asker.client.put(url).json(&rule)).await?;
    }
    let late = runs::id(LATE);
    let states = "/api/v1/budget-states";
    let looking = {
        let asker = asker.clone();
        tokio::spawn(async move { asker.once(states).await })
    };
    let report = format!("/api/v1/runs/{late}/report");
    let mut meanwhile = [Vec::new(), Vec::new()];
    while !looking.is_finished() || meanwhile[0].is_empty() {
        for (took, path) in meanwhile.iter_mut().zip(["/api/v1/runs", &report]) {
            took.push(asker.once(path).await?);
        }
        tokio::time::sleep(PAUSE).await;
    }
    let first = looking.await??;
    let [runs, reports] = meanwhile;
    figures.extend([
        Figure::new("year: budgets, first look", "ms", vec![first]),
        Figure::new("year: runs, meanwhile", "ms", runs),
        Figure::new("year: report of a late run, meanwhile", "ms", reports),
        asker.server("year: budgets, later looks", states).await?,
    ]);
    let of_run = format!("{states}?run={late}&name=each");
    figures.push(asker.server("year: budget of a run", &of_run).await?);
    Ok(())
}

fn ask_directory(
    asker: &Asker,
    now: Timestamp,
    before: Timestamp,
    figures: &mut Vec<Figure>,
) -> anyhow::Result<()> {
    let (late, before) = (runs::id(LATE), before.to_string());
    let work = ["plan", "--intensity-zone", "FR", "--duration", "2h"];
    let within = |within| [&work[..], &["--within", within]].concat();
    let budget = ["budget", "check", "each", "--run", &late];
    let report = ["report", runs::LONG, "--format", "json"];
    for (name, arguments) in [
        ("runs", &["runs"][..]),
        ("runs of a week", &["runs", "--since", "7d"]),
        ("report of a late run", &["report", &late]),
        ("report of 3 days, 160 pods", &report),
        (
            "report of 3 days, 160 pods, as of before",
            &[&report[..], &["--as-of", &before]].concat(),
        ),
        ("plan of 24 h", &within("24h")),
        ("plan of 7 days", &within("7d")),
        ("budget of a run", &budget),
        ("intensity of a day", &["intensity", "--zone", "FR"]),
    ] {
        let name = format!("year, command line: {name}");
        figures.push(asker.command_line(&name, arguments)?);
    }
    let year = now.strftime("%Y").to_string();
    for (name, arguments) in [
        ("budgets of a month", &["budget", "check", "month"][..]),
        ("export of a year", &["ledger", "export", "--year", &year]),
    ] {
        let name = format!("year, command line: {name}");
        figures.push(asker.command_line_times(&name, arguments, 3)?);
    }
    Ok(())
}
