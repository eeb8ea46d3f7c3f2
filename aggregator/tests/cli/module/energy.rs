//! The energy of deployed modules: by a real aggregator, by one that does not answer, and by one that knows several clusters.

use std::net::TcpListener;

use aggregator::crypto;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use wire::v1::{Batch, Workload};

use super::{Deployer, deployment};
use crate::batches::{START_MS, batch, interval, sample, workload};
use crate::program::Ended;
use crate::server::{Serving, free_port};

/// Minutes before the one that is now, of which an agent has told.
const MINUTES: i64 = 20;
/// Energy of the module in each of them, 10 W, and what makes 0.4 g of it at the site's PUE of 1.2.
const MINUTE_UJ: u64 = 600_000_000;
const G_PER_KWH: f64 = 100.0;

/// The minutes before this one: a pod of the module `thing` in the domain's namespace, and others.
fn told(cluster: &str, now: Timestamp) -> Batch {
    let pod = |namespace: &str, component: &str| Workload {
        component: component.to_owned(),
        namespace: namespace.to_owned(),
        ..workload("", "", &format!("{component}-0"))
    };
    let minute = |number: i64| {
        let now_ms = now.as_millisecond().div_euclid(60_000) * 60_000;
        let start_ms = now_ms - number * 60_000;
        let shares = [MINUTE_UJ, 3, 5];
        let zones = vec![sample(0, 1_000_000, 500_000, &shares)];
        interval(start_ms - START_MS, 60, 3, zones)
    };
    let mut batch = Batch {
        cluster: cluster.to_owned(),
        workloads: vec![
            pod("work", "thing"),
            pod("elsewhere", "thing"),
            pod("work", ""),
        ],
        intervals: (1..=MINUTES).rev().map(minute).collect(),
        ..batch("n1", 1, "")
    };
    batch.zones.truncate(1);
    batch
}

/// A server that was told the minutes of some clusters, and what the grid's intensity is.
fn serving(clusters: &[&str], now: Timestamp) -> Serving {
    let serving = Serving::start();
    let hour = SignedDuration::from_hours(1);
    let slot = json!([{
        "intensity_zone": "FR", "from": now - hour, "to": now + hour, "g_per_kwh": G_PER_KWH,
        "kind": "average-lifecycle-production", "basis": "measured", "source": "operator",
    }]);
    runtime().block_on(async {
        let client = client();
        let told = client.post(format!("{}/api/v1/intensity", serving.url));
        assert_eq!(told.json(&slot).send().await.unwrap().status(), 200);
        for cluster in clusters {
            let bytes = told_bytes(cluster, now);
            assert_eq!(told_by(&client, &serving.url, bytes).await, 200);
        }
    });
    serving
}

fn told_bytes(cluster: &str, now: Timestamp) -> Vec<u8> {
    let batch = told(cluster, now);
    wire::validate(&batch).unwrap();
    wire::encode(&batch)
}

async fn told_by(client: &reqwest::Client, url: &str, bytes: Vec<u8>) -> u16 {
    let request = client
        .post(format!("{url}/v1/batches"))
        .header("content-type", wire::CONTENT_TYPE)
        .header("content-encoding", wire::CONTENT_ENCODING);
    let answer = request.body(bytes).send().await.unwrap();
    answer.status().as_u16()
}

fn client() -> reqwest::Client {
    crypto::install();
    reqwest::Client::new()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Runtime::new().unwrap()
}

fn get(url: &str) -> Value {
    runtime().block_on(async {
        let answer = client().get(url).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{url}");
        answer.json().await.unwrap()
    })
}

/// A zone in which it is about noon, so that all of the minutes are of today.
fn noon(now: Timestamp) -> String {
    let hour = now.to_zoned(TimeZone::UTC).hour();
    // West is positive in TZ.
    format!("TST{}", hour - 12)
}

/// A module that is ready in the domain's namespace.
fn deployer() -> Deployer {
    let deployer = Deployer::new();
    let ready = vec![deployment("thing", 1)];
    deployer.api.put("deployments", ready);
    deployer
}

impl Deployer {
    fn status(&self, flags: &[&str], now: Timestamp) -> Ended {
        let args = [&["component", "own", "status"], flags].concat();
        let mut command = self.command(&args);
        command.env("TZ", noon(now)).output().unwrap().into()
    }

    /// Settings of the domain beside its context and namespace.
    fn configure(&self, settings: &str) {
        let text = format!(
            "default-domain: lab\ndomains: {{lab: {{context: lab, namespace: work, {settings}}}}}\n"
        );
        self.user.write(".config/hxmlops/config.yaml", &text);
    }
}

fn energy(status: &Ended) -> Value {
    let states: Value = serde_json::from_str(status.assert_done()).unwrap();
    states[0]["energy"].clone()
}

