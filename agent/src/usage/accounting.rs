//! CPU time without eBPF: per container from the cgroups' own accounting, exact but for the last interval of
//! one whose cgroup is gone, and per process from /proc, which misses those that start and end between two
//! reads. What /proc misses inside a container is the
//! row of that container's cgroup; what is in no container is the row of the root.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wire::exec_group::SUPERVISOR_COMM;
use wire::{Energy, apportion};

use super::proc_stat::{BusyTime, ProcessStat};
use super::{CgroupRef, Events, PackageTime, Usage, UsageError, UsageInterval, UsageRow};
use crate::cgroup::hierarchy::{Hierarchies, walk};
use crate::cgroup::{Owner, owner};
use crate::sensor::boottime_ns;

/// See the module.
#[derive(Debug)]
pub struct Accounting {
    proc_root: PathBuf,
    hierarchies: Hierarchies,
    last: Totals,
    groups: HashMap<Owner, Group>,
    processes: HashMap<(u32, u64), u64>,
}

/// Counters of the whole node.
#[derive(Clone, Copy, Debug)]
struct Totals {
    boottime_ns: u64,
    busy_ns: u64,
    cpus: u32,
}

/// One workload's cgroup.
#[derive(Clone, Debug)]
struct Group {
    path: Arc<str>,
    cpu_ns: u64,
}

impl Accounting {
    /// Takes the counters as they are now for the start of the first interval.
    ///
    /// # Errors
    /// Where not even the node's own CPU time can be read.
    pub fn new(proc_root: &Path, hierarchies: Hierarchies) -> Result<Self, UsageError> {
        let mut accounting = Self {
            last: Totals::read(proc_root)?,
            groups: read_groups(&hierarchies),
            processes: HashMap::new(),
            proc_root: proc_root.to_path_buf(),
            hierarchies,
        };
        accounting.read_processes(u64::MAX);
        Ok(accounting)
    }

    /// Processes that used CPU time since the last call. One that was not seen before counts with its whole
    /// time if it started after `since_ticks`, and else from now on.
    fn read_processes(&mut self, since_ticks: u64) -> Vec<UsageRow> {
        let Ok(entries) = fs::read_dir(&self.proc_root) else {
            return Vec::new();
        };
        let mut seen = HashMap::with_capacity(self.processes.len());
        let mut rows = Vec::new();
        for tgid in entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        {
            let directory = self.proc_root.join(tgid.to_string());
            let Some(stat) = fs::read_to_string(directory.join("stat"))
                .ok()
                .and_then(|text| ProcessStat::parse(&text))
            else {
                continue;
            };
            let key = (tgid, stat.start_ticks);
            let unseen = if stat.start_ticks >= since_ticks {
                0
            } else {
                stat.cpu_ns
            };
            let before = self.processes.get(&key).copied().unwrap_or(unseen);
            seen.insert(key, stat.cpu_ns);
            let cpu_ns = stat.cpu_ns.saturating_sub(before);
            // A supervisor does next to nothing, and its descendants are known by it.
            if cpu_ns > 0 || stat.comm.as_bytes() == SUPERVISOR_COMM.to_bytes() {
                let cgroup = CgroupRef::Path(cgroup_path(&directory).unwrap_or_else(|| "/".into()));
                rows.push(UsageRow {
                    tgid,
                    cgroup,
                    package: 0,
                    cpu_ns,
                    events: Events::default(),
                    comm: stat.comm,
                });
            }
        }
        self.processes = seen;
        rows
    }
}

impl Usage for Accounting {
    fn name(&self) -> &'static str {
        "accounting"
    }

    fn read(&mut self) -> Result<UsageInterval, UsageError> {
        let totals = Totals::read(&self.proc_root)?;
        let groups = read_groups(&self.hierarchies);
        let since_ticks =
            self.last.boottime_ns * rustix::param::clock_ticks_per_second() / 1_000_000_000;
        let processes = self.read_processes(since_ticks);

        let used = used_by_groups(&self.groups, &groups);
        let busy_ns = totals.busy_ns.saturating_sub(self.last.busy_ns);
        let elapsed_ns =
            totals.boottime_ns.saturating_sub(self.last.boottime_ns) * u64::from(totals.cpus);
        (self.groups, self.last) = (groups, totals);
        Ok(UsageInterval {
            rows: reconcile(busy_ns, used, processes),
            packages: vec![PackageTime {
                idle_ns: elapsed_ns.saturating_sub(busy_ns),
                ..PackageTime::default()
            }],
            by_package: false,
            has_events: false,
            unaccounted_ns: 0,
        })
    }
}

