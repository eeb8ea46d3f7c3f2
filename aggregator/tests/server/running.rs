//! The real server on a port of its own.

use std::path::Path;

use aggregator::config::{ServeArgs, ServeConfig};
use aggregator::serve::Server;
use reqwest::{Client, RequestBuilder, Response};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wire::v1::Batch;

/// One of plain HTTP, which all the same wants to know how it would do TLS.
fn http_client() -> Client {
    aggregator::crypto::install();
    Client::new()
}

/// A server that runs until the test is over.
pub(crate) struct Running {
    pub(crate) base: String,
    pub(crate) client: Client,
    stop: CancellationToken,
    task: JoinHandle<std::io::Result<()>>,
}

/// Flags for a server on any port, with its ledger in `data_dir` and the grid of France.
pub(crate) fn args(data_dir: &Path) -> ServeArgs {
    ServeArgs {
        listen: Some("127.0.0.1:0".parse().unwrap()),
        data_dir: Some(data_dir.to_owned()),
        intensity_zone: Some("FR".to_owned()),
        pue: Some(1.2),
        ..ServeArgs::default()
    }
}

impl Running {
    pub(crate) async fn start(data_dir: &Path) -> Self {
        Self::start_with(args(data_dir)).await
    }

    pub(crate) async fn start_with(args: ServeArgs) -> Self {
        let server = Server::bind(ServeConfig::read(args).unwrap())
            .await
            .unwrap();
        let base = format!("http://{}", server.address());
        let stop = CancellationToken::new();
        Self {
            base,
            client: http_client(),
            task: tokio::spawn(server.run(stop.clone())),
            stop,
        }
    }

    /// Stops it, and waits until all is drained.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }

    pub(crate) fn request(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.base))
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.request(path).send().await.unwrap()
    }

    pub(crate) async fn text(&self, path: &str) -> String {
        let response = self.get(path).await;
        assert_eq!(response.status(), 200, "{path}");
        response.text().await.unwrap()
    }

    pub(crate) async fn json(&self, path: &str) -> serde_json::Value {
        serde_json::from_str(&self.text(path).await).unwrap()
    }

    /// Sends bytes as an agent does.
    pub(crate) async fn send(&self, bytes: Vec<u8>) -> Response {
        self.client
            .post(format!("{}/v1/batches", self.base))
            .header("content-type", wire::CONTENT_TYPE)
            .header("content-encoding", wire::CONTENT_ENCODING)
            .body(bytes)
            .send()
            .await
            .unwrap()
    }

    pub(crate) async fn send_batch(&self, batch: &Batch) -> Response {
        self.send(wire::encode(batch)).await
    }
}

/// The one line of an error, after checking its status.
pub(crate) async fn error_line(response: Response, status: u16) -> String {
    assert_eq!(response.status(), status);
    let body: serde_json::Value = response.json().await.unwrap();
    let line = body["error"].as_str().unwrap().to_owned();
    assert!(!line.is_empty() && !line.contains('\n'), "{line:?}");
    line
}