#[test]
fn status_shows_the_figures_of_the_api() {
    let now = Timestamp::now();
    let (deployer, serving) = (deployer(), serving(&["c1"], now));
    let flags = ["--server", &serving.url, "--output", "json"];
    let status = deployer.status(&flags, now);
    let energy = energy(&status);
    assert_eq!(energy["active_joules"], 12_000.0);
    assert!((energy["carbon_grams"].as_f64().unwrap() - 0.4).abs() < 1e-9);
    assert!((energy["active_watts"].as_f64().unwrap() - 10.0).abs() < 1e-9);
    let since = energy["since"].as_str().unwrap();
    let url = &serving.url;
    let told = get(&format!(
        "{url}/api/v1/components?namespace=work&from={since}"
    ));
    assert_eq!(told.as_array().map(Vec::len), Some(1), "{told}");
    for figure in [
        "active_joules",
        "active_watts",
        "carbon_grams",
        "uncovered_joules",
        "coverage_ratio",
        "energy_basis",
        "cluster",
    ] {
        assert_eq!(told[0][figure], energy[figure], "{figure}");
    }

    let table = deployer.status(&["--server", url], now);
    let lines: Vec<&str> = table.assert_done().lines().collect();
    let expected = [
        "MODULE     RELEASE  STATE  PODS            POWER     TODAY",
        "own/thing  thing    ready  1 of 1 ready  10.00 W  0.4000 g",
        "",
    ];
    assert_eq!(lines[..3], expected);
    assert!(lines[3].starts_with("POWER (mean of five minutes) and TODAY (CO2e since 00:00 "));
    assert!(lines.iter().all(|line| line.chars().count() <= 80));
    assert_eq!(table.stderr, "");

    let dir = serving.dir.path().to_str().unwrap();
    let read = deployer.status(&["--data-dir", dir, "--output", "json"], now);
    assert_eq!(self::energy(&read)["active_joules"], 12_000.0);
}

#[test]
fn a_domain_has_its_aggregator() {
    let now = Timestamp::now();
    let (deployer, serving) = (deployer(), serving(&["c1"], now));
    assert_eq!(
        energy(&deployer.status(&["--output", "json"], now)),
        Value::Null
    );
    let plain = deployer.status(&[], now);
    assert!(!plain.assert_done().contains("POWER"), "{plain:?}");
    let args = [
        "init",
        "new-config",
        "--domain",
        "lab",
        "--context",
        "lab",
        "--namespace",
        "work",
        "--aggregator",
        &serving.url,
    ];
    deployer.user.run(&args).assert_done();
    let status = deployer.status(&["--output", "json"], now);
    assert_eq!(energy(&status)["active_joules"], 12_000.0);
    // What is said on the command line goes before it.
    let other = format!("http://127.0.0.1:{}", free_port());
    let status = deployer.status(&["--server", &other], now);
    assert!(status.stderr.contains(&other), "{status:?}");
    let by_variable = deployer
        .command(&["component", "own", "status"])
        .env("HXMLOPS_SERVER", &other)
        .output();
    let by_variable = Ended::from(by_variable.unwrap());
    assert!(by_variable.stderr.contains(&other), "{by_variable:?}");
    deployer
        .status(&["--server", "ftp://x"], now)
        .assert_usage("begins with http://");
}

#[test]
fn an_aggregator_that_does_not_answer_fails_nothing() {
    let now = Timestamp::now();
    let deployer = deployer();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().unwrap();
    let missing = deployer.user.home.path().join("token");
    let check = |settings: &str, line: &str| {
        deployer.configure(settings);
        let status = deployer.status(&[], now);
        let table = status.assert_done();
        assert!(
            table.lines().nth(1).unwrap().ends_with("-      -"),
            "{status:?}"
        );
        assert_eq!(table.lines().count(), 2, "{status:?}");
        assert!(status.stderr.starts_with("no energy: "), "{status:?}");
        assert!(status.stderr.contains(line), "{status:?}");
        assert_eq!(status.stderr.lines().count(), 1, "{status:?}");
    };
    let nobody = format!("http://127.0.0.1:{}", free_port());
    check(
        &format!("aggregator: '{nobody}'"),
        "cannot reach the server",
    );
    check(
        &format!("aggregator: 'http://{silent}'"),
        "did not answer within 3 s",
    );
    let token = missing.display();
    check(
        &format!("aggregator: '{nobody}', aggregator-token-file: '{token}'"),
        &token.to_string(),
    );
    deployer
        .api
        .put("deployments", vec![deployment("thing", 0)]);
    assert_eq!(deployer.status(&[], now).code, Some(3));
}

#[test]
fn clusters_are_told_apart() {
    let now = Timestamp::now();
    let (deployer, serving) = (deployer(), serving(&["c1", "c2"], now));
    let url = &serving.url;
    let status = |cluster: &str| {
        deployer.configure(&format!("aggregator: '{url}'{cluster}"));
        deployer.status(&["--output", "json"], now)
    };
    let several = status("");
    assert_eq!(energy(&several), Value::Null);
    let line = "no energy: the ledger knows several clusters with such modules (c1, c2); name";
    assert!(several.stderr.starts_with(line), "{several:?}");
    let second = status(", cluster: c2");
    assert_eq!(energy(&second)["cluster"], "c2");
    assert_eq!(
        (energy(&second)["active_joules"].as_f64(), &*second.stderr),
        (Some(12_000.0), "")
    );
    let unknown = status(", cluster: c3");
    assert_eq!(energy(&unknown), Value::Null);
    let line = "no energy: today the ledger tells nothing of cluster 'c3' here, but of: c1, c2\n";
    assert_eq!(unknown.stderr, line);
}
