//! A Kubernetes cluster of a test's own: a real etcd and a real API server on this machine's loopback, with TLS, roles
//! and tokens of service accounts, and somebody who plays a node's kubelet. `cargo xtask cluster` installs what it takes.

mod access;
mod control_plane;
mod hold;
mod kubelet;
mod node;
pub(crate) mod programs;
mod proxy;
mod requests;
mod watch;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

pub use self::access::Access;
use self::control_plane::ControlPlane;
pub use self::hold::Hold;
pub use self::kubelet::{Driver, Kubelet, KubeletServer, Moment, Pod};
pub use self::node::{CLASS, NO_REGISTRY, Node};
pub use self::programs::tool;
pub use self::proxy::Proxy;
pub use self::requests::{Request, Requests};
pub use self::watch::Watch;

/// What a cluster is to be like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// With a controller manager: workloads get their pods, namespaces their service account. It takes no node for
    /// dead and no pod for orphaned: nobody renews leases here.
    pub controllers: bool,
    /// Every watch of pods goes to etcd: it reaches back as far as etcd has not been compacted, and has no bookmarks.
    pub uncached_pods: bool,
}

/// Which helm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Helm {
    /// helm 3.
    Three,
    /// helm 4.
    Four,
}

/// A cluster that runs until it is dropped.
pub struct Cluster {
    plane: ControlPlane,
    admin: Access,
    /// What the processes read and write; removed after they have ended.
    directory: TempDir,
}

impl Cluster {
    /// A cluster without controllers.
    ///
    /// # Errors
    /// Where a program is missing, or ends, or does not come up in time.
    pub fn start() -> anyhow::Result<Self> {
        Self::with(Settings::default())
    }

