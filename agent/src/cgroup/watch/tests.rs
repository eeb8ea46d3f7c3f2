use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use tempfile::TempDir;

use super::trees::Trees;
use super::*;

const UNIFIED: Hierarchy = Hierarchy::Unified;

fn of(tree: &TempDir) -> Hierarchies {
    Hierarchies {
        unified: Some(tree.path().into()),
        cpuacct: None,
    }
}

fn trees(tree: &TempDir, max_watches: usize) -> Trees {
    Trees::new(of(tree), Purpose::Names, max_watches)
}

fn make(tree: &TempDir, path: &str) -> u64 {
    let path = tree.path().join(path);
    fs::create_dir_all(&path).unwrap();
    fs::metadata(path).unwrap().ino()
}

fn group(stage: &str) -> String {
    format!("hxmlops.exec/w:r:{stage}:1")
}

fn stage(lookup: Lookup) -> Option<String> {
    match lookup {
        Lookup::Known(Some(Owner::Exec(group))) => Some(group.stage().to_owned()),
        _ => None,
    }
}

/// Watches that the kernel counts.
fn watches_of_the_kernel(trees: &Trees) -> usize {
    use std::os::fd::AsRawFd as _;
    let inotify = trees.inotify().unwrap().as_raw_fd();
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{inotify}")).unwrap();
    info.lines()
        .filter(|line| line.starts_with("inotify "))
        .count()
}

#[test]
fn what_one_mkdir_makes_at_once_is_known() {
    let tree = tempfile::tempdir().unwrap();
    let mut trees = trees(&tree, 100);
    let deep = make(&tree, &format!("a/b/{}/c/d", group("deep")));
    trees.begin_round();
    assert_eq!(stage(trees.look_up(UNIFIED, deep)).as_deref(), Some("deep"));
    assert_eq!(trees.counts().watches, 7, "the root and six below it");
}

#[test]
fn watches_go_with_their_directories() {
    let tree = tempfile::tempdir().unwrap();
    let mut trees = trees(&tree, 100);
    for turn in 0..5 {
        let id = make(&tree, &group("turn"));
        trees.pump();
        fs::remove_dir_all(tree.path().join("hxmlops.exec")).unwrap();
        trees.begin_round();
        let found = stage(trees.look_up(UNIFIED, id));
        assert_eq!(found.as_deref(), Some("turn"), "{turn}");
        assert_eq!(trees.counts().watches, 1);
        assert_eq!(watches_of_the_kernel(&trees), 1);
    }
    assert_eq!(trees.owners(), HashSet::new());
}

#[test]
fn a_name_that_is_used_again_at_once_is_the_newers() {
    let tree = tempfile::tempdir().unwrap();
    let mut trees = trees(&tree, 100);
    let path = tree.path().join(group("again"));
    make(&tree, &group("again"));
    // All this waits in the queue together.
    fs::remove_dir(&path).unwrap();
    fs::create_dir(&path).unwrap();
    fs::remove_dir(&path).unwrap();
    let id = make(&tree, &group("again"));
    trees.begin_round();
    assert_eq!(stage(trees.look_up(UNIFIED, id)).as_deref(), Some("again"));
    let nested = make(&tree, &format!("{}/nested", group("again")));
    trees.pump();
    assert!(trees.owner(UNIFIED, nested).is_some(), "it is watched");
    assert_eq!(watches_of_the_kernel(&trees), trees.counts().watches);
}

#[test]
fn a_cgroup_with_another_name_is_known_by_it() {
    let tree = tempfile::tempdir().unwrap();
    let before = make(&tree, &format!("{}/nested", group("before")));
    let mut trees = trees(&tree, 100);
    let directory = tree.path().join("hxmlops.exec");
    fs::rename(
        directory.join("w:r:before:1"),
        directory.join("w:r:after:1"),
    )
    .unwrap();
    trees.begin_round();
    let found = stage(trees.look_up(UNIFIED, before));
    assert_eq!(found.as_deref(), Some("after"));
    assert_eq!(trees.owners().len(), 1);
}

