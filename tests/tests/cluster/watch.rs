//! One list, one watch: whatever happens to the connection, and however large the cluster is.

use e2e::cluster::{Access, Cluster, Request, Settings};
use e2e::{metric_sum, output, text};
use serde_json::{Value, json};

use crate::site::{NODE, Site, USER, account, allow};

/// Requests by verb.
fn count(asked: &[Request], verb: &str) -> usize {
    asked.iter().filter(|one| one.verb == verb).count()
}

fn sleeper(name: &str, node: &str) -> Value {
    json!({
        "metadata": { "name": name, "namespace": "ml" },
        "spec": {
            "nodeName": node,
            "containers": [{ "name": "main", "image": "registry.example/image:1" }],
        },
    })
}

fn pods(metrics: &str) -> f64 {
    metric_sum(metrics, "hxmlops_agent_kube_pods", &[])
}

fn is_up(metrics: &str) -> bool {
    metric_sum(metrics, "hxmlops_agent_kube_up", &[]) > 0.5
}

fn create(access: &Access, name: &str) {
    let path = "/api/v1/namespaces/ml/pods";
    access.post(path, &sleeper(name, NODE)).unwrap();
}

#[test]
fn a_watch_that_breaks_off_goes_on_where_it_was() {
    let cluster = Cluster::start().unwrap();
    let access = account(&cluster, &["list", "watch"]);
    cluster.make_namespace("ml").unwrap();
    let mut site = Site::new(cluster);
    let proxy = site.cluster.proxy().unwrap();
    site.start_agent_with_api(&access.through(&proxy).unwrap());
    site.until("it is up", is_up);
    for round in 1..=3 {
        proxy.cut();
        create(site.cluster.admin(), &format!("pod-{round}"));
        let is_told = |metrics: &str| pods(metrics) >= f64::from(round) && is_up(metrics);
        site.until("what came meanwhile is known", is_told);
    }
    proxy.refuse();
    site.until("it is down", |metrics| !is_up(metrics));
    create(site.cluster.admin(), "pod-4");
    proxy.pass();
    let metrics = site.until("it goes on", |metrics| {
        pods(metrics) >= 4.0 && is_up(metrics)
    });
    let asked = site.cluster.requests_of(USER).unwrap();
    assert_eq!(count(&asked, "list"), 1, "{asked:?}");
    assert!(count(&asked, "watch") >= 4, "{asked:?}");
    assert!(
        asked
            .iter()
            .all(|one| one.uri.contains("spec.nodeName%3Dnode-1")),
        "{asked:?}"
    );
    assert!(metric_sum(&metrics, "hxmlops_agent_kube_errors_total", &[]) >= 1.0);
    site.stop_agent();
}

#[test]
fn where_the_server_has_forgotten_the_place_there_is_one_list_more() {
    let cluster = Cluster::with(Settings {
        uncached_pods: true,
        ..Settings::default()
    })
    .unwrap();
    let access = account(&cluster, &["list", "watch"]);
    cluster.make_namespace("ml").unwrap();
    let mut site = Site::new(cluster);
    let proxy = site.cluster.proxy().unwrap();
    site.start_agent_with_api(&access.through(&proxy).unwrap());
    site.until("it is up", is_up);
    create(site.cluster.admin(), "pod-1");
    site.until("the pod is known", |metrics| pods(metrics) >= 1.0);
    proxy.refuse();
    site.until("it is down", |metrics| !is_up(metrics));
    create(site.cluster.admin(), "pod-2");
    let path = "/api/v1/namespaces/ml/pods/pod-1?gracePeriodSeconds=0";
    site.cluster.admin().delete(path).unwrap();
    site.cluster.compact().unwrap();
    proxy.pass();
    let is_told = |metrics: &str| {
        is_up(metrics)
            && metric_sum(
                metrics,
                "hxmlops_agent_kube_requests_total",
                &["verb=\"list\""],
            ) >= 2.0
    };
    let metrics = site.until("it was listed anew", is_told);
    assert!((pods(&metrics) - 1.0).abs() < 0.5, "pod-2 alone is there");
    let asked = site.cluster.requests_of(USER).unwrap();
    assert_eq!(count(&asked, "list"), 2, "{asked:?}");
    site.stop_agent();
}