    /// A cluster with a controller manager.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub fn with_controllers() -> anyhow::Result<Self> {
        Self::with(Settings {
            controllers: true,
            ..Settings::default()
        })
    }

    /// A cluster as it is wanted.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub fn with(settings: Settings) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let mut plane = ControlPlane::new(directory.path(), settings)?;
        let admin = Access::new(
            plane.url(),
            &directory.path().join("ca.pem"),
            plane.admin_token(),
        )?;
        plane.start_api_server(&admin)?;
        plane.start_controllers(&admin.kubeconfig()?)?;
        Ok(Self {
            plane,
            admin,
            directory,
        })
    }

    /// Where the API server is.
    #[must_use]
    pub fn server_url(&self) -> &str {
        self.plane.url()
    }

    /// The certificate that its own is verified with.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// Who may do everything.
    #[must_use]
    pub fn admin(&self) -> &Access {
        &self.admin
    }

    /// The kubeconfig of who may do everything.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn admin_kubeconfig(&self) -> anyhow::Result<PathBuf> {
        self.admin.kubeconfig()
    }

    /// A service account that is there, with a token that the API server gave out for it.
    ///
    /// # Errors
    /// Where there is no such account.
    pub fn service_account(&self, namespace: &str, name: &str) -> anyhow::Result<Access> {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": { "expirationSeconds": 36_000 },
        });
        let answer = self.admin.post(&path, &request)?;
        let token = answer["status"]["token"].as_str();
        let access = Access::new(
            self.server_url(),
            &self.ca_file(),
            token.context("a token")?,
        )?;
        Ok(access.in_namespace(namespace))
    }

    /// The kubeconfig of a service account that is there, by its user's name: `system:serviceaccount:NAMESPACE:NAME`.
    ///
    /// # Errors
    /// Where it is no such name, and as [`Cluster::service_account`].
    pub fn kubeconfig_for(&self, user: &str) -> anyhow::Result<PathBuf> {
        let account = user.strip_prefix("system:serviceaccount:");
        let (namespace, name) = account
            .and_then(|account| account.split_once(':'))
            .with_context(|| format!("'{user}' is no service account's user"))?;
        self.service_account(namespace, name)?.kubeconfig()
    }

    /// Makes a namespace where it is not there.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn make_namespace(&self, name: &str) -> anyhow::Result<()> {
        self.admin.make_namespace(name)
    }

    /// Makes a service account, and its namespace where that is not there.
    ///
    /// # Errors
    /// Where it cannot be made, or is there.
    pub fn make_service_account(&self, namespace: &str, name: &str) -> anyhow::Result<()> {
        self.make_namespace(namespace)?;
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
        let account = json!({ "metadata": { "name": name } });
        self.admin.post(&path, &account).map(drop)
    }

    /// Runs kubectl as who may do everything; returns what it printed.
    ///
    /// # Errors
    /// Where it fails; what it said is in the error.
    pub fn kubectl(&self, args: &[&str]) -> anyhow::Result<String> {
        self.run("kubectl-1.32", args, None)
    }

    /// Has kubectl apply an object, or a list of them.
    ///
    /// # Errors
    /// As [`Cluster::kubectl`].
    pub fn apply(&self, object: &Value) -> anyhow::Result<String> {
        let args = ["apply", "--filename", "-"];
        self.run("kubectl-1.32", &args, Some(&object.to_string()))
    }

    /// Has the API server say what it would do with an object, or a list of them, each on a line.
    ///
    /// # Errors
    /// As [`Cluster::kubectl`].
    pub fn dry_run(&self, object: &Value) -> anyhow::Result<String> {
        let args = ["apply", "--dry-run=server", "--filename", "-"];
        self.run("kubectl-1.32", &args, Some(&object.to_string()))
    }

    /// Runs helm as who may do everything; returns what it printed.
    ///
    /// # Errors
    /// Where it fails; what it said is in the error.
    pub fn helm(&self, version: Helm, args: &[&str]) -> anyhow::Result<String> {
        let program = match version {
            Helm::Three => "helm-3",
            Helm::Four => "helm-4",
        };
        self.run(program, args, None)
    }

    /// Ends the API server, as a power failure would; what it keeps is in etcd, which goes on.
    ///
    /// # Errors
    /// Where it does not run.
    pub fn stop_api_server(&mut self) -> anyhow::Result<()> {
        self.plane.stop_api_server()
    }

    /// Starts the API server again where it was, with all that it kept.
    ///
    /// # Errors
    /// Where it runs, or does not come up.
    pub fn start_api_server(&mut self) -> anyhow::Result<()> {
        self.plane.start_api_server(&self.admin)
    }

    /// Has etcd forget all but what is now. An API server that keeps pods in its memory still knows what happened since
    /// it started: for a 410 it must be started again, or keep none ([`Settings::uncached_pods`]).
    ///
    /// # Errors
    /// Where etcd does not answer.
    pub fn compact(&self) -> anyhow::Result<()> {
        self.plane.compact()
    }

    /// From now on, whoever makes an object of a resource such as `statefulsets` of `apps` is held in the midst of it.
    ///
    /// # Errors
    /// Where that cannot be set up.
    pub fn hold(&self, group: &str, resource: &str) -> anyhow::Result<Hold> {
        Hold::new(&self.admin, group, resource)
    }

    /// A proxy in front of the API server.
    ///
    /// # Errors
    /// Where there is no port for it.
    pub fn proxy(&self) -> anyhow::Result<Proxy> {
        Proxy::before(self.plane.port())
    }

    /// What the API server itself counted since it was started, of a resource such as `pods`.
    ///
    /// # Errors
    /// Where it does not answer.
    pub fn requests(&self, resource: &str) -> anyhow::Result<Requests> {
        Requests::read(&self.admin, resource)
    }

    /// What a user asked for since the cluster was started, in the API server's own record: the oldest first. A watch
    /// is in it once it was let in.
    ///
    /// # Errors
    /// Where the record cannot be read.
    pub fn requests_of(&self, user: &str) -> anyhow::Result<Vec<Request>> {
        Request::read(&self.plane.audit_log(), user)
    }

    fn run(&self, program: &str, args: &[&str], input: Option<&str>) -> anyhow::Result<String> {
        let home = self.directory.path().join("home");
        let mut command = Command::new(tool(program)?);
        command
            .args(args)
            .env("KUBECONFIG", self.admin.kubeconfig()?)
            // Neither reads nor leaves anything elsewhere.
            .env("HOME", &home)
            .env("HELM_CACHE_HOME", home.join("helm/cache"))
            .env("HELM_CONFIG_HOME", home.join("helm/config"))
            .env("HELM_DATA_HOME", home.join("helm/data"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot run {program}"))?;
        let mut stdin = child.stdin.take().context("it is piped")?;
        let input = input.unwrap_or_default().to_owned();
        // What it prints meanwhile must be read.
        let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
        let output = child.wait_with_output()?;
        let _ = writer.join();
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "{program} {}: {}: {}",
            args.join(" "),
            output.status,
            said.trim()
        );
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// An API path's last part that selects what lies on a node, as the agent does.
#[must_use]
pub fn on_node(node: &str) -> String {
    format!("fieldSelector=spec.nodeName%3D{node}")
}

fn write(directory: &Path, name: &str, text: &str) -> anyhow::Result<PathBuf> {
    let path = directory.join(name);
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// Whether an answer says that something was there already.
fn is_there_already(status: u16) -> bool {
    status == 409
}

const JSON: &str = "application/json";
const MERGE_PATCH: &str = "application/merge-patch+json";

/// What a method's body is, in this API.
fn content_type(method: &Method) -> &'static str {
    if *method == Method::PATCH {
        MERGE_PATCH
    } else {
        JSON
    }
}
