//! How many workload-samples a second a server makes durable, how long a batch waits for its acknowledgement at half
//! of what it is to reach, and what it takes in memory, on the wire and on the disk.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use reqwest::Client;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::Figure;
use super::agents::{Agent, Shape};
use super::server::Server;

/// 80 pods, 6 intervals of 10 s, one pod in 50 new with each batch.
const SHAPE: Shape = Shape {
    pods: 80,
    intervals: 6,
    interval_ms: 10_000,
    churn_per_mille: 20,
};
const AGENTS: usize = 400;
/// Batches of each agent in the first part, which goes as fast as it can.
const FAST: usize = 20;
/// Batches of each agent in the second part.
const PACED: usize = 8;
/// Workload-samples a second of the second part: half of the 200,000 that are to be reached.
const PACE: f64 = 100_000.0;
/// Connections, each with one batch under way in the first part.
const CONNECTIONS: usize = 32;

type Batches = Vec<Vec<u8>>;

pub(super) async fn run(directory: &Path) -> anyhow::Result<Vec<Figure>> {
    eprintln!("packing {} batches", AGENTS * (FAST + PACED));
    let (fast, paced) = batches();
    let bytes: usize = fast.iter().chain(&paced).map(Vec::len).sum();
    let samples = (fast.len() + paced.len()) as f64 * SHAPE.samples() as f64;

    let mut server = Server::start(directory, &[])?;
    eprintln!("sending as fast as it goes");
    let started = Instant::now();
    let fast_samples = fast.len() as f64 * SHAPE.samples() as f64;
    let mut at_full = send_fast(&server.url, fast).await?;
    let rate = fast_samples / started.elapsed().as_secs_f64();
    let cpu_full = server.cpu_seconds()? / fast_samples * 1e6;
    eprintln!("sending {PACE} workload-samples a second");
    let mut at_half = send_paced(&server.url, paced).await?;
    let memory = server.most_memory_mib()?;
    let disk = server.stop()?;
    eprintln!("checking the ledger");
    check(directory, server.data.path())?;

    Ok(vec![
        Figure::new("acknowledged workload-samples", "1/s", vec![rate]),
        Figure::new("server's CPU", "us/sample", vec![cpu_full]),
        Figure::new("p50 at full rate", "ms", vec![quantile(&mut at_full, 0.5)]),
        Figure::new("p99 at full rate", "ms", vec![quantile(&mut at_full, 0.99)]),
        Figure::new("p50 at 100,000/s", "ms", vec![quantile(&mut at_half, 0.5)]),
        Figure::new("p99 at 100,000/s", "ms", vec![quantile(&mut at_half, 0.99)]),
        Figure::new("most memory of the server", "MiB", vec![memory]),
        Figure::new("on the wire", "bytes/sample", vec![bytes as f64 / samples]),
        Figure::new("on disk", "bytes/sample", vec![disk as f64 / samples]),
    ])
}

/// Round by round, one batch of each agent: of both parts.
fn batches() -> (Batches, Batches) {
    let length_ms = SHAPE.batch_ms() * (FAST + PACED) as i64;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now_ms = now.map_or(0, |since| since.as_millis() as i64);
    // Each begins at its own second of a minute, and the last ends now.
    let start_ms = |number: usize| now_ms - length_ms - (number as i64 * 997) % 60_000;
    let mut agents: Vec<Agent> = (0..AGENTS)
        .map(|number| Agent::new(number, SHAPE, start_ms(number)))
        .collect();
    let mut round = || -> Batches { agents.iter_mut().map(Agent::next).collect() };
    let fast = (0..FAST).flat_map(|_| round()).collect();
    let paced = (0..PACED).flat_map(|_| round()).collect();
    (fast, paced)
}

fn client() -> anyhow::Result<Client> {
    crate::install_crypto();
    Ok(Client::builder().http2_prior_knowledge().build()?)
}

/// Sends one batch until it is acknowledged.
async fn send(client: &Client, url: &str, batch: Vec<u8>) -> anyhow::Result<()> {
    let request = client
        .post(url)
        .header("content-type", wire::CONTENT_TYPE)
        .header("content-encoding", wire::CONTENT_ENCODING)
        .body(batch);
    let response = request.send().await.context("a batch was not answered")?;
    let status = response.status();
    ensure!(status == 200, "a batch was answered {status}");
    Ok(())
}

/// Sends all with one batch under way on each connection; returns how long each took, in milliseconds.
async fn send_fast(url: &str, batches: Batches) -> anyhow::Result<Vec<f64>> {
    let mut lists: Vec<Batches> = vec![Vec::new(); CONNECTIONS];
    for (index, batch) in batches.into_iter().enumerate() {
        // All batches of an agent over one connection, as it is with real ones.
        lists[index % AGENTS % CONNECTIONS].push(batch);
    }
    let url = format!("{url}/v1/batches");
    let mut senders = Vec::new();
    for list in lists {
        let (client, url) = (client()?, url.clone());
        senders.push(tokio::spawn(async move {
            let mut took = Vec::with_capacity(list.len());
            for batch in list {
                let started = Instant::now();
                send(&client, &url, batch).await?;
                took.push(started.elapsed().as_secs_f64() * 1e3);
            }
            anyhow::Ok(took)
        }));
    }
    let mut took = Vec::new();
    for sender in senders {
        took.append(&mut sender.await??);
    }
    Ok(took)
}

/// Sends each at its time, however many are under way; returns how long after that it was acknowledged, in
/// milliseconds.
async fn send_paced(url: &str, batches: Batches) -> anyhow::Result<Vec<f64>> {
    let clients: anyhow::Result<Vec<Client>> = (0..CONNECTIONS).map(|_| client()).collect();
    let clients = Arc::new(clients?);
    let url = Arc::new(format!("{url}/v1/batches"));
    let every = Duration::from_secs_f64(SHAPE.samples() as f64 / PACE);
    let (tell, mut told) = mpsc::unbounded_channel();
    let started = Instant::now();
    for (index, batch) in batches.into_iter().enumerate() {
        let due = started + every * index as u32;
        sleep_until(due).await;
        let (clients, url, tell) = (Arc::clone(&clients), Arc::clone(&url), tell.clone());
        tokio::spawn(async move {
            let sent = send(&clients[index % CONNECTIONS], &url, batch).await;
            // Fails only where the bench has failed already.
            let _ = tell.send(sent.map(|()| due.elapsed().as_secs_f64() * 1e3));
        });
    }
    drop(tell);
    let mut took = Vec::new();
    while let Some(sent) = told.recv().await {
        took.push(sent?);
    }
    Ok(took)
}

fn quantile(values: &mut [f64], quantile: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let index = (values.len() as f64 * quantile) as usize;
    values[index.min(values.len() - 1)]
}

/// A fast ledger that does not hold would be worth nothing.
fn check(directory: &Path, data: &Path) -> anyhow::Result<()> {
    let status = Command::new(directory.join("hxmlops"))
        .args(["ledger", "check", "--data-dir"])
        .arg(data)
        .stdout(std::io::stderr())
        .status()?;
    ensure!(status.success(), "the ledger does not hold");
    Ok(())
}
