//! A domain's cluster, ready to be asked: the context's server with the context's credentials.

use std::time::Duration;

use anyhow::Context as _;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::domains::Domain;
use crate::crypto;

/// A server that is there takes milliseconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest answer is a list of a namespace's pods.
const READ_TIMEOUT: Duration = Duration::from_secs(15);

/// One namespace of a cluster.
#[derive(Clone)]
pub struct Cluster {
    /// Asks the API server.
    pub client: Client,
    /// Where modules go.
    pub namespace: String,
    /// Address of the API server.
    pub server: String,
}

impl Cluster {
    /// For a domain; in `namespace` where that is given, else the domain's, else the context's.
    ///
    /// # Errors
    /// Where the kubeconfig has no such context, or no client can be made of it. Nothing is asked yet.
    pub async fn of(
        kubeconfig: Kubeconfig,
        domain: &Domain,
        namespace: Option<&str>,
    ) -> anyhow::Result<Self> {
        crypto::install();
        super::kubeconfig::context(&super::kubeconfig::contexts(&kubeconfig), &domain.context)?;
        let options = KubeConfigOptions {
            context: Some(domain.context.clone()),
            ..KubeConfigOptions::default()
        };
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
        let context = || format!("context '{}' of the kubeconfig", domain.context);
        let mut config = config
            .map_err(|error| anyhow::anyhow!(one_line(&error.to_string())))
            .with_context(context)?;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.read_timeout = Some(READ_TIMEOUT);
        config.write_timeout = Some(READ_TIMEOUT);
        config.reset_reader_on_write = true;
        // Who waits at a terminal would rather know.
        config.default_retry = false;
        let namespace = namespace.or(domain.namespace.as_deref());
        let namespace = namespace.unwrap_or(&config.default_namespace).to_owned();
        let server = config.cluster_url.to_string();
        let client = Client::try_from(config)
            .map_err(|error| anyhow::anyhow!(reason(&error)))
            .with_context(context)?;
        Ok(Self {
            client,
            namespace,
            server: server.trim_end_matches('/').to_owned(),
        })
    }
}

/// Why a request failed, in one line: the API server's own words, else the innermost cause.
#[must_use]
pub fn reason(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return one_line(&status.message);
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    one_line(&cause.to_string())
}

/// Whether the API server says that something is not there.
#[must_use]
pub fn is_absent(error: &kube::Error) -> bool {
    has_code(error, 404)
}

/// Whether the API server says that one may not do that.
#[must_use]
pub fn is_forbidden(error: &kube::Error) -> bool {
    has_code(error, 403)
}

/// Whether the same question may be answered later: nobody answered it, or the API server says that it is busy or broken.
#[must_use]
pub fn may_pass(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => status.code == 429 || status.code >= 500,
        kube::Error::HyperError(_) | kube::Error::Service(_) => true,
        _ => false,
    }
}

fn has_code(error: &kube::Error, code: u16) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == code)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
