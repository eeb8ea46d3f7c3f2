//! Delivery to a server that says yes, no, later, or nothing, and what an agent leaves for the next one.
#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

use agent::spool::{Measured, Origin, Spool, Standing};
use agent::uplink::{Access, Uplink};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use wire::v1::{Basis, Batch, Interval, Outcome, Zone, ZoneSample};

/// What the server will answer, and what came.
#[derive(Clone, Default)]
struct Script {
    answers: Arc<Mutex<VecDeque<(u16, &'static str)>>>,
    batches: Arc<Mutex<Vec<Batch>>>,
    tokens: Arc<Mutex<Vec<Option<HeaderValue>>>>,
    /// Cancelled once the answers above are used up.
    answered: CancellationToken,
}

impl Script {
    fn answering(answers: &[u16]) -> Self {
        let script = Self::default();
        let answers = answers.iter().map(|&status| (status, ""));
        script.answers.lock().unwrap().extend(answers);
        script
    }

    fn sequences(&self) -> Vec<u64> {
        let batches = self.batches.lock().unwrap();
        batches.iter().map(|batch| batch.sequence).collect()
    }
}

async fn receive(State(script): State<Script>, headers: HeaderMap, body: Bytes) -> Response {
    assert_eq!(headers["content-type"], wire::CONTENT_TYPE);
    assert_eq!(headers["content-encoding"], wire::CONTENT_ENCODING);
    script
        .batches
        .lock()
        .unwrap()
        .push(wire::decode(&body).unwrap());
    let token = headers.get("authorization").cloned();
    script.tokens.lock().unwrap().push(token);
    let mut answers = script.answers.lock().unwrap();
    let (status, retry_after) = answers.pop_front().unwrap_or((200, ""));
    if answers.is_empty() {
        script.answered.cancel();
    }
    let status = StatusCode::from_u16(status).unwrap();
    match retry_after {
        "" => status.into_response(),
        seconds => (status, [("retry-after", seconds)]).into_response(),
    }
}

async fn serve(script: Script) -> Access {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let app = Router::new()
        .route("/v1/batches", post(receive))
        .with_state(script);
    tokio::spawn(async move { axum::serve(listener, app).await });
    Access::open(url.parse().unwrap())
}

/// An address at which nobody listens.
async fn nowhere() -> Access {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    Access::open(url.parse().unwrap())
}

fn spool(directory: Option<&Path>) -> Arc<Spool> {
    let origin = Origin {
        cluster: "c".into(),
        node: "n".into(),
        boot_id: "b".into(),
    };
    let opened = Spool::open(directory, 1 << 30, origin, &Standing::default());
    Arc::new(opened.unwrap().0)
}

/// Seals batches of one interval of 1 mJ each.
fn seal(spool: &Spool, batches: usize) {
    for _ in 0..batches {
        let sample = ZoneSample {
            outcome: Outcome::Sampled.into(),
            measured_uj: 1_000,
            system_uj: 1_000,
            ..ZoneSample::default()
        };
        spool.add(Measured {
            zones: vec![Zone {
                name: "package-0".into(),
                parent: String::new(),
                basis: Basis::Measured.into(),
                ..Zone::default()
            }],
            interval: Interval {
                start_unix_ms: 1_790_000_000_000,
                duration_ns: 5_000_000_000,
                zones: vec![sample],
                ..Interval::default()
            },
            ..Measured::default()
        });
        spool.seal();
    }
}

/// Delivers until all is done.
async fn deliver(uplink: &Uplink) {
    let closing = CancellationToken::new();
    closing.cancel();
    uplink.deliver(closing, CancellationToken::new()).await;
}

/// Delivers batches 1, 2, ... to a server with these answers until all is done.
async fn deliver_to(answers: &[u16], batches: usize) -> (Vec<u64>, Uplink) {
    let script = Script::answering(answers);
    let uplink = Uplink::new(&serve(script.clone()).await, spool(None)).unwrap();
    seal(uplink.spool(), batches);
    deliver(&uplink).await;
    (script.sequences(), uplink)
}

#[tokio::test]
async fn batches_arrive_in_order_and_what_failed_comes_again_before_the_next() {
    let (sequences, uplink) = deliver_to(&[200, 503, 429, 200], 3).await;
    assert_eq!(sequences, [1, 2, 2, 2, 3]);
    assert_eq!(uplink.counts.acknowledged.load(Relaxed), 3);
    assert_eq!(uplink.counts.retries.load(Relaxed), 2);
    assert_eq!(uplink.spool().figures().batches, 0);
}

#[tokio::test]
async fn a_batch_refused_for_good_is_told_as_lost_and_the_next_goes_on() {
    for status in [400, 409, 413, 415, 422] {
        let script = Script::answering(&[200, status]);
        let uplink = Uplink::new(&serve(script.clone()).await, spool(None)).unwrap();
        seal(uplink.spool(), 3);
        deliver(&uplink).await;
        seal(uplink.spool(), 1);
        deliver(&uplink).await;
        assert_eq!(script.sequences(), [1, 2, 3, 4]);
        let counts = uplink.spool().figures().counts;
        assert_eq!(
            (counts.refused, counts.refused_energy.microjoules()),
            (1, 1_000)
        );
        let batches = script.batches.lock().unwrap();
        assert_eq!(batches[3].losses[0].sequence, 2);
        assert_eq!(batches[3].losses[0].zones[0].measured_uj, 1_000);
    }
}

#[tokio::test]
async fn an_answer_that_may_yet_change_is_asked_for_again() {
    for status in [401, 403, 404, 408, 500] {
        let (sequences, uplink) = deliver_to(&[status], 1).await;
        assert_eq!(sequences, [1, 1], "{status}");
        assert_eq!(uplink.counts.acknowledged.load(Relaxed), 1);
    }
}

#[tokio::test]
async fn a_batch_that_comes_just_before_the_end_is_delivered() {
    for _ in 0..50 {
        let script = Script::default();
        let uplink = Uplink::new(&serve(script.clone()).await, spool(None)).unwrap();
        let uplink = Arc::new(uplink);
        let (closing, sender) = (CancellationToken::new(), uplink.clone());
        let end = closing.clone();
        let delivery =
            tokio::spawn(async move { sender.deliver(end, CancellationToken::new()).await });
        tokio::task::yield_now().await;
        seal(uplink.spool(), 1);
        closing.cancel();
        delivery.await.unwrap();
        assert_eq!(script.sequences(), [1]);
    }
}

#[tokio::test]
async fn with_no_server_the_deadline_ends_the_wait_and_what_was_in_memory_is_counted() {
    let uplink = Uplink::new(&nowhere().await, spool(None)).unwrap();
    seal(uplink.spool(), 3);
    let (closing, deadline) = (CancellationToken::new(), CancellationToken::new());
    closing.cancel();
    deadline.cancel();
    uplink.deliver(closing, deadline).await;
    assert_eq!(uplink.counts.undelivered.load(Relaxed), 3);
    assert_eq!(uplink.counts.undelivered_uj.load(Relaxed), 3_000);
}

#[tokio::test]
async fn what_a_server_that_was_away_did_not_get_the_next_agent_delivers() {
    let directory = tempfile::tempdir().unwrap();
    let uplink = Uplink::new(&nowhere().await, spool(Some(directory.path()))).unwrap();
    seal(uplink.spool(), 3);
    let (closing, deadline) = (CancellationToken::new(), CancellationToken::new());
    closing.cancel();
    deadline.cancel();
    uplink.deliver(closing, deadline).await;
    assert_eq!(
        uplink.counts.undelivered.load(Relaxed),
        0,
        "nothing is lost"
    );
    drop(uplink);

    let script = Script::default();
    let access = serve(script.clone()).await;
    let uplink = Uplink::new(&access, spool(Some(directory.path()))).unwrap();
    seal(uplink.spool(), 1);
    deliver(&uplink).await;
    assert_eq!(script.sequences(), [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_server_may_ask_for_time_but_the_agent_s_end_does_not_wait_for_it() {
    let script = Script::default();
    script.answers.lock().unwrap().push_back((503, "3600"));
    let uplink = Uplink::new(&serve(script.clone()).await, spool(None)).unwrap();
    seal(uplink.spool(), 1);
    let (closing, deadline) = (CancellationToken::new(), CancellationToken::new());
    let (answered, end) = (script.answered.clone(), deadline.clone());
    let told = tokio::spawn(async move {
        answered.cancelled().await;
        end.cancel();
    });
    uplink.deliver(closing, deadline).await;
    told.await.unwrap();
    assert_eq!(
        script.sequences(),
        [1],
        "it was not asked again before its time"
    );
}

#[tokio::test]
async fn a_connection_that_breaks_costs_nothing_but_time() {
    let script = Script::default();
    let behind = serve(script.clone()).await;
    let behind = format!("127.0.0.1:{}", behind.url.port().unwrap());
    // Cuts the first connections after some bytes of what the server says: the first before it said any.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        for bytes in [Some(0), Some(20), None] {
            let (agent, _) = listener.accept().await.unwrap();
            let server = TcpStream::connect(&behind).await.unwrap();
            tokio::spawn(forward(agent, server, bytes));
        }
    });
    let access = Access::open(url.parse().unwrap());
    let uplink = Uplink::new(&access, spool(None)).unwrap();
    seal(uplink.spool(), 2);
    deliver(&uplink).await;
    let mut sequences = script.sequences();
    sequences.dedup();
    assert_eq!(sequences, [1, 2], "again perhaps, but never out of order");
    assert!(uplink.counts.retries.load(Relaxed) >= 1);
    assert_eq!(uplink.counts.acknowledged.load(Relaxed), 2);
}

async fn forward(mut agent: TcpStream, mut server: TcpStream, most: Option<u64>) {
    use tokio::io::{AsyncReadExt as _, copy};
    let (mut from_agent, mut to_agent) = agent.split();
    let (from_server, mut to_server) = server.split();
    let mut from_server = from_server.take(most.unwrap_or(u64::MAX));
    // Either end ends both.
    tokio::select! {
        _ = copy(&mut from_agent, &mut to_server) => {}
        _ = copy(&mut from_server, &mut to_agent) => {}
    }
}

#[tokio::test]
async fn a_token_is_read_anew_for_each_request_and_a_bad_file_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    std::fs::write(&token, "first\n").unwrap();
    std::fs::set_permissions(&token, PermissionsExt::from_mode(0o600)).unwrap();
    let script = Script::default();
    let access = Access {
        token_file: Some(token.clone()),
        ..serve(script.clone()).await
    };
    let uplink = Uplink::new(&access, spool(None)).unwrap();
    for content in ["first\n", "second", ""] {
        std::fs::write(&token, content).unwrap();
        seal(uplink.spool(), 1);
        deliver(&uplink).await;
    }
    let tokens = script.tokens.lock().unwrap();
    let tokens: Vec<&str> = tokens
        .iter()
        .map(|token| token.as_ref().unwrap().to_str().unwrap())
        .collect();
    let expected = ["Bearer first", "Bearer second", "Bearer second"];
    assert_eq!(
        tokens, expected,
        "an empty file is a file that is being written"
    );
    for broken in ["", "two words", "t\u{e4}ken"] {
        std::fs::write(&token, broken).unwrap();
        let error = format!("{:#}", access.check().unwrap_err());
        assert!(
            error.contains("--token-file") && !error.contains("words"),
            "{error}"
        );
    }
}

#[test]
fn certificates_that_are_none_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    let open = || Access::open("https://aggregator".parse().unwrap());
    let with_ca = Access {
        ca_file: Some(file.clone()),
        ..open()
    };
    let check = |access: &Access, expected: &str| {
        let error = format!("{:#}", access.check().unwrap_err());
        assert!(error.contains(expected), "{error}");
    };
    check(&with_ca, "cannot read --ca-file");
    std::fs::write(&file, "no certificate").unwrap();
    check(&with_ca, "has no certificates");
    let with_cert = Access {
        client_cert: Some((file.clone(), file)),
        ..open()
    };
    check(&with_cert, "are no certificate and key");
}
