//! Somebody's access to the API server: requests over verified TLS with a token, and the same as files for programs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Certificate, Client, Method, Response};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::{Proxy, Watch, content_type, is_there_already, write};

/// Requests at once where there are many.
const AT_ONCE: usize = 16;
/// Longer than an API server on a busy machine takes for anything but a watch.
const PATIENCE: Duration = Duration::from_secs(60);

/// An API server's address, who is trusted to be it, and a token. It has an async runtime of its own, and so cannot be
/// used inside of another.
#[derive(Clone)]
pub struct Access {
    server: String,
    ca: PathBuf,
    token: String,
    namespace: String,
    client: Client,
    runtime: Arc<Runtime>,
    /// The files that are asked for.
    directory: PathBuf,
}

impl Access {
    pub(super) fn new(server: &str, ca: &Path, token: &str) -> anyhow::Result<Self> {
        crate::install_crypto();
        let number = fastrand::u64(..);
        let certificate = Certificate::from_pem(&std::fs::read(ca)?)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        Ok(Self {
            server: server.to_owned(),
            ca: ca.to_owned(),
            token: token.to_owned(),
            namespace: "default".to_owned(),
            client: Client::builder().tls_certs_only([certificate]).build()?,
            runtime: Arc::new(runtime),
            // The cluster's own, and removed with it.
            directory: ca.with_file_name(format!("access-{number:016x}")),
        })
    }

    pub(super) fn in_namespace(mut self, namespace: &str) -> Self {
        namespace.clone_into(&mut self.namespace);
        self
    }

    /// The same access by way of a proxy.
    ///
    /// # Errors
    /// Where the certificate cannot be read.
    pub fn through(&self, proxy: &Proxy) -> anyhow::Result<Self> {
        self.at(proxy.url(), &self.ca)
    }

    /// The same token at another server, such as a kubelet.
    ///
    /// # Errors
    /// Where the certificate cannot be read.
    pub fn at(&self, server: &str, ca: &Path) -> anyhow::Result<Self> {
        let access = Self::new(server, ca, &self.token)?;
        Ok(access.in_namespace(&self.namespace))
    }

    /// Where the API server is.
    #[must_use]
    pub fn server_url(&self) -> &str {
        &self.server
    }

