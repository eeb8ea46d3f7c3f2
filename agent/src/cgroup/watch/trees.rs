//! The trees as inotify tells of them, without a thread: every change waits in the kernel's queue until
//! [`Trees::pump`] takes it.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::mem;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::inotify::{ReadFlags, WatchFlags};
use rustix::io::Errno;
use tracing::warn;

use super::queue::{Event, Queue, Watched};
use super::{Counts, Ended, Lookup, Purpose};
use crate::cgroup::hierarchy::{Hierarchies, Hierarchy, MAX_DEPTH, depth, walk, walk_below};
use crate::cgroup::index::Index;
use crate::cgroup::{Owner, owner_of_topmost};

/// The kernel's name for the root cgroup of any hierarchy.
const ROOT_ID: u64 = 1;

/// Events taken before someone else gets a turn; as many as the kernel queues by default.
const MAX_EVENTS: usize = 16_384;

/// Ids that were looked for in vain and are not looked for again, at most.
const MAX_UNKNOWN: usize = 50_000;

/// Groups that ended and whose times nobody has asked for, at most.
const MAX_ENDED: usize = 50_000;

/// Files that something is moved by: whole processes, threads, and both on v1.
const MEMBERS: [&str; 3] = ["cgroup.procs", "cgroup.threads", "tasks"];

/// What happens to the directories in one.
const CHANGES: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVE)
    .union(WatchFlags::ONLYDIR)
    .union(WatchFlags::DONT_FOLLOW);

/// See the module.
#[derive(Debug)]
pub(super) struct Trees {
    queue: Option<Queue>,
    hierarchies: Hierarchies,
    purpose: Purpose,
    /// By hierarchy.
    trees: [Tree; 2],
    ended: Vec<Ended>,
    unknown: HashSet<(Hierarchy, u64)>,
    may_walk: bool,
    /// Nothing can happen that the queue does not tell.
    is_complete: bool,
    has_warned: bool,
    overflows: u64,
    has_moved: bool,
}

#[derive(Debug, Default)]
struct Tree {
    index: Index,
    watches: HashMap<Arc<str>, Watches>,
}

/// Of one cgroup.
#[derive(Debug, Default)]
struct Watches {
    id: u64,
    directory: Option<i32>,
    events: Option<i32>,
    /// CPU time when it was last looked at.
    cpu_ns: Option<u64>,
}

impl Trees {
    /// With all that is there now.
    pub(super) fn new(hierarchies: Hierarchies, purpose: Purpose, max_watches: usize) -> Self {
        let mut trees = Self {
            queue: None,
            hierarchies,
            purpose,
            trees: Default::default(),
            ended: Vec::new(),
            unknown: HashSet::new(),
            may_walk: false,
            is_complete: false,
            has_warned: false,
            overflows: 0,
            has_moved: false,
        };
        match Queue::new(max_watches) {
            Ok(queue) => trees.queue = Some(queue),
            Err(error) => trees.warn(error, "fs.inotify.max_user_instances"),
        }
        trees.rescan();
        trees
    }

    /// Readable when [`Trees::pump`] has something to do; `None` where nothing is watched.
    pub(super) fn inotify(&self) -> Option<Arc<OwnedFd>> {
        self.queue.as_ref().map(Queue::inotify)
    }

    pub(super) fn counts(&self) -> Counts {
        Counts {
            watches: self.queue.as_ref().map_or(0, Queue::watches),
            overflows: self.overflows,
            is_complete: self.is_complete,
        }
    }

    /// Takes what has happened.
    pub(super) fn pump(&mut self) {
        let mut taken = 0;
        while taken < MAX_EVENTS {
            let events = self.queue.as_ref().map(Queue::read).unwrap_or_default();
            if events.is_empty() {
                return;
            }
            taken += events.len();
            for event in events {
                self.handle(&event);
            }
        }
    }

    /// A read of the usage begins.
    pub(super) fn begin_round(&mut self) {
        self.pump();
        for tree in &mut self.trees {
            tree.index.end_round();
        }
        self.may_walk = true;
    }

