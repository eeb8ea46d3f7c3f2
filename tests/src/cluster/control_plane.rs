//! The processes: etcd, the API server, the controller manager.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use rcgen::{DnType, KeyPair};
use serde_json::{Value, json};

use super::programs::{Server, free_port, tool};
use super::{Access, Settings, write};
use crate::authority::Authority;
use crate::poll;

/// What the API server is called, by address and as pods do.
const NAMES: [&str; 4] = [
    "127.0.0.1",
    "localhost",
    "kubernetes.default.svc",
    "kubernetes.default",
];

/// Dropped in this order: who asks goes before who answers.
pub(super) struct ControlPlane {
    controllers: Option<Server>,
    api_server: Option<Server>,
    _etcd: Server,
    etcd_url: String,
    port: u16,
    url: String,
    admin_token: String,
    settings: Settings,
    directory: PathBuf,
}

impl ControlPlane {
    /// With etcd running, and all that the API server will read.
    pub(super) fn new(directory: &Path, settings: Settings) -> anyhow::Result<Self> {
        let authority = Authority::new(&directory.join("ca.pem"))?;
        authority.sign_names(
            &NAMES,
            &directory.join("cert.pem"),
            &directory.join("key.pem"),
            &[(DnType::CommonName, "kube-apiserver")],
        )?;
        let key = KeyPair::generate()?;
        write(directory, "accounts.key", &key.serialize_pem())?;
        write(directory, "accounts.pub", &key.public_key_pem())?;
        let admin_token = format!("{:032x}", fastrand::u128(..));
        let tokens = format!("{admin_token},admin,admin,system:masters\n");
        write(directory, "tokens.csv", &tokens)?;
        write(directory, "audit.json", &audit_policy().to_string())?;

        let etcd_url = format!("http://127.0.0.1:{}", free_port()?);
        let etcd = Server::start("etcd", &etcd_args(&etcd_url, free_port()?), directory)?;
        let port = free_port()?;
        Ok(Self {
            controllers: None,
            api_server: None,
            _etcd: etcd,
            etcd_url,
            port,
            url: format!("https://127.0.0.1:{port}"),
            admin_token,
            settings,
            directory: directory.to_owned(),
        })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn admin_token(&self) -> &str {
        &self.admin_token
    }

    pub(super) fn audit_log(&self) -> PathBuf {
        self.directory.join("audit.log")
    }

    /// Starts the API server and waits until it is ready.
    pub(super) fn start_api_server(&mut self, admin: &Access) -> anyhow::Result<()> {
        ensure!(self.api_server.is_none(), "the API server runs");
        let mut server = Server::start("kube-apiserver", &self.api_server_args(), &self.directory)?;
        let ready = poll("the API server is ready", || {
            server.check()?;
            let answer = admin.text("/readyz");
            Ok(answer.is_ok_and(|(status, _)| status == 200).then_some(()))
        });
        ready.with_context(|| server.last_said())?;
        self.api_server = Some(server);
        Ok(())
    }

    pub(super) fn stop_api_server(&mut self) -> anyhow::Result<()> {
        let server = self.api_server.take();
        server.context("the API server does not run").map(drop)
    }

    /// Starts the controller manager where one is wanted.
    pub(super) fn start_controllers(&mut self, kubeconfig: &Path) -> anyhow::Result<()> {
        if !self.settings.controllers {
            return Ok(());
        }
        let args = [
            ("kubeconfig", path_text(kubeconfig)),
            ("controllers", "*,-nodelifecycle,-podgc,-ttl".to_owned()),
            ("leader-elect", "false".to_owned()),
            ("port", "0".to_owned()),
            ("secure-port", "0".to_owned()),
            ("root-ca-file", self.file("ca.pem")),
            (
                "service-account-private-key-file",
                self.file("accounts.key"),
            ),
        ];
        let server = Server::start("kube-controller-manager", &flags(&args), &self.directory)?;
        self.controllers = Some(server);
        Ok(())
    }

    /// Has etcd forget all revisions but the last.
    pub(super) fn compact(&self) -> anyhow::Result<()> {
        // However little has happened since: what was before is then older than the oldest that is kept.
        let said = self.etcdctl(&["put", "compacted", "now", "--write-out", "json"])?;
        let put: Value = serde_json::from_str(&said)?;
        let revision = put["header"]["revision"].as_u64();
        let revision = revision.context("etcd says its revision")?;
        self.etcdctl(&["compact", &revision.to_string()]).map(drop)
    }

    fn etcdctl(&self, args: &[&str]) -> anyhow::Result<String> {
        let output = Command::new(tool("etcdctl")?)
            .args(["--endpoints", &self.etcd_url])
            .args(args)
            .output()
            .context("cannot run etcdctl")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "etcdctl {}: {said}",
            args.join(" ")
        );
        Ok(String::from_utf8(output.stdout)?)
    }

