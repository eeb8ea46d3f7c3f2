//! The kubelet alone tells of pods, also while the API server is away.

use e2e::cluster::Cluster;
use e2e::{metric_sum, text};
use serde_json::json;

use crate::site::{NODE, Site, account, allow, busy};

fn asked(metrics: &str) -> f64 {
    metric_sum(metrics, "hxmlops_agent_kube_requests_total", &[])
}

fn ticks(metrics: &str) -> f64 {
    metric_sum(metrics, "hxmlops_agent_tick_duration_seconds_count", &[])
}

#[test]
fn the_kubelet_names_pods_with_at_most_one_request_an_interval() {
    let cluster = Cluster::start().unwrap();
    let access = account(&cluster, &["get"]);
    let directory = access.pod_directory().unwrap();
    let mut site = Site::new(cluster);
    let kubelet = site.kubelet.serve().unwrap();
    let (url, ca) = (kubelet.url(), kubelet.ca_file());
    let token = directory.join("token");
    site.start_agent(&[
        "--kube",
        "kubelet",
        "--kubelet-url",
        &url,
        "--kubelet-ca-file",
        text(&ca),
        "--kubelet-token-file",
        text(&token),
    ]);
    let refused = |metrics: &str| {
        metric_sum(metrics, "hxmlops_agent_kube_errors_total", &[]) >= 1.0
            && metric_sum(metrics, "hxmlops_agent_kube_up", &[]) < 0.5
    };
    site.until("who may not is told", refused);
    assert_eq!(kubelet.answered(), 0);
    allow(&site.cluster, "nodes/proxy", &["get"]);
    site.until("it is up", |metrics| {
        metric_sum(metrics, "hxmlops_agent_kube_up", &[]) > 0.5
    });

    let before = site.metrics();
    let labels = json!({ "job-name": "report-28876543" });
    let mut pods = Vec::new();
    for number in 0..8 {
        let manifest = busy(&format!("report-{number}"), &labels, &json!({}), 4, 5);
        pods.push(site.kubelet.run(&manifest).unwrap());
    }
    site.cluster.stop_api_server().unwrap();
    let manifest = busy(
        "fixed",
        &json!({ "hxmlops.io/stage": "fixed" }),
        &json!({}),
        60,
        5,
    );
    let mut fixed = site.kubelet.start_static(&manifest).unwrap();
    // Nobody hears of it, but its kubelet knows now.
    let _ = site.kubelet.report(&mut fixed);
    let named = format!("pod=\"fixed-{NODE}\"");
    let metrics = site.until("all have names", |metrics| {
        (0..8).all(|number| metrics.contains(&format!("pod=\"report-{number}\"")))
            && metrics.contains(&named)
    });
    assert!(metrics.contains("stage=\"fixed\""), "{metrics}");
    // A request may have been under way when the intervals were counted.
    let (requests, intervals) = (
        asked(&metrics) - asked(&before),
        ticks(&metrics) - ticks(&before),
    );
    println!("{requests} requests in {intervals} intervals");
    assert!(requests <= intervals + 1.0);
    site.stop_agent();
    site.check_ledger();
}