#[test]
fn who_may_not_is_told_in_one_line_that_names_the_verb() {
    let cluster = Cluster::start().unwrap();
    let access = account(&cluster, &["get"]);
    let check = || {
        let kubeconfig = access.kubeconfig().unwrap();
        let flags = [
            "--check",
            "--power",
            "model",
            "--listen",
            "",
            "--node-name",
            NODE,
        ];
        let flags = [
            &flags[..],
            &["--kube", "api", "--kubeconfig", text(&kubeconfig)],
        ]
        .concat();
        let output = output("hxmlops-agent", &flags).unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), said)
    };
    let (code, said) = check();
    assert!(
        code == Some(3) && said.contains("cannot list resource \"pods\""),
        "{said}"
    );
    let mut site = Site::new(cluster);
    let proxy = site.cluster.proxy().unwrap();
    proxy.refuse();
    site.start_agent_with_api(&access.through(&proxy).unwrap());
    proxy.pass();
    let line = site.agent().wait_for_line("pods is forbidden").unwrap();
    assert!(
        line.contains("cannot list resource \"pods\"") && line.contains(USER),
        "{line}"
    );
    allow(&site.cluster, "pods", &["list"]);
    let line = site.agent().wait_for_line("pods is forbidden").unwrap();
    assert!(line.contains("cannot watch resource \"pods\""), "{line}");
    allow(&site.cluster, "pods", &["list", "watch"]);
    site.agent().wait_for_line("tells of pods again").unwrap();
    let (code, said) = check();
    assert!(
        code == Some(0) && said.contains("tells of 0 pods on node-1"),
        "{said}"
    );
    // While it may not watch it does not list again and again: one is the agent's, one the check's.
    let asked = site.cluster.requests_of(USER).unwrap();
    let lists = asked
        .iter()
        .filter(|one| one.verb == "list" && one.code == 200);
    assert_eq!(lists.count(), 2, "{asked:?}");
    site.stop_agent();
}

#[test]
fn a_large_cluster_costs_what_its_node_does() {
    let cluster = Cluster::start().unwrap();
    let access = account(&cluster, &["list", "watch"]);
    cluster.make_namespace("ml").unwrap();
    let all = (0..5_000).map(|number| {
        let node = if number < 250 {
            NODE.to_owned()
        } else {
            format!("other-{}", number % 20)
        };
        let mut pod = sleeper(&format!("pod-{number}"), &node);
        // As large as pods are.
        let annotation = "x".repeat(2_000);
        pod["metadata"]["annotations"] = json!({ "a": annotation });
        pod["metadata"]["labels"] =
            json!({ "app": "web", "pipeline/runid": format!("r{}", number % 7) });
        pod
    });
    cluster
        .admin()
        .post_all("/api/v1/namespaces/ml/pods", all.collect())
        .unwrap();
    let mut site = Site::new(cluster);
    let before = site.cluster.requests("pods").unwrap();
    let proxy = site.cluster.proxy().unwrap();
    proxy.refuse();
    site.start_agent_with_api(&access.through(&proxy).unwrap());
    // What eBPF's start took at most is not what is asked for here.
    let process = format!("/proc/{}", site.agent().pid());
    std::fs::write(format!("{process}/clear_refs"), "5").unwrap();
    proxy.pass();
    site.until("all of the node's pods are known", |metrics| {
        (pods(metrics) - 250.0).abs() < 0.5
    });
    for number in 0..100 {
        let path = format!("/api/v1/namespaces/ml/pods/pod-{number}");
        let change = json!({ "metadata": { "labels": { "turn": "2" } } });
        site.cluster.admin().patch(&path, &change).unwrap();
    }
    site.after_ticks(3);
    let status = std::fs::read_to_string(format!("{process}/status")).unwrap();
    let kib = |name: &str| -> u64 {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    println!(
        "resident: {} KiB now, {} KiB at most",
        kib("VmRSS:"),
        kib("VmHWM:")
    );
    assert!(kib("VmHWM:") <= 40 << 10, "{} KiB", kib("VmHWM:"));
    let asked = site.cluster.requests_of(USER).unwrap();
    let first = &asked[0];
    assert!(
        first.uri.contains("resourceVersion=0"),
        "from the server's memory: {first:?}"
    );
    assert_eq!(count(&asked, "list"), 1, "{asked:?}");
    let now = site.cluster.requests("pods").unwrap();
    assert_eq!(now.watches - before.watches, 1, "{before:?} {now:?}");
    assert_eq!(now.ended_watches, before.ended_watches);
    site.stop_agent();
}
