//! `create` waits until pods are ready, says how far they are, and when its time is over, why they are not.

use e2e::cluster::{Cluster, Helm, NO_REGISTRY, Node};
use serde_json::json;

use super::user::{Ended, NAMESPACE, User};

/// Long enough for controllers to make a pod, and for the node to tell of it.
const SHORT: &str = "6s";

struct Waiter<'c> {
    user: User,
    cluster: &'c Cluster,
}

#[test]
fn a_create_that_cannot_be_ready_says_why_and_the_next_one_repairs_it() {
    let cluster = Cluster::with_controllers().unwrap();
    let _node = Node::start(&cluster, "node-1").unwrap();
    let waiter = |helm| Waiter {
        user: User::admin(&cluster, helm),
        cluster: &cluster,
    };
    waiter(Helm::Four).images_and_crashes();
    waiter(Helm::Three).volumes();
}

impl Waiter<'_> {
    fn create(&self, group: &str, name: &str, more: &[&str]) -> Ended {
        let args = ["component", group, "create", name];
        self.user.run(&[&args[..], more].concat())
    }

    /// Not ready in time, and why; then status says the same.
    fn check_late(&self, group: &str, name: &str, set: &str, reasons: &[&str]) {
        let late = self.create(group, name, &["--timeout", SHORT, "--set", set]);
        assert_eq!((late.code, &*late.stdout), (Some(1), ""), "{late:?}");
        println!("{}", late.stderr);
        let last = late.stderr.lines().last().unwrap();
        let error = format!("error: {group}/{name} is not ready after 6 s; it stays deployed");
        assert!(last.starts_with(&error), "{late:?}");
        let is_told = |reason: &&str| late.stderr.lines().any(|line| line.contains(*reason));
        assert!(reasons.iter().all(is_told), "{reasons:?}: {late:?}");
        let status = self.user.run(&["component", group, "status", name]);
        assert!(status.assert_no().contains("not ready"), "{status:?}");
    }

    /// Created without what was wrong, it is ready, after being less.
    fn check_repaired(&self, group: &str, name: &str) {
        let created = self.create(group, name, &["--timeout", "60s"]);
        created.assert_done();
        println!("{}{}", created.stderr, created.stdout);
        let lines: Vec<&str> = created.stderr.lines().collect();
        assert!(
            lines[0].starts_with(&format!("{name}: 0 of 1 ready")),
            "{lines:?}"
        );
        assert_eq!(lines.last(), Some(&&*format!("{name}: 1 of 1 ready")));
        let status = self.user.run(&["component", group, "status", name]);
        assert!(status.assert_done().contains(" ready "), "{status:?}");
    }

    fn images_and_crashes(&self) {
        let image = format!("image.repository={NO_REGISTRY}thing");
        let pull = [
            "ImagePullBackOff: Back-off pulling image",
            "Failed: Failed to pull image",
        ];
        // A deployment, and a set whose pods have an order.
        for (group, name) in [("monitoring", "otelcol"), ("storage", "postgres")] {
            self.check_late(group, name, &image, &pull);
            self.check_repaired(group, name);
        }
        // The pod of before is still there, and well; the new one counts.
        let crash = "CrashLoopBackOff: container otelcol ended with exit code 1";
        self.check_late("monitoring", "otelcol", "command={/bin/false}", &[crash]);
        let again = self.create("monitoring", "otelcol", &[]);
        assert!(again.assert_done().contains(": 1 of 1 ready"), "{again:?}");
    }

    fn volumes(&self) {
        let class = "persistence.storageClass=elsewhere";
        let pending = "volume claim seaweedfs-data is pending (class elsewhere)";
        let unbound = "not scheduled: pod has unbound immediate PersistentVolumeClaims";
        self.check_late("storage", "seaweedfs", class, &[pending, unbound]);
        // Somebody makes the volume; the same create goes on.
        let claim = format!("/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims/seaweedfs-data");
        let claim = self.cluster.admin().get(&claim).unwrap();
        let volume = json!({
            "metadata": { "name": "made-by-hand" },
            "spec": {
                "capacity": claim["spec"]["resources"]["requests"],
                "accessModes": claim["spec"]["accessModes"],
                "storageClassName": "elsewhere",
                "hostPath": { "path": "/nonexistent" },
            },
        });
        self.cluster
            .admin()
            .post("/api/v1/persistentvolumes", &volume)
            .unwrap();
        let created = self.create("storage", "seaweedfs", &["--set", class]);
        assert!(
            created.assert_done().contains(": 1 of 1 ready\n"),
            "{created:?}"
        );
    }
}