    /// The token.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// A kubeconfig; it is there as long as the cluster is.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn kubeconfig(&self) -> anyhow::Result<PathBuf> {
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "contexts": [{
                "name": "test",
                "context": { "cluster": "test", "user": "test", "namespace": self.namespace },
            }],
            "clusters": [{
                "name": "test",
                "cluster": { "server": self.server, "certificate-authority": self.ca },
            }],
            "users": [{ "name": "test", "user": { "token": self.token } }],
        });
        std::fs::create_dir_all(&self.directory)?;
        // JSON is YAML.
        write(&self.directory, "kubeconfig", &config.to_string())
    }

    /// What a pod finds in `/var/run/secrets/kubernetes.io/serviceaccount`: `token`, `ca.crt` and `namespace`; it is
    /// there as long as the cluster is.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn pod_directory(&self) -> anyhow::Result<PathBuf> {
        let directory = self.directory.join("serviceaccount");
        std::fs::create_dir_all(&directory)?;
        std::fs::copy(&self.ca, directory.join("ca.crt"))?;
        write(&directory, "token", &self.token)?;
        write(&directory, "namespace", &self.namespace)?;
        Ok(directory)
    }

    /// Makes a request; the answer, whatever its status, beside that. A PATCH merges.
    ///
    /// # Errors
    /// Where nobody answers, or not in JSON.
    pub fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<(u16, Value)> {
        self.runtime.block_on(self.answer(method, path, body))
    }

    /// An object, or a list.
    ///
    /// # Errors
    /// Where it is not answered with one.
    pub fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.success(Method::GET, path, None)
    }

    /// Makes an object.
    ///
    /// # Errors
    /// Where it is not made.
    pub fn post(&self, path: &str, object: &Value) -> anyhow::Result<Value> {
        self.success(Method::POST, path, Some(object))
    }

    /// Replaces an object.
    ///
    /// # Errors
    /// Where it is not replaced.
    pub fn put(&self, path: &str, object: &Value) -> anyhow::Result<Value> {
        self.success(Method::PUT, path, Some(object))
    }

    /// Merges something into an object.
    ///
    /// # Errors
    /// Where it is not merged.
    pub fn patch(&self, path: &str, part: &Value) -> anyhow::Result<Value> {
        self.success(Method::PATCH, path, Some(part))
    }

    /// Deletes an object.
    ///
    /// # Errors
    /// Where it is not deleted.
    pub fn delete(&self, path: &str) -> anyhow::Result<Value> {
        self.success(Method::DELETE, path, None)
    }

    /// Makes many objects, some at a time.
    ///
    /// # Errors
    /// Where one is not made.
    pub fn post_all(&self, path: &str, objects: Vec<Value>) -> anyhow::Result<()> {
        self.runtime.block_on(async {
            let (mut running, mut objects) = (JoinSet::new(), objects.into_iter());
            loop {
                while running.len() < AT_ONCE
                    && let Some(object) = objects.next()
                {
                    let (access, path) = (self.clone(), path.to_owned());
                    running.spawn(async move {
                        let answer = access.answer(Method::POST, &path, Some(&object)).await;
                        good("POST", &path, answer?)
                    });
                }
                match running.join_next().await {
                    Some(result) => drop(result??),
                    None => return Ok(()),
                }
            }
        })
    }

    /// Makes a namespace where it is not there.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn make_namespace(&self, name: &str) -> anyhow::Result<()> {
        let namespace = json!({ "metadata": { "name": name } });
        let path = "/api/v1/namespaces";
        let (status, answer) = self.ask(Method::POST, path, Some(&namespace))?;
        if !is_there_already(status) {
            good("POST", path, (status, answer))?;
        }
        Ok(())
    }

    /// What is not JSON: /metrics, /readyz.
    ///
    /// # Errors
    /// Where nobody answers.
    pub fn text(&self, path: &str) -> anyhow::Result<(u16, String)> {
        self.runtime.block_on(async {
            let response = self.send(Method::GET, path, None, Some(PATIENCE)).await?;
            Ok((response.status().as_u16(), response.text().await?))
        })
    }

    /// A watch: `path` has `watch=true` in it.
    ///
    /// # Errors
    /// Where it is not begun.
    pub fn watch(&self, path: &str) -> anyhow::Result<Watch> {
        let response = self.send(Method::GET, path, None, None);
        let response = self.runtime.block_on(response)?;
        Ok(Watch::new(self.runtime.clone(), response))
    }

    fn success(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let name = method.to_string();
        good(&name, path, self.ask(method, path, body)?)
    }

    async fn answer(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<(u16, Value)> {
        let response = self.send(method, path, body, Some(PATIENCE)).await?;
        let status = response.status().as_u16();
        let text = response.text().await?;
        let answer = serde_json::from_str(&text)
            .with_context(|| format!("{path}: {status} with what is no JSON: {text}"))?;
        Ok((status, answer))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        patience: Option<Duration>,
    ) -> anyhow::Result<Response> {
        let mut request = self
            .client
            .request(method.clone(), format!("{}{path}", self.server))
            .header(AUTHORIZATION, format!("Bearer {}", self.token));
        if let Some(body) = body {
            request = request
                .header(CONTENT_TYPE, content_type(&method))
                .body(body.to_string());
        }
        if let Some(patience) = patience {
            request = request.timeout(patience);
        }
        let response = request.send().await;
        response.with_context(|| format!("{method} {}{path}", self.server))
    }
}

fn good(method: &str, path: &str, (status, answer): (u16, Value)) -> anyhow::Result<Value> {
    ensure!(
        (200..300).contains(&status),
        "{method} {path}: {status}: {}",
        answer["message"]
    );
    Ok(answer)
}
