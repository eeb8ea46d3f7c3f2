//! Nothing lost, nothing twice: whatever is killed and whatever the network does, in the end the ledger holds what
//! the counters say, to the microjoule. `HXMLOPS_CHAOS_ROUNDS` says how many rounds (20), `HXMLOPS_CHAOS_SEED` which.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use e2e::chaos::{Network, Turning};
use e2e::{Running, get, poll, success, text};
use serde_json::Value;

const ROUNDS: u64 = 20;
/// Things that happen in a round.
const EVENTS: u64 = 4;
const NODE: &str = "chaos";

struct Site {
    turning: Turning,
    network: Network,
    data: tempfile::TempDir,
    server_address: String,
    server: Option<Running>,
    agent: Option<Running>,
}

impl Site {
    fn new(seed: u64) -> Self {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let server_address = port.local_addr().unwrap().to_string();
        drop(port);
        let mut site = Self {
            turning: Turning::new(seed).unwrap(),
            network: Network::before(&format!("http://{server_address}"), seed).unwrap(),
            data: tempfile::tempdir().unwrap(),
            server_address,
            server: None,
            agent: None,
        };
        site.start_server();
        site
    }

    fn path(&self, name: &str) -> String {
        text(&self.data.path().join(name)).to_owned()
    }

    fn start_server(&mut self) {
        let (ledger, address) = (self.path("ledger"), self.server_address.clone());
        let args = ["serve", "--listen", &address, "--data-dir", &ledger];
        self.server = Some(Running::start("hxmlops", &args).unwrap());
    }

    fn start_agent(&mut self) {
        let spool = self.path("spool");
        let args = [
            ["--aggregator-url", self.network.url()],
            ["--spool-dir", &spool],
            ["--sys-root", text(self.turning.root())],
            ["--power", "rapl"],
            ["--usage", "accounting"],
            ["--node-name", NODE],
            ["--interval", "1s"],
            ["--listen", "127.0.0.1:0"],
        ];
        self.agent = Some(Running::start("hxmlops-agent", args.as_flattened()).unwrap());
    }

    /// As `kill -9` does.
    fn kill_agent(&mut self) {
        self.agent.take();
    }

    fn kill_server(&mut self) {
        self.server.take();
    }

    /// Lets things happen while the counters go on, and then all of it come to rest.
    fn round(&mut self, random: &mut fastrand::Rng) {
        self.network.calm(false);
        self.turning.turn();
        if self.agent.is_none() {
            self.start_agent();
        }
        for _ in 0..random.u64(1..=EVENTS) {
            std::thread::sleep(Duration::from_millis(random.u64(..1_500)));
            match random.u8(..4) {
                0 => {
                    self.kill_server();
                    std::thread::sleep(Duration::from_millis(random.u64(..800)));
                    self.start_server();
                }
                1 => {
                    self.kill_agent();
                    self.kill_server();
                    self.start_server();
                    self.start_agent();
                }
                _ => {
                    self.kill_agent();
                    std::thread::sleep(Duration::from_millis(random.u64(..800)));
                    self.start_agent();
                }
            }
        }
        self.network.calm(true);
    }

    /// Once the counters stand, the agent has measured and delivered all when it has ended well.
    fn settle(&mut self) -> BTreeMap<String, u64> {
        let truth = self.turning.halt().unwrap();
        self.agent.take().unwrap().stop().unwrap();
        truth
            .into_iter()
            .map(|(zone, uj)| (zone.to_owned(), uj))
            .collect()
    }

    /// What the ledger has measured, by zone.
    fn measured(&self) -> BTreeMap<String, u64> {
        let url = format!("http://{}/api/v1/nodes", self.server_address);
        let (status, nodes) = get(&url).unwrap();
        assert_eq!(status, 200, "{nodes}");
        let nodes: Value = serde_json::from_str(&nodes).unwrap();
        let zones = nodes[0]["zones"].as_array().cloned().unwrap_or_default();
        let zone = |zone: &Value| {
            let name = zone["zone"].as_str().unwrap().to_owned();
            (name, zone["measured_microjoules"].as_u64().unwrap())
        };
        zones.iter().map(zone).collect()
    }
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn whatever_is_killed_the_ledger_is_what_the_counters_say() {
    let seed = number("HXMLOPS_CHAOS_SEED", fastrand::u64(..));
    let rounds = number("HXMLOPS_CHAOS_ROUNDS", ROUNDS);
    println!("HXMLOPS_CHAOS_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut site = Site::new(seed);
    // The first reading is of counters that stand, so that nothing is used before it.
    site.start_agent();
    for round in 0..rounds {
        site.round(&mut random);
        let truth = site.settle();
        // What comes late from the network is a duplicate by now.
        let found = poll("the ledger", || {
            Ok(Some(site.measured()).filter(|found| *found == truth))
        });
        if found.is_err() {
            panic!(
                "round {round} of seed {seed}: the counters say {truth:?}, the ledger {:?}",
                site.measured()
            );
        }
        success(
            "hxmlops",
            &["ledger", "check", "--data-dir", &site.path("ledger")],
        )
        .unwrap();
    }
    println!("{rounds} rounds, {:?}", site.network.counts());
}
