//! How long the questions that people ask take in a ledger of ten million rows.

use std::path::Path;
use std::time::Instant;

use anyhow::ensure;
use reqwest::Client;

use super::Figure;
use super::agents::{Agent, Shape};
use super::server::Server;

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
const RUNS: usize = 10;

pub(super) async fn run(directory: &Path) -> anyhow::Result<Vec<Figure>> {
    let server = Server::start(directory)?;
    crate::install_crypto();
    let client = Client::new();
    let rows = AGENTS * BATCHES * SHAPE.pods * 2 * SHAPE.intervals as usize;
    eprintln!("writing {rows} rows");
    let started = Instant::now();
    fill(&client, &server.url).await?;
    let filled = started.elapsed().as_secs_f64();

    let report = format!("/api/v1/runs/{}/report", run_id(6, 10));
    let mut figures = vec![Figure::new("making the ledger", "s", vec![filled])];
    for (name, path) in [
        ("runs", "/api/v1/runs".to_owned()),
        ("report of a run of 100 minutes on two nodes", report),
        ("nodes", "/api/v1/nodes".to_owned()),
        (
            "series of all stages over an hour",
            "/api/v1/series?by=stage".to_owned(),
        ),
        (
            "series of all nodes over an hour",
            "/api/v1/series?by=node".to_owned(),
        ),
    ] {
        figures.push(ask(&client, &server.url, name, &path).await?);
    }
    let memory = server.most_memory_mib()?;
    figures.push(Figure::new(
        "most memory of the server",
        "MiB",
        vec![memory],
    ));
    Ok(figures)
}

fn run_id(batch: usize, agent: usize) -> String {
    format!("run-{batch}-{}", agent / 2)
}

async fn fill(client: &Client, url: &str) -> anyhow::Result<()> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let start_ms = now.as_millis() as i64 - SHAPE.batch_ms() * BATCHES as i64;
    // On the minute: no row is made twice.
    let start_ms = start_ms - start_ms % 60_000;
    let mut agents: Vec<Agent> = (0..AGENTS)
        .map(|number| Agent::new(number, SHAPE, start_ms))
        .collect();
    for batch in 0..BATCHES {
        for (number, agent) in agents.iter_mut().enumerate() {
            agent.start_run(run_id(batch, number));
            let request = client
                .post(format!("{url}/v1/batches"))
                .header("content-type", wire::CONTENT_TYPE)
                .header("content-encoding", wire::CONTENT_ENCODING)
                .body(agent.next());
            let response = request.send().await?;
            let status = response.status();
            ensure!(status == 200, "{status}: {}", response.text().await?);
        }
    }
    Ok(())
}

/// Asks one question some times, in milliseconds.
async fn ask(client: &Client, url: &str, name: &str, path: &str) -> anyhow::Result<Figure> {
    let mut took = Vec::new();
    for _ in 0..RUNS {
        let started = Instant::now();
        let response = client.get(format!("{url}{path}")).send().await?;
        let status = response.status();
        let bytes = response.bytes().await?;
        ensure!(status == 200, "{path}: {status}");
        ensure!(
            bytes.len() > 100,
            "{path}: an answer of {} bytes",
            bytes.len()
        );
        took.push(started.elapsed().as_secs_f64() * 1e3);
    }
    Ok(Figure::new(name, "ms", took))
}
