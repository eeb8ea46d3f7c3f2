//! The API, the page and the operation's routes of the real server.

use aggregator::config::ServeConfig;
use aggregator::serve::{Server, StartError};
use serde_json::{Value, json};
use wire::v1::{Basis, Outcome};

use crate::batches::{batch, interval, sample, time, zone};
use crate::running::{Running, args, error_line};

async fn with_one_run() -> (tempfile::TempDir, Running) {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start(directory.path()).await;
    assert_eq!(server.send_batch(&batch("n1", 1, "r1")).await.status(), 200);
    (directory, server)
}

#[tokio::test]
async fn the_api_shows_what_was_sent() {
    let (_directory, server) = with_one_run().await;
    let runs = server
        .json("/api/v1/runs?workflow=churn&stage=train&since=2026-01-05T10:01:10Z")
        .await;
    insta::assert_json_snapshot!("runs", runs);
    assert_eq!(server.json("/api/v1/runs?cluster=c2").await, json!([]));
    insta::assert_json_snapshot!("stages", server.json("/api/v1/stages").await);
    let mut nodes = server.json("/api/v1/nodes").await;
    nodes[0]["last_seen"] = Value::from("now");
    insta::assert_json_snapshot!("nodes", nodes);
    let series = "/api/v1/series?by=node&from=2026-01-05T10:00:00Z&to=2026-01-05T10:02:00Z";
    insta::assert_json_snapshot!("series", server.json(series).await);
    server.stop().await;
}

#[tokio::test]
async fn a_report_says_that_a_zone_could_not_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start(directory.path()).await;
    let mut batch = batch("n1", 1, "r1");
    batch.zones[1] = zone("dram-0", "");
    let mut failed = sample(1, 0, 0, &[0, 0]);
    failed.outcome = Outcome::Failed.into();
    let read = sample(0, 1_000_000, 0, &[3_000_000, 0]);
    batch.intervals = vec![interval(0, 60, 2, vec![read, failed])];
    assert_eq!(server.send_batch(&batch).await.status(), 200);

    let report = server.json("/api/v1/runs/r1/report").await;
    assert_eq!(report["coverage_ratio"], 0.5);
    let note = report["notes"][0].as_str().unwrap();
    assert!(note.contains("known for 50 % of the run's time"), "{note}");
    server.stop().await;
}

#[tokio::test]
async fn modelled_energy_has_the_range_of_its_model() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start(directory.path()).await;
    // The second comes of an agent whose model knows better.
    for (sequence, low, high) in [(1, 50, 200), (2, 90, 110)] {
        let mut batch = batch("n1", sequence, "r1");
        batch.zones[0].basis = Basis::Modelled.into();
        (batch.zones[0].low_percent, batch.zones[0].high_percent) = (low, high);
        let share = sample(0, 0, 0, &[1_000_000, 0]);
        batch.intervals = vec![interval(sequence as i64 * 1_000, 1, 2, vec![share])];
        assert_eq!(server.send_batch(&batch).await.status(), 200);
    }
    let report = server.json("/api/v1/runs/r1/report").await;
    assert_eq!(report["energy_joules"], 2.0);
    assert_eq!(report["energy_range"]["low_joules"], 1.4);
    assert_eq!(report["energy_range"]["high_joules"], 3.1);
    let nodes = server.json("/api/v1/nodes").await;
    let zones = nodes[0]["zones"].as_array().unwrap();
    assert_eq!(zones.len(), 1, "whatever the range: {nodes}");
    assert_eq!(zones[0]["measured_microjoules"], 2_000_000);
    server.stop().await;
}

#[tokio::test]
async fn a_report_has_joules_grams_and_a_basis() {
    let (_directory, server) = with_one_run().await;
    let report = server
        .json("/api/v1/runs/r1/report?idle=none&workflow=churn&cluster=c1")
        .await;
    assert_eq!(report["energy_joules"], 3.0);
    assert!(report["carbon_grams"].as_f64().unwrap() > 0.0);
    assert_eq!(report["energy_basis"]["measured"], 1.0);
    assert_eq!(report["stages"][0]["stage"], "train");
    let usage = server.json("/api/v1/runs/r1/report").await;
    assert!(
        usage["energy_joules"].as_f64().unwrap() > 3.0,
        "with its share of idle"
    );
    server.stop().await;
}