    /// Who owns a cgroup that ran in the interval of this round. Where not everything is watched, the first
    /// one that is not known costs a walk.
    pub(super) fn look_up(&mut self, hierarchy: Hierarchy, id: u64) -> Lookup {
        if let Some(owner) = self.owner(hierarchy, id) {
            return Lookup::Known(owner);
        }
        if self.unknown.contains(&(hierarchy, id)) {
            return Lookup::Unknown { first: false };
        }
        if !self.is_complete && mem::take(&mut self.may_walk) {
            self.rescan();
            if let Some(owner) = self.owner(hierarchy, id) {
                return Lookup::Known(owner);
            }
        }
        if self.unknown.len() >= MAX_UNKNOWN {
            self.unknown.clear();
        }
        self.unknown.insert((hierarchy, id));
        Lookup::Unknown { first: true }
    }

    /// As [`Index::owner`], without any effort to find out.
    pub(super) fn owner(&self, hierarchy: Hierarchy, id: u64) -> Option<Option<Owner>> {
        if id == ROOT_ID {
            return Some(None);
        }
        let owner = self.trees[hierarchy as usize].index.owner(id)?;
        Some(owner.cloned())
    }

    pub(super) fn last_cpu_ns(&self, id: u64) -> Option<u64> {
        let mut watches = self.trees[Hierarchy::Unified as usize].watches.values();
        watches.find(|watches| watches.id == id)?.cpu_ns
    }

    /// Owners of all cgroups that are there.
    pub(super) fn owners(&mut self) -> HashSet<Owner> {
        self.pump();
        if !self.is_complete {
            self.rescan();
        }
        let indexes = self.trees.iter().map(|tree| &tree.index);
        indexes.flat_map(Index::owners).cloned().collect()
    }

    /// Whether something was moved to a cgroup since the last call.
    pub(super) fn take_moved(&mut self) -> bool {
        mem::take(&mut self.has_moved)
    }

    /// Groups that have gone since the last call.
    pub(super) fn take_ended(&mut self) -> Vec<Ended> {
        self.pump();
        mem::take(&mut self.ended)
    }

    fn handle(&mut self, event: &Event) {
        if event.flags.contains(ReadFlags::QUEUE_OVERFLOW) {
            self.overflows += 1;
            self.rescan();
            return;
        }
        let Some(queue) = &mut self.queue else {
            return;
        };
        if event.flags.contains(ReadFlags::IGNORED) {
            queue.forget(event.watch);
            return;
        }
        let Some(watched) = queue.watched(event.watch).cloned() else {
            return;
        };
        if watched.is_events {
            self.note_cpu_time(watched.hierarchy, &watched.path);
            return;
        }
        if !event.flags.contains(ReadFlags::ISDIR) {
            self.has_moved |= MEMBERS.contains(&&*event.name);
            return;
        }
        let path = format!("{}/{}", watched.path, event.name);
        if event.flags.contains(ReadFlags::CREATE) {
            self.enter(watched.hierarchy, &path);
        } else if event.flags.contains(ReadFlags::DELETE) {
            self.trees[watched.hierarchy as usize].index.remove(&path);
            self.unwatch(watched.hierarchy, &path);
        } else {
            // A v1 cgroup got another name, and all below it.
            self.restart();
        }
    }

    /// Walks all trees: what is there is known and watched, what is not is gone.
    fn rescan(&mut self) {
        self.is_complete = self.queue.is_some();
        for hierarchy in Hierarchy::ALL {
            let Some(root) = self.hierarchies.root(hierarchy).map(PathBuf::from) else {
                continue;
            };
            let mut there = HashSet::new();
            let mut add = |path: &str, id| {
                there.insert(id);
                self.add(hierarchy, path, id);
            };
            if let Ok(metadata) = fs::metadata(&root) {
                add("", metadata.ino());
            }
            if !walk(&root, &mut add) {
                // What was not listed may be there.
                self.is_complete = false;
                continue;
            }
            for path in self.trees[hierarchy as usize].index.retain(&there) {
                self.unwatch(hierarchy, &path);
            }
        }
    }

    /// Watches anew, where watches are of other paths than they were made for.
    fn restart(&mut self) {
        for tree in 0..self.trees.len() {
            for (_, watches) in mem::take(&mut self.trees[tree].watches) {
                self.remove_watch(watches.directory);
                self.remove_watch(watches.events);
            }
        }
        self.rescan();
    }

