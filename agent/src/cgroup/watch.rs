//! The cgroup trees, watched by inotify: one that lives for some milliseconds still has its name when the CPU
//! time that it used is read, and without eBPF its own account of that time.
//!
//! A thread takes every change as it comes. Who asks takes those first that still wait, so that the answers
//! are never behind a question.

use std::collections::HashSet;
use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use tracing::warn;

use self::trees::Trees;
use super::Owner;
use super::hierarchy::{Hierarchies, Hierarchy};

mod queue;
mod trees;

/// Watches at most, each about 1 KiB of the kernel's memory. A node of 250 pods needs about 2,000.
const MAX_WATCHES: usize = 32_768;

/// What the trees are watched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The names of cgroups.
    Names,
    /// Also that something was moved into one.
    NamesAndMoves,
    /// Also the CPU time of containers, pods and exec groups when their last process ends.
    LastTimes,
}

/// What is done when something was moved between cgroups; where it could not be done yet, when to try again.
pub type OnMove = Arc<dyn Fn() -> Option<Duration> + Send + Sync>;

/// Watches the trees until it is dropped.
pub struct CgroupWatch {
    hierarchies: Hierarchies,
    trees: Arc<Mutex<Trees>>,
    on_move: OnMove,
    thread: Option<(OwnedFd, JoinHandle<()>)>,
}

/// Names as of one read of the usage.
pub struct Names<'a>(MutexGuard<'a, Trees>);

/// Whose cgroup it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// This workload's, or no workload's.
    Known(Option<Owner>),
    /// It was gone before anyone saw it, or is in no tree that can be seen.
    Unknown {
        /// Nobody asked for this one before.
        first: bool,
    },
}

/// A workload's topmost cgroup that was removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Where it was.
    pub hierarchy: Hierarchy,
    /// The id that it had.
    pub id: u64,
    /// Below the hierarchy's root.
    pub path: Arc<str>,
    /// Its CPU time when it last became empty, all below it included; less than all of it where that was not
    /// seen.
    pub cpu_ns: u64,
}

/// How the watching goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Watches now.
    pub watches: usize,
    /// Times that the kernel's queue was full and the trees were walked instead. Since start.
    pub overflows: u64,
    /// Nothing is missing for want of watches.
    pub is_complete: bool,
}

impl CgroupWatch {
    /// Begins to watch. Where the kernel has no watches left, that is a warning, and names are looked for when
    /// they are asked for.
    #[must_use]
    pub fn start(hierarchies: Hierarchies, purpose: Purpose) -> Self {
        Self::start_telling(hierarchies, purpose, Arc::new(|| None))
    }

    /// As [`CgroupWatch::start`]; with [`Purpose::NamesAndMoves`] the thread calls `on_move` as soon as processes
    /// or threads were moved to a cgroup, once for several that come together.
    #[must_use]
    pub fn start_telling(hierarchies: Hierarchies, purpose: Purpose, on_move: OnMove) -> Self {
        let trees = Trees::new(hierarchies.clone(), purpose, MAX_WATCHES);
        let inotify = trees.inotify();
        let trees = Arc::new(Mutex::new(trees));
        let thread = inotify.and_then(|inotify| {
            spawn(inotify, trees.clone(), on_move.clone())
                .inspect_err(|error| {
                    warn!("cgroups are looked at once an interval only: no thread: {error}");
                })
                .ok()
        });
        Self {
            hierarchies,
            trees,
            on_move,
            thread,
        }
    }

    /// The trees that are watched.
    #[must_use]
    pub fn hierarchies(&self) -> &Hierarchies {
        &self.hierarchies
    }

    /// For one read of the usage, which is over: the names of all that ran. Those of cgroups that went are
    /// forgotten some calls later.
    #[must_use]
    pub fn names(&self) -> Names<'_> {
        let has_moved = {
            let mut trees = self.trees();
            trees.begin_round();
            trees.take_moved()
        };
        // Taken here, a move does not wake the thread any more.
        if has_moved {
            (self.on_move)();
        }
        Names(self.trees())
    }

    /// Whether a cgroup has been seen and is not forgotten yet, by the thread or by who asked last.
    #[must_use]
    pub fn knows(&self, hierarchy: Hierarchy, id: u64) -> bool {
        self.trees().owner(hierarchy, id).is_some()
    }

    /// CPU time of a workload's topmost unified cgroup when it was last looked at: when it was found, and when it
    /// became empty. `None` without [`Purpose::LastTimes`].
    #[must_use]
    pub fn last_cpu_ns(&self, id: u64) -> Option<u64> {
        self.trees().last_cpu_ns(id)
    }

    /// Owners of all cgroups that are there.
    #[must_use]
    pub fn owners(&self) -> HashSet<Owner> {
        self.trees().owners()
    }

    /// Workloads' topmost cgroups that were removed since the last call; none without
    /// [`Purpose::LastTimes`]. A v1 cgroup does not tell when it becomes empty.
    #[must_use]
    pub fn take_ended(&self) -> Vec<Ended> {
        self.trees().take_ended()
    }

    /// How the watching goes.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.trees().counts()
    }

    fn trees(&self) -> MutexGuard<'_, Trees> {
        self.trees.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Names<'_> {
    /// Whose cgroup it is. Walks the trees at most once for all questions, and only where they cannot be
    /// watched.
    pub fn look_up(&mut self, hierarchy: Hierarchy, id: u64) -> Lookup {
        self.0.look_up(hierarchy, id)
    }
}

impl Drop for CgroupWatch {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.thread.take()
            && rustix::io::write(&stop, &1_u64.to_ne_bytes()).is_ok()
        {
            // It has nothing to return; if it has panicked, that was said.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for CgroupWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CgroupWatch")
            .field("hierarchies", &self.hierarchies)
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

fn spawn(
    inotify: Arc<OwnedFd>,
    trees: Arc<Mutex<Trees>>,
    on_move: OnMove,
) -> std::io::Result<(OwnedFd, JoinHandle<()>)> {
    let stop = eventfd(0, EventfdFlags::CLOEXEC)?;
    let stopped = stop.try_clone()?;
    let thread = std::thread::Builder::new().name("cgroup-watch".into());
    let thread = thread.spawn(move || follow(&inotify, &stopped, &trees, &on_move))?;
    Ok((stop, thread))
}

fn follow(inotify: &OwnedFd, stopped: &OwnedFd, trees: &Mutex<Trees>, on_move: &OnMove) {
    let mut again = None;
    loop {
        let mut files = [
            PollFd::new(inotify, PollFlags::IN),
            PollFd::new(stopped, PollFlags::IN),
        ];
        match poll(&mut files, again.as_ref()) {
            Ok(_) if !files[1].revents().is_empty() => return,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => {
                warn!("cgroups are looked at once an interval only: {error}");
                return;
            }
        }
        let has_moved = {
            let mut trees = trees.lock().unwrap_or_else(PoisonError::into_inner);
            trees.pump();
            trees.take_moved()
        };
        if has_moved || again.is_some() {
            again = on_move().and_then(|wait| Timespec::try_from(wait).ok());
        }
    }
}

#[cfg(test)]
mod tests;
