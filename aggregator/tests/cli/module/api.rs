//! An API server that has what a test puts there, and writes down what it is asked for.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::{Json, Router};
use serde_json::{Value, json};

#[derive(Default)]
struct Content {
    /// Objects of every namespace, by resource.
    lists: BTreeMap<String, Vec<Value>>,
    /// Resources whose next questions fail: with this status, so often.
    failures: BTreeMap<String, (StatusCode, u32)>,
    asked: Vec<String>,
}

/// It runs until the test ends.
pub(super) struct Api {
    url: String,
    content: Arc<Mutex<Content>>,
}

impl Api {
    pub(super) fn start() -> Self {
        let content = Arc::new(Mutex::new(Content::default()));
        let router = Router::new().fallback(answer).with_state(content.clone());
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
        Self { url, content }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Has these objects under a resource, in place of those before.
    pub(super) fn put(&self, resource: &str, objects: Vec<Value>) {
        let mut content = self.content.lock().unwrap();
        content.lists.insert(resource.to_owned(), objects);
    }

    /// Answers the next questions for a resource with a status, so often.
    pub(super) fn fail(&self, resource: &str, status: StatusCode, times: u32) {
        let mut content = self.content.lock().unwrap();
        content
            .failures
            .insert(resource.to_owned(), (status, times));
    }

    /// `METHOD PATH` of all requests.
    pub(super) fn asked(&self) -> Vec<String> {
        self.content.lock().unwrap().asked.clone()
    }
}

async fn answer(
    State(content): State<Arc<Mutex<Content>>>,
    request: Request,
) -> (StatusCode, Json<Value>) {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut content = content.lock().unwrap();
    content.asked.push(format!("{method} {path}"));
    if method == Method::DELETE {
        let done = json!({ "kind": "Status", "apiVersion": "v1", "status": "Success" });
        return (StatusCode::OK, Json(done));
    }
    let resource = path.rsplit('/').next().unwrap_or_default();
    if let Some((status, times)) = content.failures.get_mut(resource)
        && *times > 0
    {
        *times -= 1;
        let failure = json!({
            "kind": "Status", "apiVersion": "v1", "status": "Failure",
            "code": status.as_u16(), "message": "not now", "reason": "",
        });
        return (*status, Json(failure));
    }
    let mut items = content.lists.get(resource).cloned().unwrap_or_default();
    let accept = request
        .headers()
        .get("accept")
        .and_then(|accept| accept.to_str().ok());
    // In a list of metadata each says what it is.
    if accept.is_some_and(|accept| accept.contains("PartialObjectMetadata")) {
        for item in &mut items {
            item["kind"] = "PartialObjectMetadata".into();
            item["apiVersion"] = "meta.k8s.io/v1".into();
        }
    }
    let list = json!({ "kind": "List", "apiVersion": "v1", "metadata": {}, "items": items });
    (StatusCode::OK, Json(list))
}
