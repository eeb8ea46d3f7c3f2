//! Whose CPU time it is: from a cgroup, or a process, to a workload.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wire::v1::{Workload, WorkloadKind};

use crate::cgroup::hierarchy::{Hierarchies, Index, walk};
use crate::cgroup::{Owner, owner};
use crate::exec_tree::ExecTrees;
use crate::parties::Parties;
use crate::usage::{CgroupRef, UsageInterval, UsageRow};

/// The kernel's id of the unified hierarchy's root.
const ROOT_CGROUP_ID: u64 = 1;

/// Owners that are remembered by cgroup id; beyond it those whose cgroup is gone are forgotten.
const MAX_REMEMBERED: usize = 50_000;

/// Resolves rows of usage; remembers what it has resolved.
#[derive(Debug)]
pub struct Identities {
    proc_root: PathBuf,
    hierarchies: Hierarchies,
    index: Index,
    by_id: HashMap<u64, Option<Owner>>,
    exec_trees: ExecTrees,
    unresolved: u64,
}

impl Identities {
    /// For the trees that were found.
    #[must_use]
    pub fn new(proc_root: &Path, hierarchies: Hierarchies) -> Self {
        Self {
            proc_root: proc_root.to_path_buf(),
            exec_trees: ExecTrees::find(proc_root),
            hierarchies,
            index: Index::default(),
            by_id: HashMap::new(),
            unresolved: 0,
        }
    }

    /// Cgroups that were gone before their path was known; their CPU time went to `system`. Since start.
    #[must_use]
    pub fn unresolved(&self) -> u64 {
        self.unresolved
    }

    /// Every workload that has a cgroup or a supervisor now, whether it runs or sleeps.
    #[must_use]
    pub fn alive(&self) -> HashSet<Arc<Workload>> {
        let mut alive: HashSet<Arc<Workload>> = self
            .exec_trees
            .groups()
            .map(|group| workload(Owner::Exec(group.clone())))
            .collect();
        for root in [&self.hierarchies.unified, &self.hierarchies.cpuacct]
            .into_iter()
            .flatten()
        {
            walk(root, &mut |path, _| alive.extend(owner(path).map(workload)));
        }
        alive
    }

    /// Adds up the rows by the workload that they belong to.
    pub fn group(&mut self, usage: &UsageInterval) -> Parties {
        self.learn_ids(&usage.rows);
        self.exec_trees.refresh(&usage.rows);
        let mut parties = Parties::new(usage.by_package);
        for row in &usage.rows {
            parties.add(row, self.owner_of(row).map(workload));
        }
        for time in &usage.packages {
            parties.add_lost(time.package, time.lost_ns);
        }
        parties
    }

    /// Looks up ids that were never seen, with one walk of the tree for all of them.
    fn learn_ids(&mut self, rows: &[UsageRow]) {
        let is_new = |row: &&UsageRow| matches!(row.cgroup, CgroupRef::Ids { unified, .. } if !self.by_id.contains_key(&unified));
        if !rows.iter().any(|row| is_new(&row)) {
            return;
        }
        if let Some(root) = &self.hierarchies.unified {
            self.index.refresh(root);
        }
        if self.by_id.len() > MAX_REMEMBERED {
            self.by_id.retain(|&id, _| self.index.path(id).is_some());
        }
        for row in rows {
            let CgroupRef::Ids { unified: id, .. } = row.cgroup else {
                continue;
            };
            if self.by_id.contains_key(&id) {
                continue;
            }
            let path = self.index.path(id);
            self.unresolved += u64::from(path.is_none() && id != ROOT_CGROUP_ID);
            self.by_id.insert(id, path.and_then(|path| owner(path)));
        }
    }

    fn owner_of(&self, row: &UsageRow) -> Option<Owner> {
        if let Some(group) = self.exec_trees.group_of(row.tgid) {
            return Some(Owner::Exec(group.clone()));
        }
        let by_cgroup = match &row.cgroup {
            CgroupRef::Ids { unified, .. } => self.by_id.get(unified).cloned().flatten(),
            CgroupRef::Path(path) => owner(path),
        };
        by_cgroup.or_else(|| self.owner_in_v1(row))
    }

