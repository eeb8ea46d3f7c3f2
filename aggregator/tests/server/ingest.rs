//! Batches over HTTP, good and bad.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wire::v1::LossReason;

use crate::batches::{batch, loss, workload};
use crate::running::{Running, error_line};

/// A Batch message with nothing but its version and a cluster, by hand: field 1 varint, field 2 bytes.
fn by_hand(version: u8) -> Vec<u8> {
    packed(&[0x08, version, 0x12, 0x02, b'c', b'1'])
}

fn packed(message: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(message, 3).unwrap()
}

#[tokio::test]
async fn a_batch_is_new_then_a_duplicate_then_a_conflict() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start(directory.path()).await;
    for expected in [r#"{"written":"new"}"#, r#"{"written":"duplicate"}"#] {
        let response = server.send_batch(&batch("n1", 1, "r1")).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.text().await.unwrap(), expected);
    }
    let conflict = server.send_batch(&batch("n1", 1, "r2")).await;
    let line = error_line(conflict, 409).await;
    assert!(
        line.contains("already written with other content"),
        "{line}"
    );

    let metrics = server.text("/metrics").await;
    for line in [
        r#"hxmlops_ingest_batches_total{result="new"} 1"#,
        r#"hxmlops_ingest_batches_total{result="duplicate"} 1"#,
        r#"hxmlops_ingest_batches_total{result="conflict"} 1"#,
        r#"hxmlops_ingest_batches_total{result="busy"} 0"#,
        r#"hxmlops_run_energy_joules_total{cluster="c1",workflow="churn",run="r1",stage="train",zone="package-0",basis="measured"} 3"#,
    ] {
        assert!(
            metrics.lines().any(|shown| shown == line),
            "no {line} in {metrics}"
        );
    }
    assert!(!metrics.contains("r2"), "a refused batch is not booked");
    server.stop().await;
}

#[tokio::test]
async fn a_ledger_outlives_its_server() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start(directory.path()).await;
    assert_eq!(server.send_batch(&batch("n1", 1, "r1")).await.status(), 200);
    server.stop().await;
    let server = Running::start(directory.path()).await;
    let again = server.send_batch(&batch("n1", 1, "r1")).await;
    assert_eq!(again.text().await.unwrap(), r#"{"written":"duplicate"}"#);
    assert_eq!(server.json("/api/v1/runs").await[0]["active_joules"], 3.0);
    server.stop().await;
}

#[tokio::test]
async fn bad_batches_are_named_and_harm_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start(directory.path()).await;
    let good = wire::encode(&batch("n1", 1, "r1"));

    let mut corrupt = good.clone();
    corrupt[good.len() / 2] ^= 0xff;
    let truncated = good[..good.len() - 3].to_vec();
    let mut long_label = batch("n1", 1, "r1");
    long_label.workloads[0] = workload("r1", &"x".repeat(1 << 20), "p");
    let mut unbalanced = batch("n1", 1, "r1");
    unbalanced.intervals[0].zones[0].measured_uj += 1;
    let mut late = batch("n1", 1, "r1");
    late.intervals[0].start_unix_ms = wire::limits::MAX_START_UNIX_MS;
    let mut early = batch("n1", 1, "r1");
    early.intervals[0].start_unix_ms = Timestamp::now().as_millisecond() + 3_600_000;
    let mut implausible = batch("n1", 1, "r1");
    implausible.intervals[0].duration_ns = 1;

    for (name, bytes, status, expected) in [
        ("truncated", truncated, 400, "not a whole zstd frame"),
        ("empty", Vec::new(), 400, "zstd"),
        ("garbage", b"not a batch".to_vec(), 400, "zstd"),
        ("packed garbage", packed(&[0xff; 64]), 400, "protobuf"),
        ("version 2", by_hand(2), 400, "schema version 2"),
        ("version 0", by_hand(0), 400, "schema version 0"),
        ("nothing but a version", by_hand(1), 400, "stream id"),
        (
            "1 MB label",
            wire::encode(&long_label),
            400,
            "stage is longer than",
        ),
        ("unbalanced", wire::encode(&unbalanced), 400, "measured"),
        (
            "years ahead",
            wire::encode(&late),
            422,
            "after the server's clock",
        ),
        (
            "an hour ahead",
            wire::encode(&early),
            425,
            "after the server's clock",
        ),
        (
            "more than any node draws",
            wire::encode(&implausible),
            400,
            "does not fit the ledger",
        ),
        (
            "huge",
            vec![0; (1 << 20) + 1],
            413,
            "larger than 1048576 bytes",
        ),
        (
            "huge once unpacked",
            packed(&vec![0; 9 << 20]),
            413,
            "larger than 8388608 bytes",
        ),
    ] {
        let line = error_line(server.send(bytes).await, status).await;
        assert!(line.contains(expected), "{name}: {line}");
    }
    let corrupt = server.send(corrupt).await;
    assert_eq!(corrupt.status(), 400);

    assert_eq!(server.json("/api/v1/nodes").await, serde_json::json!([]));
    assert_eq!(server.send(good).await.status(), 200, "the rest goes on");
    server.stop().await;
}

