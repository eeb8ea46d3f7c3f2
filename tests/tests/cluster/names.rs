//! While Kubernetes does not tell of pods, their energy goes by their uids, and the ledger names it when it does.

use std::time::{Duration, Instant};

use e2e::cluster::{Cluster, Pod};
use e2e::{metric_sum, poll};
use serde_json::{Value, json};

use crate::site::{NODE, Site, USER, account, busy};

/// How long the API server is away.
const OUTAGE: Duration = Duration::from_secs(60);

fn manifest(name: &str, run: &str, stage: &str, seconds: u64) -> Value {
    let labels = json!({
        "hxmlops.io/workflow": "churn", "hxmlops.io/run": run, "hxmlops.io/stage": stage,
    });
    busy(name, &labels, &json!({}), seconds, 30)
}

/// Active energy of each stage of a run, from its report.
fn stages(site: &Site, run: &str) -> Vec<(String, f64)> {
    let report = site.hxmlops(&["report", run, "--format", "json", "--idle", "none"]);
    let report: Value = serde_json::from_str(&report).unwrap();
    let stages = report["stages"].as_array().unwrap().iter();
    stages
        .map(|stage| {
            let name = stage["stage"].as_str().unwrap().to_owned();
            (name, stage["energy_joules"].as_f64().unwrap())
        })
        .collect()
}

#[test]
fn an_outage_of_the_api_server_loses_no_energy_and_misnames_nothing() {
    let cluster = Cluster::start().unwrap();
    let access = account(&cluster, &["list", "watch"]);
    let mut site = Site::new(cluster);
    site.start_agent_with_api(&access);
    let before = site.sync();
    site.after_ticks(1);

    let mut known = site
        .kubelet
        .run(&manifest("known-0", "r1", "before", 4))
        .unwrap();
    // The API has it, and so has the agent; its containers begin while nobody can say which they are.
    let created = site
        .kubelet
        .create(&manifest("created-0", "r1", "created", 6))
        .unwrap();
    site.until("both are known", |metrics| {
        metric_sum(metrics, "hxmlops_agent_kube_pods", &[]) >= 2.0
    });
    assert_eq!(known.wait("main").unwrap(), 0);

    let begin = Instant::now();
    site.cluster.stop_api_server().unwrap();
    site.until("the watch is over", |metrics| {
        metric_sum(metrics, "hxmlops_agent_kube_up", &[]) < 0.5
    });
    let mut started = site.kubelet.start_processes(&created).unwrap();
    let static_pod = manifest("static-0", "r2", "static", 8);
    let mut fixed = site.kubelet.start_static(&static_pod).unwrap();
    let gone = site
        .kubelet
        .start_static(&manifest("gone-0", "r3", "gone", 600))
        .unwrap();
    let gone_uid = gone.object()["metadata"]["uid"]
        .as_str()
        .unwrap()
        .to_owned();
    // One that was there ends, and so does one that nobody will ever name.
    let known_paths = paths(&known);
    drop(known);
    site.after_ticks(4);
    let gone_paths = paths(&gone);
    drop(gone);
    assert_eq!(started.wait("main").unwrap(), 0);
    assert_eq!(fixed.wait("main").unwrap(), 0);
    let in_outage = site.after_ticks(2);
    // Nothing is invented meanwhile: no series has the name of a pod that nobody knows.
    for name in ["static-0", "gone-0"] {
        assert!(!in_outage.contains(name), "{name}");
    }
    assert!(metric_sum(&in_outage, "hxmlops_agent_unnamed_energy_joules", &[]) > 1.0);
    let rest = OUTAGE.saturating_sub(begin.elapsed());
    site.after_ticks(rest.as_secs() as u32 + 1);

    site.cluster.start_api_server().unwrap();
    site.kubelet.mirror(&mut fixed).unwrap();
    site.kubelet.report(&mut started).unwrap();
    let named = format!("pod=\"static-0-{NODE}\"");
    site.until("the static pod has its name", |metrics| {
        metrics.contains(&named)
    });
    site.after_ticks(2);
    let truth = site.sync();
    site.stop_agent();

    for zone in ["package-0", "dram-0"] {
        let active =
            (truth.total(zone) - truth.idle(zone)) - (before.total(zone) - before.idle(zone));
        let of =
            |paths: &[String]| -> f64 { paths.iter().map(|path| truth.group(zone, path)).sum() };
        println!(
            "{zone}: {active} J active, {} J of the one that went",
            of(&gone_paths)
        );
    }
    let both = |paths: &[String]| -> f64 {
        let zones = ["package-0", "dram-0"].into_iter();
        zones
            .flat_map(|zone| paths.iter().map(move |path| (zone, path)))
            .map(|(zone, path)| truth.group(zone, path))
            .sum()
    };
    let active: f64 = ["package-0", "dram-0"]
        .into_iter()
        .map(|zone| {
            (truth.total(zone) - truth.idle(zone)) - (before.total(zone) - before.idle(zone))
        })
        .sum();
    let is_near = |found: f64, expected: f64| (found - expected).abs() <= 0.01 * active;
    for (run, expected) in [
        (
            "r1",
            vec![
                ("before", both(&known_paths)),
                ("created", both(&paths(&started))),
            ],
        ),
        ("r2", vec![("static", both(&paths(&fixed)))]),
    ] {
        let found = stages(&site, run);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (stage, joules) in expected {
            let (_, of_stage) = found.iter().find(|(name, _)| name == stage).unwrap();
            println!("{run} {stage}: {of_stage:.2} J, truth {joules:.2} J");
            assert!(
                is_near(*of_stage, joules),
                "{stage}: {of_stage} J, in truth {joules} J"
            );
        }
    }
    // Who went before anybody could say who it was stays what it was.
    let runs = site.hxmlops(&["runs", "--json"]);
    assert!(!runs.contains("\"r3\""), "{runs}");
    let rows = site.query_ledger(
        "SELECT count(*) FROM unnamed JOIN workload ON id = workload_id WHERE pod = ?1",
        &gone_uid,
    );
    assert_eq!(rows, 2, "its container and its pause container");
    site.check_ledger();
    let asked = site.cluster.requests_of(USER).unwrap();
    let lists = asked.iter().filter(|one| one.verb == "list").count();
    assert!(lists <= 2, "{asked:?}");
}

