//! Has CPUs charge what ran on them up to now.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::sys::run_on_cpu;

/// Tasks that are moved to other cgroups more often than this are not followed: each time every CPU is
/// interrupted.
const MOVES_EVERY: Duration = Duration::from_millis(50);

/// The program that charges a CPU when it is run there.
#[derive(Debug)]
pub struct Flush {
    program: OwnedFd,
    /// When it was last run for a move. One run at a time: a second one could interrupt the first on its CPU,
    /// half-way.
    moved: Mutex<Option<Instant>>,
}

impl Flush {
    pub(super) fn new(program: OwnedFd) -> Self {
        Self {
            program,
            moved: Mutex::new(None),
        }
    }

    /// On these CPUs. One that went offline meanwhile is done already.
    ///
    /// # Errors
    /// Where the kernel does not run it.
    pub(super) fn run(&self, cpus: &[u32]) -> io::Result<()> {
        let _one_at_a_time = self.lock();
        self.run_locked(cpus)
    }

    /// On all CPUs, when a task was moved to another cgroup: what ran until now is charged to the cgroup that it
    /// ran in. Does nothing where it was only just called.
    pub fn after_move(&self) {
        let mut moved = self.lock();
        if moved.is_some_and(|moved| moved.elapsed() < MOVES_EVERY) {
            return;
        }
        *moved = Some(Instant::now());
        if let Ok(cpus) = aya::util::online_cpus() {
            // It only makes the split finer; a kernel that does not run it is told of at the next read.
            let _ = self.run_locked(&cpus);
        }
    }

    fn run_locked(&self, cpus: &[u32]) -> io::Result<()> {
        for &cpu in cpus {
            match run_on_cpu(self.program.as_fd(), cpu) {
                Err(error) if error.raw_os_error() == Some(libc::ENXIO) => {}
                result => result?,
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.moved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
