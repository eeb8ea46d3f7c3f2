//! How batches leave the spool: sent, refused, dropped or set aside.

use std::io;

use tracing::warn;
use wire::Energy;
use wire::v1::{Batch, LossReason};

use super::{Outgoing, Store};
use crate::spool::entry::{self, Lost};
use crate::spool::files::REFUSED;
use crate::spool::losses;
use crate::spool::sealed::{Key, Sealed};

impl Store {
    /// The next batch to be sent, if there is one; it stays until it was [settled](Store::settle) or
    /// [refused](Store::refuse). One that cannot be read is set aside on the way.
    pub(in crate::spool) fn next(&mut self) -> Option<Outgoing> {
        self.in_flight = None;
        while let Some(key) = self.first_to_send() {
            let read = self.files.read(&key.to_string());
            let read = read.map_err(|error| error.to_string());
            let decoded = read.and_then(|bytes| {
                let batch = decode(key, &bytes)?;
                Ok((losses::energy(&batch), bytes))
            });
            match decoded {
                Ok((energy, bytes)) => {
                    self.in_flight = Some(key);
                    return Some(Outgoing { key, bytes, energy });
                }
                Err(why) => {
                    warn!("batch {key} in the spool is damaged, its energy is lost: {why}");
                    self.condemn(key, LossReason::Damaged);
                }
            }
        }
        None
    }

    fn first_to_send(&self) -> Option<Key> {
        let is_lost = |key: Key| {
            self.condemned
                .iter()
                .any(|(condemned, _)| *condemned == key)
                || self.losses.iter().any(|lost| lost.is_of(key))
        };
        let mut keys = self.sealed.iter().map(|one| one.key);
        keys.find(|&key| !is_lost(key))
    }

    /// The batch has arrived: it is not needed any more.
    pub(in crate::spool) fn settle(&mut self, key: Key) -> io::Result<()> {
        self.in_flight = None;
        self.sealed.retain(|one| one.key != key);
        // One that stays is sent again after a restart, and known to the aggregator then.
        self.files.remove(&key.to_string())
    }

    /// The batch will never be taken.
    pub(in crate::spool) fn refuse(&mut self, key: Key) {
        self.in_flight = None;
        self.condemn(key, LossReason::Refused);
    }

    /// Sets a batch aside, now or, where its loss cannot be written down yet, at a later step.
    fn condemn(&mut self, key: Key, reason: LossReason) {
        self.condemned.push((key, reason));
        if self.turn.is_none() {
            self.counts.failures += u64::from(self.set_condemned_aside().is_err());
        }
    }

    fn set_condemned_aside(&mut self) -> io::Result<()> {
        while let Some(&(key, reason)) = self.condemned.last() {
            if let Some(sealed) = self.sealed.iter().find(|one| one.key == key).copied() {
                self.lose(sealed, reason)?;
            }
            self.condemned.pop();
        }
        Ok(())
    }

    /// The loss is durable before the batch is gone.
    fn lose(&mut self, sealed: Sealed, reason: LossReason) -> io::Result<()> {
        let name = sealed.key.to_string();
        if !self.losses.iter().any(|lost| lost.is_of(sealed.key)) {
            let read = self.files.read(&name).ok();
            let batch = read.and_then(|bytes| decode(sealed.key, &bytes).ok());
            let lost = match &batch {
                Some(batch) => Lost::of(sealed.key, batch, reason),
                None => Lost::unknown(sealed.key, reason, sealed.sealed_unix_ms),
            };
            let energy = lost.energy();
            // What it would have told, too.
            let inner = batch.map(|batch| losses::told(sealed.key, &batch));
            let lost = [vec![lost], inner.unwrap_or_default()].concat();
            self.append(&entry::lost(&lost))?;
            self.losses.extend(lost);
            self.count(reason, energy);
        }
        if reason == LossReason::Dropped {
            self.files.remove(&name)?;
        } else {
            self.set_aside(&name)?;
        }
        self.sealed.retain(|one| one.key != sealed.key);
        Ok(())
    }

    fn count(&mut self, reason: LossReason, energy: Energy) {
        let counts = &mut self.counts;
        match reason {
            LossReason::Refused => {
                counts.refused += 1;
                counts.refused_energy += energy;
            }
            LossReason::Damaged => counts.damaged += 1,
            LossReason::Dropped | LossReason::Unspecified => {
                counts.dropped += 1;
                counts.dropped_energy += energy;
            }
        }
    }

    fn set_aside(&mut self, name: &str) -> io::Result<()> {
        if self.limits.max_refused_bytes == 0 {
            return self.files.remove(name);
        }
        match self.files.rename(name, &format!("{REFUSED}/{name}")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            moved => moved?,
        }
        let mut aside = self.files.list(REFUSED)?;
        aside.sort_by(|a, b| (a.modified_unix_ms, &a.name).cmp(&(b.modified_unix_ms, &b.name)));
        let mut bytes: u64 = aside.iter().map(|file| file.bytes).sum();
        for file in aside {
            if bytes <= self.limits.max_refused_bytes {
                break;
            }
            self.files.remove(&format!("{REFUSED}/{}", file.name))?;
            bytes -= file.bytes;
        }
        Ok(())
    }

    /// Finishes what was begun, then drops the oldest batches that are too many.
    pub(super) fn keep_within_bounds(&mut self) -> io::Result<()> {
        self.set_condemned_aside()?;
        let half_lost = self.sealed.iter().filter_map(|&sealed| {
            let lost = self.losses.iter().find(|lost| lost.is_of(sealed.key))?;
            Some((sealed, lost.reason()))
        });
        for (sealed, reason) in half_lost.collect::<Vec<_>>() {
            self.lose(sealed, reason)?;
        }
        while self.waiting_bytes() > self.limits.max_bytes {
            let mut droppable = self
                .sealed
                .iter()
                .filter(|one| Some(one.key) != self.in_flight);
            let Some(&oldest) = droppable.next() else {
                break;
            };
            self.lose(oldest, LossReason::Dropped)?;
        }
        Ok(())
    }
}

/// The batch in these bytes, if it is whole and the one of this key.
fn decode(key: Key, bytes: &[u8]) -> Result<Batch, String> {
    let batch = wire::decode(bytes).map_err(|error| error.to_string())?;
    if batch.sequence == key.sequence && batch.stream_id == key.stream_id.0 {
        Ok(batch)
    } else {
        Err("it is not the batch of its name".to_owned())
    }
}
