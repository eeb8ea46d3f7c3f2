//! The kubelet's own port: `/pods`, for whom the API server says may ask.

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::Context as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::super::Access;
use super::pod::Known;
use crate::authority::Authority;

/// A kubelet's port, with a certificate of an authority of its own. Nobody listens there once it is dropped.
pub struct KubeletServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    directory: TempDir,
}

struct Shared {
    access: Access,
    node: String,
    known: Known,
    /// Who was let in once is let in while the API server is away: a kubelet keeps what it was told for minutes.
    let_in: Mutex<HashSet<String>>,
    answered: AtomicU64,
    is_over: AtomicBool,
}

/// Status, content type, body.
type Answer = (&'static str, &'static str, String);

impl KubeletServer {
    pub(super) fn start(access: &Access, node: &str, known: &Known) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let config = Arc::new(tls(directory.path())?);
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            access: access.clone(),
            node: node.to_owned(),
            known: known.clone(),
            let_in: Mutex::default(),
            answered: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        });
        let served = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if served.is_over.load(SeqCst) {
                    return;
                }
                let (config, shared) = (config.clone(), served.clone());
                // Who does not trust the certificate hangs up.
                thread::spawn(move || shared.serve(stream, config));
            }
        });
        Ok(Self {
            address,
            shared,
            directory,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// What its certificate is verified with.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.directory.path().join("kubelet-ca.pem")
    }

    /// How often it told its pods.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.shared.answered.load(SeqCst)
    }
}

impl Drop for KubeletServer {
    fn drop(&mut self) {
        self.shared.is_over.store(true, SeqCst);
        // Whoever waits for a connection gets the last one.
        let _ = TcpStream::connect(self.address);
    }
}

fn tls(directory: &Path) -> anyhow::Result<ServerConfig> {
    crate::install_crypto();
    let path = |name: &str| directory.join(name);
    let (cert, key) = (path("cert.pem"), path("key.pem"));
    Authority::new(&path("kubelet-ca.pem"))?.sign(&cert, &key, &[])?;
    let chain = CertificateDer::pem_file_iter(cert)?.collect::<Result<Vec<_>, _>>()?;
    let config = ServerConfig::builder().with_no_client_auth();
    Ok(config.with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?)
}

impl Shared {
    fn serve(&self, stream: TcpStream, config: Arc<ServerConfig>) -> anyhow::Result<()> {
        let mut stream = BufReader::new(StreamOwned::new(ServerConnection::new(config)?, stream));
        loop {
            let (mut path, mut token) = (String::new(), String::new());
            for number in 0.. {
                let mut line = String::new();
                if stream.read_line(&mut line)? == 0 {
                    return Ok(());
                }
                let line = line.trim_end();
                if number == 0 {
                    path = line.split(' ').nth(1).unwrap_or_default().to_owned();
                } else if line.is_empty() {
                    break;
                }
                let (name, value) = line.split_once(": ").unwrap_or_default();
                if name.eq_ignore_ascii_case("authorization") {
                    value.trim_start_matches("Bearer ").clone_into(&mut token);
                }
            }
            if self.is_over.load(SeqCst) {
                return Ok(());
            }
            let (status, kind, body) = self.answer(&path, &token);
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n"
            );
            let answer = format!("{head}\r\n{body}");
            stream.get_mut().write_all(answer.as_bytes())?;
        }
    }

    fn answer(&self, path: &str, token: &str) -> Answer {
        let text = "text/plain; charset=utf-8";
        match self.is_let_in(token) {
            Ok(Ok(())) => {}
            Ok(Err(refusal)) => return refusal,
            Err(error) => return ("500 Internal Server Error", text, format!("{error:#}")),
        }
        if path.trim_end_matches('/') != "/pods" {
            return ("404 Not Found", text, "404 page not found\n".to_owned());
        }
        self.answered.fetch_add(1, SeqCst);
        let list = json!({
            "kind": "PodList",
            "apiVersion": "v1",
            "metadata": {},
            "items": self.known.list(),
        });
        ("200 OK", "application/json", list.to_string())
    }

    /// As a kubelet with webhooks asks: who has this token, and may they.
    fn is_let_in(&self, token: &str) -> anyhow::Result<Result<(), Answer>> {
        let known = || self.let_in.lock().unwrap_or_else(PoisonError::into_inner);
        if known().contains(token) {
            return Ok(Ok(()));
        }
        let text = "text/plain; charset=utf-8";
        let unknown = || ("401 Unauthorized", text, "Unauthorized".to_owned());
        if token.is_empty() {
            return Ok(Err(unknown()));
        }
        let review = self.review("authentication", "TokenReview", &json!({ "token": token }))?;
        if review["authenticated"] != true {
            return Ok(Err(unknown()));
        }
        let user = &review["user"];
        let asked = json!({
            "user": user["username"],
            "groups": user["groups"],
            "resourceAttributes": {
                "verb": "get", "version": "v1", "resource": "nodes", "subresource": "proxy",
                "name": self.node,
            },
        });
        let review = self.review("authorization", "SubjectAccessReview", &asked)?;
        if review["allowed"] == true {
            known().insert(token.to_owned());
            return Ok(Ok(()));
        }
        let name = user["username"].as_str().unwrap_or_default();
        let refusal =
            format!("Forbidden (user={name}, verb=get, resource=nodes, subresource=proxy)");
        Ok(Err(("403 Forbidden", text, refusal)))
    }

    fn review(&self, group: &str, kind: &str, spec: &Value) -> anyhow::Result<Value> {
        let version = format!("{group}.k8s.io/v1");
        let path = format!("/apis/{version}/{}s", kind.to_lowercase());
        let review = json!({ "apiVersion": version, "kind": kind, "spec": spec });
        let mut answer = self.access.post(&path, &review)?;
        let status = answer.get_mut("status").map(Value::take);
        status.with_context(|| format!("{path} has a status"))
    }
}
