//! This node's pods from the API server: one list, then one watch that is taken up again where it broke off. Where the
//! server has forgotten that place (410), one list more.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Duration;

use anyhow::Context;
use axum::http::{Request, Response};
use futures_util::StreamExt;
use kube::api::{ListParams, WatchParams};
use kube::client::{Body, ClientBuilder};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watching};
use kube::{Api, Client, Config};
use tower::{Service, layer::layer_fn};

use super::Kube;
use super::pod::{ApiPod, Pod};
use crate::sensor::boottime_ns;

/// A watch ends after so many seconds, and is taken up again.
const WATCH_SECONDS: u32 = 290;
const NO_CLIENT: &str = "cannot make a client for Kubernetes";

/// A client that counts its requests; of the cluster around, or of a kubeconfig's.
///
/// # Errors
/// Where there are no credentials, or they cannot be read.
pub async fn client(kubeconfig: Option<&Path>, kube: &Arc<Kube>) -> anyhow::Result<Client> {
    let builder = ClientBuilder::try_from(config(kubeconfig).await?);
    let builder = builder.context(NO_CLIENT)?;
    let kube = kube.clone();
    let layer = layer_fn(move |inner| Counted {
        inner,
        kube: kube.clone(),
    });
    Ok(builder.with_layer(&layer).build())
}

/// The same for other questions, which are not counted.
///
/// # Errors
/// Where there are no credentials, or they cannot be read.
pub async fn plain_client(kubeconfig: Option<&Path>) -> anyhow::Result<Client> {
    Client::try_from(config(kubeconfig).await?).context(NO_CLIENT)
}

async fn config(kubeconfig: Option<&Path>) -> anyhow::Result<Config> {
    // Fails only where another one was installed before, which then stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut config = match kubeconfig {
        None => Config::incluster().context("--kube api: no service account in this container")?,
        Some(path) => {
            let name = || format!("--kubeconfig {}", path.display());
            let file = Kubeconfig::read_from(path).with_context(name)?;
            let options = KubeConfigOptions::default();
            Config::from_custom_kubeconfig(file, &options)
                .await
                .with_context(name)?
        }
    };
    // Longer than a watch says nothing: a connection that says nothing for so long is dead.
    config.read_timeout = Some(Duration::from_secs(u64::from(WATCH_SECONDS) + 10));
    Ok(config)
}

/// Counts requests, and sees when a watch has begun, which is no event by itself.
#[derive(Clone)]
struct Counted<S> {
    inner: S,
    kube: Arc<Kube>,
}

impl<S, R> Service<Request<Body>> for Counted<S>
where
    S: Service<Request<Body>, Response = Response<R>>,
    S::Future: Send + 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut task::Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let query = request.uri().query();
        let is_watch = query.is_some_and(|query| query.contains("watch=true"));
        let kube = self.kube.clone();
        let counts = &kube.counts;
        Kube::count(if is_watch {
            &counts.watches
        } else {
            &counts.lists
        });
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await?;
            if is_watch && answer.status().is_success() {
                kube.works();
            }
            Ok(answer)
        })
    }
}

/// Follows the pods of a node, for ever.
pub async fn follow(client: Client, node: &str, kube: &Kube) {
    let api: Api<ApiPod> = Api::all(client);
    let config = watcher::Config {
        // In pages the server would read all pods of the cluster from etcd; in one it has them in memory, by node.
        page_size: None,
        ..watcher::Config::default()
            .fields(&format!("spec.nodeName={node}"))
            .any_semantic()
            .timeout(WATCH_SECONDS)
    };
    let mut events = watching(api, config).default_backoff().boxed();
    let mut listed = Vec::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => take(event, kube, &mut listed),
            Err(error) => kube.fails(&message(&error)),
        }
    }
}

/// Lists a node's pods and begins to watch them, once.
///
/// # Errors
/// Why that is not to be had.
pub async fn count_pods(client: Client, node: &str) -> anyhow::Result<usize> {
    let api: Api<ApiPod> = Api::all(client);
    let field = format!("spec.nodeName={node}");
    let told = |error: kube::Error| anyhow::anyhow!("{}", of_client(&error));
    let pods = api.list(&ListParams::default().fields(&field)).await;
    let pods = pods.map_err(told)?;
    let version = pods.metadata.resource_version.unwrap_or_default();
    let watch = WatchParams::default().fields(&field).timeout(1);
    // That it begins is all that is to be known.
    let _changes = api.watch(&watch, &version).await.map_err(told)?;
    Ok(pods.items.len())
}

fn take(event: Event<ApiPod>, kube: &Kube, listed: &mut Vec<Pod>) {
    let now_ns = boottime_ns();
    let mut pods = kube.pods.lock();
    match event {
        Event::Init => listed.clear(),
        Event::InitApply(object) => listed.extend(Pod::new(object, &kube.rules)),
        Event::InitDone => pods.replace(std::mem::take(listed), now_ns),
        Event::Apply(object) => {
            if let Some(pod) = Pod::new(object, &kube.rules) {
                pods.apply(pod, now_ns);
            }
        }
        Event::Delete(object) => {
            if let Some(pod) = Pod::new(object, &kube.rules) {
                pods.remove(&pod.uid, now_ns);
            }
        }
    }
}

/// One line; a refusal by the server in its own words, which name the verb.
#[must_use]
pub fn message(error: &watcher::Error) -> String {
    use watcher::Error::{
        InitialListFailed, NoResourceVersion, WatchError, WatchFailed, WatchStartFailed,
    };
    match error {
        InitialListFailed(error) | WatchStartFailed(error) | WatchFailed(error) => of_client(error),
        WatchError(status) => status.message.clone(),
        NoResourceVersion => error.to_string(),
    }
}

/// The same of the client's own errors, with their causes.
#[must_use]
pub fn of_client(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return status.message.clone();
    }
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
