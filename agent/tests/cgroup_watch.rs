//! Cgroups that are gone when somebody asks, in this machine's kernel and trees. Needs root.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::sync::Arc;
use std::thread::yield_now;

use agent::cgroup::hierarchy::{Hierarchies, Hierarchy};
use agent::cgroup::watch::{CgroupWatch, Purpose};
use agent::identity::{Identities, Unresolved};
use agent::parties::Parties;
use agent::usage::accounting::Accounting;
use agent::usage::ebpf::{EbpfUsage, Options};
use agent::usage::{CgroupRef, Usage, UsageInterval};

/// A pod of its own for each test: an owner is one, wherever its cgroups are.
fn pod(number: u32) -> String {
    format!("kubepods/pod6a2f3c1e-0b1d-4c52-9a51-{number:012}")
}

/// About 30 ms and some milliseconds of CPU time.
const LONG: &str = "i=0; while [ $i -lt 40000 ]; do i=$((i+1)); done";
const SHORT: &str = "i=0; while [ $i -lt 2000 ]; do i=$((i+1)); done";

/// A directory in one of the trees, removed at the end with all that is in it.
struct Place {
    hierarchy: Hierarchy,
    root: PathBuf,
    name: String,
}

impl Place {
    fn new(hierarchy: Hierarchy, name: &str) -> Self {
        let hierarchies = Hierarchies::find(Path::new("/proc"), Path::new("/sys")).unwrap();
        let root = hierarchies.root(hierarchy).expect("both trees are mounted");
        let name = format!("hxmlops-watch-{name}-{}", process::id());
        fs::create_dir(root.join(&name)).expect("root, and a writable tree");
        Self {
            hierarchy,
            root: root.into(),
            name,
        }
    }

    /// The watcher sees no more than this tree.
    fn hierarchies(&self) -> Hierarchies {
        let mut hierarchies = Hierarchies::default();
        match self.hierarchy {
            Hierarchy::Unified => hierarchies.unified = Some(self.root.clone()),
            Hierarchy::Cpuacct => hierarchies.cpuacct = Some(self.root.clone()),
        }
        hierarchies
    }

    fn path(&self, below: &str) -> String {
        format!("/{}/{below}", self.name)
    }

    fn directory(&self, below: &str) -> PathBuf {
        self.root.join(&self.name).join(below)
    }

    /// As `mkdir -p`; gives its id.
    fn make(&self, below: &str) -> u64 {
        fs::create_dir_all(self.directory(below)).unwrap();
        fs::metadata(self.directory(below)).unwrap().ino()
    }

    fn remove(&self, below: &str) {
        remove(&self.directory(below));
    }

    fn cpu_ns(&self, below: &str) -> u64 {
        self.hierarchy.cpu_ns(&self.directory(below)).unwrap()
    }

    /// Runs `script` inside, to its end.
    fn run(&self, below: &str, script: &str) {
        let procs = self.directory(below).join("cgroup.procs");
        let script = format!("echo 0 > {} && {script}", procs.display());
        let status = Command::new("sh").args(["-c", &script]).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        remove_all(&self.root.join(&self.name));
    }
}

fn remove_all(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_all(&entry.path());
        }
    }
    remove(directory);
}

fn remove(directory: &Path) {
    // A process that has ended may still be leaving its cgroup.
    while let Err(error) = fs::remove_dir(directory) {
        assert_eq!(error.kind(), std::io::ErrorKind::ResourceBusy, "{error}");
        yield_now();
    }
}

fn group(stage: &str) -> String {
    format!("hxmlops.exec/w:r:{stage}:1")
}

fn cpu_ns_by_stage(parties: &Parties, prefix: &str) -> Vec<(String, u64)> {
    let (cpu_ns, _) = parties.cpu_ns();
    let stages = parties.workloads().iter().map(|one| one.stage.clone());
    let mut stages: Vec<(String, u64)> = stages.zip(cpu_ns).collect();
    stages.retain(|(stage, _)| stage.starts_with(prefix));
    stages
}

struct Counting {
    usage: EbpfUsage,
    cgroups: Arc<CgroupWatch>,
    identities: Identities,
}

