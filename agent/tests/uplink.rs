//! Delivery to a server that says yes, no, later, or nothing.
#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

use agent::batch::Packed;
use agent::uplink::Uplink;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use wire::Energy;

/// What the server will answer, and what came.
#[derive(Clone, Default)]
struct Script {
    answers: Arc<Mutex<VecDeque<u16>>>,
    bodies: Arc<Mutex<Vec<Bytes>>>,
}

async fn receive(State(script): State<Script>, headers: HeaderMap, body: Bytes) -> StatusCode {
    assert_eq!(headers["content-type"], wire::CONTENT_TYPE);
    assert_eq!(headers["content-encoding"], wire::CONTENT_ENCODING);
    script.bodies.lock().unwrap().push(body);
    let answer = script.answers.lock().unwrap().pop_front().unwrap_or(200);
    StatusCode::from_u16(answer).unwrap()
}

/// Delivers batches "1", "2", ... to a server with these answers until all is done.
async fn deliver(answers: &[u16], batches: usize) -> (Vec<String>, Uplink) {
    let script = Script::default();
    script.answers.lock().unwrap().extend(answers);
    let url = serve(script.clone()).await;
    let uplink = Uplink::new(&url).unwrap();
    for number in 1..=batches {
        uplink.send(packed(number));
    }
    let closing = CancellationToken::new();
    closing.cancel();
    uplink.deliver(closing, CancellationToken::new()).await;
    let bodies = script.bodies.lock().unwrap();
    let bodies = bodies
        .iter()
        .map(|body| String::from_utf8(body.to_vec()).unwrap())
        .collect();
    (bodies, uplink)
}

async fn serve(script: Script) -> reqwest::Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let app = Router::new()
        .route("/v1/batches", post(receive))
        .with_state(script);
    tokio::spawn(async move { axum::serve(listener, app).await });
    url.parse().unwrap()
}

fn packed(number: usize) -> Packed {
    Packed {
        bytes: number.to_string().into_bytes(),
        energy: Energy::from_microjoules(1_000),
    }
}

#[tokio::test]
async fn batches_arrive_in_order_and_what_failed_comes_again_before_the_next() {
    let (bodies, uplink) = deliver(&[200, 503, 429, 200], 3).await;
    assert_eq!(bodies, ["1", "2", "2", "2", "3"]);
    assert_eq!(uplink.counts.acknowledged.load(Relaxed), 3);
    assert_eq!(uplink.counts.retries.load(Relaxed), 2);
    assert_eq!(uplink.waiting(), (0, 0));
}

#[tokio::test]
async fn a_batch_refused_for_good_is_counted_in_joules_and_the_next_goes_on() {
    let (bodies, uplink) = deliver(&[200, 409], 3).await;
    assert_eq!(bodies, ["1", "2", "3"]);
    assert_eq!(uplink.counts.acknowledged.load(Relaxed), 2);
    assert_eq!(uplink.counts.refused.load(Relaxed), 1);
    assert_eq!(uplink.counts.refused_uj.load(Relaxed), 1_000);
}

#[tokio::test]
async fn a_batch_that_comes_just_before_the_end_is_delivered() {
    for _ in 0..50 {
        let script = Script::default();
        let uplink = Arc::new(Uplink::new(&serve(script.clone()).await).unwrap());
        let (closing, sender) = (CancellationToken::new(), uplink.clone());
        let end = closing.clone();
        let delivery =
            tokio::spawn(async move { sender.deliver(end, CancellationToken::new()).await });
        tokio::task::yield_now().await;
        uplink.send(packed(1));
        closing.cancel();
        delivery.await.unwrap();
        assert_eq!(script.bodies.lock().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn with_no_server_the_deadline_ends_the_wait_and_the_loss_is_counted() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    drop(listener);
    let uplink = Uplink::new(&url).unwrap();
    for number in 1..=3 {
        uplink.send(packed(number));
    }
    let (closing, deadline) = (CancellationToken::new(), CancellationToken::new());
    closing.cancel();
    deadline.cancel();
    uplink.deliver(closing, deadline).await;
    assert_eq!(uplink.counts.undelivered.load(Relaxed), 3);
    assert_eq!(uplink.counts.undelivered_uj.load(Relaxed), 3_000);
}
