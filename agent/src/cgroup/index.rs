//! The cgroups of one hierarchy by the kernel's id, also those that are gone since a short while. Pure.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use super::{Owner, owner};

/// Rounds that a cgroup's name outlives it. A read tells of what ran since the read before it, so that one
/// would do where nothing is ever late.
const KEEP_ROUNDS: u64 = 4;

/// Cgroups that are gone and still have their names, at most; about 300 bytes each.
const MAX_GONE: usize = 50_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Index {
    cgroups: HashMap<u64, Cgroup>,
    /// Of those that are there.
    ids: HashMap<Arc<str>, u64>,
    /// Those that went, by round. One that was found again is passed over.
    gone: VecDeque<(u64, u64)>,
    round: u64,
}

#[derive(Debug)]
struct Cgroup {
    path: Arc<str>,
    owner: Option<Owner>,
    gone_in: Option<u64>,
}

impl Index {
    /// Takes up the cgroup that has its directory at `path`, and gives the path to keep. Who had that path
    /// before is gone.
    pub(super) fn insert(&mut self, path: &str, id: u64) -> Arc<str> {
        if let Some((known, &before)) = self.ids.get_key_value(path) {
            if before == id {
                return known.clone();
            }
            self.mark_gone(before);
        }
        let known = self.cgroups.get(&id).filter(|known| *known.path == *path);
        let path = known.map_or_else(|| Arc::from(path), |known| known.path.clone());
        if let Some(renamed) = self.cgroups.get(&id).filter(|known| known.path != path)
            && self.ids.get(&renamed.path) == Some(&id)
        {
            self.ids.remove(&renamed.path);
        }
        let cgroup = Cgroup {
            owner: owner(&path),
            path: path.clone(),
            gone_in: None,
        };
        self.cgroups.insert(id, cgroup);
        self.ids.insert(path.clone(), id);
        path
    }

    /// The directory at `path` is gone. Its cgroup keeps its name for some rounds. Gives its id.
    pub(super) fn remove(&mut self, path: &str) -> Option<u64> {
        let id = self.ids.remove(path)?;
        self.mark_gone(id);
        Some(id)
    }

    /// All but these are gone; gives the paths of those that were there until now.
    pub(super) fn retain(&mut self, there: &HashSet<u64>) -> Vec<Arc<str>> {
        let is_gone = |(path, id): (&Arc<str>, &u64)| (!there.contains(id)).then(|| path.clone());
        let gone: Vec<Arc<str>> = self.ids.iter().filter_map(is_gone).collect();
        for path in &gone {
            self.remove(path);
        }
        gone
    }

    /// A read is done: forgets who went too long ago, or is one too many.
    pub(super) fn end_round(&mut self) {
        self.round += 1;
        while let Some(&(gone_in, id)) = self.gone.front()
            && (gone_in + KEEP_ROUNDS <= self.round || self.gone.len() > MAX_GONE)
        {
            self.gone.pop_front();
            self.forget(id, gone_in);
        }
    }

    /// Who owns a cgroup; `None` where the id is not known.
    #[must_use]
    pub(super) fn owner(&self, id: u64) -> Option<Option<&Owner>> {
        Some(self.cgroups.get(&id)?.owner.as_ref())
    }

    /// Owners of the cgroups that are there; the same one as often as it has cgroups.
    pub(super) fn owners(&self) -> impl Iterator<Item = &Owner> {
        let cgroups = self.ids.values().filter_map(|id| self.cgroups.get(id));
        cgroups.filter_map(|cgroup| cgroup.owner.as_ref())
    }

    fn mark_gone(&mut self, id: u64) {
        let Some(cgroup) = self.cgroups.get_mut(&id) else {
            return;
        };
        cgroup.gone_in = Some(self.round);
        self.gone.push_back((self.round, id));
        if self.gone.len() > MAX_GONE
            && let Some((gone_in, id)) = self.gone.pop_front()
        {
            self.forget(id, gone_in);
        }
    }

    fn forget(&mut self, id: u64, gone_in: u64) {
        if self.cgroups.get(&id).and_then(|cgroup| cgroup.gone_in) == Some(gone_in) {
            self.cgroups.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "/hxmlops.exec/w:r:one:1";
    const TWO: &str = "/hxmlops.exec/w:r:two:2";

    fn stage(index: &Index, id: u64) -> Option<&str> {
        match index.owner(id)?? {
            Owner::Exec(group) => Some(group.stage()),
            _ => None,
        }
    }

    #[test]
    fn a_name_outlives_its_cgroup_for_some_rounds() {
        let mut index = Index::default();
        index.insert(ONE, 7);
        assert_eq!(index.remove(ONE), Some(7));
        assert_eq!(index.remove(ONE), None);
        assert_eq!(index.owners().count(), 0);
        for _ in 1..KEEP_ROUNDS {
            index.end_round();
            assert_eq!(stage(&index, 7), Some("one"));
        }
        index.end_round();
        assert_eq!(index.owner(7), None);
        assert!(index.gone.is_empty() && index.cgroups.is_empty());
    }

    #[test]
    fn the_newest_has_the_name() {
        let mut index = Index::default();
        index.insert(ONE, 7);
        index.insert(ONE, 8);
        assert_eq!(stage(&index, 7), Some("one"), "gone, and still known");
        assert_eq!(index.remove(ONE), Some(8));
        index.insert(TWO, 7);
        assert_eq!(stage(&index, 7), Some("two"), "an id that was given again");
        for _ in 0..KEEP_ROUNDS {
            index.end_round();
        }
        assert_eq!(stage(&index, 7), Some("two"));
        assert_eq!(index.owner(8), None);
    }

    #[test]
    fn what_a_walk_does_not_find_is_gone() {
        let mut index = Index::default();
        index.insert(ONE, 1);
        index.insert(TWO, 2);
        let gone = index.retain(&HashSet::from([2]));
        assert_eq!(gone, [Arc::from(ONE)]);
        assert_eq!(index.owners().count(), 1);
        assert_eq!(stage(&index, 1), Some("one"));
    }

    #[test]
    fn the_dead_are_bounded_in_number_too() {
        let mut index = Index::default();
        for id in 0..MAX_GONE as u64 + 10 {
            index.insert("/x", id);
            index.remove("/x");
        }
        assert_eq!(index.cgroups.len(), MAX_GONE);
        assert_eq!(index.owner(9), None);
        assert_eq!(index.owner(10), Some(None));
    }
}
