//! The trees as inotify tells of them, without a thread: every change waits in the kernel's queue until
//! [`Trees::pump`] takes it.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::mem::{self, MaybeUninit};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::inotify::{
    self, CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, remove_watch,
};
use rustix::io::Errno;
use tracing::warn;

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

/// See the module.
#[derive(Debug)]
pub(super) struct Trees {
    inotify: Option<Arc<OwnedFd>>,
    hierarchies: Hierarchies,
    purpose: Purpose,
    max_watches: usize,
    /// By hierarchy.
    trees: [Tree; 2],
    watched: HashMap<i32, Watched>,
    ended: Vec<Ended>,
    unknown: HashSet<(Hierarchy, u64)>,
    may_walk: bool,
    /// Nothing can happen that the queue does not tell.
    is_complete: bool,
    has_warned: bool,
    overflows: u64,
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

/// What a watch is of.
#[derive(Clone, Debug)]
struct Watched {
    hierarchy: Hierarchy,
    path: Arc<str>,
    /// Its `cgroup.events`, not the directory.
    is_events: bool,
}

struct Event {
    watch: i32,
    flags: ReadFlags,
    name: String,
}

impl Trees {
    /// With all that is there now.
    pub(super) fn new(hierarchies: Hierarchies, purpose: Purpose, max_watches: usize) -> Self {
        let mut trees = Self {
            inotify: None,
            hierarchies,
            purpose,
            max_watches,
            trees: Default::default(),
            watched: HashMap::new(),
            ended: Vec::new(),
            unknown: HashSet::new(),
            may_walk: false,
            is_complete: false,
            has_warned: false,
            overflows: 0,
        };
        match inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK) {
            Ok(inotify) => trees.inotify = Some(Arc::new(inotify)),
            Err(error) => trees.warn(error, "fs.inotify.max_user_instances"),
        }
        trees.rescan();
        trees
    }

    /// Readable when [`Trees::pump`] has something to do; `None` where nothing is watched.
    pub(super) fn inotify(&self) -> Option<Arc<OwnedFd>> {
        self.inotify.clone()
    }

    pub(super) fn counts(&self) -> Counts {
        Counts {
            watches: self.watched.len(),
            overflows: self.overflows,
            is_complete: self.is_complete,
        }
    }

    /// Takes what has happened.
    pub(super) fn pump(&mut self) {
        let Some(inotify) = self.inotify.clone() else {
            return;
        };
        let mut taken = 0;
        while taken < MAX_EVENTS {
            let events = read(&inotify);
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
        if event.flags.contains(ReadFlags::IGNORED) {
            self.watched.remove(&event.watch);
            return;
        }
        let Some(watched) = self.watched.get(&event.watch).cloned() else {
            return;
        };
        if watched.is_events {
            self.note_cpu_time(watched.hierarchy, &watched.path);
            return;
        }
        if !event.flags.contains(ReadFlags::ISDIR) {
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
            self.rescan();
        }
    }

    /// Walks all trees: what is there is known and watched, what is not is gone.
    fn rescan(&mut self) {
        self.is_complete = self.inotify.is_some();
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
            walk(&root, &mut add);
            for path in self.trees[hierarchy as usize].index.retain(&there) {
                self.unwatch(hierarchy, &path);
            }
        }
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
        walk_below(&root, path, &mut |path, id| self.add(hierarchy, path, id));
    }

    fn add(&mut self, hierarchy: Hierarchy, path: &str, id: u64) {
        let Some(root) = self.hierarchies.root(hierarchy) else {
            return;
        };
        let directory = root.join(path.trim_start_matches('/'));
        let path = self.trees[hierarchy as usize].index.insert(path, id);
        let changes = WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::MOVE;
        let changes = changes | WatchFlags::ONLYDIR | WatchFlags::DONT_FOLLOW;
        let watched = Watched {
            hierarchy,
            path: path.clone(),
            is_events: false,
        };
        let wants_times = self.purpose == Purpose::LastTimes
            && hierarchy == Hierarchy::Unified
            && owner_of_topmost(&path).is_some();
        let of_events = Watched {
            is_events: true,
            ..watched.clone()
        };
        let new = Watches {
            id,
            directory: self.watch(directory.clone(), changes, watched),
            events: wants_times
                .then(|| {
                    self.watch(
                        directory.join("cgroup.events"),
                        WatchFlags::MODIFY,
                        of_events,
                    )
                })
                .flatten(),
            cpu_ns: None,
        };
        let watches = &mut self.trees[hierarchy as usize].watches;
        let old = watches.insert(path.clone(), new).unwrap_or_default();
        let (directory, events) = (watches[&path].directory, watches[&path].events);
        self.remove_watch(old.directory.filter(|_| old.directory != directory));
        self.remove_watch(old.events.filter(|_| old.events != events));
        if events.is_some() {
            self.note_cpu_time(hierarchy, &path);
        }
    }

    fn watch(&mut self, path: PathBuf, flags: WatchFlags, watched: Watched) -> Option<i32> {
        let inotify = self.inotify.clone()?;
        let result = if self.watched.len() < self.max_watches {
            add_watch(&inotify, path, flags)
        } else {
            Err(Errno::NOSPC)
        };
        match result {
            Ok(watch) => {
                self.watched.insert(watch, watched);
                return Some(watch);
            }
            Err(Errno::NOENT) => {}
            Err(error) => {
                self.is_complete = false;
                self.warn(error, "fs.inotify.max_user_watches");
            }
        }
        None
    }

    /// The kernel keeps the watch of a cgroup that is gone until it is told not to.
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
        if let (Some(inotify), Some(watch)) = (&self.inotify, watch) {
            self.watched.remove(&watch);
            // It fails where the kernel was first, which is as good.
            let _ = remove_watch(inotify, watch);
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
            let watches = self.watched.len();
            warn!(
                "cgroups are not all watched ({watches} are): {error}; raise the sysctl {limit}, or those that live shorter than an interval may go unnamed"
            );
        }
    }
}

/// The next few events; none where there are none.
fn read(inotify: &OwnedFd) -> Vec<Event> {
    let mut buffer = [MaybeUninit::uninit(); 16 * 1024];
    let mut reader = Reader::new(inotify, &mut buffer);
    let mut events = Vec::new();
    // Errors other than that there is nothing more cannot happen to a buffer of this size.
    while let Ok(event) = reader.next() {
        let name = event.file_name().map(|name| name.to_string_lossy());
        events.push(Event {
            watch: event.wd(),
            flags: event.events(),
            name: name.unwrap_or_default().into_owned(),
        });
        if reader.is_buffer_empty() {
            break;
        }
    }
    events
}
