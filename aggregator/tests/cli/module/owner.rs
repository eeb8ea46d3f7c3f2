//! Names that are taken: by another module, by what is none of ours, and by what a release has left behind.

use std::fs;

use serde_json::json;

use super::Deployer;

/// Each command that could show or change what is not its module's.
const COMMANDS: [&[&str]; 6] = [
    &["create", "thing"],
    &["create", "thing", "--dry-run"],
    &["diff", "thing"],
    &["delete", "thing", "--yes"],
    &["delete", "thing", "--yes", "--purge", "--no-wait"],
    &["status", "thing"],
];

/// Refused, without anything done: nothing is changed by helm or deleted by the API server.
fn check_refused(deployer: &Deployer, args: &[&str], expected: &str) {
    let all = [&["component", "own"], args].concat();
    deployer.run(&all).assert_failed(expected);
    check_untouched(deployer);
}

fn check_untouched(deployer: &Deployer) {
    assert_eq!(deployer.helm_calls(), [""; 0]);
    let asked = deployer.api.asked();
    let is_change = |asked: &&String| !asked.starts_with("GET ");
    assert_eq!(asked.iter().find(is_change), None);
}

#[test]
fn a_release_of_another_module_is_left_alone() {
    let deployer = Deployer::new();
    let owner = deployer.user.write("helm/owner-thing", "storage.postgres");
    let taken = "release thing in namespace work is storage/postgres, not own/thing: choose";
    for args in COMMANDS {
        check_refused(&deployer, args, taken);
    }
    let file = deployer
        .user
        .write("env.yaml", "modules:\n  - module: own/thing\n");
    let file = file.to_str().unwrap();
    for command in ["apply", "diff"] {
        let ended = deployer.run(&[command, "-f", file]);
        ended.assert_failed(&format!(
            "env.yaml: line 2: own/thing as thing in domain lab, namespace work: {taken}"
        ));
        check_untouched(&deployer);
    }
    // Nor is what another needs put there.
    let needed = ["link", "api", "create", "user", "--with-dependencies"];
    deployer.run(&needed).assert_failed(taken);
    check_untouched(&deployer);
    fs::remove_file(owner).unwrap();
    deployer.user.write("helm/foreign-thing", "");
    for args in COMMANDS {
        let foreign = "release thing in namespace work is none of hxmlops' modules: choose";
        check_refused(&deployer, args, foreign);
    }
}

#[test]
fn what_another_module_left_behind_is_neither_taken_nor_purged() {
    let deployer = Deployer::new();
    let left = |label: &str| {
        let labels = json!({ "hxmlops.io/module": label, "app.kubernetes.io/instance": "thing" });
        let claim = json!({ "metadata": { "name": "thing-data", "labels": labels } });
        deployer.api.put("persistentvolumeclaims", vec![claim]);
    };
    left("storage.postgres");
    let kept = "release thing in namespace work has left secrets or volumes of storage/postgres";
    for args in &COMMANDS[..5] {
        check_refused(&deployer, args, kept);
    }
    // What there is not, stands as before.
    let status = deployer.run(&["component", "own", "status", "thing"]);
    assert_eq!(status.code, Some(3), "{status:?}");
    let steps = [
        "component",
        "own",
        "delete",
        "steps",
        "--name",
        "thing",
        "--yes",
    ];
    deployer
        .run(&[&steps[..], &["--purge"]].concat())
        .assert_failed("of storage/postgres, which own/steps may not take");
    check_untouched(&deployer);
    left("own.thing");
    let create = ["component", "own", "create", "thing", "--no-wait"];
    deployer.run(&create).assert_done();
}

#[test]
fn a_module_has_its_own_release() {
    let deployer = Deployer::new();
    deployer.user.write("helm/owner-thing", "own.thing");
    let create = ["component", "own", "create", "thing", "--no-wait"];
    deployer.run(&create).assert_done();
    deployer.helm("uninstall", "exit 0");
    let delete = ["component", "own", "delete", "thing", "--yes", "--no-wait"];
    deployer.run(&delete).assert_done();
}
