//! Every route against everybody who may come: nobody, a stranger, somebody whose token is over, the wrong role,
//! another node.

use std::collections::BTreeSet;

use aggregator::api::tokens::{MadeToken, NewToken};
use aggregator::config::ServeArgs;
use aggregator::token::Role;
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;

use crate::batches::batch;
use crate::running::{Running, args, error_line};

/// Method, path, and the answers to: nobody, ingest, read, admin. What is let in answers by what it was asked.
const ROUTES: &[(&str, &str, [u16; 4])] = &[
    ("GET", "/", [401, 403, 200, 200]),
    ("GET", "/page.js", [401, 403, 200, 200]),
    ("GET", "/page.css", [401, 403, 200, 200]),
    ("POST", "/v1/batches", [401, 415, 403, 415]),
    ("GET", "/api/v1/runs", [401, 403, 200, 200]),
    ("GET", "/api/v1/runs/{run}/report", [401, 403, 404, 404]),
    ("GET", "/api/v1/stages", [401, 403, 200, 200]),
    ("GET", "/api/v1/nodes", [401, 403, 200, 200]),
    ("GET", "/api/v1/series", [401, 403, 400, 400]),
    ("GET", "/api/v1/components", [401, 403, 200, 200]),
    ("GET", "/api/v1/intensity", [401, 403, 400, 400]),
    ("POST", "/api/v1/intensity", [401, 403, 403, 415]),
    ("GET", "/api/v1/budgets", [401, 403, 200, 200]),
    ("GET", "/api/v1/budget-states", [401, 403, 200, 200]),
    ("PUT", "/api/v1/budgets/{name}", [401, 403, 403, 415]),
    ("DELETE", "/api/v1/budgets/{name}", [401, 403, 403, 404]),
    ("GET", "/api/v1/plan", [401, 403, 400, 400]),
    ("GET", "/api/v1/plan/score", [401, 403, 400, 400]),
    ("GET", "/api/v1/tokens", [401, 403, 403, 200]),
    ("POST", "/api/v1/tokens", [401, 403, 403, 415]),
    ("DELETE", "/api/v1/tokens/{id}", [401, 403, 403, 404]),
    ("GET", "/api/v1/openapi.json", [401, 403, 200, 200]),
    ("GET", "/metrics", [401, 403, 200, 200]),
    ("GET", "/healthz", [200, 200, 200, 200]),
    ("GET", "/readyz", [200, 200, 200, 200]),
];

/// A secret of the operator's.
const OPERATOR: &str = "operator-0123456789abcdef0123456789";

/// A server that asks for tokens.
struct Guarded {
    _directory: tempfile::TempDir,
    server: Running,
}

impl Guarded {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("operator");
        std::fs::write(&file, OPERATOR).unwrap();
        let args = ServeArgs {
            token_file: Some(file),
            ..args(directory.path())
        };
        Self {
            server: Running::start_with(args).await,
            _directory: directory,
        }
    }

    async fn ask(&self, method: &str, path: &str, token: Option<&str>) -> reqwest::Response {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let path = path.replace("{run}", "r1").replace("{id}", "00000000");
        let url = format!("{}{path}", self.server.base);
        let mut request = self.server.client.request(method, url);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        request.send().await.unwrap()
    }

    async fn make(&self, role: Role, expires: Option<Timestamp>) -> MadeToken {
        let new = NewToken {
            role,
            note: "made by a test".into(),
            expires,
        };
        let url = format!("{}/api/v1/tokens", self.server.base);
        let request = self
            .server
            .client
            .post(url)
            .bearer_auth(OPERATOR)
            .json(&new);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 201);
        answer.json().await.unwrap()
    }

    async fn write(&self, token: &str, node: &str, cluster: &str) -> reqwest::Response {
        let mut batch = batch(node, 1, "r1");
        batch.cluster = cluster.to_owned();
        let url = format!("{}/v1/batches", self.server.base);
        let request = self.server.client.post(url).bearer_auth(token);
        let request = request
            .header("content-type", wire::CONTENT_TYPE)
            .header("content-encoding", wire::CONTENT_ENCODING);
        request.body(wire::encode(&batch)).send().await.unwrap()
    }
}

fn ingest(node: &str) -> Role {
    Role::Ingest {
        cluster: "c1".into(),
        node: node.into(),
    }
}

#[tokio::test]
async fn every_route_answers_everybody_as_it_should() {
    let guarded = Guarded::start().await;
    let ingest = guarded.make(ingest("n1"), None).await.token;
    let read = guarded.make(Role::Read, None).await.token;
    let admin = guarded.make(Role::Admin, None).await.token;
    let revoked = guarded.make(Role::Admin, None).await;
    let path = format!("/api/v1/tokens/{}", revoked.record.id);
    let answer = guarded.ask("DELETE", &path, Some(&admin)).await;
    assert_eq!(answer.status(), 204);

    let stranger = format!("hxm_00000000_{}", "0".repeat(64));
    for (method, path, [nobody, of_ingest, of_read, of_admin]) in ROUTES {
        let asked = [
            (None, nobody),
            (Some(""), nobody),
            (Some("short"), nobody),
            (Some(stranger.as_str()), nobody),
            (Some(revoked.token.as_str()), nobody),
            (Some(ingest.as_str()), of_ingest),
            (Some(read.as_str()), of_read),
            (Some(admin.as_str()), of_admin),
            (Some(OPERATOR), of_admin),
        ];
        for (index, (token, expected)) in asked.into_iter().enumerate() {
            let answer = guarded.ask(method, path, token).await;
            assert_eq!(
                answer.status(),
                *expected,
                "{method} {path}, caller {index}"
            );
            let challenges = answer.headers().contains_key("www-authenticate");
            assert_eq!(
                challenges,
                *expected == 401,
                "{method} {path}, caller {index}"
            );
            if matches!(expected, 401 | 403) {
                error_line(answer, *expected).await;
            }
        }
    }
    guarded.server.stop().await;
}

