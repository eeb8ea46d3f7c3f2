//! Batches that will never come, and their energy, until the ledger was told. Pure.

use wire::Energy;
use wire::limits::{MAX_INTERVAL_NS, MAX_SAMPLE_UJ};
use wire::v1::{Batch, LossReason};

use super::entry::{Lost, LostZone};
use super::sealed::Key;

/// Losses that one batch tells; the others wait for the next.
pub(super) const MAX_TOLD: usize = 1_000;
/// Losses that wait. Beyond that the oldest are put together: their energy is told, their numbers are not.
pub(super) const MAX_WAITING: usize = 10_000;

impl Lost {
    /// A batch, known by its content.
    pub(super) fn of(key: Key, batch: &Batch, reason: LossReason) -> Self {
        let ends = batch
            .intervals
            .iter()
            .map(|interval| interval.start_unix_ms + (interval.duration_ns / 1_000_000) as i64);
        let starts = batch
            .intervals
            .iter()
            .map(|interval| interval.start_unix_ms);
        let (start, end) = (starts.min().unwrap_or(0), ends.max().unwrap_or(0));
        let span_ms = end.saturating_sub(start).max(0) as u64;
        Self {
            start_unix_ms: start,
            duration_ns: span_ms.saturating_mul(1_000_000).clamp(1, MAX_INTERVAL_NS),
            zones: energy_by_zone(batch),
            ..Self::unknown(key, reason, start)
        }
    }

    /// A batch of which nothing is known but that it was sealed by then.
    pub(super) fn unknown(key: Key, reason: LossReason, sealed_unix_ms: i64) -> Self {
        Self {
            stream_id: key.stream_id.to_vec(),
            sequence: key.sequence,
            reason: reason.into(),
            start_unix_ms: sealed_unix_ms.max(0),
            duration_ns: 1,
            zones: Vec::new(),
        }
    }

    pub(super) fn is_of(&self, key: Key) -> bool {
        self.sequence == key.sequence && self.stream_id == key.stream_id.0
    }

    pub(super) fn energy(&self) -> Energy {
        let energies = self.zones.iter().map(|zone| zone.measured_uj);
        energies.map(Energy::from_microjoules).sum()
    }

    fn add(&mut self, other: &Self) -> bool {
        let start = self.start_unix_ms.min(other.start_unix_ms);
        let end_ms = |lost: &Self| lost.start_unix_ms + (lost.duration_ns / 1_000_000) as i64;
        let span_ms = (end_ms(self).max(end_ms(other)) - start) as u64;
        let mut zones = self.zones.clone();
        other
            .zones
            .iter()
            .for_each(|zone| add_zone(&mut zones, zone));
        let fits = span_ms < MAX_INTERVAL_NS / 1_000_000
            && zones.iter().all(|zone| zone.measured_uj < MAX_SAMPLE_UJ);
        if !fits || self.reason != other.reason || self.stream_id != other.stream_id {
            return false;
        }
        self.start_unix_ms = start;
        self.duration_ns = self.duration_ns.max(span_ms * 1_000_000);
        self.zones = zones;
        true
    }
}

/// What a batch told of others: lost anew where the batch itself is.
pub(super) fn told(key: Key, batch: &Batch) -> Vec<Lost> {
    let zone = |lost: &wire::v1::LostEnergy| {
        let zone = &batch.zones[lost.zone as usize];
        LostZone {
            name: zone.name.clone(),
            basis: zone.basis,
            measured_uj: lost.measured_uj,
        }
    };
    let losses = batch.losses.iter().map(|loss| Lost {
        stream_id: if loss.stream_id.is_empty() {
            key.stream_id.to_vec()
        } else {
            loss.stream_id.clone()
        },
        sequence: loss.sequence,
        reason: loss.reason,
        start_unix_ms: loss.start_unix_ms,
        duration_ns: loss.duration_ns,
        zones: loss.zones.iter().map(zone).collect(),
    });
    losses.collect()
}

