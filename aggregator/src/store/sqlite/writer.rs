//! The thread that writes: what waits for it becomes durable together, by one commit, and is answered then.
//!
//! Whoever has work hands it over through a queue of bounded length and weight. Nothing that can be worked out
//! elsewhere is worked out here.

use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::thread::{self, Builder, JoinHandle};

use super::open;
use super::write::{Failure, Writer};
use crate::store::prepared::Prepared;
use crate::store::{Answer, StoreError};

/// Jobs that wait at most.
const MAX_WAITING: usize = 1024;
/// Bytes of memory that waiting batches take at most, as [`Prepared::weight`] counts them. One batch may always
/// wait, whatever it weighs.
const MAX_WAITING_WEIGHT: usize = 64 << 20;
/// Batches of one commit.
const MAX_GROUP: usize = 64;
/// Weight of the batches of one commit, the last apart: so long may one wait for the others.
const MAX_GROUP_WEIGHT: usize = 16 << 20;

type Task = Box<dyn FnOnce(&mut Writer) + Send>;

enum Job {
    Batch(Box<Waiting>),
    Task(Task),
}

/// A batch, and who wants to know.
struct Waiting {
    prepared: Prepared,
    weight: usize,
    answer: Answer,
}

/// What waits, for those on both sides of the queue.
#[derive(Debug, Default)]
struct Load {
    batches: AtomicU64,
    weight: AtomicUsize,
}

impl Load {
    /// Whether there was room.
    fn add(&self, weight: usize) -> bool {
        let fits = |waiting: usize| {
            let sum = waiting.saturating_add(weight);
            (waiting == 0 || sum <= MAX_WAITING_WEIGHT).then_some(sum)
        };
        let added = self
            .weight
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits);
        if added.is_ok() {
            self.batches.fetch_add(1, Ordering::Relaxed);
        }
        added.is_ok()
    }

    fn remove(&self, weight: usize) {
        self.weight.fetch_sub(weight, Ordering::Relaxed);
        self.batches.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Hands work to the thread. When it is dropped, what waits is still written.
#[derive(Debug)]
pub(super) struct WriterThread {
    path: PathBuf,
    /// `None` only while it is dropped.
    jobs: Option<SyncSender<Job>>,
    load: Arc<Load>,
    thread: Option<JoinHandle<()>>,
}

impl WriterThread {
    pub(super) fn start(path: PathBuf, writer: Writer) -> Result<Self, StoreError> {
        let (jobs, waiting) = mpsc::sync_channel(MAX_WAITING);
        let load = Arc::new(Load::default());
        let thread = Thread {
            path: path.clone(),
            writer,
            jobs: waiting,
            load: Arc::clone(&load),
        };
        let thread = Builder::new()
            .name("ledger-writer".to_owned())
            .spawn(|| thread.run_noticed())
            .map_err(|error| open::failed(&path, &error))?;
        Ok(Self {
            path,
            jobs: Some(jobs),
            load,
            thread: Some(thread),
        })
    }

    pub(super) fn submit(&self, prepared: Prepared, answer: Answer) {
        let weight = prepared.weight();
        if !self.load.add(weight) {
            return answer(Err(StoreError::Busy));
        }
        let waiting = Waiting {
            prepared,
            weight,
            answer,
        };
        let refused = match self.jobs().try_send(Job::Batch(Box::new(waiting))) {
            Ok(()) => return,
            Err(TrySendError::Full(job)) => (job, StoreError::Busy),
            Err(TrySendError::Disconnected(job)) => (job, self.broken()),
        };
        self.load.remove(weight);
        if let (Job::Batch(waiting), error) = refused {
            (waiting.answer)(Err(error));
        }
    }

    /// Runs `task` on the thread and waits for it.
    pub(super) fn run<T: Send + 'static>(
        &self,
        task: impl FnOnce(&mut Writer) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (tell, told) = mpsc::sync_channel(1);
        let task = move |writer: &mut Writer| {
            let done = task(writer);
            if done.is_err() {
                writer.forget();
            }
            // Fails only where the caller is gone.
            let _ = tell.send(done);
        };
        let sent = self.jobs().send(Job::Task(Box::new(task)));
        sent.map_err(|_| self.broken())?;
        let done = told.recv().map_err(|_| self.broken())?;
        done.map_err(|failure| failure.into_store_error(&self.path))
    }

    /// Fails once the thread has ended, which it does by a panic only.
    pub(super) fn health(&self) -> Result<(), StoreError> {
        match &self.thread {
            Some(thread) if !thread.is_finished() => Ok(()),
            _ => Err(self.broken()),
        }
    }

    /// Batches that wait.
    pub(super) fn waiting(&self) -> u64 {
        self.load.batches.load(Ordering::Relaxed)
    }

    fn jobs(&self) -> &SyncSender<Job> {
        self.jobs
            .as_ref()
            .expect("the queue is there until the drop")
    }

    fn broken(&self) -> StoreError {
        open::failed(
            &self.path,
            &"the part that writes has broken down; start the server again",
        )
    }
}

impl Drop for WriterThread {
    fn drop(&mut self) {
        // The thread ends when it has emptied a queue that nobody can put anything into.
        self.jobs.take();
        let thread = self.thread.take();
        // The last handle may be dropped by an answer, on the thread itself.
        let other = thread.filter(|thread| thread.thread().id() != thread::current().id());
        if let Some(thread) = other {
            // A panic was told when it happened.
            let _ = thread.join();
        }
    }
}

struct Thread {
    path: PathBuf,
    writer: Writer,
    jobs: Receiver<Job>,
    load: Arc<Load>,
}

impl Thread {
    fn run_noticed(self) {
        if panic::catch_unwind(AssertUnwindSafe(|| self.run())).is_err() {
            tracing::error!(
                "the part that writes the ledger has broken down; nothing is written any more"
            );
        }
    }

    fn run(mut self) {
        while let Ok(job) = self.jobs.recv() {
            match job {
                Job::Task(task) => task(&mut self.writer),
                Job::Batch(first) => self.write_with_those_behind(first),
            }
        }
    }

    fn write_with_those_behind(&mut self, first: Box<Waiting>) {
        let mut weight = first.weight;
        let mut group = vec![*first];
        let mut task = None;
        while group.len() < MAX_GROUP && weight < MAX_GROUP_WEIGHT && task.is_none() {
            match self.jobs.try_recv() {
                Ok(Job::Batch(waiting)) => {
                    weight += waiting.weight;
                    group.push(*waiting);
                }
                Ok(Job::Task(next)) => task = Some(next),
                Err(_) => break,
            }
        }
        self.write(group);
        if let Some(task) = task {
            task(&mut self.writer);
        }
    }

    fn write(&mut self, group: Vec<Waiting>) {
        let batches: Vec<&Prepared> = group.iter().map(|waiting| &waiting.prepared).collect();
        let results = self.writer.write_batches(&batches);
        for (waiting, result) in group.into_iter().zip(results) {
            self.load.remove(waiting.weight);
            let result = result.map_err(|failure| failure.into_store_error(&self.path));
            (waiting.answer)(result);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded_and_one_batch_always_may() {
        let load = Load::default();
        assert!(load.add(2 * MAX_WAITING_WEIGHT), "nothing else waits");
        assert!(!load.add(1));
        load.remove(2 * MAX_WAITING_WEIGHT);
        assert!(load.add(MAX_WAITING_WEIGHT - 1) && load.add(1));
        assert!(!load.add(1));
        assert_eq!(load.batches.load(Ordering::Relaxed), 2);
    }
}
