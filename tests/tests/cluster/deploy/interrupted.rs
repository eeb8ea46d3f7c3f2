//! A create that is broken off, and one that meets another: nothing is left that the next one does not repair, and nobody's
//! work is taken from under him.

use std::fs;
use std::process::{Child, Stdio};

use e2e::cluster::{Cluster, Helm, Hold};
use e2e::poll;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::user::{Ended, User, list};

const CREATE: [&str; 6] = [
    "component",
    "storage",
    "create",
    "postgres",
    "--no-wait",
    "--namespace",
];
/// More than helm takes here, and less than anybody waits.
const SHORT: &str = "15s";

/// A create that is held while helm makes the objects.
struct Held {
    hxmlops: Child,
    helm: Pid,
    hold: Option<Hold>,
}

impl Held {
    /// Held when the release is on record, and some of its objects are there.
    fn start(cluster: &Cluster, user: &User, namespace: &str) -> Self {
        let mut hold = cluster.hold("apps", "statefulsets").unwrap();
        let args = [&CREATE[..], &[namespace]].concat();
        let mut command = user.command(&args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let hxmlops = command.spawn().unwrap();
        hold.wait().unwrap();
        assert_eq!(record(cluster, namespace), ["pending-install"]);
        let helm = child(hxmlops.id());
        Self {
            hxmlops,
            helm,
            hold: Some(hold),
        }
    }

    /// Nobody holds it any more.
    fn go_on(&mut self) {
        self.hold = None;
    }

    /// What became of it.
    fn end(self, namespace: &str) -> Ended {
        let output = self.hxmlops.wait_with_output().unwrap();
        // It was hxmlops' child, or init's.
        poll("helm has ended", || Ok((!runs(self.helm)).then_some(()))).unwrap();
        Ended::new(&format!("create in {namespace}"), output)
    }
}

/// The only child of a process.
fn child(pid: u32) -> Pid {
    let path = format!("/proc/{pid}/task");
    let children = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("children"));
    let threads = fs::read_dir(path).unwrap().flatten();
    let children: Vec<i32> = threads
        .filter_map(|thread| children(thread).ok())
        .flat_map(|text| {
            text.split_whitespace()
                .map(|pid| pid.parse().unwrap())
                .collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(children.len(), 1, "{children:?}");
    Pid::from_raw(children[0]).unwrap()
}

/// Whether a process is there, and no zombie.
fn runs(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

/// How helm's record of the release stands, revision by revision.
fn record(cluster: &Cluster, namespace: &str) -> Vec<String> {
    let records = list(cluster, namespace, "v1/secrets", "owner=helm");
    let status = |record: &Value| {
        record["metadata"]["labels"]["status"]
            .as_str()
            .map(str::to_owned)
    };
    records.iter().filter_map(status).collect()
}

#[test]
fn a_create_that_is_broken_off_is_repaired_by_the_next_and_one_that_goes_on_is_left_alone() {
    let cluster = Cluster::start().unwrap();
    let users = [("three", Helm::Three), ("four", Helm::Four)];
    let users = users.map(|(name, helm)| (name, User::admin(&cluster, helm)));
    kill(&cluster, &users);
    interrupt(&cluster, &users);
    two_at_once(&cluster, &users[1].1);
    // The killed ones have grown older meanwhile.
    take_up(&cluster, &users);
}

fn kill(cluster: &Cluster, users: &[(&str, User)]) {
    // A power cut, or somebody's last resort.
    for (name, user) in users {
        let namespace = format!("killed-{name}");
        let held = Held::start(cluster, user, &namespace);
        let hxmlops = Pid::from_child(&held.hxmlops);
        kill_process(hxmlops, Signal::KILL).unwrap();
        kill_process(held.helm, Signal::KILL).unwrap();
        assert_eq!(held.end(&namespace).code, None);
        assert_eq!(record(cluster, &namespace), ["pending-install"]);
        // Nobody can tell this from a create that goes on elsewhere.
        let again = user.run(&[&CREATE[..], &[&namespace]].concat());
        again.assert_failed("release postgres is being changed since 20");
        assert_eq!(record(cluster, &namespace), ["pending-install"]);
        let status = [
            "component",
            "storage",
            "status",
            "postgres",
            "--namespace",
            &namespace,
        ];
        assert!(user.run(&status).assert_no().contains("unfinished"));
    }
}

fn interrupt(cluster: &Cluster, users: &[(&str, User)]) {
    for (name, user) in users {
        let namespace = format!("interrupted-{name}");
        let held = Held::start(cluster, user, &namespace);
        kill_process(Pid::from_child(&held.hxmlops), Signal::INT).unwrap();
        let place = format!("storage/postgres as postgres in domain lab, namespace {namespace}: ");
        held.end(&namespace).assert_failed(&(place + "interrupted"));
        // helm has written down how far it came.
        assert_eq!(record(cluster, &namespace), ["failed"]);
        let again = user.run(&[&CREATE[..], &[&namespace]].concat());
        again.assert_done();
        assert_eq!(again.stderr, "");
        assert_eq!(record(cluster, &namespace).last().unwrap(), "deployed");
    }
}

fn take_up(cluster: &Cluster, users: &[(&str, User)]) {
    for (name, user) in users {
        let namespace = format!("killed-{name}");
        let args = [&CREATE[..], &[&namespace, "--timeout", SHORT]].concat();
        let again = poll("it is old enough", || {
            let again = user.run(&args);
            Ok((!again.stderr.contains("is being changed")).then_some(again))
        });
        let again = again.unwrap();
        again.assert_done();
        println!("{}", again.stderr);
        assert!(
            again
                .stderr
                .contains("a change of release postgres was broken off"),
            "{again:?}"
        );
        assert_eq!(record(cluster, &namespace), ["deployed"]);
        let diff = [
            "component",
            "storage",
            "diff",
            "postgres",
            "--namespace",
            &namespace,
        ];
        user.run(&diff).assert_done();
    }
}

fn two_at_once(cluster: &Cluster, user: &User) {
    let mut held = Held::start(cluster, user, "both");
    let second = user.run(&[&CREATE[..], &["both"]].concat());
    second.assert_failed("release postgres is being changed since 20");
    held.go_on();
    held.end("both").assert_done();
    assert_eq!(record(cluster, "both"), ["deployed"]);
    user.run(&[&CREATE[..], &["both"]].concat()).assert_done();
}