impl Totals {
    /// From /proc/stat, which is the node's even where the cgroup trees that can be seen are not.
    fn read(proc_root: &Path) -> Result<Self, UsageError> {
        let busy = BusyTime::read(&proc_root.join("stat"))?;
        Ok(Self {
            boottime_ns: boottime_ns(),
            busy_ns: busy.ns(),
            cpus: busy.cpus,
        })
    }
}

/// `cpu.stat` of a unified cgroup; there in every cgroup, with or without the cpu controller.
fn unified_cpu_ns(directory: &Path) -> Option<u64> {
    let text = fs::read_to_string(directory.join("cpu.stat")).ok()?;
    let usec = text
        .lines()
        .find_map(|line| line.strip_prefix("usage_usec "))?;
    Some(usec.parse::<u64>().ok()? * 1000)
}

fn cpuacct_cpu_ns(directory: &Path) -> Option<u64> {
    fs::read_to_string(directory.join("cpuacct.usage"))
        .ok()?
        .trim()
        .parse()
        .ok()
}

/// The topmost cgroup of every container and exec group, and its CPU time, all below it included.
fn read_groups(hierarchies: &Hierarchies) -> HashMap<Owner, Group> {
    let mut groups = HashMap::new();
    if let Some(root) = &hierarchies.unified {
        add_groups(root, unified_cpu_ns, &mut groups);
    }
    if let Some(root) = &hierarchies.cpuacct {
        add_groups(root, cpuacct_cpu_ns, &mut groups);
    }
    groups
}

fn add_groups(
    root: &Path,
    cpu_ns: impl Fn(&Path) -> Option<u64>,
    groups: &mut HashMap<Owner, Group>,
) {
    walk(root, &mut |path, _| {
        let Some(owner @ (Owner::Container { .. } | Owner::Exec(_))) = owner(path) else {
            return;
        };
        if groups.contains_key(&owner) {
            return;
        }
        if let Some(cpu_ns) = cpu_ns(&root.join(&path[1..])) {
            groups.insert(
                owner,
                Group {
                    path: path.into(),
                    cpu_ns,
                },
            );
        }
    });
}

/// What each group used between two readings, without what the groups inside it used. A group that was not
/// there before counts from 0, being younger than the reading before; so does one that counts less than
/// before, since it was made again under its name.
fn used_by_groups(
    before: &HashMap<Owner, Group>,
    now: &HashMap<Owner, Group>,
) -> Vec<(Owner, Arc<str>, u64)> {
    let delta = |owner: &Owner, group: &Group| {
        let before = before.get(owner).map_or(0, |group| group.cpu_ns);
        group.cpu_ns.checked_sub(before).unwrap_or(group.cpu_ns)
    };
    let mut used: Vec<(Owner, Arc<str>, u64)> = now
        .iter()
        .map(|(owner, group)| (owner.clone(), group.path.clone(), delta(owner, group)))
        .collect();
    used.sort_by(|(_, a, _), (_, b, _)| a.cmp(b));
    for inner in 0..used.len() {
        let is_around = |outer: &(Owner, Arc<str>, u64), path: &str| {
            path.strip_prefix(&*outer.1)
                .is_some_and(|rest| rest.starts_with('/'))
        };
        let nearest = (0..inner)
            .rev()
            .find(|&outer| is_around(&used[outer], &used[inner].1));
        // The inner group's own delta is whole here: those inside it come later in the order.
        if let Some(outer) = nearest {
            used[outer].2 = used[outer].2.saturating_sub(used[inner].2);
        }
    }
    used
}

