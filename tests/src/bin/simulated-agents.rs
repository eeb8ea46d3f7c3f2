//! Sends the batches of simulated nodes to an aggregator, in order, from the first on, and says of each what the
//! answer was: `NODE SEQUENCE new|duplicate`. What it says was acknowledged; nothing else is promised.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, bail};
use e2e::simulated::SimulatedNode;
use reqwest::Client;
use serde_json::Value;

const USAGE: &str = "usage: simulated-agents URL START_UNIX_S NODES PODS [SEQUENCES]";

struct Arguments {
    url: String,
    nodes: Vec<SimulatedNode>,
    /// Last batch of each node; none: until it is ended.
    last: Option<u64>,
}

impl Arguments {
    fn parse(args: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let args: Vec<String> = args.collect();
        let (url, numbers) = args.split_first().context(USAGE)?;
        let numbers: Result<Vec<u32>, _> = numbers.iter().map(|number| number.parse()).collect();
        let (start, nodes, pods, last) = match numbers.context(USAGE)?[..] {
            [start, nodes, pods] => (start, nodes, pods, None),
            [start, nodes, pods, last] => (start, nodes, pods, Some(last)),
            _ => bail!(USAGE),
        };
        let node = |number| SimulatedNode {
            name: format!("simulated-{number}"),
            start_unix_ms: i64::from(start) * 1000,
            pods,
        };
        Ok(Self {
            url: format!("{url}/v1/batches"),
            nodes: (0..nodes).map(node).collect(),
            last: last.map(u64::from),
        })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<()> {
    let Arguments { url, nodes, last } = Arguments::parse(std::env::args().skip(1))?;
    e2e::install_crypto();
    // A guest has no roots, and this needs none.
    let client = Client::builder().tls_certs_only([]).http2_prior_knowledge();
    let client = client.build()?;
    let mut senders = tokio::task::JoinSet::new();
    for node in nodes.clone() {
        senders.spawn(send_all(client.clone(), url.clone(), node, last));
    }
    while let Some(sent) = senders.join_next().await {
        sent??;
    }
    if let Some(last) = last {
        let microjoules: u64 = nodes.iter().map(|node| node.energy_uj(last)).sum();
        println!("in all {}", wire::Energy::from_microjoules(microjoules));
    }
    Ok(())
}

async fn send_all(
    client: Client,
    url: String,
    node: SimulatedNode,
    last: Option<u64>,
) -> anyhow::Result<()> {
    for sequence in 1..=last.unwrap_or(u64::MAX) {
        let request = client
            .post(&url)
            .header("content-type", wire::CONTENT_TYPE)
            .header("content-encoding", wire::CONTENT_ENCODING)
            .body(wire::encode(&node.batch(sequence)));
        let answer = request.send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        if !status.is_success() {
            bail!("{} {sequence}: {status}: {text}", node.name);
        }
        let answer: Value = serde_json::from_str(&text)?;
        let written = answer["written"].as_str().context("no 'written'")?;
        // One write, so that what is cut off is no line.
        let line = format!("{} {sequence} {written}\n", node.name);
        std::io::stdout().write_all(line.as_bytes())?;
    }
    Ok(())
}