    fn file(&self, name: &str) -> String {
        path_text(&self.directory.join(name))
    }

    fn api_server_args(&self) -> Vec<String> {
        let mut args = vec![
            ("etcd-servers", self.etcd_url.clone()),
            ("bind-address", "127.0.0.1".to_owned()),
            ("advertise-address", "127.0.0.1".to_owned()),
            // Else it watches for an endpoint of its own that the loopback cannot be.
            ("endpoint-reconciler-type", "none".to_owned()),
            ("secure-port", self.port.to_string()),
            ("insecure-port", "0".to_owned()),
            ("cert-dir", self.file("made-certificates")),
            ("tls-cert-file", self.file("cert.pem")),
            ("tls-private-key-file", self.file("key.pem")),
            ("token-auth-file", self.file("tokens.csv")),
            ("authorization-mode", "RBAC".to_owned()),
            ("anonymous-auth", "false".to_owned()),
            (
                "service-account-issuer",
                "https://kubernetes.default.svc".to_owned(),
            ),
            ("service-account-key-file", self.file("accounts.pub")),
            (
                "service-account-signing-key-file",
                self.file("accounts.key"),
            ),
            // It would have every pod mount a token, and wait for a controller that makes accounts.
            ("disable-admission-plugins", "ServiceAccount".to_owned()),
            ("service-cluster-ip-range", "10.0.0.0/24".to_owned()),
            ("allow-privileged", "true".to_owned()),
            ("feature-gates", "EphemeralContainers=true".to_owned()),
            ("audit-policy-file", self.file("audit.json")),
            ("audit-log-path", path_text(&self.audit_log())),
        ];
        if self.settings.uncached_pods {
            args.push(("watch-cache-sizes", "pods#0".to_owned()));
        }
        flags(&args)
    }
}

fn etcd_args(url: &str, peer_port: u16) -> Vec<String> {
    let peer = format!("http://127.0.0.1:{peer_port}");
    let mut args = flags(&[
        ("data-dir", "etcd".to_owned()),
        ("listen-client-urls", url.to_owned()),
        ("advertise-client-urls", url.to_owned()),
        ("listen-peer-urls", peer.clone()),
        ("initial-advertise-peer-urls", peer.clone()),
        ("initial-cluster", format!("default={peer}")),
        ("log-level", "warn".to_owned()),
    ]);
    // Nothing outlives the test.
    args.push("--unsafe-no-fsync".to_owned());
    args
}

fn flags(args: &[(&str, String)]) -> Vec<String> {
    let flag = |(name, value): &(&str, String)| format!("--{name}={value}");
    args.iter().map(flag).collect()
}

/// Who asked for what, without the API server's own requests to itself.
fn audit_policy() -> Value {
    json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            { "level": "None", "users": ["system:apiserver"] },
            { "level": "Metadata" },
        ],
    })
}

fn path_text(path: &Path) -> String {
    crate::text(path).to_owned()
}
