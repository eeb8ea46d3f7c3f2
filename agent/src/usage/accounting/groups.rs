//! CPU time of the cgroups of pods, containers and exec groups.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::cgroup::hierarchy::{Hierarchy, walk};
use crate::cgroup::watch::CgroupWatch;
use crate::cgroup::{Owner, owner_of_topmost};

/// What a workload used, without what others used inside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Used {
    /// Of one of its cgroups.
    pub(super) path: Arc<str>,
    pub(super) cpu_ns: u64,
}

/// The counters at the last read.
#[derive(Debug, Default)]
pub(super) struct Groups(HashMap<Key, Group>);

type Key = (Hierarchy, u64);

/// The topmost cgroup of a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    owner: Owner,
    path: Arc<str>,
    /// All below it included.
    cpu_ns: u64,
    /// What those inside were given that its own counter does not show yet, having been read before theirs.
    owed_ns: u64,
}

impl Groups {
    /// What each workload used since the last call. A cgroup that was not there then counts from 0.
    pub(super) fn read(&mut self, cgroups: &CgroupWatch) -> HashMap<Owner, Used> {
        let mut now = HashMap::new();
        for hierarchy in Hierarchy::ALL {
            if let Some(root) = cgroups.hierarchies().root(hierarchy) {
                let is_whole = walk(root, &mut |path, id| {
                    let cpu_ns = || hierarchy.cpu_ns(&root.join(&path[1..]));
                    self.add(&mut now, (hierarchy, id), path, cpu_ns);
                });
                if !is_whole {
                    // What was not listed is not gone, and must not count from 0 when it is listed again.
                    let of_this = self.0.iter().filter(|(key, _)| key.0 == hierarchy);
                    for (key, group) in of_this {
                        now.entry(*key).or_insert_with(|| group.clone());
                    }
                }
            }
        }
        // Asked for after the walk, so that what it missed is among these.
        for ended in cgroups.take_ended() {
            let key = (ended.hierarchy, ended.id);
            self.add(&mut now, key, &ended.path, || Some(ended.cpu_ns));
        }
        self.advance(now)
    }

    /// `cpu_ns` is asked of workloads' cgroups only; of one that cannot be read, the last figure stands.
    fn add(
        &self,
        now: &mut HashMap<Key, Group>,
        key: Key,
        path: &str,
        cpu_ns: impl FnOnce() -> Option<u64>,
    ) {
        let Some(owner) = owner_of_topmost(path) else {
            return;
        };
        let last = self.0.get(&key);
        let Some(cpu_ns) = cpu_ns().max(last.map(|last| last.cpu_ns)) else {
            return;
        };
        let group = now.entry(key).or_insert_with(|| Group {
            owner,
            path: path.into(),
            cpu_ns,
            owed_ns: 0,
        });
        group.cpu_ns = group.cpu_ns.max(cpu_ns);
    }

    fn advance(&mut self, mut now: HashMap<Key, Group>) -> HashMap<Owner, Used> {
        let last = &self.0;
        let delta = |key: &Key, group: &Group| {
            let last = last.get(key).map_or(0, |last| last.cpu_ns);
            group.cpu_ns.saturating_sub(last)
        };
        let inside = used_inside(&now, &delta);
        let mut by_hierarchy: BTreeMap<Hierarchy, HashMap<Owner, Used>> = BTreeMap::new();
        for (key, group) in &mut now {
            let used = delta(key, group);
            let others = inside.get(key).copied().unwrap_or(0)
                + last.get(key).map_or(0, |last| last.owed_ns);
            group.owed_ns = others.saturating_sub(used);
            let owners = by_hierarchy.entry(key.0).or_default();
            let entry = owners.entry(group.owner.clone()).or_insert_with(|| Used {
                path: group.path.clone(),
                cpu_ns: 0,
            });
            entry.cpu_ns += used.saturating_sub(others);
        }
        self.0 = now;
        // A workload may be in both trees, or in one of them an empty directory only.
        let mut all: HashMap<Owner, Used> = HashMap::new();
        for (owner, used) in by_hierarchy.into_values().flatten() {
            let known = all.entry(owner).or_insert_with(|| used.clone());
            known.cpu_ns = known.cpu_ns.max(used.cpu_ns);
        }
        all
    }
}

