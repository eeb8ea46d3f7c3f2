//! One joule's whole way: a counter is turned, and the ledger says exactly by how much and whose it was.
#![allow(clippy::unwrap_used)]

use std::process::Command;

use e2e::powercap::Tree;
use e2e::{Running, check_metrics, get, metric, output, success, text};
use serde_json::Value;

const RANGE: u64 = 262_143_328_850;
const JOULE: u64 = 1_000_000;

/// Agents see all that runs on the machine, other tests' commands too: each test has a run of its own.
fn run_id() -> String {
    format!("r{}", std::process::id())
}

struct Site {
    powercap: Tree,
    data: tempfile::TempDir,
    server: Running,
    agent: Running,
}

/// A server and an agent that reads a powercap tree with a package that is about to wrap, and memory.
fn start(usage: &str) -> anyhow::Result<Site> {
    let powercap = Tree::new(&[
        ("intel-rapl:0", "package-0", RANGE - 3 * JOULE, RANGE),
        ("intel-rapl:0:0", "core", 7, RANGE),
        ("intel-rapl:0:1", "dram", 1_000, RANGE),
    ])?;
    let data = tempfile::tempdir()?;
    let server = Running::start(
        "hxmlops",
        &[
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--data-dir",
            text(data.path()),
            "--intensity-zone",
            "DE",
            "--pue",
            "1.5",
        ],
    )?;
    let agent = Running::start(
        "hxmlops-agent",
        &[
            "--interval",
            "1s",
            "--listen",
            "127.0.0.1:0",
            "--power",
            "rapl",
            "--usage",
            usage,
            "--node-name",
            "node-1",
            "--metrics",
            "node,pod,container,process",
            "--compat",
            "kepler",
            "--sys-root",
            text(powercap.root()),
            "--aggregator-url",
            server.url(),
        ],
    )?;
    Ok(Site {
        powercap,
        data,
        server,
        agent,
    })
}

/// Two stages of work; the counters go up by 40 J and 6 J meanwhile, the package's across its end.
fn work(site: &Site) -> anyhow::Result<()> {
    for stage in ["prepare", "train"] {
        let spin = "i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done; /bin/true; /bin/true";
        success(
            "hxmlops",
            &[
                "exec",
                "--workflow",
                "churn",
                "--run",
                &run_id(),
                "--stage",
                stage,
                "--",
                "sh",
                "-c",
                spin,
            ],
        )?;
    }
    site.powercap.set("intel-rapl:0", 37 * JOULE)?;
    site.powercap.set("intel-rapl:0:0", 9 * JOULE)?;
    site.powercap.set("intel-rapl:0:1", 6 * JOULE + 1_000)
}

/// The report on this test's run, from a server or from a data directory.
fn report(from: [&str; 2]) -> anyhow::Result<Value> {
    let run = run_id();
    let args = [&["report", &run, "--format", "json"], &from[..]].concat();
    Ok(serde_json::from_str(&success("hxmlops", &args)?)?)
}

fn microjoules(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("{value} is no whole number"))
}

