//! An agent and an aggregator in a cluster, and the truth that they are held against.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};

use e2e::cluster::{Access, Cluster, Driver, Kubelet, Pod};
use e2e::truth::client::{PowerTruth, Truth};
use e2e::{Running, get, metric_sum, poll, program, success, text};
use serde_json::{Value, json};

/// The zones, with their idle watts and those of a CPU second.
const ZONES: [&str; 2] = [
    "zone intel-rapl:0 package-0 10 15",
    "zone intel-rapl:0:0 dram 2 3",
];
const IDLE_WATTS: &str = "package-0=10,dram-0=2";
/// Watts of a CPU second of a pod, in both.
const WATTS: &str = "15 3";

/// The account that the agent has.
pub(crate) const USER: &str = "system:serviceaccount:hxmlops:agent";
pub(crate) const NODE: &str = "node-1";
pub(crate) const SITE: &str = "paris";

/// See the module. The fields end in their order.
pub(crate) struct Site {
    pub(crate) agent: Option<Running>,
    pub(crate) server: Running,
    pub(crate) kubelet: Kubelet,
    truth: Arc<Mutex<PowerTruth>>,
    pub(crate) cluster: Cluster,
    directory: tempfile::TempDir,
}

impl Site {
    /// Without an agent yet. Every container is a group of the truth, from before it begins until after it has ended.
    pub(crate) fn new(cluster: Cluster) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let truth = PowerTruth::start(&PathBuf::from(env!("CARGO_BIN_EXE_power-truth")), &ZONES);
        let truth = Arc::new(Mutex::new(truth.unwrap()));
        let mut kubelet = Kubelet::start(&cluster, NODE, Driver::Systemd).unwrap();
        let told = truth.clone();
        kubelet.observe(move |moment| {
            let mut truth = told.lock().unwrap();
            if moment.begins {
                truth.tell(&format!("group {} {WATTS}", moment.path))
            } else {
                truth.tell(&format!("end {}", moment.path))
            }
        });
        let data = directory.path().join("data");
        let server = [
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--data-dir",
            text(&data),
            "--intensity-zone",
            "FR",
            "--site",
            SITE,
        ];
        Self {
            agent: None,
            server: Running::start("hxmlops", &server).unwrap(),
            kubelet,
            truth,
            cluster,
            directory,
        }
    }

    /// Starts the agent, with more flags.
    pub(crate) fn start_agent(&mut self, flags: &[&str]) {
        let mut agent = Command::new(program("hxmlops-agent"));
        {
            let truth = self.truth.lock().unwrap();
            agent.args(["--power", "rapl", "--sys-root", text(truth.sys_root())]);
        }
        agent.args([
            "--idle-watts",
            IDLE_WATTS,
            "--usage",
            "ebpf",
            "--interval",
            "1s",
        ]);
        agent.args(["--node-name", NODE, "--listen", "127.0.0.1:0"]);
        agent.args(["--metrics", "node,pod,container", "--compat", "kepler"]);
        agent.args(["--aggregator-url", self.server.url()]);
        agent.args(["--spool-dir", text(&self.directory.path().join("spool"))]);
        agent.args(flags);
        self.agent = Some(Running::spawn(agent).unwrap());
    }

    /// The same with the API server, as `access`.
    pub(crate) fn start_agent_with_api(&mut self, access: &Access) {
        let kubeconfig = access.kubeconfig().unwrap();
        self.start_agent(&["--kube", "api", "--kubeconfig", text(&kubeconfig)]);
    }

    pub(crate) fn agent(&self) -> &Running {
        self.agent.as_ref().unwrap()
    }

    /// The agent's metrics.
    pub(crate) fn metrics(&self) -> String {
        get(&format!("{}/metrics", self.agent().url())).unwrap().1
    }

    /// Waits until the agent's metrics are as they should be.
    pub(crate) fn until(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        poll(what, || {
            let metrics = self.metrics();
            Ok(is_so(&metrics).then_some(metrics))
        })
        .unwrap_or_else(|error| panic!("{error}, but:\n{}", self.metrics()))
    }

    /// Waits until the agent has measured so many whole intervals from now on.
    pub(crate) fn after_ticks(&self, ticks: u32) -> String {
        let count =
            |metrics: &str| metric_sum(metrics, "hxmlops_agent_tick_duration_seconds_count", &[]);
        let before = count(&self.metrics());
        self.until("intervals", |metrics| {
            count(metrics) >= before + f64::from(ticks)
        })
    }

    /// The truth as of now.
    pub(crate) fn sync(&self) -> Truth {
        self.truth.lock().unwrap().sync().unwrap()
    }

    /// Ends the agent, which delivers all that it has.
    pub(crate) fn stop_agent(&mut self) {
        self.agent.take().unwrap().stop().unwrap();
    }

    /// What a command of the command line prints.
    pub(crate) fn hxmlops(&self, args: &[&str]) -> String {
        let server = ["--server", self.server.url()];
        success("hxmlops", &[args, &server].concat()).unwrap()
    }

    /// A number out of the ledger.
    pub(crate) fn query_ledger(&self, sql: &str, parameter: &str) -> i64 {
        let file = self.directory.path().join("data/ledger.db");
        let ledger = rusqlite::Connection::open(file).unwrap();
        ledger
            .query_row(sql, [parameter], |row| row.get(0))
            .unwrap()
    }

    /// The ledger proves itself.
    pub(crate) fn check_ledger(&self) {
        let data = self.directory.path().join("data");
        success("hxmlops", &["ledger", "check", "--data-dir", text(&data)]).unwrap();
    }
}

/// A file of the chart.
pub(crate) fn chart(name: &str) -> PathBuf {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    here.join("../helm/hxmlops").join(name)
}

/// An account of the agent's, which may do this with pods.
pub(crate) fn account(cluster: &Cluster, verbs: &[&str]) -> Access {
    cluster.make_service_account("hxmlops", "agent").unwrap();
    allow(cluster, "pods", verbs);
    cluster.service_account("hxmlops", "agent").unwrap()
}

/// From now on the account may do this.
pub(crate) fn allow(cluster: &Cluster, resource: &str, verbs: &[&str]) {
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": { "name": "agent" },
        "rules": [{ "apiGroups": [""], "resources": [resource], "verbs": verbs }],
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": { "name": "agent" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "agent" },
        "subjects": [{ "kind": "ServiceAccount", "namespace": "hxmlops", "name": "agent" }],
    });
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": [role, binding] });
    cluster.apply(&list).unwrap();
}

/// A pod whose container `main` keeps a part of a CPU busy, in per cent, for a while; it ends then.
pub(crate) fn busy(
    name: &str,
    labels: &Value,
    annotations: &Value,
    seconds: u64,
    percent: u32,
) -> Value {
    let load = env!("CARGO_BIN_EXE_accuracy");
    let milliseconds = (seconds * 1_000).to_string();
    json!({
        "metadata": {
            "name": name, "namespace": "ml", "labels": labels, "annotations": annotations,
        },
        "spec": {
            "restartPolicy": "Never",
            "containers": [{
                "name": "main",
                "command": [load, "load", "steady", milliseconds, percent.to_string()],
                "resources": { "requests": { "cpu": "250m" } },
            }],
        },
    })
}

/// What the truth says of a pod's containers together.
pub(crate) fn true_joules(truth: &Truth, pods: &[&Pod], zone: &str) -> f64 {
    let of = |pod: &&Pod| {
        let main = truth.group(zone, pod.container_path("main"));
        main + truth.group(zone, pod.pause_path())
    };
    pods.iter().map(of).sum()
}
