//! Whatever happens to the agent, its disk and its aggregator: the ledger has what the counter says.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::Command;

use e2e::powercap::Tree;
use e2e::{Running, get, metric, output, poll, text};
use serde_json::Value;

const RANGE: u64 = 262_143_328_850;
const JOULE: u64 = 1_000_000;
const START: u64 = RANGE - 100 * JOULE;

/// A package whose counter is turned, and whatever agents read it one after the other.
struct Site {
    powercap: Tree,
    turned_uj: u64,
    directory: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        Self {
            powercap: Tree::new(&[("intel-rapl:0", "package-0", START, RANGE)]).unwrap(),
            turned_uj: 0,
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn turn(&mut self, microjoules: u64) {
        self.turned_uj += microjoules;
        let counter_uj = (START + self.turned_uj) % RANGE;
        self.powercap.set("intel-rapl:0", counter_uj).unwrap();
    }

    fn server(&self, listen: &str) -> Running {
        let data = self.directory.path().join("ledger");
        fs::create_dir_all(&data).unwrap();
        let args = ["serve", "--listen", listen, "--data-dir", text(&data)];
        Running::start("hxmlops", &args).unwrap()
    }

    fn agent_args<'a>(&'a self, spool: &'a Path, aggregator: &'a str) -> Vec<&'a str> {
        let mut args = vec![
            "--interval",
            "1s",
            "--listen",
            "127.0.0.1:0",
            "--power",
            "rapl",
        ];
        args.extend(["--usage", "accounting", "--node-name", "node-1"]);
        args.extend(["--sys-root", text(self.powercap.root())]);
        args.extend(["--spool-dir", text(spool), "--aggregator-url", aggregator]);
        args
    }

    fn agent(&self, spool: &Path, aggregator: &str) -> Running {
        Running::start("hxmlops-agent", &self.agent_args(spool, aggregator)).unwrap()
    }
}

/// What the ledger has of the package, in microjoules.
fn measured(server: &Running) -> u64 {
    let (_, nodes) = get(&format!("{}/api/v1/nodes", server.url())).unwrap();
    let nodes: Value = serde_json::from_str(&nodes).unwrap();
    nodes[0]["zones"][0]["measured_microjoules"]
        .as_u64()
        .unwrap()
}

fn figure(agent: &Running, name: &str) -> f64 {
    let (_, metrics) = get(&format!("{}/metrics", agent.url())).unwrap();
    metric(&metrics, name, &[]).unwrap()
}

/// Waits until a figure of the agent is as it should be.
fn wait_for(agent: &Running, name: &str, is_it: impl Fn(f64) -> bool) {
    poll(name, || Ok(is_it(figure(agent, name)).then_some(()))).unwrap();
}

#[test]
fn an_agent_that_is_killed_again_and_again_loses_nothing() {
    let mut site = Site::new();
    let server = site.server("127.0.0.1:0");
    let spool = site.directory.path().join("spool");
    for round in 0..8_u64 {
        let agent = site.agent(&spool, server.url());
        site.turn(7 * JOULE + round);
        if round % 2 == 0 {
            wait_for(&agent, "hxmlops_agent_spool_intervals", |intervals| {
                intervals >= 2.0
            });
        }
        site.turn(11 * JOULE);
        drop(agent);
        site.turn(13 * JOULE + 1);
    }
    site.agent(&spool, server.url()).stop().unwrap();
    assert_eq!(measured(&server), site.turned_uj);
    server.stop().unwrap();
}

#[test]
fn fault_20_what_is_measured_while_the_aggregator_is_away_comes_when_it_is_back() {
    let mut site = Site::new();
    let spool = site.directory.path().join("spool");
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nowhere.local_addr().unwrap().to_string();
    let url = format!("http://{address}");
    drop(nowhere);
    let agent = site.agent(&spool, &url);
    site.turn(5 * JOULE);
    wait_for(&agent, "hxmlops_agent_spool_batches", |batches| {
        batches >= 1.0
    });
    // Back while the agent runs.
    let server = site.server(&address);
    wait_for(&agent, "hxmlops_agent_spool_batches", |batches| {
        batches == 0.0
    });
    drop(server);
    site.turn(3 * JOULE);
    // Back when it has ended.
    agent.stop().unwrap();
    site.turn(2 * JOULE);
    let server = site.server(&address);
    site.agent(&spool, &url).stop().unwrap();
    assert_eq!(measured(&server), site.turned_uj);
    let left = fs::read_dir(&spool).unwrap();
    let is_batch = |name: &str| name.ends_with(".batch");
    assert!(
        left.flatten()
            .all(|file| !is_batch(&file.file_name().to_string_lossy()))
    );
    server.stop().unwrap();
}

/// A small file system, gone at the end.
struct Small<'a>(&'a Path);

impl<'a> Small<'a> {
    fn mount(place: &'a Path) -> Self {
        fs::create_dir_all(place).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=1m", "small", text(place)]);
        assert!(mount.status().unwrap().success(), "needs root");
        Self(place)
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount")
            .args(["--lazy", text(self.0)])
            .status();
    }
}

#[test]
fn a_full_disk_costs_no_energy() {
    let mut site = Site::new();
    let server = site.server("127.0.0.1:0");
    let spool = site.directory.path().join("spool");
    let small = Small::mount(&spool);
    let agent = site.agent(&spool, server.url());
    let filler = spool.join("filler");
    // Until nothing more goes in.
    while fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&filler)
        .and_then(|mut file| std::io::Write::write_all(&mut file, &[7; 4096]))
        .is_ok()
    {}
    site.turn(5 * JOULE);
    wait_for(&agent, "hxmlops_agent_spool_up", |up| up == 0.0);
    wait_for(&agent, "hxmlops_agent_spool_intervals", |intervals| {
        intervals >= 8.0
    });
    site.turn(3 * JOULE);
    // Not even the start of another agent needs room.
    drop(agent);
    let agent = site.agent(&spool, server.url());
    wait_for(&agent, "hxmlops_agent_spool_up", |up| up == 0.0);
    fs::remove_file(&filler).unwrap();
    wait_for(&agent, "hxmlops_agent_spool_up", |up| up == 1.0);
    site.turn(2 * JOULE);
    agent.stop().unwrap();
    assert_eq!(measured(&server), site.turned_uj);
    server.stop().unwrap();
    drop(small);
}

#[test]
fn a_second_agent_in_one_spool_says_so() {
    let site = Site::new();
    let spool = site.directory.path().join("spool");
    let first = site.agent(&spool, "http://127.0.0.1:9");
    let args = site.agent_args(&spool, "http://127.0.0.1:9");
    for (flags, code) in [(&[][..], 1), (&["--check"], 3)] {
        let second = output("hxmlops-agent", &[&args, flags].concat()).unwrap();
        assert_eq!(second.status.code(), Some(code));
        let said = [second.stdout, second.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        assert!(said.contains("in use by another agent"), "{said}");
    }
    drop(first);
}
