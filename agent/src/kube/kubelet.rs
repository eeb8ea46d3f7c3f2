//! This node's pods from its kubelet, `GET /pods`: at most one request an interval, when somebody is not known, and
//! one a minute in any case.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::{Certificate, Client, Url};
use serde::Deserialize;
use tokio::time::{sleep, timeout};

use super::Kube;
use super::pod::{ApiPod, Pod};
use crate::sensor::boottime_ns;

/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an answer: 250 pods of 64 KiB.
const MAX_BYTES: usize = 16 << 20;
/// Asked even when everybody is known, for changes of labels and for pods that went.
const AT_LEAST_EVERY: Duration = Duration::from_secs(60);
/// Between failures at most.
const MOST_BACK_OFF: Duration = Duration::from_secs(60);

/// How to get in.
#[derive(Clone, Debug)]
pub struct Access {
    /// `https://NODE:10250`.
    pub url: Url,
    /// Who may vouch for it.
    pub ca_file: PathBuf,
    /// The token to show; read anew each time.
    pub token_file: PathBuf,
    /// No more often than that.
    pub interval: Duration,
}

#[derive(Deserialize)]
struct PodList {
    items: Vec<ApiPod>,
}

impl Access {
    /// A client that verifies the kubelet's certificate.
    ///
    /// # Errors
    /// Where the certificates cannot be read.
    pub fn client(&self) -> anyhow::Result<Client> {
        // Fails only where another one was installed before, which then stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let name = || format!("--kubelet-ca-file {}", self.ca_file.display());
        let pem = std::fs::read(&self.ca_file).with_context(name)?;
        let authorities = Certificate::from_pem_bundle(&pem).with_context(name)?;
        let builder = Client::builder()
            .timeout(PATIENCE)
            .https_only(true)
            .tls_certs_only(authorities);
        builder
            .build()
            .context("cannot make a client for the kubelet")
    }

    /// Asks once.
    ///
    /// # Errors
    /// Says why there is no list of pods.
    pub async fn ask(&self, client: &Client) -> anyhow::Result<Vec<ApiPod>> {
        let name = || format!("the token {}", self.token_file.display());
        let token = std::fs::read_to_string(&self.token_file).with_context(name)?;
        let url = self.url.join("/pods")?;
        let request = client.get(url.clone()).bearer_auth(token.trim());
        let mut answer = request.send().await.with_context(|| format!("{url}"))?;
        if !answer.status().is_success() {
            let status = answer.status();
            let hint = if matches!(status.as_u16(), 401 | 403) {
                ": the kubelet lets in who may get nodes/proxy"
            } else {
                ""
            };
            bail!("{url}: {status}{hint}");
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            if body.len() + chunk.len() > MAX_BYTES {
                bail!("{url}: more than {MAX_BYTES} bytes");
            }
            body.extend(chunk);
        }
        let pods: PodList = serde_json::from_slice(&body).with_context(|| format!("{url}"))?;
        Ok(pods.items)
    }
}

/// Asks again and again, for ever.
pub async fn follow(access: &Access, client: &Client, kube: &Kube) {
    let mut back_off = access.interval;
    loop {
        Kube::count(&kube.counts.lists);
        match access.ask(client).await {
            Ok(objects) => {
                let pods = objects.into_iter();
                let pods = pods.filter_map(|object| Pod::new(object, &kube.rules));
                let pods = pods.collect();
                kube.pods.lock().replace(pods, boottime_ns());
                kube.works();
                back_off = access.interval;
                sleep(access.interval).await;
                // Who asks too late is asked for anyhow.
                let _ = timeout(AT_LEAST_EVERY, kube.wanted.notified()).await;
            }
            Err(error) => {
                kube.fails(&format!("{error:#}"));
                sleep(back_off.mul_f64(0.5 + fastrand::f64())).await;
                back_off = (back_off * 2).min(MOST_BACK_OFF);
            }
        }
    }
}
