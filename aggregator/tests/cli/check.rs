//! Checks of domains: a cluster that has all, one that lacks something, one that is not there.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::init::User;
use crate::program::Ended;

impl User {
    /// Has a program of its own, a script. Returns what names it.
    pub(crate) fn program(&self, name: &str, script: &str) -> String {
        let path = self.write(name, &format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// A domain whose context has this server.
    pub(crate) fn domain(&self, name: &str, server: &str) {
        let path = self.home.path().join("kubeconfig");
        let mut text = fs::read_to_string(&path).unwrap();
        let context =
            format!("contexts:\n  - {{name: {name}, context: {{cluster: {name}, user: u}}}}\n");
        text = text.replace("contexts:\n", &context);
        let cluster = format!("clusters:\n  - {{name: {name}, cluster: {{server: '{server}'}}}}\n");
        fs::write(path, text.replace("clusters:\n", &cluster)).unwrap();
        let args = [
            "init",
            "new-config",
            "--domain",
            name,
            "--context",
            name,
            "--namespace",
            "work",
        ];
        self.run(&args).assert_done();
    }

    /// Checks with programs that tell good versions.
    fn check(&self, args: &[&str]) -> Ended {
        let helm = self.program("bin/helm", "echo v3.17.2");
        let kubectl = self.program(
            "bin/kubectl",
            r#"echo '{"clientVersion": {"gitVersion": "v1.32.1"}}'"#,
        );
        let mut command = self.command(&["check", "connection"]);
        command
            .args(args)
            .env("HXMLOPS_HELM", helm)
            .env("HXMLOPS_KUBECTL", kubectl);
        command.output().unwrap().into()
    }
}

/// An API server as far as a check asks one; returns its URL. It lets one do what `may` says.
fn api_server(node: &'static str, class: Value, may: fn(&Value) -> bool) -> String {
    let refused = |what: String| {
        let message = format!("{what} is forbidden");
        let status = json!({ "kind": "Status", "status": "Failure", "message": message, "reason": "Forbidden", "code": 403 });
        (StatusCode::FORBIDDEN, Json(status))
    };
    let nodes = move || async move {
        let status = json!({ "conditions": [{ "type": "Ready", "status": node }] });
        Json(
            json!({ "kind": "NodeList", "items": [{ "metadata": { "name": "n" }, "status": status }], "metadata": {} }),
        )
    };
    let review = move |Json(mut review): Json<Value>| async move {
        let allowed = may(&review["spec"]["resourceAttributes"]);
        review["status"] = json!({ "allowed": allowed });
        Json(review)
    };
    let router = Router::new()
        .route("/version", get(|| async { Json(json!({
            "major": "1", "minor": "20", "gitVersion": "v1.20.2", "gitCommit": "", "gitTreeState": "",
            "buildDate": "", "goVersion": "", "compiler": "", "platform": "",
        })) }))
        .route("/api/v1/nodes", get(nodes))
        .route("/api/v1/namespaces/{name}", get(move |Path(name): Path<String>| async move { refused(name) }))
        .route("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", post(review))
        .route("/apis/storage.k8s.io/v1/storageclasses", get(move || async move {
            Json(json!({ "kind": "StorageClassList", "items": [class], "metadata": {} }))
        }));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, router).await.unwrap();
        });
    });
    url
}

fn class(is_default: &str) -> Value {
    let annotations = json!({ "storageclass.kubernetes.io/is-default-class": is_default });
    json!({ "metadata": { "name": "fast", "annotations": annotations }, "provisioner": "p.example" })
}

#[test]
fn what_is_there_and_what_is_not_are_told_part_by_part() {
    let user = User::new();
    let good = api_server("True", class("true"), |_| true);
    user.domain("good", &good);
    let found = user.check(&[]);
    let hidden = |text: &str, url: &str| {
        let home = user.home.path().to_str().unwrap();
        text.replace(url, "SERVER").replace(home, "HOME")
    };
    insta::assert_snapshot!("check", hidden(found.assert_done(), &good));

    let lacks = api_server("Unknown", class("false"), |right| {
        right["resource"] != "secrets" && right["group"] != "apps"
    });
    user.domain("lacks", &lacks);
    let found = user.check(&["--domain", "lacks"]);
    assert_eq!(found.code, Some(3), "{found:?}");
    insta::assert_snapshot!("check_that_fails", hidden(&found.stdout, &lacks));
    let json = user.check(&["--json", "--domain", "lacks", "--domain", "good"]);
    assert_eq!(json.code, Some(3), "{json:?}");
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["ok"], false);
    assert_eq!(json["domains"][0]["parts"][1]["verdict"], "failed");
    assert_eq!(json["domains"][1]["domain"], "good");
}

#[test]
fn what_cannot_be_reached_is_one_line() {
    let user = User::new();
    let check = |args: &[&str], expected: &str| {
        let found = user.check(args);
        assert_eq!(found.code, Some(3), "{found:?}");
        let line = found.stdout.lines().find(|line| line.contains(" api "));
        assert!(line.unwrap().contains(expected), "{found:?}");
    };
    user.domain("away", "http://127.0.0.1:1");
    check(&[], "cannot reach http://127.0.0.1:1: Connection refused");
    user.run(&["init", "new-config", "--domain", "x", "--context", "kind-b"])
        .assert_done();
    check(&["--domain", "x"], "context 'kind-b' of the kubeconfig");
    user.check(&["--domain", "y"])
        .assert_failed("there is no domain 'y'; there are: away, x");
}

#[test]
fn programs_that_are_missing_or_old_are_named() {
    let user = User::new();
    user.domain("away", "http://127.0.0.1:1");
    let old = user.program("bin/old", "echo v3.2.1");
    let mut command = user.command(&["check", "connection"]);
    let found = command.env("HXMLOPS_HELM", old).env("PATH", "/nonexistent");
    let found = Ended::from(found.output().unwrap());
    assert_eq!(found.code, Some(3), "{found:?}");
    assert!(
        found.stdout.contains("is version 3.2.1, which is too old"),
        "{found:?}"
    );
    assert!(
        found
            .stdout
            .contains("no kubectl in PATH: install kubectl 1.20.0 or later"),
        "{found:?}"
    );
}

#[test]
fn without_domains_or_a_kubeconfig_there_is_nothing_to_check() {
    let user = User::new();
    user.check(&[]).assert_failed("there are no domains yet");
    user.domain("a", "http://127.0.0.1:1");
    fs::remove_file(user.home.path().join("kubeconfig")).unwrap();
    user.check(&[]).assert_failed("no kubeconfig");
}
