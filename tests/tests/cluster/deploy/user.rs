//! Somebody at a command line: a folder of configuration, a kubeconfig, a helm, a kubectl.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use e2e::cluster::{Access, Cluster, Helm, tool};
use e2e::{program, text};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Where modules go unless somebody says otherwise.
pub(crate) const NAMESPACE: &str = "work";

pub(crate) struct User {
    home: TempDir,
    kubeconfig: PathBuf,
    helm: PathBuf,
    kubectl: PathBuf,
}

impl User {
    /// With the domain `lab`, which is what this access reaches.
    pub(crate) fn new(access: &Access, helm: Helm) -> Self {
        let user = Self::with_kubeconfig(&access.kubeconfig().unwrap(), helm);
        user.domain(&["lab", "--context", "test", "--namespace", NAMESPACE]);
        user
    }

    /// Who may do everything.
    pub(crate) fn admin(cluster: &Cluster, helm: Helm) -> Self {
        Self::new(cluster.admin(), helm)
    }

    /// Without a domain.
    pub(crate) fn with_kubeconfig(kubeconfig: &Path, helm: Helm) -> Self {
        let helm = match helm {
            Helm::Three => "helm-3",
            Helm::Four => "helm-4",
        };
        Self {
            home: tempfile::tempdir().unwrap(),
            kubeconfig: kubeconfig.to_owned(),
            helm: tool(helm).unwrap(),
            kubectl: tool("kubectl-1.32").unwrap(),
        }
    }

    /// Adds a domain: its name, and flags of `init new-config`.
    pub(crate) fn domain(&self, flags: &[&str]) {
        let args = [&["init", "new-config", "--domain"], flags].concat();
        self.run(&args).assert_done();
    }

    /// The same with another kubectl.
    pub(crate) fn with_kubectl(self, kubectl: &Path) -> Self {
        Self {
            kubectl: kubectl.to_owned(),
            ..self
        }
    }

    /// The same with another kubeconfig.
    pub(crate) fn with_access(self, kubeconfig: &Path) -> Self {
        Self {
            kubeconfig: kubeconfig.to_owned(),
            ..self
        }
    }

    /// A file of the user's.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.home.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let home = self.home.path();
        let mut command = Command::new(program("hxmlops"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("HXMLOPS_") {
                command.env_remove(name);
            }
        }
        command
            .args(args)
            .env("HOME", home)
            .env("XDG_CONFIG_HOME", home.join("config"))
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HXMLOPS_HELM", &self.helm)
            .env("HXMLOPS_KUBECTL", &self.kubectl)
            .env_remove("COLUMNS")
            .stdin(Stdio::null());
        command
    }

    /// Runs hxmlops to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        let output = self.command(args).output().unwrap();
        Ended::new(&args.join(" "), output)
    }

    /// What it prints as JSON.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let args = [args, &["--output", "json"]].concat();
        let ended = self.run(&args);
        serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
    }
}

/// What a command left behind.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) command: String,
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    pub(crate) fn new(command: &str, output: Output) -> Self {
        Self {
            command: command.to_owned(),
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Done; what it printed.
    #[track_caller]
    pub(crate) fn assert_done(&self) -> &str {
        self.assert_code(0)
    }

    /// A check said no; what it printed.
    #[track_caller]
    pub(crate) fn assert_no(&self) -> &str {
        self.assert_code(3)
    }

    #[track_caller]
    fn assert_code(&self, code: i32) -> &str {
        assert_eq!(self.code, Some(code), "{self:?}");
        &self.stdout
    }

    /// Failed, with one line on standard error and nothing else.
    #[track_caller]
    pub(crate) fn assert_failed(&self, part: &str) {
        self.assert_code(1);
        println!("{}: {}", self.command, self.stderr.trim_end());
        assert_eq!(self.stdout, "", "{self:?}");
        assert!(
            self.stderr.starts_with("error: ") && self.stderr.contains(part),
            "{self:?}"
        );
        assert_eq!(self.stderr.trim_end().lines().count(), 1, "{self:?}");
    }

    /// Refused its arguments.
    #[track_caller]
    pub(crate) fn assert_usage(&self, part: &str) {
        self.assert_code(2);
        println!("{}: {}", self.command, self.stderr.trim_end());
        assert!(self.stderr.contains(part), "{self:?}");
    }
}

/// Objects of a namespace, by a path such as `apps/v1/deployments` or `v1/secrets`, and a selector.
pub(crate) fn list(
    cluster: &Cluster,
    namespace: &str,
    resource: &str,
    selector: &str,
) -> Vec<Value> {
    let (version, name) = resource.rsplit_once('/').unwrap();
    let root = if version == "v1" { "api" } else { "apis" };
    let selector = selector.replace('=', "%3D").replace('!', "%21");
    let path = format!("/{root}/{version}/namespaces/{namespace}/{name}?labelSelector={selector}");
    let list = cluster.admin().get(&path).unwrap();
    list["items"].as_array().unwrap().clone()
}

/// Names of objects.
pub(crate) fn names(objects: &[Value]) -> Vec<&str> {
    let metadata = objects.iter().map(|object| &object["metadata"]);
    metadata
        .filter_map(|metadata| metadata["name"].as_str())
        .collect()
}

/// A kubeconfig with several contexts, as (name, access, namespace of the context).
pub(crate) fn kubeconfig(cluster: &Cluster, contexts: &[(&str, &Access)], file: &Path) {
    let named = |(name, _): &(&str, &Access)| json!({ "name": name, "context": { "cluster": "one", "user": name } });
    let user = |(name, access): &(&str, &Access)| json!({ "name": name, "user": { "token": access.token() } });
    let server = json!({ "server": cluster.server_url(), "certificate-authority": text(&cluster.ca_file()) });
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "contexts": contexts.iter().map(named).collect::<Vec<_>>(),
        "clusters": [{ "name": "one", "cluster": server }],
        "users": contexts.iter().map(user).collect::<Vec<_>>(),
    });
    std::fs::write(file, config.to_string()).unwrap();
}