/// The path that says most of a process: its owner's where one of its cgroups has one.
fn cgroup_path(process: &Path) -> Option<Arc<str>> {
    let text = fs::read_to_string(process.join("cgroup")).ok()?;
    let paths = || text.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let unified = || text.lines().find_map(|line| line.strip_prefix("0::"));
    paths()
        .find(|path| owner(path).is_some())
        .or_else(unified)
        .or_else(|| paths().next())
        .map(Arc::from)
}

/// Makes the processes' rows (in ticks) agree with the exact time of each owner: rows that sum to more are
/// scaled down, and what is missing is a row of the cgroup alone.
fn reconcile(
    busy_ns: u64,
    used: Vec<(Owner, Arc<str>, u64)>,
    processes: Vec<UsageRow>,
) -> Vec<UsageRow> {
    let mut by_owner: HashMap<Option<Owner>, Vec<UsageRow>> = HashMap::new();
    for row in processes {
        let CgroupRef::Path(path) = &row.cgroup else {
            continue;
        };
        let owner = owner(path).filter(|owner| used.iter().any(|(other, _, _)| other == owner));
        by_owner.entry(owner).or_default().push(row);
    }
    let in_groups: u64 = used.iter().map(|(_, _, cpu_ns)| cpu_ns).sum();
    let mut rows = Vec::new();
    for (owner, path, cpu_ns) in used {
        let inside = by_owner.remove(&Some(owner)).unwrap_or_default();
        rows.extend(fit(inside, path, cpu_ns));
    }
    let outside = by_owner.remove(&None).unwrap_or_default();
    rows.extend(fit(outside, "/".into(), busy_ns.saturating_sub(in_groups)));
    rows
}

fn fit(mut rows: Vec<UsageRow>, path: Arc<str>, cpu_ns: u64) -> Vec<UsageRow> {
    let sum: u64 = rows.iter().map(|row| row.cpu_ns).sum();
    if sum > cpu_ns {
        let weights: Vec<u64> = rows.iter().map(|row| row.cpu_ns).collect();
        // Apportioning is of integers, whatever they count.
        let scaled = apportion(Energy::from_microjoules(cpu_ns), &weights).unwrap_or_default();
        for (row, part) in rows.iter_mut().zip(scaled) {
            row.cpu_ns = part.microjoules();
        }
    } else if sum < cpu_ns {
        let cgroup = CgroupRef::Path(path);
        rows.push(UsageRow {
            tgid: 0,
            cgroup,
            package: 0,
            cpu_ns: cpu_ns - sum,
            events: Events::default(),
            comm: String::new(),
        });
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "/hxmlops.exec/w:r:a:1";
    const INNER: &str = "/docker/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef/hxmlops.exec/w:r:b:2";

    fn group(path: &str, cpu_ns: u64) -> (Owner, Group) {
        (
            owner(path).unwrap(),
            Group {
                path: path.into(),
                cpu_ns,
            },
        )
    }

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
            let matching = rows.iter().filter(
                |row| matches!(&row.cgroup, CgroupRef::Path(path) if (&**path == A) == inside),
            );
            matching.map(|row| row.cpu_ns).sum()
        };
        (of(true), of(false))
    }

    #[test]
    fn rows_agree_with_the_cgroups_exact_time() {
        let used = vec![(owner(A).unwrap(), Arc::from(A), 25_000_000)];
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
    fn a_group_inside_another_is_counted_once() {
        let outer = INNER.split("/hxmlops").next().unwrap();
        let before = HashMap::from([group(outer, 100), group(INNER, 10)]);
        let now = HashMap::from([group(outer, 200), group(INNER, 50), group(A, 5)]);
        let used: HashMap<_, _> = used_by_groups(&before, &now)
            .into_iter()
            .map(|(_, path, ns)| (path, ns))
            .collect();
        assert_eq!(
            used,
            HashMap::from([(outer.into(), 60), (INNER.into(), 40), (A.into(), 5)])
        );
    }

    #[test]
    fn this_process_shows_up_with_its_own_time() {
        let hierarchies = Hierarchies::find(Path::new("/proc")).unwrap();
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
}
