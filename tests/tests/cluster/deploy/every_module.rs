//! Every module of the catalogue: created, compared, changed, deleted, created again with the same secrets and claims, purged. By
//! one helm or the other in turn; by both in `cargo xtask test --long`.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;

use e2e::cluster::{Cluster, Helm, Node};
use e2e::text;
use serde_json::{Value, json};

use super::catalogue::{self, Module};
use super::user::{User, list};

/// How many helms are to have each module; 1 unless told otherwise.
const HELMS: &str = "HXMLOPS_HELMS_OF_A_MODULE";
/// Modules at once: each waits for its pods most of the time.
const AT_ONCE: usize = 4;
const WORKLOADS: [&str; 3] = [
    "apps/v1/deployments",
    "apps/v1/statefulsets",
    "apps/v1/daemonsets",
];
/// What outlives a release.
const KEPT: [&str; 2] = ["v1/secrets", "v1/persistentvolumeclaims"];
/// What does not.
const OF_THE_RELEASE: [&str; 9] = [
    WORKLOADS[0],
    WORKLOADS[1],
    WORKLOADS[2],
    "v1/services",
    "v1/configmaps",
    "v1/serviceaccounts",
    "networking.k8s.io/v1/networkpolicies",
    "rbac.authorization.k8s.io/v1/roles",
    "rbac.authorization.k8s.io/v1/rolebindings",
];

/// Where secrets are, by their values.
type Secrets = Mutex<BTreeMap<String, String>>;

#[test]
fn every_module_is_created_changed_and_deleted() {
    let cluster = Cluster::with_controllers().unwrap();
    let _node = Node::start(&cluster, "node-1").unwrap();
    // As NVIDIA's operator marks nodes: one module runs on these alone.
    let gpu = json!({ "metadata": { "labels": { "nvidia.com/gpu.present": "true" } } });
    cluster.admin().patch("/api/v1/nodes/node-1", &gpu).unwrap();
    let users = [(3, Helm::Three), (4, Helm::Four)];
    let users = users.map(|(number, helm)| (number, User::admin(&cluster, helm)));
    let modules = catalogue::all(&users[0].1);
    let (steps, modules): (Vec<Module>, Vec<Module>) =
        modules.into_iter().partition(Module::has_steps);
    assert_eq!(steps.len(), 1, "{steps:?}");
    super::steps::check(&cluster, &steps[0]);
    let helms: usize = std::env::var(HELMS).map_or(1, |helms| helms.parse().unwrap());
    let in_turn = |first: usize| users.iter().cycle().skip(first).take(helms);
    let jobs: Vec<(u32, &User, &Module)> = modules
        .iter()
        .enumerate()
        .flat_map(|(place, module)| {
            in_turn(place).map(move |(number, user)| (*number, user, module))
        })
        .collect();
    let (next, secrets) = (AtomicUsize::new(0), Secrets::default());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((number, user, module)) = jobs.get(next.fetch_add(1, SeqCst)) {
                    let namespace = format!("{}-{number}", module.release());
                    let life = Life {
                        cluster: &cluster,
                        user,
                        module,
                        namespace,
                        secrets: &secrets,
                    };
                    life.live();
                }
            });
        }
    });
    println!(
        "{} modules, each by {helms} of {} helms",
        modules.len(),
        users.len()
    );
}

/// One module in a namespace of its own.
struct Life<'a> {
    cluster: &'a Cluster,
    user: &'a User,
    module: &'a Module,
    namespace: String,
    secrets: &'a Secrets,
}