#[tokio::test]
async fn a_body_without_a_length_is_cut_off_at_the_limit() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start(directory.path()).await;
    let address = server.base.trim_start_matches("http://");
    let mut connection = TcpStream::connect(address).await.unwrap();
    let head = "POST /v1/batches HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\
                content-type: application/x-protobuf\r\ncontent-encoding: zstd\r\n\
                transfer-encoding: chunked\r\n\r\n100001\r\n";
    connection.write_all(head.as_bytes()).await.unwrap();
    connection.write_all(&[0; (1 << 20) + 1]).await.unwrap();
    connection.write_all(b"\r\n0\r\n\r\n").await.unwrap();
    let mut response = String::new();
    connection.read_to_string(&mut response).await.unwrap();
    assert!(response.starts_with("HTTP/1.1 413 "), "{response}");
    server.stop().await;
}

#[tokio::test]
async fn other_types_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start(directory.path()).await;
    let good = wire::encode(&batch("n1", 1, "r1"));
    for (content_type, encoding) in [
        ("application/json", "zstd"),
        ("application/x-protobuf", "gzip"),
        ("application/x-protobuf", ""),
    ] {
        let request = server
            .client
            .post(format!("{}/v1/batches", server.base))
            .header("content-type", content_type)
            .header("content-encoding", encoding)
            .body(good.clone());
        let line = error_line(request.send().await.unwrap(), 415).await;
        assert!(line.contains("a batch needs the header"), "{line}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_store_that_fails_asks_for_patience() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start(directory.path()).await;
    let connection = rusqlite::Connection::open(directory.path().join("ledger.db")).unwrap();
    connection.execute_batch("DROP TABLE share_minute").unwrap();
    let response = server.send_batch(&batch("n1", 1, "r1")).await;
    assert_eq!(response.headers()["retry-after"], "5");
    let line = error_line(response, 503).await;
    assert!(!line.contains("ledger.db"), "no paths to strangers: {line}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_senders_of_one_batch_one_is_first() {
    let directory = tempfile::tempdir().unwrap();
    let server = Arc::new(Running::start(directory.path()).await);
    let senders: Vec<_> = (0..16)
        .map(|_| {
            let server = Arc::clone(&server);
            tokio::spawn(async move {
                let response = server.send_batch(&batch("n1", 1, "r1")).await;
                response.text().await.unwrap()
            })
        })
        .collect();
    let mut new = 0;
    for sender in senders {
        match sender.await.unwrap().as_str() {
            r#"{"written":"new"}"# => new += 1,
            other => assert_eq!(other, r#"{"written":"duplicate"}"#),
        }
    }
    assert_eq!(new, 1);
    let nodes = server.json("/api/v1/nodes").await;
    assert_eq!(nodes[0]["zones"][0]["measured_microjoules"], 4_750_000);
}

#[tokio::test]
async fn what_was_lost_is_counted_and_refused_when_it_comes() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start(directory.path()).await;
    let mut telling = batch("n1", 3, "r1");
    telling.losses = vec![loss(2, LossReason::Dropped, 1_500_000)];
    assert_eq!(server.send_batch(&telling).await.status(), 200);
    let line = error_line(server.send_batch(&batch("n1", 2, "r1")).await, 409).await;
    assert!(line.contains("was declared lost"), "{line}");

    let metrics = server.text("/metrics").await;
    for line in [
        r#"hxmlops_ingest_lost_energy_joules_total{reason="dropped"} 1.5"#,
        r#"hxmlops_ingest_lost_energy_joules_total{reason="damaged"} 0"#,
        r#"hxmlops_ingest_lost_batches_total{reason="dropped"} 1"#,
        r#"hxmlops_ingest_batches_total{result="lost"} 1"#,
        "hxmlops_ingest_missing_batches 1",
    ] {
        assert!(
            metrics.lines().any(|shown| shown == line),
            "no {line} in {metrics}"
        );
    }
    let report = server.json("/api/v1/runs/r1/report").await;
    assert_eq!(report["lost"][0]["joules"], 1.5);
    let notes = report["notes"].to_string();
    assert!(
        notes.contains("1.500 J (the agent's spool was full)"),
        "{notes}"
    );
    server.stop().await;
}
