//! Releases that are something else's: another module's, or of a chart that is none of ours. By both helms.

use std::process::Command;

use e2e::cluster::{Cluster, Helm, tool};
use e2e::text;
use serde_json::Value;

use super::user::{User, list};

const CHART: &str = "{apiVersion: v2, name: foreign, version: 0.1.0}\n";
const CONFIG: &str = "{apiVersion: v1, kind: ConfigMap, metadata: {name: foreign}}\n";

/// Each object of the namespace that a refused command could have touched, in the version that it has.
fn versions(cluster: &Cluster, namespace: &str) -> Vec<(String, String)> {
    let kinds = [
        "apps/v1/statefulsets",
        "apps/v1/deployments",
        "v1/secrets",
        "v1/persistentvolumeclaims",
        "v1/configmaps",
    ];
    let of = |object: Value| {
        let text = |key: &str| object["metadata"][key].as_str().unwrap().to_owned();
        (text("name"), text("resourceVersion"))
    };
    let objects = kinds
        .iter()
        .flat_map(|kind| list(cluster, namespace, kind, ""));
    objects.map(of).collect()
}

#[test]
fn what_is_something_else_s_is_left_alone() {
    let cluster = Cluster::start().unwrap();
    for (helm, program) in [(Helm::Three, "helm-3"), (Helm::Four, "helm-4")] {
        let (user, namespace) = (User::admin(&cluster, helm), program);
        another_module(&cluster, &user, namespace);
        another_chart(&cluster, &user, program);
    }
}

fn run(user: &User, namespace: &str, args: &[&str]) -> super::user::Ended {
    user.run(&[args, &["--namespace", namespace]].concat())
}

fn another_module(cluster: &Cluster, user: &User, namespace: &str) {
    let create = ["component", "storage", "create", "postgres"];
    let more = ["--name", "db", "--no-wait"];
    run(user, namespace, &[&create[..], &more].concat()).assert_done();
    let before = versions(cluster, namespace);
    let check = |command: &[&str], why: &str| {
        let args = [
            &["component", "storage"],
            command,
            &["minio", "--name", "db"],
        ]
        .concat();
        run(user, namespace, &args).assert_failed(why);
        assert_eq!(versions(cluster, namespace), before, "{args:?}");
    };
    let taken =
        format!("release db in namespace {namespace} is storage/postgres, not storage/minio");
    check(&["create"], &taken);
    check(&["delete", "--yes", "--purge"], &taken);
    check(&["status"], &taken);
    check(&["diff"], &taken);
    let file = user.write(
        "env.yaml",
        "modules:\n  - {module: storage/minio, name: db}\n",
    );
    let apply = run(user, namespace, &["apply", "-f", text(&file)]);
    apply.assert_failed(&format!(
        "env.yaml: line 2: storage/minio as db in domain lab, namespace {namespace}: {taken}"
    ));
    assert_eq!(versions(cluster, namespace), before);

    let delete = [
        "component",
        "storage",
        "delete",
        "postgres",
        "--name",
        "db",
        "--yes",
    ];
    run(user, namespace, &[&delete[..], &["--no-wait"]].concat()).assert_done();
    let before = versions(cluster, namespace);
    for command in [
        &["create", "--no-wait"][..],
        &["delete", "--yes", "--purge", "--no-wait"],
    ] {
        let args = [
            &["component", "storage"],
            command,
            &["minio", "--name", "db"],
        ]
        .concat();
        let left = "has left secrets or volumes of storage/postgres";
        run(user, namespace, &args).assert_failed(left);
        assert_eq!(versions(cluster, namespace), before, "{args:?}");
    }
    let again = [&create[..], &more].concat();
    run(user, namespace, &again).assert_done();
}

fn another_chart(cluster: &Cluster, user: &User, program: &str) {
    let namespace = program;
    let chart = user.write("foreign/Chart.yaml", CHART);
    user.write("foreign/templates/config.yaml", CONFIG);
    let output = Command::new(tool(program).unwrap())
        .args(["install", "minio", text(chart.parent().unwrap())])
        .args(["--namespace", namespace])
        .env("KUBECONFIG", cluster.admin_kubeconfig().unwrap())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let before = versions(cluster, namespace);
    for command in [
        &["create"][..],
        &["delete", "--yes", "--purge"],
        &["status"],
        &["diff"],
    ] {
        let args = [&["component", "storage"], command, &["minio"]].concat();
        let foreign = format!("release minio in namespace {namespace} is none of hxmlops' modules");
        run(user, namespace, &args).assert_failed(&foreign);
        assert_eq!(versions(cluster, namespace), before, "{args:?}");
    }
}