#[tokio::test]
async fn grams_are_booked_as_the_report_tells_them() {
    let (_directory, server) = with_one_run().await;
    let report = server.json("/api/v1/runs/r1/report?idle=none").await;
    let metrics = server.text("/metrics").await;
    let booked = metrics
        .lines()
        .find(|line| line.starts_with("hxmlops_run_carbon_grams_total"))
        .unwrap();
    assert!(
        booked.contains(r#"signal="average-lifecycle-production""#),
        "{booked}"
    );
    let booked: f64 = booked.rsplit(' ').next().unwrap().parse().unwrap();
    let told = report["carbon_grams"].as_f64().unwrap();
    assert!((booked / told - 1.0).abs() < 1e-9, "{booked} and {told}");
    server.stop().await;
}

#[tokio::test]
async fn intensity_is_added_revised_and_repairs_reports() {
    let (_directory, server) = with_one_run().await;
    let path = format!("{}/api/v1/intensity", server.base);
    let slot = json!([{
        "intensity_zone": "fr",
        "from": "2026-01-05T10:00:00Z",
        "to": "2026-01-05T11:00:00Z",
        "g_per_kwh": 100.0,
        "kind": "average-lifecycle-production",
        "basis": "measured",
        "source": "operator",
    }]);
    for changed in [1, 0] {
        let response = server.client.post(&path).json(&slot).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(
            response.json::<Value>().await.unwrap(),
            json!({ "changed": changed })
        );
    }
    let query = "?zone=FR&from=2026-01-05T10:00:00Z&to=2026-01-05T12:00:00Z";
    let slots = server.json(&format!("/api/v1/intensity{query}")).await;
    assert_eq!(
        (&slots[0]["g_per_kwh"], &slots[0]["basis"]),
        (&json!(100.0), &json!("measured"))
    );
    assert_eq!(slots[1]["basis"], "annual");
    let report = server.json("/api/v1/runs/r1/report?idle=none").await;
    let expected = 3.0 / 3.6e6 * 1.2 * 100.0;
    assert!((report["carbon_grams"].as_f64().unwrap() / expected - 1.0).abs() < 1e-9);
    server.stop().await;
}

#[tokio::test]
async fn bad_slots_are_refused_all_together() {
    let (_directory, server) = with_one_run().await;
    let good = json!({
        "intensity_zone": "FR", "from": "2026-01-05T10:00:00Z", "to": "2026-01-05T11:00:00Z",
        "g_per_kwh": 1.0, "kind": "average-lifecycle-production", "basis": "measured", "source": "s",
    });
    for (field, value, expected) in [
        ("g_per_kwh", json!(-1.0), "slot 1: g_per_kwh"),
        ("g_per_kwh", json!(1.7e308), "is not within 0 to 5000"),
        ("to", json!("2026-01-05T10:00:00Z"), "is not after"),
        ("intensity_zone", json!(""), "intensity_zone is empty"),
        (
            "source",
            json!("x".repeat(1 << 20)),
            "source is longer than",
        ),
        ("source", json!("a\nb"), "source has control characters"),
        ("basis", json!("guessed"), "guessed"),
        ("from", json!("yesterday"), "[1].from"),
    ] {
        let mut bad = good.clone();
        bad[field] = value;
        let request = server
            .client
            .post(format!("{}/api/v1/intensity", server.base));
        let response = request.json(&json!([good, bad])).send().await.unwrap();
        let line = error_line(response, 400).await;
        assert!(line.contains(expected), "{field}: {line}");
    }
    let plain = server
        .client
        .post(format!("{}/api/v1/intensity", server.base));
    error_line(plain.body("[]").send().await.unwrap(), 415).await;
    let huge = server
        .client
        .post(format!("{}/api/v1/intensity", server.base));
    let huge = huge
        .header("content-type", "application/json")
        .body(vec![b' '; 5 << 20]);
    error_line(huge.send().await.unwrap(), 413).await;
    let slots = server
        .json("/api/v1/intensity?zone=FR&from=2026-01-05T10:00:00Z&to=2026-01-05T11:00:00Z")
        .await;
    assert_eq!(slots[0]["basis"], "annual", "nothing was added");
    server.stop().await;
}

#[tokio::test]
async fn bad_requests_get_one_line_of_json() {
    let (_directory, server) = with_one_run().await;
    for (path, status, expected) in [
        ("/nothing", 404, "nothing at /nothing"),
        ("/api/v1/runs/r9/report", 404, "no run 'r9'"),
        ("/api/v1/runs?since=yesterday", 400, "since"),
        ("/api/v1/runs?colour=red", 400, "colour"),
        ("/api/v1/runs/r1/report?idle=all", 400, "all"),
        ("/api/v1/runs/%ff/report", 400, "UTF-8"),
        ("/api/v1/series", 400, "by"),
        ("/api/v1/series?by=zone", 400, "zone"),
        (
            "/api/v1/series?by=node&from=2026-01-05T00:00:00Z&to=2026-02-05T00:00:00Z",
            400,
            "longer than",
        ),
        ("/api/v1/intensity", 400, "zone"),
        (
            "/api/v1/intensity?zone=XX",
            404,
            "unknown intensity zone 'XX'",
        ),
        ("/v1/batches", 405, "does not take GET"),
    ] {
        let line = error_line(server.get(path).await, status).await;
        assert!(line.contains(expected), "{path}: {line}");
    }
    let other = server.client.delete(format!("{}/api/v1/runs", server.base));
    error_line(other.send().await.unwrap(), 405).await;
    server.stop().await;
}

#[tokio::test]
async fn one_run_id_in_two_workflows_is_ambiguous() {
    let (_directory, server) = with_one_run().await;
    let mut other = batch("n1", 2, "r1");
    other.workloads[0].workflow = "vision".to_owned();
    assert_eq!(server.send_batch(&other).await.status(), 200);
    let line = error_line(server.get("/api/v1/runs/r1/report").await, 409).await;
    assert!(line.contains("--workflow"), "{line}");
    let report = server.json("/api/v1/runs/r1/report?workflow=vision").await;
    assert_eq!(report["workflow"], "vision");
    server.stop().await;
}

#[tokio::test]
async fn it_speaks_http_2_and_tells_its_health() {
    let (_directory, server) = with_one_run().await;
    assert_eq!(server.text("/healthz").await, "ok\n");
    assert_eq!(server.text("/readyz").await, "ready\n");
    let http2 = reqwest::Client::builder()
        .http2_prior_knowledge()
        .build()
        .unwrap();
    let response = http2
        .get(format!("{}/healthz", server.base))
        .send()
        .await
        .unwrap();
    assert_eq!(response.version(), reqwest::Version::HTTP_2);
    drop(http2);
    server.stop().await;
}

#[tokio::test]
async fn the_page_asks_no_other_host_and_writes_labels_as_text() {
    let (_directory, server) = with_one_run().await;
    for (path, content_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/page.js", "text/javascript; charset=utf-8"),
        ("/page.css", "text/css; charset=utf-8"),
    ] {
        let response = server.get(path).await;
        assert_eq!(response.headers()["content-type"], content_type);
        let policy = response.headers()["content-security-policy"]
            .to_str()
            .unwrap();
        assert!(
            policy.starts_with("default-src 'none'") && !policy.contains("unsafe"),
            "{policy}"
        );
        let text = response.text().await.unwrap();
        assert!(text.lines().count() < 250);
        for forbidden in [
            "http:",
            "https:",
            "innerHTML",
            "outerHTML",
            "insertAdjacent",
            "document.write",
        ] {
            assert!(!text.contains(forbidden), "{path} has {forbidden}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn every_route_is_in_the_openapi_document() {
    let (_directory, server) = with_one_run().await;
    let document = server.json("/api/v1/openapi.json").await;
    let paths: Vec<String> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().keys();
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    insta::assert_snapshot!("openapi_paths", paths.join("\n"));
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let schemas: Vec<&str> = schemas.keys().map(String::as_str).collect();
    insta::assert_snapshot!("openapi_schemas", schemas.join("\n"));
    server.stop().await;
}

#[tokio::test]
async fn nodes_go_to_their_sites() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.yaml");
    std::fs::write(
        &file,
        "sites: [{name: oslo, intensity_zone: 'NO', nodes: ['o-*']}]",
    )
    .unwrap();
    let mut args = args(&directory.path().join("data"));
    args.config = Some(file);
    let server = Running::start_with(args).await;
    for node in ["n1", "o-1"] {
        assert_eq!(server.send_batch(&batch(node, 1, "r1")).await.status(), 200);
    }
    let mut named = batch("o-2", 1, "r1");
    named.site = "elsewhere".to_owned();
    assert_eq!(server.send_batch(&named).await.status(), 200);
    let nodes = server.json("/api/v1/nodes").await;
    let sites: Vec<&str> = nodes
        .as_array()
        .unwrap()
        .iter()
        .map(|n| n["site"].as_str().unwrap())
        .collect();
    assert_eq!(sites, ["default", "oslo", "elsewhere"]);
    server.stop().await;
}

#[tokio::test]
async fn what_cannot_start_says_so_and_takes_no_port() {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().join("data");
    let mut unknown = args(&data_dir);
    unknown.intensity_zone = Some("ATLANTIS".to_owned());
    let refused = Server::bind(ServeConfig::read(unknown).unwrap())
        .await
        .err()
        .unwrap();
    assert!(matches!(refused, StartError::Config(_)), "{refused}");
    assert!(
        refused
            .to_string()
            .contains("unknown intensity zone 'ATLANTIS'"),
        "{refused}"
    );
    assert!(
        !data_dir.exists(),
        "nothing is made for a server that cannot start"
    );

    let server = Running::start(&data_dir).await;
    let mut taken = args(&directory.path().join("other"));
    taken.listen = Some(server.base.trim_start_matches("http://").parse().unwrap());
    let refused = Server::bind(ServeConfig::read(taken).unwrap())
        .await
        .err()
        .unwrap();
    assert!(
        refused
            .to_string()
            .starts_with("cannot listen on 127.0.0.1:"),
        "{refused}"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_zone_with_nothing_but_imported_slots_is_known() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start(directory.path()).await;
    let slot = json!([{
        "intensity_zone": "GRID-7", "from": time(0).to_string(), "to": time(3_600_000).to_string(),
        "g_per_kwh": 7.0, "kind": "average-lifecycle-production", "basis": "measured", "source": "own meter",
    }]);
    let request = server
        .client
        .post(format!("{}/api/v1/intensity", server.base));
    assert_eq!(request.json(&slot).send().await.unwrap().status(), 200);
    server.stop().await;
    let mut own = args(directory.path());
    own.intensity_zone = Some("grid-7".to_owned());
    let server = Running::start_with(own).await;
    assert_eq!(server.send_batch(&batch("n1", 1, "r1")).await.status(), 200);
    let report = server.json("/api/v1/runs/r1/report").await;
    let effective = report["intensity"][0]["g_per_kwh"].as_f64().unwrap();
    assert!((effective - 7.0).abs() < 1e-9, "{effective}");
    server.stop().await;
}

#[tokio::test]
async fn an_answer_with_fewer_runs_than_there_are_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start(directory.path()).await;
    for sequence in 1..=3 {
        let batch = batch("n1", sequence, &format!("r{sequence}"));
        assert_eq!(server.send_batch(&batch).await.status(), 200);
    }
    let all = server.get("/api/v1/runs?limit=3").await;
    assert_eq!(all.headers().get("hxmlops-cut"), None);
    let some = server.get("/api/v1/runs?limit=2").await;
    assert_eq!(some.headers()["hxmlops-cut"], "true");
    let runs: Value = some.json().await.unwrap();
    assert_eq!(runs.as_array().map(Vec::len), Some(2));
    let line = error_line(server.get("/api/v1/runs?limit=10001").await, 400).await;
    assert!(line.contains("more than 10000"), "{line}");
    let metrics = server.text("/metrics").await;
    assert!(metrics.contains(r#"hxmlops_api_cut_answers_total{route="runs"} 1"#));
    server.stop().await;
}

#[tokio::test]
async fn a_report_has_its_forms_as_files() {
    let (_directory, server) = with_one_run().await;
    let path = |form: &str| format!("/api/v1/runs/r1/report?format={form}");
    for (form, content_type, begins) in [
        ("json", "application/json", "{\"run\":\"r1\""),
        ("csv", "text/csv; charset=utf-8", "cluster,workflow,run,"),
        (
            "markdown",
            "text/markdown; charset=utf-8",
            "### Energy and carbon of run r1",
        ),
        (
            "html",
            "text/html; charset=utf-8",
            "<!DOCTYPE html><html lang=\"en\">",
        ),
        (
            "modelcard",
            "application/yaml; charset=utf-8",
            "---\nco2_eq_emissions:\n  emissions: ",
        ),
    ] {
        let response = server.get(&path(form)).await;
        let types: Vec<_> = response.headers().get_all("content-type").iter().collect();
        assert_eq!(types, [content_type], "{form}");
        if form != "json" {
            let policy = response.headers()["content-security-policy"]
                .to_str()
                .unwrap();
            assert!(
                policy.starts_with("default-src 'none'; style-src 'unsafe-inline'"),
                "{policy}"
            );
            assert!(policy.ends_with("frame-ancestors 'none'"), "{policy}");
        }
        let text = response.text().await.unwrap();
        assert!(text.starts_with(begins), "{form}: {text}");
    }
    assert!(server.text(&path("html")).await.contains("Power over time"));
    assert_eq!(server.get(&path("pdf")).await.status(), 400);
    server.stop().await;
}

#[tokio::test]
async fn a_model_card_without_grams_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start(directory.path()).await;
    let mut abroad = batch("n1", 1, "r1");
    abroad.site = "abroad".to_owned();
    assert_eq!(server.send_batch(&abroad).await.status(), 200);
    let response = server.get("/api/v1/runs/r1/report?format=modelcard").await;
    assert_eq!(response.status(), 422);
    let body: Value = response.json().await.unwrap();
    assert!(
        body["error"].as_str().unwrap().contains("are not known"),
        "{body}"
    );
    server.stop().await;
}