impl Life<'_> {
    fn live(&self) {
        let release = self.module.release();
        let created = self.create(&[]);
        assert!(
            created.contains(&format!("is deployed as {release} in")),
            "{created}"
        );
        assert_eq!(created.contains("given by"), self.module.needs, "{created}");
        assert!(self.run("status", &[]).assert_done().contains(" ready "));
        self.check_objects();
        let kept = self.kept();

        self.change();
        assert_eq!(self.kept(), kept, "a change keeps secrets and claims");

        self.run("delete", &["--yes"]).assert_done();
        assert_eq!(self.left(), [""; 0]);
        assert_eq!(self.kept(), kept, "the end keeps secrets and claims");
        self.run("status", &[]).assert_no();

        self.create(&["--no-wait"]);
        assert_eq!(
            self.kept(),
            kept,
            "a new beginning finds secrets and claims"
        );
        let workload = self.workload();
        assert_eq!(
            workload["spec"]["template"]["metadata"]["labels"]["tier"],
            Value::Null
        );

        let purged = self.run("delete", &["--yes", "--purge"]);
        assert_eq!(
            purged.assert_done().matches(" is deleted\n").count(),
            kept.len(),
            "{purged:?}"
        );
        let claims = e2e::poll("claims are gone", || {
            Ok(self.kept().is_empty().then_some(()))
        });
        claims.unwrap();
        assert_eq!(self.left(), [""; 0]);
        println!("{} by {}", self.module.name, self.namespace);
    }

    /// `--file` and `--set` are what the object then has.
    fn change(&self) {
        let prefix = if self.module.is_own() {
            format!("{}.", self.module.name)
        } else {
            String::new()
        };
        let file = if self.module.is_own() {
            format!(
                "{}: {{podAnnotations: {{example.com/file: told}}}}\n",
                self.module.name
            )
        } else {
            "podAnnotations: {example.com/file: told}\n".to_owned()
        };
        let file = self.user.write(&format!("{}.yaml", self.namespace), &file);
        let set = format!("{prefix}podLabels.tier=set");
        let values = ["--file", text(&file), "--set", &set];
        let diff = self.run("diff", &values);
        for line in ["+        example.com/file: told\n", "+        tier: set\n"] {
            assert!(diff.assert_no().contains(line), "{diff:?}");
        }
        self.create(&[&values[..], &["--no-wait"]].concat());
        let template = &self.workload()["spec"]["template"]["metadata"];
        assert_eq!(template["annotations"]["example.com/file"], "told");
        assert_eq!(template["labels"]["tier"], "set");
        let same = self.run("diff", &values);
        assert_eq!(
            (same.assert_done(), &*same.stderr),
            ("", "nothing would change\n")
        );
    }

    fn run(&self, command: &str, more: &[&str]) -> super::user::Ended {
        let place = ["--namespace", &self.namespace];
        self.user
            .run(&self.module.args(command, &[&place, more].concat()))
    }

    fn create(&self, more: &[&str]) -> String {
        let created = self.run("create", &[&["--with-dependencies"], more].concat());
        created.assert_done();
        if !more.contains(&"--no-wait") {
            let ready = format!("{}: 1 of 1 ready\n", self.module.release());
            assert!(created.stderr.ends_with(&ready), "{created:?}");
        }
        created.stdout
    }

    fn list(&self, resource: &str) -> Vec<Value> {
        let selector = format!("app.kubernetes.io/instance={}", self.module.release());
        list(self.cluster, &self.namespace, resource, &selector)
    }

    fn workload(&self) -> Value {
        let mut all: Vec<Value> = WORKLOADS.iter().flat_map(|kind| self.list(kind)).collect();
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    /// (name, uid, data) of secrets and claims.
    fn kept(&self) -> Vec<(String, String, String)> {
        let of = |object: &Value| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let metadata = &object["metadata"];
            (
                text(&metadata["name"]),
                text(&metadata["uid"]),
                object["data"].to_string(),
            )
        };
        KEPT.iter()
            .flat_map(|kind| self.list(kind))
            .map(|object| of(&object))
            .collect()
    }

    /// Names of what should have gone.
    fn left(&self) -> Vec<String> {
        let left = OF_THE_RELEASE.iter().flat_map(|kind| self.list(kind));
        left.map(|object| object["metadata"]["name"].to_string())
            .collect()
    }

    /// No port of a node is taken, probes are there, and no two secrets are the same.
    fn check_objects(&self) {
        for service in list(self.cluster, &self.namespace, "v1/services", "") {
            for port in service["spec"]["ports"].as_array().unwrap() {
                assert_eq!(port["nodePort"], Value::Null, "{service}");
            }
        }
        for pod in list(self.cluster, &self.namespace, "v1/pods", "") {
            let spec = &pod["spec"];
            assert_ne!(spec["hostNetwork"], true, "{pod}");
            for container in spec["containers"].as_array().unwrap() {
                let ports = container["ports"].as_array().into_iter().flatten();
                assert!(
                    ports.clone().all(|port| port["hostPort"].is_null()),
                    "{pod}"
                );
                let has = |probe: &str| container[probe].is_object();
                assert!(has("livenessProbe") && has("readinessProbe"), "{container}");
            }
        }
        for secret in self.list("v1/secrets") {
            let place = format!("{}/{}", self.namespace, secret["metadata"]["name"]);
            for (key, value) in secret["data"].as_object().into_iter().flatten() {
                let place = format!("{place} {key}");
                let before = self
                    .secrets
                    .lock()
                    .unwrap()
                    .insert(value.to_string(), place.clone());
                assert_eq!(before, None, "{place} has the same value");
            }
        }
    }
}