    /// On hosts with v1 trees a container may be in them alone.
    fn owner_in_v1(&self, row: &UsageRow) -> Option<Owner> {
        if self.hierarchies.cpuacct.is_none() || !matches!(row.cgroup, CgroupRef::Ids { .. }) {
            return None;
        }
        let cgroups =
            fs::read_to_string(self.proc_root.join(format!("{}/cgroup", row.tgid))).ok()?;
        cgroups
            .lines()
            .find_map(|line| owner(line.splitn(3, ':').nth(2)?))
    }
}

fn workload(owner: Owner) -> Arc<Workload> {
    let workload = match owner {
        Owner::Container {
            pod_uid,
            container_id,
        } => Workload {
            kind: WorkloadKind::Container.into(),
            pod_uid: pod_uid.unwrap_or_default(),
            container_id,
            ..Workload::default()
        },
        Owner::Pod { pod_uid } => Workload {
            kind: WorkloadKind::Container.into(),
            pod_uid,
            ..Workload::default()
        },
        Owner::Exec(group) => Workload {
            kind: WorkloadKind::Exec.into(),
            container_id: group.id().to_owned(),
            workflow: group.workflow().to_owned(),
            run: group.run().to_owned(),
            stage: group.stage().to_owned(),
            ..Workload::default()
        },
    };
    Arc::new(workload)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::usage::{Events, PackageTime};

    fn ids(unified: u64) -> CgroupRef {
        CgroupRef::Ids { unified, v1: 0 }
    }

    fn row(tgid: u32, cgroup: CgroupRef, cpu_ns: u64) -> UsageRow {
        UsageRow {
            tgid,
            cgroup,
            package: 0,
            cpu_ns,
            events: Events::default(),
            comm: "x".into(),
        }
    }

    #[test]
    fn rows_of_one_owner_are_one_workload_and_the_rest_is_the_systems() {
        let tree = tempfile::tempdir().unwrap();
        let group = tree.path().join("hxmlops.exec/w:r:train:1");
        fs::create_dir_all(group.join("nested")).unwrap();
        let id = |path: &Path| ids(fs::metadata(path).unwrap().ino());
        let hierarchies = Hierarchies {
            unified: Some(tree.path().into()),
            cpuacct: None,
        };
        let proc_root = tempfile::tempdir().unwrap();
        let mut identities = Identities::new(proc_root.path(), hierarchies);

        let rows = vec![
            row(1, id(&group), 10),
            row(2, id(&group.join("nested")), 20),
            row(3, ids(ROOT_CGROUP_ID), 5),
            row(4, ids(u64::MAX), 7),
        ];
        let parties = identities.group(&UsageInterval {
            rows: rows.clone(),
            packages: vec![PackageTime {
                lost_ns: 3,
                ..PackageTime::default()
            }],
            ..Default::default()
        });
        assert_eq!(parties.workloads().len(), 1);
        assert_eq!(parties.workloads()[0].stage, "train");
        assert_eq!(parties.cpu_ns(), (vec![30], 15));
        assert_eq!(identities.unresolved(), 1);

        // Once known, a cgroup keeps its name after its directory is gone.
        fs::remove_dir_all(&group).unwrap();
        let parties = identities.group(&UsageInterval {
            rows,
            ..Default::default()
        });
        assert_eq!(parties.cpu_ns(), (vec![30], 12));
    }

    #[test]
    fn on_a_hybrid_host_the_v1_path_tells() {
        let proc_root = tempfile::tempdir().unwrap();
        let container = "ab".repeat(32);
        fs::create_dir(proc_root.path().join("9")).unwrap();
        fs::write(
            proc_root.path().join("9/cgroup"),
            format!("3:cpuacct:/docker/{container}\n0::/\n"),
        )
        .unwrap();
        let tree = tempfile::tempdir().unwrap();
        let both = Hierarchies {
            unified: Some(tree.path().into()),
            cpuacct: Some(tree.path().into()),
        };
        let mut identities = Identities::new(proc_root.path(), both);
        let rows = vec![row(9, ids(ROOT_CGROUP_ID), 10)];
        let parties = identities.group(&UsageInterval {
            rows,
            ..Default::default()
        });
        assert_eq!(parties.workloads()[0].container_id, container);
    }
}