impl Counting {
    fn start() -> Self {
        let usage = EbpfUsage::load(&Options::new(Path::new("/sys")))
            .unwrap_or_else(|error| panic!("eBPF does not load here: {error}"));
        let hierarchies = Hierarchies::find(Path::new("/proc"), Path::new("/sys")).unwrap();
        let cgroups = Arc::new(CgroupWatch::start(hierarchies, Purpose::Names));
        let identities = Identities::new(Path::new("/proc"), cgroups.clone());
        Self {
            usage,
            cgroups,
            identities,
        }
    }

    /// Waits for the thread: nobody has asked for the name yet, and nobody will before the cgroup is gone.
    fn wait_for(&self, id: u64) {
        while !self.cgroups.knows(Hierarchy::Unified, id) {
            yield_now();
        }
    }

    fn read(&mut self) -> Parties {
        let usage = self.usage.read().unwrap();
        self.identities.group(&usage)
    }
}

#[test]
fn ebpf_three_hundred_cgroups_of_some_milliseconds_have_their_names() {
    let place = Place::new(Hierarchy::Unified, "many");
    let mut counting = Counting::start();
    counting.read();
    let before = counting.identities.unresolved();
    for number in 0..300 {
        let group = group(&format!("many{number}"));
        let id = place.make(&group);
        place.run(&group, SHORT);
        counting.wait_for(id);
        place.remove(&group);
    }
    let parties = counting.read();
    let stages = cpu_ns_by_stage(&parties, "many");
    assert_eq!(stages.len(), 300);
    assert!(stages.iter().all(|(_, cpu_ns)| *cpu_ns > 0), "{stages:?}");
    let unresolved = counting.identities.unresolved();
    assert_eq!(unresolved.cgroups, before.cgroups, "{unresolved:?}");
}

#[test]
fn ebpf_a_cgroup_that_was_gone_before_anyone_saw_it_is_counted_as_such() {
    let place = Place::new(Hierarchy::Unified, "unseen");
    let mut usage = EbpfUsage::load(&Options::new(Path::new("/sys"))).unwrap();
    usage.read().unwrap();
    let group = group("unseen");
    let id = place.make(&group);
    place.run(&group, SHORT);
    place.remove(&group);
    // The watching begins too late.
    let cgroups = CgroupWatch::start(place.hierarchies(), Purpose::Names);
    let mut identities = Identities::new(Path::new("/proc"), Arc::new(cgroups));
    let mut usage = usage.read().unwrap();
    let is_meant =
        |cgroup: &CgroupRef| matches!(cgroup, CgroupRef::Ids { unified, .. } if *unified == id);
    usage.rows.retain(|row| is_meant(&row.cgroup));
    let parties = identities.group(&usage);
    let cpu_ns = usage.rows.iter().map(|row| row.cpu_ns).sum();
    assert!(cpu_ns > 0);
    assert_eq!(parties.cpu_ns(), (vec![], cpu_ns));
    let expected = Unresolved { cgroups: 1, cpu_ns };
    assert_eq!(identities.unresolved(), expected);
}

#[test]
fn ebpf_nested_cgroups_made_at_once_have_their_names() {
    let place = Place::new(Hierarchy::Unified, "nested");
    let mut counting = Counting::start();
    counting.read();
    let path = format!("{}/{}/a/{}/b/c", pod(1), "12".repeat(32), group("nested"));
    let id = place.make(&path);
    place.run(&path, SHORT);
    counting.wait_for(id);
    remove_all(&place.directory("kubepods"));
    let stages = cpu_ns_by_stage(&counting.read(), "nested");
    assert_eq!(stages.len(), 1, "{stages:?}");
}

/// CPU time of the rows at exactly this path.
fn cpu_ns_of(usage: &UsageInterval, path: &str) -> u64 {
    let is_meant = |row: &&agent::usage::UsageRow| matches!(&row.cgroup, CgroupRef::Path(other) if **other == *path);
    let rows = usage.rows.iter().filter(is_meant);
    rows.map(|row| row.cpu_ns).sum()
}

