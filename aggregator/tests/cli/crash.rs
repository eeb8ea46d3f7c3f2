//! `kill -9` of the real server while agents send, and a backup beside it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aggregator::store::{SqliteStore, Store};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::batches::batch;
use crate::program::{hxmlops, run};

/// Agents that send at once.
const AGENTS: usize = 6;
/// Energy of one of [`batch`]'s batches, in microjoules.
const MICROJOULES: u64 = 4_750_000;

/// `hxmlops serve` on the ledger in `dir`, and its URL.
fn serve(dir: &Path) -> (Child, String) {
    let mut child = hxmlops(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(dir)
        .env("RUST_LOG", "off")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let stdout = child.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    let url = line
        .trim()
        .strip_prefix("listening on ")
        .unwrap()
        .to_owned();
    (child, url)
}

fn http_client() -> reqwest::Client {
    aggregator::crypto::install();
    reqwest::Client::new()
}

async fn send(client: &reqwest::Client, url: &str, node: &str, sequence: u64) -> Option<String> {
    let mut batch = batch(node, sequence, "r1");
    batch.intervals[0].start_unix_ms += 20_000 * sequence as i64;
    let request = client
        .post(format!("{url}/v1/batches"))
        .header("content-type", wire::CONTENT_TYPE)
        .header("content-encoding", wire::CONTENT_ENCODING)
        .body(wire::encode(&batch));
    let response = request.send().await.ok()?;
    if response.status() != 200 {
        return None;
    }
    response.text().await.ok()
}

/// An agent that sends what comes after `done`, each until it is acknowledged, until the server is gone. Returns
/// what was acknowledged last.
fn agent(url: String, node: String, mut done: u64, all: Arc<AtomicU64>) -> JoinHandle<u64> {
    tokio::spawn(async move {
        let client = http_client();
        while send(&client, &url, &node, done + 1).await.is_some() {
            done += 1;
            all.fetch_add(1, Ordering::Relaxed);
        }
        done
    })
}

fn agents(url: &str, done: &[u64], all: &Arc<AtomicU64>) -> Vec<JoinHandle<u64>> {
    let agents = done.iter().enumerate();
    agents
        .map(|(index, &done)| agent(url.to_owned(), format!("n{index}"), done, Arc::clone(all)))
        .collect()
}

async fn wait_for(all: &AtomicU64, agents: &[JoinHandle<u64>], count: u64) {
    while all.load(Ordering::Relaxed) < count {
        assert!(
            !agents.iter().all(JoinHandle::is_finished),
            "no agent sends any more"
        );
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_outlives_kill_9() {
    let dir = TempDir::new().unwrap();
    let mut done = vec![0; AGENTS];
    for round in 0..5 {
        let (mut server, url) = serve(dir.path());
        let all = Arc::new(AtomicU64::new(0));
        let agents = agents(&url, &done, &all);
        wait_for(&all, &agents, 1 + fastrand::u64(0..150)).await;
        server.kill().unwrap();
        server.wait().unwrap();
        for (done, agent) in done.iter_mut().zip(agents) {
            *done = agent.await.unwrap();
        }

        let store = SqliteStore::open(dir.path()).unwrap();
        let report = store.check(&mut |_, _| {}).unwrap();
        assert_eq!(report.faults, Vec::<String>::new(), "round {round}");
        assert_eq!(report.missing, 0, "round {round}");
        // One of each agent may have been written and not acknowledged.
        let acknowledged: u64 = done.iter().sum();
        let written = report.measured.microjoules() / MICROJOULES;
        assert!(
            (acknowledged..=acknowledged + AGENTS as u64).contains(&written),
            "round {round}: {acknowledged} acknowledged, {written} written"
        );
    }

    let (mut server, url) = serve(dir.path());
    let client = http_client();
    for (index, &done) in done.iter().enumerate() {
        for sequence in 1..=done {
            let written = send(&client, &url, &format!("n{index}"), sequence).await;
            assert_eq!(written.unwrap(), r#"{"written":"duplicate"}"#);
        }
    }
    server.kill().unwrap();
    server.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_beside_a_busy_server_holds() {
    let dir = TempDir::new().unwrap();
    let (mut server, url) = serve(dir.path());
    let all = Arc::new(AtomicU64::new(0));
    let agents = agents(&url, &[0; AGENTS], &all);
    wait_for(&all, &agents, 50).await;

    let copies = TempDir::new().unwrap();
    let copy = copies.path().join("ledger.db");
    let command = |copy: &Path| {
        let args = ["ledger", "backup", copy.to_str().unwrap(), "--data-dir"];
        run(args.iter().chain(&[dir.path().to_str().unwrap()]))
    };
    let ended = tokio::task::block_in_place(|| command(&copy));
    assert!(ended.assert_done().contains("is a copy of"));
    command(&copy).assert_failed("it is there already and stays as it is");
    command(Path::new("/nowhere/ledger.db")).assert_failed("/nowhere/ledger.db");
    server.kill().unwrap();
    server.wait().unwrap();
    for agent in agents {
        agent.await.unwrap();
    }

    let files: Vec<_> = std::fs::read_dir(copies.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(files, ["ledger.db"], "one file, and nothing half done");
    let path = copies.path().to_str().unwrap();
    let checked = run(["ledger", "check", "--data-dir", path]);
    assert!(checked.assert_done().contains("to the microjoule"));
    let nodes = SqliteStore::open_existing(copies.path())
        .unwrap()
        .nodes()
        .unwrap();
    assert_eq!(nodes.len(), AGENTS);
}