#[tokio::test]
async fn the_table_has_every_route_of_the_api() {
    let guarded = Guarded::start().await;
    let answer = guarded
        .ask("GET", "/api/v1/openapi.json", Some(OPERATOR))
        .await;
    let document: serde_json::Value = answer.json().await.unwrap();
    let paths = document["paths"].as_object().unwrap();
    let documented = paths.iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().keys();
        methods.map(move |method| (method.to_uppercase(), path.clone()))
    });
    let undocumented = ["/", "/page.js", "/page.css", "/api/v1/openapi.json"];
    let listed = ROUTES
        .iter()
        .filter(|(_, path, _)| !undocumented.contains(path))
        .map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned()));
    assert_eq!(documented.collect::<BTreeSet<_>>(), listed.collect());
    guarded.server.stop().await;
}

#[tokio::test]
async fn a_token_writes_for_its_own_node_alone() {
    let guarded = Guarded::start().await;
    let token = guarded.make(ingest("n1"), None).await.token;
    let pool = guarded.make(ingest("gpu-*"), None).await.token;
    for (token, node, cluster, expected) in [
        (&token, "n1", "c1", 200),
        (&token, "n2", "c1", 403),
        (&token, "n1", "c2", 403),
        (&pool, "gpu-7", "c1", 200),
        (&pool, "n1", "c1", 403),
    ] {
        let answer = guarded.write(token, node, cluster).await;
        assert_eq!(answer.status(), expected, "{node} of {cluster}");
        if expected == 403 {
            let line = error_line(answer, 403).await;
            assert!(
                line.contains(node) && line.contains("token is for"),
                "{line}"
            );
        }
    }
    let nodes = guarded.ask("GET", "/api/v1/nodes", Some(OPERATOR)).await;
    let nodes: serde_json::Value = nodes.json().await.unwrap();
    assert_eq!(nodes.as_array().unwrap().len(), 2, "{nodes}");
    let metrics = guarded
        .ask("GET", "/metrics", Some(OPERATOR))
        .await
        .text()
        .await
        .unwrap();
    let forbidden = "hxmlops_ingest_batches_total{result=\"forbidden\"} 3";
    assert!(metrics.contains(forbidden), "{metrics}");
    guarded.server.stop().await;
}

#[tokio::test]
async fn a_token_s_secret_is_nowhere_but_in_the_answer_that_made_it() {
    let guarded = Guarded::start().await;
    let soon = Timestamp::now() + SignedDuration::from_hours(1);
    let made = guarded.make(Role::Read, Some(soon)).await;
    let secret = made.token.rsplit_once('_').unwrap().1;
    let listed = guarded.ask("GET", "/api/v1/tokens", Some(OPERATOR)).await;
    let listed = listed.text().await.unwrap();
    assert!(
        listed.contains(&made.record.id) && !listed.contains(secret),
        "{listed}"
    );
    assert!(!listed.contains("sha256"), "{listed}");
    let ledger = guarded._directory.path();
    guarded.server.stop().await;
    for entry in std::fs::read_dir(ledger).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let found = bytes
            .windows(secret.len())
            .any(|window| window == secret.as_bytes());
        assert!(!found, "the secret is on the disk");
    }
}

#[tokio::test]
async fn a_browser_s_password_is_a_token() {
    let guarded = Guarded::start().await;
    let url = format!("{}/api/v1/runs", guarded.server.base);
    let request = guarded
        .server
        .client
        .get(url)
        .basic_auth("anybody", Some(OPERATOR));
    assert_eq!(request.send().await.unwrap().status(), 200);
    guarded.server.stop().await;
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_again() {
    let guarded = Guarded::start().await;
    let read = guarded.make(Role::Read, None).await.token;
    let mut refused = None;
    for _ in 0..2 * aggregator::access::SENDER_BURST {
        let answer = guarded.ask("GET", "/page.css", Some(&read)).await;
        if answer.status() == 429 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("a burst has an end");
    let wait = refused.headers()["retry-after"].to_str().unwrap();
    assert!(wait.parse::<u64>().unwrap() >= 1);
    // The others go on, and so do probes.
    for (path, token) in [
        ("/page.css", Some(OPERATOR)),
        ("/healthz", Some(read.as_str())),
    ] {
        assert_eq!(guarded.ask("GET", path, token).await.status(), 200);
    }
    guarded.server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_a_token_is_not_made() {
    let guarded = Guarded::start().await;
    let url = format!("{}/api/v1/tokens", guarded.server.base);
    for (body, message) in [
        (r#"{"role": "root"}"#, "root"),
        (r#"{"role": "ingest"}"#, "cluster"),
        (r#"{"role": "ingest", "cluster": "c", "node": ""}"#, "names"),
        (r#"{"role": "read", "note": "a\nb"}"#, "note"),
        (
            r#"{"role": "read", "expires": "2020-01-01T00:00:00Z"}"#,
            "expired already",
        ),
    ] {
        let request = guarded.server.client.post(&url).bearer_auth(OPERATOR);
        let request = request
            .header("content-type", "application/json")
            .body(body);
        let line = error_line(request.send().await.unwrap(), 400).await;
        assert!(line.contains(message), "{body}: {line}");
    }
    guarded.server.stop().await;
}
