//! A network between agents and their aggregator that does to a request what networks do.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use reqwest::Client;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// The longest that anything is held up.
const MAX_DELAY_MS: u64 = 300;
/// One connection in so many is cut while it is in use.
const CUT_ONE_IN: u8 = 3;

/// Stands between; gone when it is dropped.
pub struct Network {
    url: String,
    shared: Arc<Shared>,
    /// Everything runs in here.
    _runtime: Runtime,
}

struct Shared {
    aggregator: String,
    client: Client,
    random: Mutex<fastrand::Rng>,
    is_calm: AtomicBool,
    counts: [AtomicU64; FAULTS.len()],
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// It comes late.
    Delayed,
    /// It never comes.
    Lost,
    /// It comes, and the answer does not.
    AnswerLost,
    /// It comes twice at once.
    Twice,
    /// It comes, and again when later ones have come.
    AgainLater,
    /// Somebody on the way says that it is too busy.
    Busy,
}

const FAULTS: [Fault; 6] = [
    Fault::Delayed,
    Fault::Lost,
    Fault::AnswerLost,
    Fault::Twice,
    Fault::AgainLater,
    Fault::Busy,
];

impl Network {
    /// In front of the aggregator at this URL.
    ///
    /// # Errors
    /// Where there is no port for it.
    pub fn before(aggregator: &str, seed: u64) -> anyhow::Result<Self> {
        crate::install_crypto();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let shared = Arc::new(Shared {
            aggregator: aggregator.to_owned(),
            client: Client::builder()
                .http2_prior_knowledge()
                .timeout(Duration::from_secs(10))
                .build()?,
            random: Mutex::new(fastrand::Rng::with_seed(seed)),
            is_calm: AtomicBool::new(false),
            counts: Default::default(),
        });
        let url = runtime.block_on(start(shared.clone()))?;
        Ok(Self {
            url,
            shared,
            _runtime: runtime,
        })
    }

    /// Where agents reach it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on, whether nothing goes wrong.
    pub fn calm(&self, is_calm: bool) {
        self.shared.is_calm.store(is_calm, SeqCst);
    }

    /// What went wrong, and how often.
    #[must_use]
    pub fn counts(&self) -> Vec<(String, u64)> {
        let counts = FAULTS.iter().zip(&self.shared.counts);
        counts
            .map(|(fault, count)| (format!("{fault:?}"), count.load(SeqCst)))
            .collect()
    }
}

/// Connections go through one that cuts some of them, to one that does the rest to requests.
async fn start(shared: Arc<Shared>) -> anyhow::Result<String> {
    let requests = TcpListener::bind("127.0.0.1:0").await?;
    let inner = requests.local_addr()?;
    let router = Router::new().fallback(forward).with_state(shared.clone());
    tokio::spawn(async move { axum::serve(requests, router).await });
    let connections = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", connections.local_addr()?);
    tokio::spawn(async move {
        while let Ok((stream, _)) = connections.accept().await {
            tokio::spawn(carry(shared.clone(), stream, inner));
        }
    });
    Ok(url)
}

async fn carry(shared: Arc<Shared>, mut outside: TcpStream, inner: SocketAddr) {
    let Ok(mut inside) = TcpStream::connect(inner).await else {
        return;
    };
    let (is_cut, after) = shared.draw(|random| (random.u8(..CUT_ONE_IN) == 0, delay(random)));
    let carried = copy_bidirectional(&mut outside, &mut inside);
    if !is_cut || shared.is_calm.load(SeqCst) {
        let _ = carried.await;
        return;
    }
    let _ = tokio::time::timeout(after * 5, carried).await;
}

async fn forward(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let request = Request {
        // In HTTP/2 the host is a part of it.
        url: format!("{}{}", shared.aggregator, uri.path()),
        method,
        headers,
        body,
    };
    if shared.is_calm.load(SeqCst) {
        return request.send(&shared).await;
    }
    let (fault, after) = shared.draw(|random| (random.usize(..2 * FAULTS.len()), delay(random)));
    // As often as not all goes well.
    let Some(&kind) = FAULTS.get(fault) else {
        return request.send(&shared).await;
    };
    shared.counts[fault].fetch_add(1, SeqCst);
    match kind {
        Fault::Delayed => {
            tokio::time::sleep(after).await;
            request.send(&shared).await
        }
        Fault::Lost => StatusCode::BAD_GATEWAY.into_response(),
        Fault::AnswerLost => {
            request.send(&shared).await;
            StatusCode::GATEWAY_TIMEOUT.into_response()
        }
        Fault::Twice => {
            let (first, _second) = tokio::join!(request.send(&shared), request.send(&shared));
            first
        }
        Fault::AgainLater => {
            let (again, shared_again) = (request.clone(), shared.clone());
            tokio::spawn(async move {
                tokio::time::sleep(after * 5).await;
                again.send(&shared_again).await;
            });
            request.send(&shared).await
        }
        Fault::Busy => {
            let wait = [(header::RETRY_AFTER, "1")];
            (StatusCode::SERVICE_UNAVAILABLE, wait).into_response()
        }
    }
}

fn delay(random: &mut fastrand::Rng) -> Duration {
    Duration::from_millis(random.u64(..MAX_DELAY_MS))
}

impl Shared {
    fn draw<T>(&self, draw: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
        draw(&mut self.random.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[derive(Clone)]
struct Request {
    url: String,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
}

impl Request {
    async fn send(&self, shared: &Shared) -> Response {
        let mut headers = self.headers.clone();
        headers.remove(header::HOST);
        let request = shared
            .client
            .request(self.method.clone(), &self.url)
            .headers(headers)
            .body(self.body.clone());
        match request.send().await {
            Ok(answer) => {
                let status = answer.status();
                let retry_after = answer.headers().get(header::RETRY_AFTER).cloned();
                let body = answer.bytes().await.unwrap_or_default();
                let mut response = (status, body).into_response();
                if let Some(seconds) = retry_after {
                    response.headers_mut().insert(header::RETRY_AFTER, seconds);
                }
                response
            }
            Err(_) => StatusCode::BAD_GATEWAY.into_response(),
        }
    }
}
