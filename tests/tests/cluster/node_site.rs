//! A node's label says at which site it is.

use e2e::cluster::Cluster;
use serde_json::json;

use crate::site::{NODE, Site, account};

const KEY: &str = "topology.kubernetes.io/region";

/// One more right, in a role of its own.
fn may_get_nodes(cluster: &Cluster) {
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": { "name": "agent-node" },
        "rules": [{ "apiGroups": [""], "resources": ["nodes"], "verbs": ["get"] }],
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": { "name": "agent-node" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "agent-node" },
        "subjects": [{ "kind": "ServiceAccount", "namespace": "hxmlops", "name": "agent" }],
    });
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": [role, binding] });
    cluster.apply(&list).unwrap();
}

#[test]
fn energy_is_booked_to_the_site_that_the_node_s_label_names() {
    let cluster = Cluster::start().unwrap();
    let access = account(&cluster, &["list", "watch"]);
    may_get_nodes(&cluster);
    let mut site = Site::new(cluster);
    let label = format!("{KEY}=eu-west-3");
    site.cluster
        .kubectl(&["label", "node", NODE, &label])
        .unwrap();

    let kubeconfig = access.kubeconfig().unwrap();
    let kubeconfig = kubeconfig.to_str().unwrap();
    let flags = [
        "--kube",
        "api",
        "--kubeconfig",
        kubeconfig,
        "--site-label",
        KEY,
    ];
    site.start_agent(&flags);
    site.after_ticks(2);
    site.stop_agent();
    let of_site = "SELECT count(*) FROM node JOIN site ON site.id = site_id WHERE site.name = ?1";
    assert_eq!(site.query_ledger(of_site, "eu-west-3"), 1);

    // Another label is nobody's site.
    let label = format!("{KEY}-");
    site.cluster
        .kubectl(&["label", "node", NODE, &label])
        .unwrap();
    site.start_agent(&flags);
    site.after_ticks(2);
    site.stop_agent();
    assert_eq!(site.query_ledger(of_site, "eu-west-3"), 0);
    site.check_ledger();
}
