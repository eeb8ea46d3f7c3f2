//! How long the questions that people ask take: in a ledger of ten million rows, and in one of a year.

use std::path::Path;
use std::time::Instant;

use super::agents::{Agent, Shape};
use super::ask::Asker;
use super::server::Server;
use super::{Figure, year};

/// Long batches, so that the ledger is made quickly: each minute of a batch makes 160 rows.
const SHAPE: Shape = Shape {
    pods: 80,
    intervals: 100,
    interval_ms: 60_000,
    churn_per_mille: 0,
};
const AGENTS: usize = 50;
/// Batches of each agent, each with a run that two agents take part in: 10 million rows in all.
const BATCHES: usize = 13;

pub(super) async fn run(directory: &Path) -> anyhow::Result<Vec<Figure>> {
    let mut figures = minutes(directory).await?;
    figures.extend(year::run(directory).await?);
    Ok(figures)
}

async fn minutes(directory: &Path) -> anyhow::Result<Vec<Figure>> {
    let server = Server::start(directory, &[])?;
    let asker = Asker::new(&server, directory);
    let rows = AGENTS * BATCHES * SHAPE.pods * 2 * SHAPE.intervals as usize;
    eprintln!("writing {rows} rows");
    let started = Instant::now();
    fill(&asker).await?;
    let filled = started.elapsed().as_secs_f64();

    let report = format!("/api/v1/runs/{}/report", run_id(6, 10));
    let mut figures = vec![Figure::new("making the ledger", "s", vec![filled])];
    for (name, path) in [
        ("runs", "/api/v1/runs"),
        ("report of a run of 100 minutes on two nodes", &report),
        ("nodes", "/api/v1/nodes"),
        (
            "series of all stages over an hour",
            "/api/v1/series?by=stage",
        ),
        ("series of all nodes over an hour", "/api/v1/series?by=node"),
    ] {
        figures.push(asker.server(name, path).await?);
    }
    figures.push(server.memory_figure("most memory of the server")?);
    Ok(figures)
}

fn run_id(batch: usize, agent: usize) -> String {
    format!("run-{batch}-{}", agent / 2)
}

async fn fill(asker: &Asker) -> anyhow::Result<()> {
    let now_ms = jiff::Timestamp::now().as_millisecond();
    let start_ms = now_ms - SHAPE.batch_ms() * BATCHES as i64;
    // On the minute: no row is made twice.
    let start_ms = start_ms - start_ms % 60_000;
    let mut agents: Vec<Agent> = (0..AGENTS)
        .map(|number| Agent::new(number, SHAPE, start_ms))
        .collect();
    for batch in 0..BATCHES {
        for (number, agent) in agents.iter_mut().enumerate() {
            agent.start_run(run_id(batch, number));
            asker.send_batch(agent.next()).await?;
        }
    }
    Ok(())
}
