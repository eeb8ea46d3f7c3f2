//! Surroundings that are broken: one line that says what, the right exit code, and nothing half done.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt as _;

use e2e::cluster::{Cluster, Helm};
use reqwest::Method;
use serde_json::json;

use super::user::{Ended, NAMESPACE, User, list, names};

const CREATE: [&str; 4] = ["component", "storage", "create", "postgres"];
const COMMANDS: [&str; 4] = ["create", "delete", "status", "diff"];

fn run(user: &User, command: &str) -> Ended {
    let mut args = vec!["component", "storage", command, "postgres"];
    if command == "delete" {
        args.push("--yes");
    }
    user.run(&args)
}

fn is_there(cluster: &Cluster, namespace: &str) -> bool {
    let path = format!("/api/v1/namespaces/{namespace}");
    let (status, _) = cluster.admin().ask(Method::GET, &path, None).unwrap();
    status == 200
}

#[test]
fn what_is_broken_is_said_in_one_line_and_nothing_is_left_half_done() {
    let cluster = Cluster::start().unwrap();
    without_a_cluster(&cluster);
    without_a_helm_that_works(&cluster);
    without_rights(&cluster);
}

fn without_a_cluster(cluster: &Cluster) {
    for helm in [Helm::Three, Helm::Four] {
        let proxy = cluster.proxy().unwrap();
        let access = cluster.admin().through(&proxy).unwrap();
        let user = User::new(&access, helm);
        proxy.refuse();
        for command in COMMANDS {
            let failed = run(&user, command);
            failed.assert_failed("onnection refused");
            assert!(failed.stderr.contains(proxy.url()), "{failed:?}");
        }
        let check = user.run(&["check", "connection"]);
        let line = format!("cannot reach {}", proxy.url());
        assert!(check.assert_no().contains(&line), "{check:?}");
        let user = user.with_access("/nonexistent".as_ref());
        for command in COMMANDS {
            run(&user, command).assert_failed("no kubeconfig: set KUBECONFIG");
        }
    }
    assert!(!is_there(cluster, NAMESPACE));
}

fn without_rights(cluster: &Cluster) {
    cluster.make_service_account(NAMESPACE, "nobody").unwrap();
    let access = cluster.service_account(NAMESPACE, "nobody").unwrap();
    for helm in [Helm::Three, Helm::Four] {
        let user = User::new(&access, helm);
        for command in COMMANDS {
            let who = "User \"system:serviceaccount:work:nobody\" cannot list resource \"secrets\"";
            run(&user, command).assert_failed(who);
        }
        let elsewhere = user.run(&[&CREATE[..], &["--namespace", "elsewhere"]].concat());
        elsewhere.assert_failed("in the namespace \"elsewhere\"");
    }
    assert!(!is_there(cluster, "elsewhere"));
    // Who may write down a release and make nothing of it: that is said, and the next create begins anew.
    let rule = json!({ "apiGroups": [""], "resources": ["secrets"], "verbs": ["*"] });
    cluster
        .apply(&json!({
            "apiVersion": "v1",
            "kind": "List",
            "items": [
                {
                    "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
                    "metadata": { "name": "secrets", "namespace": NAMESPACE }, "rules": [rule],
                },
                {
                    "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
                    "metadata": { "name": "secrets", "namespace": NAMESPACE },
                    "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "secrets" },
                    "subjects": [{ "kind": "ServiceAccount", "namespace": NAMESPACE, "name": "nobody" }],
                },
            ],
        }))
        .unwrap();
    for helm in [Helm::Three, Helm::Four] {
        let half = User::new(&access, helm).run(&[&CREATE[..], &["--no-wait"]].concat());
        half.assert_failed("is forbidden: User \"system:serviceaccount:work:nobody\" cannot");
        User::admin(cluster, helm)
            .run(&[&CREATE[..], &["--no-wait"]].concat())
            .assert_done();
        run(&User::admin(cluster, helm), "delete").assert_done();
    }
}

fn without_a_helm_that_works(cluster: &Cluster) {
    let user = User::admin(cluster, Helm::Four);
    let program = |name: &str, script: &str| {
        let file = user.write(name, script);
        set_permissions(&file, Permissions::from_mode(0o755)).unwrap();
        file
    };
    let none = user
        .command(&CREATE)
        .env_remove("HXMLOPS_HELM")
        .env("PATH", "/nonexistent")
        .output();
    Ended::new("no helm", none.unwrap())
        .assert_failed("no helm in PATH: install helm 3.12.0 or later");
    let old = program("old", "#!/bin/sh\necho v3.9.0\n");
    let old = user.command(&CREATE).env("HXMLOPS_HELM", old).output();
    Ended::new("old helm", old.unwrap()).assert_failed("is version 3.9.0, which is too old");
    assert!(!is_there(cluster, NAMESPACE));

    for helm in [Helm::Three, Helm::Four] {
        let user = User::admin(cluster, helm);
        for (set, what) in [
            ("nosuch=1", "nosuch"),
            ("image.tag=latest", "image"),
            ("replicas=2", "replicas is 2 and the volume is for one node"),
        ] {
            user.run(&[&CREATE[..], &["--set", set]].concat())
                .assert_failed(what);
        }
        // A namespace that is not there is nothing to complain of.
        assert!(run(&user, "delete").assert_done().contains("was not there"));
        run(&user, "status").assert_no();
        run(&user, "diff").assert_no();
        user.run(&[&CREATE[..], &["--dry-run"]].concat())
            .assert_done();
        assert!(!is_there(cluster, NAMESPACE), "by {helm:?}");
    }
    user.run(&[&CREATE[..], &["--timeout", "soon"]].concat())
        .assert_usage("--timeout 'soon'");
    user.run(&[&CREATE[..], &["--namespace", "No_Name"]].concat())
        .assert_usage("no name of a namespace");
    user.run(&["component", "storage", "delete", "postgres"])
        .assert_usage("say --yes");
    // The API server refuses one of the objects: what is there by then is taken up by the next create.
    let refused = [&CREATE[..], &["--no-wait", "--set", "podLabels.tier=b/c"]].concat();
    user.run(&refused).assert_failed("Invalid value: \"b/c\"");
    assert!(is_there(cluster, NAMESPACE));
    run(&user, "status").assert_no();
    user.run(&[&CREATE[..], &["--no-wait"]].concat())
        .assert_done();
    let set = list(cluster, NAMESPACE, "apps/v1/statefulsets", "");
    assert_eq!(names(&set), ["postgres"]);
    run(&user, "delete").assert_done();
}