    /// A directory is new, with what may be in it already.
    fn enter(&mut self, hierarchy: Hierarchy, path: &str) {
        let Some(root) = self.hierarchies.root(hierarchy).map(PathBuf::from) else {
            return;
        };
        let metadata = fs::symlink_metadata(root.join(&path[1..]));
        let Some(metadata) = metadata.ok().filter(fs::Metadata::is_dir) else {
            return;
        };
        if depth(path) > MAX_DEPTH + 1 {
            return;
        }
        self.add(hierarchy, path, metadata.ino());
        // What is made in it from now on is told, since it is watched.
        if !walk_below(&root, path, &mut |path, id| self.add(hierarchy, path, id)) {
            self.is_complete = false;
        }
    }

    fn add(&mut self, hierarchy: Hierarchy, path: &str, id: u64) {
        let Some(root) = self.hierarchies.root(hierarchy) else {
            return;
        };
        let directory = root.join(path.trim_start_matches('/'));
        let tree = &mut self.trees[hierarchy as usize];
        let path = tree.index.insert(path, id);
        if tree.watches.get(&path).is_some_and(|known| known.id != id) {
            self.unwatch(hierarchy, &path);
        }
        let known = self.trees[hierarchy as usize].watches.remove(&path);
        let mut watches = known.unwrap_or(Watches {
            id,
            ..Watches::default()
        });
        if watches.directory.is_none() {
            let flags = match self.purpose {
                Purpose::NamesAndMoves => CHANGES.union(WatchFlags::MODIFY),
                Purpose::Names | Purpose::LastTimes => CHANGES,
            };
            watches.directory = self.watch(&directory, flags, hierarchy, &path, false);
        }
        let wants_time = self.purpose == Purpose::LastTimes && hierarchy == Hierarchy::Unified;
        if wants_time && watches.events.is_none() && owner_of_topmost(&path).is_some() {
            let file = directory.join("cgroup.events");
            watches.events = self.watch(&file, WatchFlags::MODIFY, hierarchy, &path, true);
            watches.cpu_ns = watches.cpu_ns.max(hierarchy.cpu_ns(&directory));
        }
        self.trees[hierarchy as usize].watches.insert(path, watches);
    }

    fn watch(
        &mut self,
        file: &Path,
        flags: WatchFlags,
        hierarchy: Hierarchy,
        path: &Arc<str>,
        is_events: bool,
    ) -> Option<i32> {
        let watched = Watched {
            hierarchy,
            path: path.clone(),
            is_events,
        };
        match self.queue.as_mut()?.watch(file, flags, watched) {
            Ok(watch) => return Some(watch),
            Err(Errno::NOENT) => {}
            Err(error) => {
                self.is_complete = false;
                self.warn(error, "fs.inotify.max_user_watches");
            }
        }
        None
    }

    fn unwatch(&mut self, hierarchy: Hierarchy, path: &str) {
        let watches = &mut self.trees[hierarchy as usize].watches;
        let Some((path, watches)) = watches.remove_entry(path) else {
            return;
        };
        self.remove_watch(watches.directory);
        self.remove_watch(watches.events);
        if let Some(cpu_ns) = watches.cpu_ns
            && self.ended.len() < MAX_ENDED
        {
            self.ended.push(Ended {
                hierarchy,
                id: watches.id,
                path,
                cpu_ns,
            });
        }
    }

    fn remove_watch(&mut self, watch: Option<i32>) {
        if let (Some(queue), Some(watch)) = (&mut self.queue, watch) {
            queue.unwatch(watch);
        }
    }

    fn note_cpu_time(&mut self, hierarchy: Hierarchy, path: &str) {
        let Some(root) = self.hierarchies.root(hierarchy) else {
            return;
        };
        let cpu_ns = hierarchy.cpu_ns(&root.join(&path[1..]));
        if let Some(watches) = self.trees[hierarchy as usize].watches.get_mut(path) {
            watches.cpu_ns = watches.cpu_ns.max(cpu_ns);
        }
    }

    fn warn(&mut self, error: Errno, limit: &str) {
        if !mem::replace(&mut self.has_warned, true) {
            let watches = self.counts().watches;
            warn!(
                "cgroups are not all watched ({watches} are): {error}; raise the sysctl {limit}, or those that live shorter than an interval may go unnamed"
            );
        }
    }
}