fn paths(pod: &Pod) -> Vec<String> {
    vec![
        pod.container_path("main").to_owned(),
        pod.pause_path().to_owned(),
    ]
}

/// An agent that is started anew does not know what the one before told without a name.
#[test]
fn a_new_agent_names_what_the_one_before_could_not() {
    let cluster = Cluster::start().unwrap();
    let access = account(&cluster, &["list", "watch"]);
    let mut site = Site::new(cluster);
    let proxy = site.cluster.proxy().unwrap();
    proxy.refuse();
    site.start_agent_with_api(&access.through(&proxy).unwrap());
    let mut pod = site
        .kubelet
        .run(&manifest("early-0", "r1", "early", 3))
        .unwrap();
    assert_eq!(pod.wait("main").unwrap(), 0);
    site.after_ticks(2);
    let truth = site.sync();
    site.stop_agent();
    // Other tests may run on this machine.
    let runs = site.hxmlops(&["runs", "--json", "--workflow", "churn"]);
    assert_eq!(runs.trim(), "[]");

    site.start_agent_with_api(&access);
    poll("the run has its energy", || {
        Ok(site
            .hxmlops(&["runs", "--json"])
            .contains("\"r1\"")
            .then_some(()))
    })
    .unwrap();
    let expected: f64 = ["package-0", "dram-0"]
        .iter()
        .map(|zone| truth.group(zone, pod.container_path("main")))
        .sum();
    let found = stages(&site, "r1");
    assert!(
        found.len() == 1 && (found[0].1 / expected - 1.0).abs() < 0.05,
        "{found:?} {expected}"
    );
    site.stop_agent();
    site.check_ledger();
}