#[test]
fn without_watches_left_the_first_unknown_id_of_a_read_costs_a_walk() {
    let tree = tempfile::tempdir().unwrap();
    make(&tree, "one");
    make(&tree, "two");
    let mut trees = trees(&tree, 2);
    assert_eq!(trees.counts().watches, 2);
    assert!(!trees.counts().is_complete);

    let one = make(&tree, &format!("two/{}", group("one")));
    let two = make(&tree, &format!("two/{}", group("two")));
    trees.begin_round();
    assert_eq!(stage(trees.look_up(UNIFIED, one)).as_deref(), Some("one"));
    assert_eq!(stage(trees.look_up(UNIFIED, two)).as_deref(), Some("two"));
    // One that is made later in the same read's questions would cost another walk.
    let three = make(&tree, &format!("two/{}", group("three")));
    let first = Lookup::Unknown { first: true };
    assert_eq!(trees.look_up(UNIFIED, three), first);
    trees.begin_round();
    let again = Lookup::Unknown { first: false };
    assert_eq!(trees.look_up(UNIFIED, three), again, "not looked up again");
    let four = make(&tree, &format!("two/{}", group("four")));
    assert_eq!(stage(trees.look_up(UNIFIED, four)).as_deref(), Some("four"));
    assert_eq!(
        stage(trees.look_up(UNIFIED, three)).as_deref(),
        Some("three")
    );

    // Room again: the next walk watches all that is there.
    fs::remove_dir_all(tree.path().join("two")).unwrap();
    trees.begin_round();
    let unknown = trees.look_up(UNIFIED, u64::MAX);
    assert_eq!(unknown, Lookup::Unknown { first: true });
    assert!(trees.counts().is_complete);
}

#[test]
fn a_walk_at_the_limit_loses_no_watch() {
    let tree = tempfile::tempdir().unwrap();
    for name in ["one", "two", "three", "four"] {
        make(&tree, name);
    }
    let mut trees = trees(&tree, 3);
    for id in [u64::MAX, u64::MAX - 1] {
        trees.begin_round();
        trees.look_up(UNIFIED, id);
        assert_eq!(trees.counts().watches, 3);
        assert_eq!(watches_of_the_kernel(&trees), 3);
    }
}

#[test]
fn fault_06_an_unknown_container_is_not_asked_for_again_and_again() {
    let tree = tempfile::tempdir().unwrap();
    let mut trees = trees(&tree, 100);
    trees.begin_round();
    let first = Lookup::Unknown { first: true };
    assert_eq!(trees.look_up(UNIFIED, u64::MAX), first);
    // Had it walked, it would know this one.
    let later = make(&tree, "later");
    assert_eq!(trees.look_up(UNIFIED, later), first);
    trees.begin_round();
    let known = Lookup::Known(None);
    assert_eq!(
        trees.look_up(UNIFIED, later),
        known,
        "the queue told of it then"
    );
}

#[test]
fn after_more_changes_than_the_kernel_queues_all_is_walked() {
    let tree = tempfile::tempdir().unwrap();
    make(&tree, &group("gone"));
    let mut trees = trees(&tree, 100);
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let limit: usize = limit.trim().parse().unwrap();
    let storm = tree.path().join("storm");
    // Two changes each.
    for _ in 0..=limit / 2 {
        fs::create_dir(&storm).unwrap();
        fs::remove_dir(&storm).unwrap();
    }
    // Nobody tells of these.
    fs::remove_dir(tree.path().join(group("gone"))).unwrap();
    let made = make(&tree, &group("made"));
    trees.begin_round();
    // More than one pump takes at once.
    trees.begin_round();
    assert_eq!(trees.counts().overflows, 1);
    assert_eq!(stage(trees.look_up(UNIFIED, made)).as_deref(), Some("made"));
    let owners = trees.owners();
    assert_eq!(owners.len(), 1, "{owners:?}");
    let nested = make(&tree, &format!("{}/nested", group("made")));
    trees.pump();
    assert!(trees.owner(UNIFIED, nested).is_some(), "it is watched");
}

#[test]
fn the_thread_takes_what_nobody_asks_for_and_ends_with_its_owner() {
    let tree = tempfile::tempdir().unwrap();
    let watch = CgroupWatch::start(of(&tree), Purpose::Names);
    let id = make(&tree, &group("seen"));
    while !watch.knows(UNIFIED, id) {
        std::thread::yield_now();
    }
    let trees = Arc::downgrade(&watch.trees);
    drop(watch);
    assert!(trees.upgrade().is_none(), "the thread holds nothing");
}

#[test]
fn a_group_that_ended_tells_what_it_used_last() {
    // A real one: only the kernel tells that a cgroup is empty. See tests/cgroup_watch.rs for processes in it.
    let hierarchies = Hierarchies::find(Path::new("/proc"), Path::new("/sys")).unwrap();
    let root = hierarchies.unified.clone().expect("a cgroup2 mount");
    let mut trees = Trees::new(hierarchies, Purpose::LastTimes, 10_000);
    let path = format!("hxmlops-watch-{}/{}", std::process::id(), group("ended"));
    fs::create_dir_all(root.join(&path)).expect("root, and a writable cgroup2 mount");
    let id = fs::metadata(root.join(&path)).unwrap().ino();
    trees.pump();
    fs::remove_dir(root.join(&path)).unwrap();
    for around in Path::new(&path).ancestors().skip(1).take(2) {
        fs::remove_dir(root.join(around)).unwrap();
    }
    let ended = trees.take_ended();
    let expected = Ended {
        hierarchy: UNIFIED,
        id,
        path: format!("/{path}").into(),
        cpu_ns: 0,
    };
    assert!(ended.contains(&expected), "{ended:?}");
}
