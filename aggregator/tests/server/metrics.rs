//! /metrics of the real server.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::batches::batch;
use crate::running::Running;

#[tokio::test]
async fn promtool_has_nothing_to_say() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start(directory.path()).await;
    assert_eq!(server.send_batch(&batch("n1", 1, "r1")).await.status(), 200);
    server.text("/api/v1/runs").await;
    let metrics = server.text("/metrics").await;
    assert_promtool_is_silent(&metrics);
    server.stop().await;
}

/// Promtool finds no fault with metrics in the text format.
pub(crate) fn assert_promtool_is_silent(metrics: &str) {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("this test needs promtool: apt-get install prometheus (Debian, Ubuntu)");
    let mut input = promtool.stdin.take().unwrap();
    input.write_all(metrics.as_bytes()).unwrap();
    drop(input);
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert_eq!(String::from_utf8_lossy(&said), "");
    assert!(output.status.success());
}

#[tokio::test]
async fn families_keep_their_names_kinds_and_help() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start(directory.path()).await;
    assert_eq!(server.send_batch(&batch("n1", 1, "r1")).await.status(), 200);
    let mut without_grid = batch("n1", 2, "r1");
    without_grid.site = "elsewhere".to_owned();
    assert_eq!(server.send_batch(&without_grid).await.status(), 200);
    // Adding nothing makes the server show the intensity at once.
    let request = server
        .client
        .post(format!("{}/api/v1/intensity", server.base));
    assert_eq!(
        request
            .json(&serde_json::json!([]))
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    let metrics = server.text("/metrics").await;
    let about: Vec<&str> = metrics
        .lines()
        .filter(|line| line.starts_with('#'))
        .collect();
    insta::assert_snapshot!("metric_families", about.join("\n"));
    server.stop().await;
}

#[tokio::test]
async fn made_up_paths_and_methods_make_no_series() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start(directory.path()).await;
    for number in 0..3 {
        let method = reqwest::Method::from_bytes(format!("M{number}").as_bytes()).unwrap();
        let path = format!("{}/made/up/{number}", server.base);
        let response = server.client.request(method, path).send().await.unwrap();
        assert_eq!(response.status(), 404);
    }
    let metrics = server.text("/metrics").await;
    let count = r#"hxmlops_http_request_duration_seconds_count{method="other",route="other",status="404"} 3"#;
    assert!(metrics.contains(count), "{metrics}");
    assert!(!metrics.contains("made"), "{metrics}");
    server.stop().await;
}