/// The time of the groups that lie directly in another one, by that one.
fn used_inside(
    groups: &HashMap<Key, Group>,
    delta: &impl Fn(&Key, &Group) -> u64,
) -> HashMap<Key, u64> {
    let mut order: Vec<(&Key, &Group)> = groups.iter().collect();
    // Part by part, so that all that lies in a group follows it at once.
    order.sort_by(|(a, one), (b, two)| {
        let parts =
            |group: &Group| -> Vec<String> { group.path.split('/').map(str::to_owned).collect() };
        (a.0, parts(one)).cmp(&(b.0, parts(two)))
    });
    let mut inside = HashMap::new();
    let mut around: Vec<(&Key, &Group)> = Vec::new();
    for (key, group) in order {
        let is_within = |(outer_key, outer): &(&Key, &Group)| {
            let rest = group.path.strip_prefix(&*outer.path);
            outer_key.0 == key.0 && rest.is_some_and(|rest| rest.starts_with('/'))
        };
        while around.last().is_some_and(|outer| !is_within(outer)) {
            around.pop();
        }
        if let Some((outer, _)) = around.last() {
            *inside.entry(**outer).or_default() += delta(key, group);
        }
        around.push((key, group));
    }
    inside
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD: &str = "/kubepods/pod6a2f3c1e-0b1d-4c52-9a51-2f8f0d3b7a11";
    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const UNIFIED: Hierarchy = Hierarchy::Unified;

    /// Counters as (hierarchy, id, path, ns).
    fn step(groups: &mut Groups, counters: &[(Hierarchy, u64, &str, u64)]) -> Vec<(String, u64)> {
        let mut now = HashMap::new();
        for &(hierarchy, id, path, cpu_ns) in counters {
            groups.add(&mut now, (hierarchy, id), path, || Some(cpu_ns));
        }
        let used = groups.advance(now).into_iter();
        let used = used.map(|(owner, used)| {
            assert_eq!(owner_of_topmost(&used.path), Some(owner));
            (used.path.to_string(), used.cpu_ns)
        });
        let mut used: Vec<_> = used.filter(|(_, cpu_ns)| *cpu_ns > 0).collect();
        used.sort_unstable();
        used
    }

    #[test]
    fn what_is_inside_another_is_counted_once() {
        let container = format!("{POD}/{ID}");
        let group = format!("{container}/hxmlops.exec/w:r:a:1");
        let beside = "/hxmlops.exec/w:r:b:2";
        let mut groups = Groups::default();
        let now = |pod, container_ns, group_ns, beside_ns| {
            [
                (UNIFIED, 1, POD, pod),
                (UNIFIED, 2, &*container, container_ns),
                (UNIFIED, 3, &*group, group_ns),
                (UNIFIED, 4, beside, beside_ns),
            ]
        };
        step(&mut groups, &now(110, 100, 10, 5));
        let used = step(&mut groups, &now(235, 200, 50, 5));
        let expected = [(POD, 25), (&*container, 60), (&*group, 40)];
        assert_eq!(used, expected.map(|(path, ns)| (path.to_owned(), ns)));
    }

    #[test]
    fn a_pod_that_was_read_before_its_container_makes_it_up_later() {
        let container = format!("{POD}/{ID}");
        let mut groups = Groups::default();
        let mut pods = 0;
        for (pod, inner) in [(100, 103), (200, 202), (300, 305), (400, 401), (520, 500)] {
            let now = [(UNIFIED, 1, POD, pod), (UNIFIED, 2, &*container, inner)];
            let used = step(&mut groups, &now);
            pods += used
                .iter()
                .find(|(path, _)| path == POD)
                .map_or(0, |(_, ns)| *ns);
        }
        assert_eq!(pods, 20);
    }

    #[test]
    fn the_pod_keeps_what_its_containers_leave() {
        let container = format!("{POD}/{ID}");
        let v1 = Hierarchy::Cpuacct;
        let mut groups = Groups::default();
        step(&mut groups, &[(v1, 1, POD, 100), (v1, 2, &container, 90)]);
        let used = step(&mut groups, &[(v1, 1, POD, 160)]);
        assert_eq!(used, [(POD.to_owned(), 60)]);
    }

    #[test]
    fn a_group_that_is_made_again_starts_anew() {
        let path = "/hxmlops.exec/w:r:a:1";
        let mut groups = Groups::default();
        step(&mut groups, &[(UNIFIED, 1, path, 100)]);
        let now = [(UNIFIED, 1, path, 130), (UNIFIED, 2, path, 40)];
        assert_eq!(step(&mut groups, &now), [(path.to_owned(), 70)]);
    }

    #[test]
    fn of_two_trees_the_one_that_the_processes_are_in_counts() {
        let path = "/hxmlops.exec/w:r:a:1";
        let v1 = Hierarchy::Cpuacct;
        let mut groups = Groups::default();
        let now = [(UNIFIED, 1, path, 100), (v1, 1, path, 101)];
        assert_eq!(step(&mut groups, &now), [(path.to_owned(), 101)]);
        // The unified one goes first.
        assert_eq!(step(&mut groups, &[(v1, 1, path, 101)]), []);
    }
}
