//! Deleting, and modules of steps both ways.

use serde_json::{Value, json};

use super::{Deployer, deployment};

#[test]
fn delete_asks_keeps_data_and_purges_when_told() {
    let deployer = Deployer::new();
    let delete = ["component", "own", "delete", "thing"];
    deployer
        .run(&delete)
        .assert_usage("nobody can be asked here: say --yes");
    assert_eq!(deployer.helm_calls(), [""; 0]);
    let dry = [&delete[..], &["--dry-run"]].concat();
    let dry = deployer.run(&dry);
    dry.assert_done();
    assert!(
        dry.stderr.contains("its volumes and secrets stay"),
        "{dry:?}"
    );
    let yes = [&delete[..], &["--yes"]].concat();
    let absent = deployer.run(&yes);
    assert_eq!(
        absent.assert_done(),
        "own/thing (thing) was not there in namespace work\n"
    );

    deployer.helm("uninstall", "exit 0");
    deployer.api.put(
        "persistentvolumeclaims",
        vec![json!({ "metadata": { "name": "thing-data" } })],
    );
    deployer.api.put(
        "secrets",
        vec![json!({ "metadata": { "name": "thing-auth" } })],
    );
    assert_eq!(
        deployer.run(&yes).assert_done(),
        "own/thing (thing) is deleted in namespace work\n"
    );
    let is_delete = |asked: &String| asked.starts_with("DELETE ");
    assert!(!deployer.api.asked().iter().any(is_delete));
    let purge = [&yes[..], &["--purge", "--output", "json"]].concat();
    let purged: Value = serde_json::from_str(deployer.run(&purge).assert_done()).unwrap();
    assert_eq!(
        purged["purged"],
        json!(["volume claim thing-data", "secret thing-auth"])
    );
    let asked = deployer.api.asked();
    assert_eq!(
        asked.iter().filter(|asked| is_delete(asked)).count(),
        2,
        "{asked:?}"
    );
}

#[test]
fn who_uses_what_goes_is_named() {
    let deployer = Deployer::new();
    let mut user = deployment("mine", 1);
    user["metadata"]["labels"]["hxmlops.io/module"] = "api.user".into();
    let all = vec![deployment("thing", 1), deployment("two", 1), user];
    deployer.api.put("deployments", all);
    deployer.helm("uninstall", "exit 0");
    let values = r#"{"commonLabels": {"hxmlops.io/module": "api.user"}, "env": {"THING": "http://thing.work.svc:80"}}"#;
    deployer.user.write("helm/values-mine", values);
    let delete = |args: &[&str]| {
        let delete = ["component", "own", "delete", "thing", "--no-wait"];
        let deleted = deployer.run(&[&delete[..], args].concat());
        deleted.assert_done();
        deleted.stderr
    };
    let thing = "own/thing (thing) in domain lab, namespace work";
    let dry = format!(
        "would delete {thing}; its volumes and secrets stay; it is used by api/user (mine: helper)\n"
    );
    assert_eq!(delete(&["--dry-run"]), dry);
    let json = ["--dry-run", "--purge", "--output", "json"];
    let json = deployer.run(&[&["component", "own", "delete", "thing"], &json[..]].concat());
    let json: Value = serde_json::from_str(json.assert_done()).unwrap();
    assert_eq!(json["used_by"], json!(["api/user (mine: helper)"]));
    assert_eq!(
        (&json["release"], &json["purge"]),
        (&json!("thing"), &json!(true))
    );
    let warning = format!("warning: {thing} is used by api/user (mine: helper)\n");
    assert_eq!(delete(&["--yes", "--purge"]), warning);
    assert_eq!(delete(&["--yes", "--name", "two"]), "", "nobody uses it");
}

#[test]
fn a_purge_that_does_not_wait_looks_for_no_pods() {
    let deployer = Deployer::new();
    deployer.helm("uninstall", "exit 0");
    let pod = json!({ "metadata": { "name": "thing-1" }, "spec": { "containers": [] } });
    deployer.api.put("pods", vec![pod]);
    let claim = json!({ "metadata": { "name": "thing-data" } });
    deployer.api.put("persistentvolumeclaims", vec![claim]);
    let delete = ["component", "own", "delete", "thing", "--yes", "--purge"];
    let purged = deployer.run(&[&delete[..], &["--no-wait"]].concat());
    assert!(
        purged
            .assert_done()
            .contains("volume claim thing-data is deleted"),
        "{purged:?}"
    );
}

#[test]
fn steps_go_in_order_and_back_in_the_reverse() {
    let deployer = Deployer::new();
    deployer
        .run(&["component", "own", "create", "steps", "--no-wait"])
        .assert_done();
    let calls = |deployer: &Deployer| {
        let calls = deployer.read("kubectl/calls");
        let two = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
        calls.lines().map(two).collect::<Vec<_>>()
    };
    let applied = [
        "kustomize first",
        "apply --server-side",
        "wait --for=condition=established",
        "kustomize second",
        "apply --server-side",
    ];
    assert_eq!(calls(&deployer), applied);
    let input = deployer.read("kubectl/input");
    assert_eq!(
        input.matches(r#""hxmlops.io/component":"steps""#).count(),
        2,
        "{input}"
    );
    deployer
        .run(&["component", "own", "delete", "steps", "--yes", "--no-wait"])
        .assert_done();
    let deleted = [
        "kustomize second",
        "delete --ignore-not-found",
        "kustomize first",
        "delete --ignore-not-found",
    ];
    assert_eq!(calls(&deployer)[applied.len()..], deleted);
    deployer
        .run(&["component", "own", "create", "steps", "--set", "a=b"])
        .assert_failed("own/steps has no values");
}
