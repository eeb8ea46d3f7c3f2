//! Agents and the command line against a server that asks who is there, over TLS: the real programs, certificates
//! that the test signs.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use e2e::authority::Authority;
use e2e::powercap::Tree;
use e2e::{Running, get, metric_sum, output, poll, success, text};
use rcgen::DnType;
use serde_json::Value;

const JOULE: u64 = 1_000_000;
const RANGE: u64 = 262_143_328_850;

struct Site {
    authority: Authority,
    directory: tempfile::TempDir,
    powercap: Tree,
    server: Running,
}

impl Site {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let authority = Authority::new(&path("ca.pem")).unwrap();
        authority
            .sign(&path("cert.pem"), &path("key.pem"), &[])
            .unwrap();
        Authority::new(&path("other-ca.pem")).unwrap();
        let data = path("ledger");
        let token = |name: &str, role: &[&str]| {
            let make = ["token", "create", "--data-dir", text(&data), "--role"];
            let made = success("hxmlops", &[&make[..], role].concat()).unwrap();
            fs::write(path(name), made).unwrap();
        };
        token("admin.token", &["admin"]);
        token("node-1.token", &["ingest", "--node", "node-1"]);
        let (cert, key, ca) = (path("cert.pem"), path("key.pem"), path("ca.pem"));
        let args = [
            ["--listen", "127.0.0.1:0"],
            ["--data-dir", text(&data)],
            ["--tls-cert", text(&cert)],
            ["--tls-key", text(&key)],
            ["--client-ca", text(&ca)],
        ];
        let args = [&["serve"], args.as_flattened()].concat();
        let server = Running::start("hxmlops", &args).unwrap();
        assert!(server.url().starts_with("https://"), "{}", server.url());
        Self {
            powercap: Tree::new(&[("intel-rapl:0", "package-0", 0, RANGE)]).unwrap(),
            authority,
            directory,
            server,
        }
    }

    fn path(&self, name: &str) -> String {
        text(&self.directory.path().join(name)).to_owned()
    }

    fn agent(&self, node: &str, ca: &str, token: &str) -> Running {
        self.agent_with(node, ca, &["--token-file", &self.path(token)])
    }

    fn agent_with(&self, node: &str, ca: &str, flags: &[&str]) -> Running {
        let (ca, spool) = (self.path(ca), self.path(node));
        let args = [
            ["--aggregator-url", self.server.url()],
            ["--ca-file", &ca],
            ["--spool-dir", &spool],
            ["--sys-root", text(self.powercap.root())],
            ["--power", "rapl"],
            ["--usage", "accounting"],
            ["--node-name", node],
            ["--interval", "1s"],
            ["--listen", "127.0.0.1:0"],
        ];
        Running::start("hxmlops-agent", &[args.as_flattened(), flags].concat()).unwrap()
    }

    /// What somebody with these flags is told of the runs.
    fn runs(&self, flags: &[&str]) -> std::process::Output {
        let args = [&["runs", "--json", "--server", self.server.url()], flags].concat();
        output("hxmlops", &args).unwrap()
    }

    fn measured(&self) -> Option<u64> {
        let check = ["ledger", "check", "--data-dir", &self.path("ledger")];
        success("hxmlops", &check).unwrap();
        let database = self.directory.path().join("ledger/ledger.db");
        let database = rusqlite::Connection::open(database).unwrap();
        let sum = "SELECT sum(measured_uj) FROM zone_total";
        database
            .query_row(sum, [], |row| row.get::<_, Option<i64>>(0))
            .unwrap()
            .map(i64::cast_unsigned)
    }
}

/// Once the server has refused what the agent has, and the agent keeps it.
fn wait_until_refused(agent: &Running) {
    let refused = poll("a refusal", || {
        let (_, metrics) = get(&format!("{}/metrics", agent.url()))?;
        let retries = metric_sum(&metrics, "hxmlops_agent_batch_retries_total", &[]);
        Ok((retries > 0.0).then_some(metrics))
    });
    let dropped = metric_sum(&refused.unwrap(), "hxmlops_agent_dropped_joules_total", &[]);
    assert_eq!(dropped, 0.0);
}