/// Energy in a batch, additive zones together.
pub(super) fn energy(batch: &Batch) -> Energy {
    let zones = energy_by_zone(batch);
    let energies = zones.iter().map(|zone| zone.measured_uj);
    energies.map(Energy::from_microjoules).sum()
}

fn energy_by_zone(batch: &Batch) -> Vec<LostZone> {
    let mut zones = Vec::new();
    for sample in batch.intervals.iter().flat_map(|interval| &interval.zones) {
        let zone = &batch.zones[sample.zone as usize];
        if zone.parent.is_empty() && sample.measured_uj > 0 {
            let zone = LostZone {
                name: zone.name.clone(),
                basis: zone.basis,
                measured_uj: sample.measured_uj,
            };
            add_zone(&mut zones, &zone);
        }
    }
    zones
}

fn add_zone(zones: &mut Vec<LostZone>, other: &LostZone) {
    let is_it = |zone: &&mut LostZone| zone.name == other.name && zone.basis == other.basis;
    match zones.iter_mut().find(is_it) {
        // No batch is to be refused for what it tells of another.
        Some(zone) => zone.measured_uj = (zone.measured_uj + other.measured_uj).min(MAX_SAMPLE_UJ),
        None => zones.push(other.clone()),
    }
}

/// Keeps a list within [`MAX_WAITING`].
pub(super) fn bound(losses: &mut Vec<Lost>) {
    let mut position = 0;
    while losses.len() > MAX_WAITING && position + 1 < losses.len() {
        let first = losses[position].clone();
        // The later one's number goes on.
        if losses[position + 1].add(&first) {
            losses.remove(position);
        } else {
            position += 1;
        }
    }
}

/// Takes out those that a batch tells: the first of them, without such whose batch `is_there` still.
pub(super) fn split(losses: &[Lost], is_there: impl Fn(&Lost) -> bool) -> (Vec<Lost>, Vec<Lost>) {
    let (mut now, mut later) = (Vec::new(), Vec::new());
    for lost in losses {
        if now.len() < MAX_TOLD && !is_there(lost) {
            now.push(lost.clone());
        } else {
            later.push(lost.clone());
        }
    }
    (now, later)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(sequence: u64, reason: LossReason) -> Lost {
        Lost {
            stream_id: vec![1; 16],
            sequence,
            reason: reason.into(),
            start_unix_ms: 1_790_000_000_000 + sequence as i64 * 30_000,
            duration_ns: 30_000_000_000,
            zones: vec![LostZone {
                name: "package-0".into(),
                basis: 1,
                measured_uj: sequence,
            }],
        }
    }

    #[test]
    fn too_many_are_put_together_without_losing_energy() {
        let count = MAX_WAITING as u64 + 500;
        let mut losses: Vec<Lost> = (1..=count)
            .map(|sequence| match sequence {
                3 => lost(3, LossReason::Refused),
                _ => lost(sequence, LossReason::Dropped),
            })
            .collect();
        let energy: Energy = losses.iter().map(Lost::energy).sum();
        bound(&mut losses);
        assert_eq!(losses.len(), MAX_WAITING);
        assert_eq!(losses.iter().map(Lost::energy).sum::<Energy>(), energy);
        assert_eq!(
            (losses[0].sequence, losses[1].reason()),
            (2, LossReason::Refused)
        );
        assert_eq!(losses[0].duration_ns, 60_000_000_000);
    }

    #[test]
    fn a_loss_is_told_when_its_batch_is_gone_and_so_many_at_a_time() {
        let losses: Vec<Lost> = (1..=MAX_TOLD as u64 + 5)
            .map(|sequence| lost(sequence, LossReason::Dropped))
            .collect();
        let (now, later) = split(&losses, |lost| lost.sequence == 1);
        assert_eq!((now.len(), later.len()), (MAX_TOLD, 5));
        assert_eq!((now[0].sequence, later[0].sequence), (2, 1));
    }
}
