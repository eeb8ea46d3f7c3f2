//! Has CPUs charge what ran on them up to now.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::sys::run_on_cpu;

/// Moves of tasks to other cgroups are followed once in so much time in the long run, since every CPU is
/// interrupted each time.
const EVERY: Duration = Duration::from_millis(50);

/// As many may come together: a task that is moved in several hierarchies makes several moves.
const AT_ONCE: u32 = 8;

/// The program that charges a CPU when it is run there.
#[derive(Debug)]
pub struct Flush {
    program: OwnedFd,
    /// For moves. One run at a time: a second one could interrupt the first on its CPU, half-way.
    allowance: Mutex<Allowance>,
}

impl Flush {
    pub(super) fn new(program: OwnedFd) -> Self {
        Self {
            program,
            allowance: Mutex::new(Allowance {
                left: AT_ONCE,
                since: Instant::now(),
            }),
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
    /// ran in. Where that was done too often of late, nothing happens, and it says when to call again.
    pub fn after_move(&self) -> Option<Duration> {
        let mut allowance = self.lock();
        let wait = allowance.take(Instant::now());
        if wait.is_none()
            && let Ok(cpus) = aya::util::online_cpus()
        {
            // It only makes the split finer; a kernel that does not run it is told of at the next read.
            let _ = self.run_locked(&cpus);
        }
        wait
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

    fn lock(&self) -> MutexGuard<'_, Allowance> {
        self.allowance
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many runs for moves are left.
#[derive(Debug)]
struct Allowance {
    left: u32,
    /// Since when one is owed.
    since: Instant,
}

impl Allowance {
    /// Takes one; else says how long it takes until there is one.
    fn take(&mut self, now: Instant) -> Option<Duration> {
        let passed = now.saturating_duration_since(self.since);
        let owed = u32::try_from(passed.as_nanos() / EVERY.as_nanos()).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(owed).min(AT_ONCE);
        if self.left == AT_ONCE {
            self.since = now;
        } else {
            self.since += EVERY * owed;
        }
        if self.left == 0 {
            return Some(EVERY.saturating_sub(now.saturating_duration_since(self.since)));
        }
        self.left -= 1;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_come_at_once_and_then_one_in_its_time() {
        let start = Instant::now();
        let mut allowance = Allowance {
            left: AT_ONCE,
            since: start,
        };
        for _ in 0..AT_ONCE {
            assert_eq!(allowance.take(start), None);
        }
        let early = start + EVERY / 5;
        assert_eq!(allowance.take(early), Some(EVERY * 4 / 5));
        assert_eq!(allowance.take(start + EVERY), None);
        assert_eq!(allowance.take(start + EVERY), Some(EVERY));
        let much_later = start + EVERY * 1000;
        for _ in 0..AT_ONCE {
            assert_eq!(allowance.take(much_later), None);
        }
        assert!(allowance.take(much_later).is_some());
    }
}
