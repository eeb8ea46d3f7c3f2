//! Inotify: what is watched, and the kernel's queue of what happened there.

use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

use crate::cgroup::hierarchy::Hierarchy;

/// See the module.
#[derive(Debug)]
pub(super) struct Queue {
    inotify: Arc<OwnedFd>,
    watched: HashMap<i32, Watched>,
    max_watches: usize,
}

/// What a watch is of.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    pub(super) hierarchy: Hierarchy,
    pub(super) path: Arc<str>,
    /// Its `cgroup.events`, not the directory.
    pub(super) is_events: bool,
}

/// Something that happened.
pub(super) struct Event {
    pub(super) watch: i32,
    pub(super) flags: ReadFlags,
    pub(super) name: String,
}

impl Queue {
    /// Nothing watched yet.
    pub(super) fn new(max_watches: usize) -> Result<Self, Errno> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        Ok(Self {
            inotify: Arc::new(inotify),
            watched: HashMap::new(),
            max_watches,
        })
    }

    /// Readable when there are events.
    pub(super) fn inotify(&self) -> Arc<OwnedFd> {
        self.inotify.clone()
    }

    /// How many watches there are.
    pub(super) fn watches(&self) -> usize {
        self.watched.len()
    }

    /// What an event is of.
    pub(super) fn watched(&self, watch: i32) -> Option<&Watched> {
        self.watched.get(&watch)
    }

    /// Watches one file or directory more; the same watch again for one that is watched already.
    pub(super) fn watch(
        &mut self,
        path: &Path,
        flags: WatchFlags,
        watched: Watched,
    ) -> Result<i32, Errno> {
        if self.watched.len() >= self.max_watches {
            return Err(Errno::NOSPC);
        }
        let watch = inotify::add_watch(&self.inotify, path, flags)?;
        self.watched.insert(watch, watched);
        Ok(watch)
    }

    /// The kernel keeps the watch of a cgroup that is gone until it is told not to.
    pub(super) fn unwatch(&mut self, watch: i32) {
        self.watched.remove(&watch);
        // It fails where the kernel was first, which is as good.
        let _ = inotify::remove_watch(&self.inotify, watch);
    }

    /// The kernel has ended a watch.
    pub(super) fn forget(&mut self, watch: i32) {
        self.watched.remove(&watch);
    }

    /// The next few events; none where there are none.
    pub(super) fn read(&self) -> Vec<Event> {
        let mut buffer = [MaybeUninit::uninit(); 16 * 1024];
        let mut reader = Reader::new(&self.inotify, &mut buffer);
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
}
