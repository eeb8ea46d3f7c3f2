//! Creating: what helm is asked for, what is waited for, and what is said where it fails.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use axum::http::StatusCode;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::{Deployer, deployment};
use crate::program::Ended;

#[test]
fn create_waits_until_it_is_ready_and_says_what_it_offers() {
    let deployer = Deployer::new();
    deployer
        .api
        .put("deployments", vec![deployment("thing", 1)]);
    let args = [
        "component",
        "own",
        "create",
        "thing",
        "--set",
        "env.A=c",
        "--namespace",
        "other",
    ];
    let created = deployer.run(&args);
    insta::assert_snapshot!("create", created.assert_done());
    assert_eq!(created.stderr, "thing: 1 of 1 ready\n");
    let upgrade = "upgrade --install thing --values --set env.A=c --history-max 10";
    let calls = deployer.helm_calls();
    assert!(
        calls[0].starts_with("status thing --output json --kube-context lab --namespace other"),
        "{calls:?}"
    );
    assert_eq!(
        calls[1].replace(" --kube-context lab --namespace other", ""),
        upgrade
    );
    let values: Value = serde_json::from_str(&deployer.read("helm/values")).unwrap();
    assert_eq!(values["commonLabels"]["hxmlops.io/module"], "own.thing");
    assert_eq!(values["env"], json!({ "A": "b" }));

    let json = deployer.run(&[
        "component",
        "own",
        "create",
        "thing",
        "--no-wait",
        "--yes",
        "--name",
        "two",
        "--output",
        "json",
    ]);
    let json: Value = serde_json::from_str(json.assert_done()).unwrap();
    assert_eq!(json[0]["release"], "two");
    assert_eq!(json[0]["offers"][0]["endpoint"], "http://two.work.svc:80");
    assert_eq!(json[0]["rollout"], Value::Null);
}

#[test]
fn a_create_that_takes_too_long_says_why() {
    let deployer = Deployer::new();
    deployer
        .api
        .put("deployments", vec![deployment("thing", 0)]);
    let state = json!({ "waiting": { "reason": "ImagePullBackOff", "message": "registry.example: no such host" } });
    deployer.api.put("pods", vec![json!({
        "metadata": { "name": "thing-1" },
        "spec": { "containers": [], "volumes": [{ "name": "v", "persistentVolumeClaim": { "claimName": "thing-data" } }] },
        "status": { "phase": "Pending", "containerStatuses": [{ "name": "main", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state }] },
    })]);
    deployer.api.put(
        "persistentvolumeclaims",
        vec![json!({ "metadata": { "name": "thing-data" }, "status": { "phase": "Pending" } })],
    );
    let event = |message: &str, time: &str, name: &str| {
        json!({
            "metadata": { "name": time }, "involvedObject": { "kind": "Pod", "name": name }, "type": "Warning",
            "reason": "Failed", "message": message, "lastTimestamp": time,
        })
    };
    deployer.api.put(
        "events",
        vec![
            event("later\nand longer", "2026-01-05T10:01:00Z", "thing-1"),
            event("earlier", "2026-01-05T10:00:00Z", "thing-1"),
            event("other", "2026-01-05T10:02:00Z", "other-1"),
        ],
    );
    let late = deployer.run(&["component", "own", "create", "thing", "--timeout", "1s"]);
    assert_eq!((late.code, &*late.stdout), (Some(1), ""), "{late:?}");
    insta::assert_snapshot!("create_too_late", late.stderr);
}

#[test]
fn waiting_bridges_an_outage_of_the_api_server_and_no_refusal() {
    let deployer = Deployer::new();
    deployer
        .api
        .put("deployments", vec![deployment("thing", 1)]);
    let create = ["component", "own", "create", "thing"];
    deployer
        .api
        .fail("pods", StatusCode::SERVICE_UNAVAILABLE, 1);
    deployer.run(&create).assert_done();
    deployer.api.fail("pods", StatusCode::FORBIDDEN, 1);
    let refused = deployer.run(&create);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("cannot read pods"), "{refused:?}");
}