fn check_whole_way(usage: &str) -> anyhow::Result<()> {
    let site = start(usage)?;
    work(&site)?;
    // The agent measures once more and delivers all before it ends.
    site.agent.stop()?;

    let (_, nodes) = get(&format!("{}/api/v1/nodes", site.server.url()))?;
    let nodes: Value = serde_json::from_str(&nodes)?;
    let zones = nodes[0]["zones"].as_array().unwrap();
    let zone = |name: &str| zones.iter().find(|zone| zone["zone"] == name).unwrap();
    assert_eq!(
        microjoules(&zone("package-0")["measured_microjoules"]),
        40 * JOULE
    );
    assert_eq!(
        microjoules(&zone("dram-0")["measured_microjoules"]),
        6 * JOULE
    );
    for name in ["package-0", "dram-0"] {
        let part = |part: &str| microjoules(&zone(name)[format!("{part}_microjoules")]);
        assert_eq!(
            part("workload") + part("system") + part("idle"),
            part("measured"),
            "{name}"
        );
    }

    let report = report(["--server", site.server.url()])?;
    let stages: Vec<&str> = report["stages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|stage| stage["stage"].as_str().unwrap())
        .collect();
    assert_eq!(stages, ["prepare", "train"]);
    let joules = report["energy_joules"].as_f64().unwrap();
    let grams = report["carbon_grams"].as_f64().unwrap();
    let expected = joules / 3.6e6 * 1.5 * report["intensity"][0]["g_per_kwh"].as_f64().unwrap();
    assert!(
        joules > 0.0 && (grams - expected).abs() < 1e-9,
        "{joules} J, {grams} g, {expected} g"
    );
    assert_eq!(report["energy_basis"]["measured"], 1.0);
    for zone in report["balance"].as_array().unwrap() {
        let part = |part: &str| microjoules(&zone[format!("{part}_microjoules")]);
        assert_eq!(
            part("run") + part("other") + part("system") + part("idle"),
            part("measured"),
            "{zone}"
        );
    }

    let (_, server_metrics) = get(&format!("{}/metrics", site.server.url()))?;
    let train = [
        "workflow=\"churn\"",
        "stage=\"train\"",
        "zone=\"package-0\"",
    ];
    assert!(metric(&server_metrics, "hxmlops_stage_energy_joules_total", &train)? > 0.0);
    site.server.stop()?;

    // The same answer without a server, and the proof over the whole ledger.
    let data = text(site.data.path());
    assert_eq!(self::report(["--data-dir", data])?, report);
    success("hxmlops", &["ledger", "check", "--data-dir", data])?;
    Ok(())
}

#[test]
fn with_ebpf() -> anyhow::Result<()> {
    check_whole_way("ebpf")
}

#[test]
fn with_accounting() -> anyhow::Result<()> {
    check_whole_way("accounting")
}

/// A user who may make no cgroup: the agent follows the process tree.
fn check_process_tree(usage: &str) -> anyhow::Result<()> {
    let site = start(usage)?;
    // Long enough for the agent to come by twice.
    let spin = "exec timeout 2.5 sh -c 'while :; do :; done'";
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let hxmlops = e2e::public_copy("hxmlops")?;
    let output = Command::new("setpriv")
        .args(nobody)
        .arg(&*hxmlops)
        .args([
            "exec",
            "--workflow",
            "churn",
            "--run",
            &run_id(),
            "--stage",
            "train",
            "--",
            "sh",
            "-c",
            spin,
        ])
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code() == Some(124) && said.contains("process tree"),
        "{output:?}"
    );
    site.powercap.set("intel-rapl:0", 37 * JOULE)?;
    site.agent.stop()?;
    let report = report(["--server", site.server.url()])?;
    assert_eq!(report["stages"][0]["stage"], "train");
    site.server.stop()
}

#[test]
fn a_process_tree_with_ebpf() -> anyhow::Result<()> {
    check_process_tree("ebpf")
}

#[test]
fn a_process_tree_with_accounting() -> anyhow::Result<()> {
    check_process_tree("accounting")
}

#[test]
fn promtool_has_nothing_to_say_of_either_endpoint() -> anyhow::Result<()> {
    let site = start("accounting")?;
    work(&site)?;
    // All the agent knows is then on the server too.
    let (status, metrics) = get(&format!("{}/metrics", site.agent.url()))?;
    assert_eq!(status, 200);
    check_metrics(&metrics)?;
    site.agent.stop()?;
    let (_, metrics) = get(&format!("{}/metrics", site.server.url()))?;
    metric(&metrics, "hxmlops_stage_energy_joules_total", &[])?;
    check_metrics(&metrics)
}

#[test]
fn a_ledger_that_was_tampered_with_is_found_out() -> anyhow::Result<()> {
    let site = start("accounting")?;
    work(&site)?;
    site.agent.stop()?;
    site.server.stop()?;
    let data = text(site.data.path());
    let database = rusqlite::Connection::open(site.data.path().join("ledger.db"))?;
    let changed = database.execute(
        "UPDATE zone_minute SET measured_uj = measured_uj + 1, system_uj = system_uj + 1",
        [],
    )?;
    assert!(changed > 0);
    drop(database);
    let check = output("hxmlops", &["ledger", "check", "--data-dir", data])?;
    assert_eq!(
        check.status.code(),
        Some(3),
        "{}",
        String::from_utf8_lossy(&check.stdout)
    );
    Ok(())
}
