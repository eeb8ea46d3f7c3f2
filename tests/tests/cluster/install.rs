//! The chart in a real API server: installed with every example, upgraded, rolled back; and the rights that it gives are
//! those that the agent uses.

use std::collections::BTreeSet;
use std::path::PathBuf;

use e2e::cluster::{Cluster, Helm};
use e2e::text;
use serde_json::Value;

use crate::site::{Site, chart};

/// Left out of what is installed here: their kinds are others', and this API server, as Debian's sources build, cannot
/// keep objects of kinds that were defined in it (it ends in the reflection of its JSON library). The chart's own tests
/// check them.
const WITHOUT_OTHERS: &str = "monitoring.enabled=false";
const WITHOUT_CERTIFICATES: &str = "tls.mode=self";

fn examples() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(chart("examples")).unwrap();
    let mut examples: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    examples.sort();
    assert!(examples.len() > 5, "{examples:?}");
    examples
}

fn secret(cluster: &Cluster, namespace: &str) -> Value {
    let path = format!("/api/v1/namespaces/{namespace}/secrets/hxmlops-tokens");
    cluster.admin().get(&path).unwrap()["data"].clone()
}

#[test]
fn the_chart_is_installed_with_every_example_by_both_helms() {
    let cluster = Cluster::start().unwrap();
    let here = chart("");
    for (helm, version) in [(Helm::Three, 3), (Helm::Four, 4)] {
        for (number, example) in examples().iter().enumerate() {
            let namespace = format!("example-{version}-{number}");
            let values = std::fs::read_to_string(example).unwrap();
            let mut args = vec![
                "install",
                "hxmlops",
                text(&here),
                "--namespace",
                &namespace,
                "--create-namespace",
                "--values",
                text(example),
                "--set",
                WITHOUT_OTHERS,
            ];
            if values.contains("mode: certManager") {
                args.extend(["--set", WITHOUT_CERTIFICATES]);
            }
            cluster.helm(helm, &args).unwrap();
            cluster
                .helm(helm, &["uninstall", "hxmlops", "--namespace", &namespace])
                .unwrap();
        }
    }
}

#[test]
fn an_upgrade_keeps_the_secrets_and_so_does_the_end() {
    let cluster = Cluster::start().unwrap();
    let here = chart("");
    for (helm, namespace) in [(Helm::Three, "three"), (Helm::Four, "four")] {
        // As README has it.
        let args = [
            "install",
            "hxmlops",
            text(&here),
            "--namespace",
            namespace,
            "--create-namespace",
        ];
        let notes = cluster.helm(helm, &args).unwrap();
        assert!(notes.contains("hxmlops"), "{notes}");
        let first = secret(&cluster, namespace);
        assert_eq!(first.as_object().unwrap().len(), 3, "{first}");
        let upgrade = [
            "upgrade",
            "hxmlops",
            text(&here),
            "--namespace",
            namespace,
            "--set",
            "agent.config.interval=10s",
        ];
        cluster.helm(helm, &upgrade).unwrap();
        assert_eq!(secret(&cluster, namespace), first);
        let path = format!("/api/v1/namespaces/{namespace}/configmaps/hxmlops-agent");
        let config = cluster.admin().get(&path).unwrap();
        assert!(config.to_string().contains("interval: 10s"), "{config}");
        cluster
            .helm(
                helm,
                &["rollback", "hxmlops", "1", "--namespace", namespace],
            )
            .unwrap();
        assert_eq!(secret(&cluster, namespace), first);
        cluster
            .helm(helm, &["uninstall", "hxmlops", "--namespace", namespace])
            .unwrap();
        assert_eq!(
            secret(&cluster, namespace),
            first,
            "a ledger that is kept has its tokens"
        );
        cluster.helm(helm, &args).unwrap();
        assert_eq!(secret(&cluster, namespace), first);
    }
}

#[test]
fn the_agent_uses_all_rights_that_the_chart_gives_and_no_more() {
    let cluster = Cluster::start().unwrap();
    let here = chart("");
    let args = [
        "install",
        "hxmlops",
        text(&here),
        "--namespace",
        "hxmlops",
        "--create-namespace",
    ];
    cluster.helm(Helm::Four, &args).unwrap();
    let path = "/apis/rbac.authorization.k8s.io/v1/clusterroles/hxmlops-hxmlops-agent";
    let role = cluster.admin().get(path).unwrap();
    let given = rights(&role);
    let access = cluster.service_account("hxmlops", "hxmlops-agent").unwrap();
    let mut site = Site::new(cluster);
    site.start_agent_with_api(&access);
    let is_up = |metrics: &str| e2e::metric_sum(metrics, "hxmlops_agent_kube_up", &[]) > 0.5;
    site.until("it is told of pods", is_up);
    site.stop_agent();
    let asked = site
        .cluster
        .requests_of("system:serviceaccount:hxmlops:hxmlops-agent");
    let asked: BTreeSet<(String, String)> = asked
        .unwrap()
        .into_iter()
        .map(|one| (one.resource, one.verb))
        .collect();
    assert_eq!(asked, given);
}

/// (resource, verb) of a role.
fn rights(role: &Value) -> BTreeSet<(String, String)> {
    let texts = |list: &Value| -> Vec<String> {
        let list = list.as_array().unwrap().iter();
        list.map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let rules = role["rules"].as_array().unwrap();
    let mut rights = BTreeSet::new();
    for rule in rules {
        for resource in texts(&rule["resources"]) {
            for verb in texts(&rule["verbs"]) {
                rights.insert((resource.clone(), verb));
            }
        }
    }
    rights
}