#[test]
fn a_create_that_was_broken_off_is_taken_up() {
    let deployer = Deployer::new();
    deployer
        .api
        .put("deployments", vec![deployment("thing", 1)]);
    let status =
        r#"echo '{"name": "thing", "info": {"status": "pending-install"}, "version": 1}'; exit 0"#;
    deployer.helm("status", status);
    let again = deployer.run(&["component", "own", "create", "thing"]);
    again.assert_done();
    assert!(
        again
            .stderr
            .contains("a change of release thing was broken off before"),
        "{again:?}"
    );
    let removed = "DELETE /api/v1/namespaces/work/secrets/sh.helm.release.v1.thing.v1";
    assert!(deployer.api.asked().contains(&removed.to_owned()));
    assert!(deployer.helm_calls()[1].starts_with("upgrade --install thing"));
}

#[test]
fn what_helm_says_is_one_line() {
    let deployer = Deployer::new();
    let script =
        "echo 'WARNING: x' >&2; printf 'Error: UPGRADE FAILED: no\\n- at /a: bad\\n' >&2; exit 1";
    deployer.helm("upgrade", script);
    let refused = deployer.run(&["component", "own", "create", "thing"]);
    refused.assert_failed(
        "own/thing as thing in domain lab, namespace work: helm upgrade failed: no - at /a: bad",
    );
}

