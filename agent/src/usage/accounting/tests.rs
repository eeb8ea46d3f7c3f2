use super::*;

const A: &str = "/hxmlops.exec/w:r:a:1";

fn row(tgid: u32, path: &str, cpu_ns: u64) -> UsageRow {
    UsageRow {
        tgid,
        cgroup: CgroupRef::Path(path.into()),
        package: 0,
        cpu_ns,
        events: Events::default(),
        comm: "x".into(),
    }
}

fn sums(rows: &[UsageRow]) -> (u64, u64) {
    let of = |inside: bool| {
        let matching = rows
            .iter()
            .filter(|row| matches!(&row.cgroup, CgroupRef::Path(path) if (&**path == A) == inside));
        matching.map(|row| row.cpu_ns).sum()
    };
    (of(true), of(false))
}

#[test]
fn rows_agree_with_the_cgroups_exact_time() {
    let used = HashMap::from([(
        owner(A).unwrap(),
        Used {
            path: A.into(),
            cpu_ns: 25_000_000,
        },
    )]);
    let rows = reconcile(
        100_000_000,
        used.clone(),
        vec![row(7, A, 30_000_000), row(8, "/x", 10_000_000)],
    );
    assert_eq!(sums(&rows), (25_000_000, 75_000_000));
    assert!(
        rows.contains(&row(7, A, 25_000_000)),
        "ticks are coarser than the cgroup's clock"
    );
    let rows = reconcile(100_000_000, used, vec![]);
    assert_eq!(
        sums(&rows),
        (25_000_000, 75_000_000),
        "short processes are in no row of /proc"
    );
}

#[test]
fn this_process_shows_up_with_its_own_time() {
    let hierarchies = Hierarchies::find(Path::new("/proc"), Path::new("/sys")).unwrap();
    let mut accounting = Accounting::new(Path::new("/proc"), hierarchies).unwrap();
    let before = BusyTime::read(Path::new("/proc/stat")).unwrap();
    let mut spun = 0_u64;
    while own_ns() < 100_000_000 {
        spun = spun.wrapping_add(1);
    }
    let usage = accounting.read().unwrap();
    let own = usage.rows.iter().find(|row| row.tgid == std::process::id());
    assert!(
        own.is_some_and(|row| row.cpu_ns > 0),
        "{spun} turns, {before:?}"
    );
}

fn own_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