#[test]
fn accounting_gives_a_container_its_last_interval_though_its_cgroup_is_gone() {
    const LEAVING_NS: u64 = 2_000_000;
    let place = Place::new(Hierarchy::Unified, "ended");
    let mut accounting = Accounting::new(Path::new("/proc"), place.hierarchies()).unwrap();
    let cgroups = accounting.cgroups();
    let pod = pod(2);
    let old = format!("{pod}/{}", "ab".repeat(32));
    let new = format!("{pod}/{}", "cd".repeat(32));
    let old_id = place.make(&old);
    place.run(&old, LONG);
    let before_ns = place.cpu_ns(&old);
    let usage = accounting.read().unwrap();
    assert_eq!(cpu_ns_of(&usage, &place.path(&old)), before_ns);

    // One had its first part counted; the other comes and goes within the interval.
    let new_id = place.make(&new);
    let mut all_ns = Vec::new();
    for (container, id) in [(&old, old_id), (&new, new_id)] {
        place.run(container, LONG);
        let cpu_ns = place.cpu_ns(container);
        // The kernel tells that a cgroup is empty when its last process is about to be.
        while cgroups.last_cpu_ns(id).unwrap_or(0) + LEAVING_NS < cpu_ns {
            yield_now();
        }
        place.remove(container);
        all_ns.push(cpu_ns);
    }
    let usage = accounting.read().unwrap();
    let pod_ns = place.cpu_ns(&pod);
    let old_ns = cpu_ns_of(&usage, &place.path(&old));
    let new_ns = cpu_ns_of(&usage, &place.path(&new));
    let rest_ns = cpu_ns_of(&usage, &place.path(&pod));
    for (counted_ns, used_ns) in [(old_ns, all_ns[0] - before_ns), (new_ns, all_ns[1])] {
        assert!(
            counted_ns <= used_ns && counted_ns + LEAVING_NS >= used_ns,
            "counted {counted_ns}, used {used_ns}"
        );
    }
    assert_eq!(
        before_ns + old_ns + new_ns + rest_ns,
        pod_ns,
        "nothing is lost"
    );
}

#[test]
fn accounting_on_v1_gives_a_pod_what_its_removed_containers_used() {
    let place = Place::new(Hierarchy::Cpuacct, "v1");
    let mut accounting = Accounting::new(Path::new("/proc"), place.hierarchies()).unwrap();
    let pod = pod(3);
    let container = format!("{pod}/{}", "ef".repeat(32));
    place.make(&container);
    place.run(&container, LONG);
    let used_ns = place.cpu_ns(&container);
    assert!(used_ns > 0);
    place.remove(&container);
    let usage = accounting.read().unwrap();
    assert_eq!(cpu_ns_of(&usage, &place.path(&pod)), place.cpu_ns(&pod));
    assert!(place.cpu_ns(&pod) >= used_ns);
}

/// The agent where the kernel refuses it watches: in a user namespace with a limit of its own.
fn agent_with_limit(limit: &str, most: u32) -> Child {
    let script = format!(
        "echo {most} > /proc/sys/user/{limit} && exec {} --usage accounting --power model --listen ''",
        env!("CARGO_BIN_EXE_hxmlops-agent")
    );
    let mut unshare = Command::new("unshare");
    unshare.args(["--user", "--map-root-user", "sh", "-c", &script]);
    unshare.stderr(Stdio::piped()).stdout(Stdio::null());
    unshare.spawn().expect("unshare (util-linux)")
}

#[test]
fn a_kernel_without_watches_left_is_named_once_and_the_agent_runs() {
    for (limit, most, sysctl) in [
        ("max_inotify_watches", 3, "fs.inotify.max_user_watches"),
        ("max_inotify_instances", 0, "fs.inotify.max_user_instances"),
    ] {
        let mut agent = agent_with_limit(limit, most);
        let mut said = Vec::new();
        for line in BufReader::new(agent.stderr.take().unwrap()).lines() {
            said.push(line.unwrap());
            if said.last().unwrap().contains("CPU time from accounting") {
                break;
            }
        }
        agent.kill().unwrap();
        agent.wait().unwrap();
        let naming = said.iter().filter(|line| line.contains(sysctl));
        assert_eq!(naming.count(), 1, "{said:#?}");
        assert!(
            said.last()
                .is_some_and(|line| line.contains("CPU time from")),
            "{said:#?}"
        );
    }
}