#[test]
fn ctrl_c_has_helm_end_in_its_own_way() {
    let deployer = Deployer::new();
    deployer.helm(
        "upgrade",
        "trap 'echo > ended; exit 1' TERM; echo begun >&3; while :; do sleep 0.01; done",
    );
    let script = "exec 3> \"$PIPE\"; exec \"$(dirname \"$0\")/helm\" \"$@\"";
    let helm = deployer.user.program("helm/with-pipe", script);
    let fifo = deployer.user.home.path().join("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    // Opened both ways, nobody waits for the other end.
    let pipe = fs::File::options()
        .read(true)
        .write(true)
        .open(&fifo)
        .unwrap();
    let child = deployer
        .command(&["component", "own", "create", "thing"])
        .env("HXMLOPS_HELM", helm)
        .env("PIPE", &fifo)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    BufReader::new(pipe).read_line(&mut String::new()).unwrap();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let ended = Ended::from(child.wait_with_output().unwrap());
    ended.assert_failed(
        "namespace work: interrupted: some of it may be deployed, and the same command goes on",
    );
    assert!(deployer.user.home.path().join("helm/ended").exists());
}

#[test]
fn what_a_module_needs_is_wired_or_created_before() {
    let deployer = Deployer::new();
    let create = ["link", "api", "create", "user", "--no-wait"];
    deployer.run(&create).assert_failed("api/user needs thing (helper), which nothing in the namespace offers: create one of own/thing first, or add --with-dependencies");
    let both = [&create[..], &["--with-dependencies"]].concat();
    deployer.run(&both).assert_done();
    let json = [&both[..], &["--output", "json"]].concat();
    let dry = r#"case "$*" in *--dry-run*) echo '{"manifest": "{kind: Secret, data: {a: b}}"}'; exit ;; esac"#;
    deployer.helm("upgrade", dry);
    let preview = deployer.run(&[&json[..], &["--dry-run"]].concat());
    let preview: Value = serde_json::from_str(preview.assert_done()).unwrap();
    assert_eq!(preview[1]["uses"], json!([["helper", "thing"]]));
    let hidden = preview[1]["objects"][0]["data"]["a"].as_str().unwrap();
    assert!(hidden.starts_with("(hidden, sha256 "), "{hidden}");
    deployer.helm(
        "upgrade",
        r#"[ "$3" = user ] && echo 'Error: no' >&2 && exit 1"#,
    );
    let failed = deployer.run(&json);
    assert_eq!(failed.code, Some(1), "{failed:?}");
    let done: Value = serde_json::from_str(&failed.stdout).unwrap();
    assert_eq!(
        (done[0]["release"].as_str(), done.as_array().unwrap().len()),
        (Some("thing"), 1)
    );
    deployer.helm("upgrade", "");
    let calls = deployer.helm_calls();
    let upgrades: Vec<&str> = calls
        .iter()
        .filter_map(|call| call.strip_prefix("upgrade --install "))
        .collect();
    assert!(
        upgrades[0].starts_with("thing ") && upgrades[1].starts_with("user "),
        "{calls:?}"
    );
    let values = deployer.read("helm/values");
    let values: Value = serde_json::from_str(values.lines().last().unwrap()).unwrap();
    assert_eq!(values["env"]["THING"], "http://thing.work.svc:80");

    deployer.api.put(
        "deployments",
        vec![deployment("one", 1), deployment("two", 1)],
    );
    deployer
        .run(&create)
        .assert_failed("say which with --use helper=RELEASE (one, two)");
    let two = [&create[..], &["--use", "helper=two", "--output", "json"]].concat();
    let created: Value = serde_json::from_str(deployer.run(&two).assert_done()).unwrap();
    assert_eq!(created[0]["uses"], json!([["helper", "two"]]));
    let own = [&create[..], &["--set", "env.THING=http://elsewhere"]].concat();
    deployer.run(&own).assert_done();
}

#[test]
fn what_a_module_uses_it_keeps() {
    let deployer = Deployer::new();
    let there = |releases: &[&str]| {
        let all = releases.iter().map(|release| deployment(release, 1));
        deployer.api.put("deployments", all.collect());
    };
    let values = r#"{"commonLabels": {"hxmlops.io/module": "api.user"}, "env": {"THING": "http://one.work.svc:80"}}"#;
    deployer.user.write("helm/values-user", values);
    there(&["one", "two"]);
    let create = ["link", "api", "create", "user", "--no-wait"];
    let uses = |args: &[&str]| {
        let created = deployer.run(&[&create[..], &["--output", "json"], args].concat());
        let created: Value = serde_json::from_str(created.assert_done()).unwrap();
        created[0]["uses"].clone()
    };
    assert_eq!(uses(&[]), json!([["helper", "one"]]));
    there(&["two"]);
    let gone = "api/user uses one.work.svc (helper), which is not there any more: create that again, or say which release \
                takes its place with --use helper=RELEASE (two)";
    deployer.run(&create).assert_failed(gone);
    let env = "modules:\n  - {module: api/user}\n";
    deployer.user.write("env/env.yaml", env);
    let apply = deployer.with_file("apply", &["--no-wait"]);
    apply.assert_failed("env.yaml: line 2: api/user uses one.work.svc (helper), which is not there any more: add that");
    assert_eq!(uses(&["--use", "helper=two"]), json!([["helper", "two"]]));
}

#[test]
fn what_cannot_be_meant_is_usage() {
    let deployer = Deployer::new();
    let check = |args: &[&str], expected: &str| {
        deployer
            .run(&[&["component", "own", "create", "thing"], args].concat())
            .assert_usage(expected);
    };
    check(&["--set", "a"], "--set 'a' is no PATH=VALUE");
    check(&["--set", "a[0=1"], "--set 'a[0=1': ");
    check(&["--use", "a"], "--use 'a' is no NEED=RELEASE");
    check(&["--name", "A_b"], "a release has small letters");
    check(&["--timeout", "soon"], "--timeout 'soon'");
    check(&["--namespace", "A"], "no name of a namespace");
    let missing = deployer.run(&[
        "component",
        "own",
        "create",
        "thing",
        "--file",
        "/nonexistent",
    ]);
    missing.assert_failed("--file /nonexistent: there is no such file");
}
