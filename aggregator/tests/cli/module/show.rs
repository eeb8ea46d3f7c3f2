//! What there is, how it stands, and what would change.

use serde_json::{Value, json};

use super::{Deployer, deployment};

#[test]
fn what_there_is_needs_no_cluster() {
    let deployer = Deployer::new();
    let list = deployer.run(&["component", "own", "list"]);
    insta::assert_snapshot!("list", list.assert_done());
    insta::assert_snapshot!(
        "info",
        deployer
            .run(&["component", "own", "info", "thing"])
            .assert_done()
    );
    let values = deployer.run(&["component", "list_values", "own", "thing"]);
    insta::assert_snapshot!("list_values", values.assert_done());
    assert_eq!(
        deployer
            .run(&["component", "own", "list-values", "thing"])
            .assert_done(),
        values.stdout
    );
    let file = deployer.user.write("values.yaml", "env: {A: c, D: e}\n");
    let args = [
        "component",
        "own",
        "info",
        "thing",
        "--output",
        "json",
        "--file",
        file.to_str().unwrap(),
        "--set",
        "env.A=d,replicas=2",
    ];
    let info: Value = serde_json::from_str(deployer.run(&args).assert_done()).unwrap();
    assert_eq!(info["values"]["env"], json!({ "A": "d", "D": "e" }));
    assert_eq!(info["values"]["replicas"], 2);
    deployer
        .run(&["component", "own", "info", "thing", "--set", "a[x]=1"])
        .assert_usage("--set 'a[x]=1': '[x' is no index");
    assert_eq!(info["offers"][0]["capability"], "thing");
    deployer
        .run(&["component", "own", "info", "thin"])
        .assert_failed("it has: steps, thing");
    deployer
        .run(&["component", "info", "thing"])
        .assert_usage("say the group before the command");
    deployer
        .run(&["stage", "own", "list"])
        .assert_failed("there is no group 'own' of stages");
}

#[test]
fn status_says_how_modules_stand_by_its_exit_code_too() {
    let deployer = Deployer::new();
    let status = |args: &[&str]| deployer.run(&[&["component", "own", "status"], args].concat());
    let absent = status(&["thing"]);
    assert_eq!(absent.code, Some(3), "{absent:?}");
    assert!(absent.stdout.contains("not deployed"), "{absent:?}");
    let none = status(&[]);
    assert_eq!(none.assert_done(), "");
    let labels = json!({ "owner": "helm", "name": "thing", "status": "deployed", "version": "2" });
    deployer.api.put(
        "secrets",
        vec![json!({ "metadata": { "name": "r", "labels": labels } })],
    );
    deployer
        .api
        .put("deployments", vec![deployment("thing", 1)]);
    insta::assert_snapshot!("status", status(&["thing"]).assert_done());
    let all: Value = serde_json::from_str(status(&["--output", "json"]).assert_done()).unwrap();
    assert_eq!(all[0]["standing"], "ready");
    assert_eq!(all[0]["record"]["revision"], 2);
    deployer
        .api
        .put("deployments", vec![deployment("thing", 0)]);
    assert_eq!(status(&["thing"]).code, Some(3));
}

#[test]
fn status_tells_of_modules_that_have_no_workload() {
    let deployer = Deployer::new();
    deployer
        .api
        .put("deployments", vec![deployment("thing", 1)]);
    let record = |name: &str, status: &str| {
        let labels = json!({ "owner": "helm", "name": name, "status": status, "version": "1" });
        json!({ "metadata": { "name": name, "labels": labels } })
    };
    let names = ["thing", "bare", "user", "foreign"];
    let records =
        names.map(|name| record(name, if name == "bare" { "failed" } else { "deployed" }));
    deployer.api.put("secrets", records.to_vec());
    deployer.user.write("helm/owner-bare", "own.thing");
    deployer.user.write("helm/owner-user", "api.user");
    deployer.user.write("helm/foreign-foreign", "");
    let status = deployer.run(&["component", "own", "status", "--output", "json"]);
    assert_eq!(status.code, Some(3), "{status:?}");
    let all: Value = serde_json::from_str(&status.stdout).unwrap();
    let all = all.as_array().unwrap();
    let told = |one: &Value| format!("{} {}", one["release"], one["standing"]);
    assert_eq!(
        all.iter().map(told).collect::<Vec<_>>(),
        [r#""bare" "failed""#, r#""thing" "ready""#]
    );
}

#[test]
fn diff_says_what_create_would_change() {
    let deployer = Deployer::new();
    let manifest =
        |value: &str| format!("kind: ConfigMap\nmetadata: {{name: m}}\ndata: {{a: '{value}'}}\n");
    let preview = json!({ "manifest": manifest("2") }).to_string();
    deployer.user.write("helm/preview", &preview);
    deployer.helm("upgrade", "cat preview; exit 0");
    let before = |value: &str| deployer.user.write("helm/before", &manifest(value));
    let diff = || deployer.run(&["component", "own", "diff", "thing"]);
    let new = diff();
    assert_eq!(new.code, Some(3), "{new:?}");
    assert!(
        new.stdout.starts_with("--- (not there)\n+++ ConfigMap/m\n"),
        "{new:?}"
    );
    before("1");
    deployer.helm("get", "cat before; exit 0");
    let changed = diff();
    assert_eq!(changed.code, Some(3), "{changed:?}");
    assert!(
        changed.stdout.contains("-  a: \"1\"\n+  a: \"2\"\n"),
        "{changed:?}"
    );
    before("2");
    let same = diff();
    assert_eq!(same.assert_done(), "");
    assert_eq!(same.stderr, "nothing would change\n");
    // A change that failed is still to be made: what was deployed before is what there is.
    let record = |version: &str, status: &str| {
        let labels =
            json!({ "owner": "helm", "name": "thing", "status": status, "version": version });
        json!({ "metadata": { "name": version, "labels": labels } })
    };
    let records = [("2", "deployed"), ("3", "failed"), ("1", "superseded")];
    let records = records.map(|(version, status)| record(version, status));
    deployer.api.put("secrets", records.to_vec());
    deployer.user.write("helm/deployed", &manifest("1"));
    let script = r#"case "$*" in *'--revision 2'*) cat deployed ;; *) cat before ;; esac; exit 0"#;
    deployer.helm("get", script);
    let failed = diff();
    assert_eq!(failed.code, Some(3), "{failed:?}");
    let line = "# the last change (revision 3) is failed: it would be made again\n--- ConfigMap/m";
    assert!(failed.stdout.starts_with(line), "{failed:?}");
    assert!(
        failed.stdout.contains("-  a: \"1\"\n+  a: \"2\"\n"),
        "{failed:?}"
    );
    let dry = deployer.run(&["component", "own", "create", "thing", "--dry-run"]);
    assert!(dry.assert_done().starts_with("---\ndata:\n"), "{dry:?}");
    assert!(
        deployer
            .helm_calls()
            .iter()
            .all(|call| !call.starts_with("upgrade") || call.contains("--dry-run=server"))
    );
}