#[test]
fn a_node_s_token_and_a_trusted_certificate_deliver() {
    let site = Site::new();
    let agent = site.agent("node-1", "ca.pem", "node-1.token");
    site.powercap.set("intel-rapl:0", 40 * JOULE).unwrap();
    agent.stop().unwrap();
    assert_eq!(site.measured(), Some(40 * JOULE));

    let (ca, admin) = (site.path("ca.pem"), site.path("admin.token"));
    let runs = site.runs(&["--ca-file", &ca, "--token-file", &admin]);
    assert!(runs.status.success(), "{runs:?}");
    let runs: Value = serde_json::from_slice(&runs.stdout).unwrap();
    assert_eq!(runs, Value::Array(Vec::new()));
    for (flags, why) in [
        (vec!["--token-file", &admin], "certificate"),
        (vec!["--ca-file", &ca], "asks for a token"),
        (
            vec!["--ca-file", &ca, "--token-file", &site.path("node-1.token")],
            "'ingest' may not",
        ),
    ] {
        let refused = site.runs(&flags);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{said}");
        assert!(said.contains(why), "'{why}' is not in: {said}");
    }
}

#[test]
fn fault_12_an_aggregator_that_is_not_verified_gets_nothing() {
    let site = Site::new();
    let agent = site.agent("node-1", "other-ca.pem", "node-1.token");
    site.powercap.set("intel-rapl:0", 40 * JOULE).unwrap();
    agent.wait_for_line("cannot deliver").unwrap();
    // It lives, and says so without anybody reading its metrics.
    assert_eq!(get(&format!("{}/healthz", agent.url())).unwrap().0, 200);
    agent.stop().unwrap();
    assert_eq!(site.measured(), None);
    // Nothing is lost: with the right authority it comes, what was drawn meanwhile too.
    site.powercap.set("intel-rapl:0", 50 * JOULE).unwrap();
    site.agent("node-1", "ca.pem", "node-1.token")
        .stop()
        .unwrap();
    assert_eq!(site.measured(), Some(50 * JOULE));
}

#[test]
fn a_token_of_another_node_waits_for_the_right_one() {
    let site = Site::new();
    let agent = site.agent("node-2", "ca.pem", "node-1.token");
    wait_until_refused(&agent);
    assert_eq!(site.measured(), None);
    let make = ["token", "create", "--data-dir", &site.path("ledger")];
    let role = ["--role", "ingest", "--node", "node-2"];
    let made = success("hxmlops", &[make, role].concat()).unwrap();
    // The agent reads its file again.
    fs::write(site.path("node-1.token"), made).unwrap();
    site.powercap.set("intel-rapl:0", 7 * JOULE).unwrap();
    agent.stop().unwrap();
    assert_eq!(site.measured(), Some(7 * JOULE));
}

#[test]
fn a_certificate_is_as_good_as_a_token_and_may_be_renewed() {
    let site = Site::new();
    let (cert, key) = (site.path("agent-cert.pem"), site.path("agent-key.pem"));
    let renew = |organisation: &str| {
        let subject = [
            (DnType::OrganizationName, organisation),
            (DnType::CommonName, "node-1"),
        ];
        site.authority
            .sign(Path::new(&cert), Path::new(&key), &subject)
            .unwrap();
    };
    renew("hxmlops:read");
    let flags = ["--client-cert", &cert, "--client-key", &key];
    let agent = site.agent_with("node-1", "ca.pem", &flags);
    site.powercap.set("intel-rapl:0", 40 * JOULE).unwrap();
    wait_until_refused(&agent);
    assert_eq!(site.measured(), None);
    renew("hxmlops:ingest");
    agent.stop().unwrap();
    assert_eq!(site.measured(), Some(40 * JOULE));
}
