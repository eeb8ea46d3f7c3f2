//! Nodes that never were: batches that are a function of the node and the sequence alone, so that whoever sends
//! them again sends the same bytes, and anybody can say what the ledger has to hold.

use wire::v1::{Basis, Batch, Interval, Outcome, Workload, WorkloadKind, Zone, ZoneSample};

/// Intervals of one batch.
const INTERVALS: u64 = 6;
/// Length of each.
const INTERVAL_MS: u64 = 10_000;
const ZONES: [&str; 2] = ["package-0", "dram-0"];

/// One node, and what runs on it.
#[derive(Clone, Debug)]
pub struct SimulatedNode {
    /// Its name, of which its energy is a function too.
    pub name: String,
    /// When its first interval starts, in milliseconds since 1970.
    pub start_unix_ms: i64,
    /// Pods with one container each.
    pub pods: u32,
}

impl SimulatedNode {
    /// Its batch of a sequence, from 1.
    #[must_use]
    pub fn batch(&self, sequence: u64) -> Batch {
        Batch {
            version: wire::VERSION,
            cluster: "simulated".to_owned(),
            node: self.name.clone(),
            stream_id: self.stream_id(),
            sequence,
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            workloads: (0..self.pods).map(|pod| self.workload(pod)).collect(),
            zones: ZONES.map(zone).to_vec(),
            intervals: (0..INTERVALS)
                .map(|index| self.interval((sequence - 1) * INTERVALS + index))
                .collect(),
            ..Batch::default()
        }
    }

    /// All energy of its batches up to `sequence`, in microjoules.
    #[must_use]
    pub fn energy_uj(&self, sequence: u64) -> u64 {
        let samples = (1..=sequence).flat_map(|sequence| self.batch(sequence).intervals);
        let zones = samples.flat_map(|interval| interval.zones);
        zones.map(|sample| sample.measured_uj).sum()
    }

    fn stream_id(&self) -> Vec<u8> {
        let (high, low) = (mix(self.seed()), mix(!self.seed()));
        [high.to_le_bytes(), low.to_le_bytes()].concat()
    }

    fn seed(&self) -> u64 {
        let step = |seed, byte| mix(seed ^ u64::from(byte));
        self.name.bytes().fold(1, step)
    }

    fn workload(&self, pod: u32) -> Workload {
        let id = |what: u64| mix(self.seed() ^ what << 32 ^ u64::from(pod));
        let container_id = (0..4).map(|part| format!("{:016x}", id(part))).collect();
        Workload {
            kind: WorkloadKind::Container.into(),
            pod_uid: format!("{:016x}", id(4)),
            namespace: "ml".to_owned(),
            pod: format!("worker-{:05x}", id(5) & 0xf_ffff),
            container_id,
            container: "main".to_owned(),
            workflow: "simulated".to_owned(),
            run: format!("run-{}", pod % 8),
            stage: ["prepare", "train", "test"][pod as usize % 3].to_owned(),
            ..Workload::default()
        }
    }

    fn interval(&self, number: u64) -> Interval {
        let random = |what: u64| mix(self.seed() ^ mix(number) ^ what);
        let sample = |zone: u32| {
            let part = |what: u64| random(u64::from(zone) << 40 | what) % 2_000_000;
            let active_uj: Vec<u64> = (0..self.pods).map(|pod| part(u64::from(pod))).collect();
            let (idle_uj, system_uj) = (part(1 << 33), part(1 << 34));
            ZoneSample {
                zone,
                outcome: Outcome::Sampled.into(),
                measured_uj: idle_uj + system_uj + active_uj.iter().sum::<u64>(),
                idle_uj,
                system_uj,
                active_uj,
                idle_seeded: false,
            }
        };
        Interval {
            start_unix_ms: self.start_unix_ms + (number * INTERVAL_MS) as i64,
            duration_ns: INTERVAL_MS * 1_000_000,
            workloads: (0..self.pods).collect(),
            cpu_ns: (0..self.pods)
                .map(|pod| random(1 << 50 | u64::from(pod)) % 500_000_000)
                .collect(),
            system_cpu_ns: random(1 << 51) % 500_000_000,
            zones: (0..ZONES.len() as u32).map(sample).collect(),
            unwatched: false,
        }
    }
}

fn zone(name: &str) -> Zone {
    Zone {
        name: name.to_owned(),
        parent: String::new(),
        basis: Basis::Measured.into(),
        ..Zone::default()
    }
}

/// SplitMix64's step (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
fn mix(seed: u64) -> u64 {
    let seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let seed = (seed ^ seed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let seed = (seed ^ seed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    seed ^ seed >> 31
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_batch_is_valid_and_the_same_each_time() {
        let node = SimulatedNode {
            name: "n1".into(),
            start_unix_ms: 1_790_000_000_000,
            pods: 7,
        };
        let batch = node.batch(3);
        let bytes = wire::encode(&batch);
        assert_eq!(wire::decode(&bytes).unwrap(), batch);
        assert_eq!(wire::encode(&node.batch(3)), bytes);
        assert_ne!(wire::encode(&node.batch(4)), bytes);
        assert!(node.energy_uj(4) > node.energy_uj(3));
    }
}
