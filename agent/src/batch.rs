//! Records packed for the aggregator: batches numbered within a stream, with the raw counters beside them.

use std::sync::Arc;

use rustix::rand::{GetRandomFlags, getrandom};
use wire::v1::{Batch, CounterReading, Interval, Workload, Zone, ZoneSample};
use wire::{Energy, StreamId};

use crate::node::{Node, ZoneState};
use crate::run::{Record, ZoneRecord};

/// A batch ready to be sent.
#[derive(Debug)]
pub struct Packed {
    /// As it goes over the network.
    pub bytes: Vec<u8>,
    /// The energy in it, additive zones together: what is lost if it is.
    pub energy: Energy,
}

/// Numbers and packs the batches of one stream.
#[derive(Debug)]
pub struct Batcher {
    stream_id: StreamId,
    sequence: u64,
    cluster: String,
    node: String,
    boot_id: String,
}

impl Batcher {
    /// Mints a stream.
    ///
    /// # Errors
    /// Where the kernel gives no random bytes.
    pub fn new(cluster: &str, node: &str, boot_id: &str) -> anyhow::Result<Self> {
        let mut stream_id = [0; 16];
        getrandom(&mut stream_id, GetRandomFlags::empty())?;
        Ok(Self {
            stream_id: StreamId(stream_id),
            sequence: 0,
            cluster: cluster.to_owned(),
            node: node.to_owned(),
            boot_id: boot_id.to_owned(),
        })
    }

    /// The next batch: one interval, and the counters that it ends with.
    pub fn pack(&mut self, node: &Node, record: &Record) -> Packed {
        self.sequence += 1;
        let workloads = record.parties.workloads();
        let batch = Batch {
            version: wire::VERSION,
            cluster: self.cluster.clone(),
            node: self.node.clone(),
            site: String::new(),
            stream_id: self.stream_id.to_vec(),
            sequence: self.sequence,
            boot_id: self.boot_id.clone(),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            workloads: workloads
                .iter()
                .map(|workload| Workload::clone(workload))
                .collect(),
            zones: node.zones.iter().map(zone).collect(),
            intervals: vec![interval(record, workloads)],
            readings: readings(node),
            losses: Vec::new(),
        };
        let known = record.zones.iter().filter(|zone| zone.shares.is_some());
        Packed {
            bytes: wire::encode(&batch),
            energy: known.map(|zone| zone.sample.energy).sum(),
        }
    }
}

fn zone(state: &ZoneState) -> Zone {
    Zone {
        name: state.zone.name.clone(),
        parent: state.zone.parent.clone(),
        basis: state.zone.basis.into(),
    }
}

fn interval(record: &Record, workloads: &[Arc<Workload>]) -> Interval {
    let (cpu_ns, system_cpu_ns) = record.parties.cpu_ns();
    Interval {
        start_unix_ms: record.start_unix_ms,
        duration_ns: record.duration_ns,
        workloads: (0..workloads.len() as u32).collect(),
        cpu_ns,
        system_cpu_ns,
        unwatched: false,
        zones: record
            .zones
            .iter()
            .enumerate()
            .map(|(index, zone)| sample(index, zone))
            .collect(),
    }
}

fn sample(index: usize, record: &ZoneRecord) -> ZoneSample {
    let sample = ZoneSample {
        zone: index as u32,
        outcome: record.sample.outcome.into(),
        measured_uj: record.sample.energy.microjoules(),
        ..ZoneSample::default()
    };
    let Some(shares) = &record.shares else {
        return sample;
    };
    ZoneSample {
        idle_uj: shares.idle.microjoules(),
        system_uj: shares.system.microjoules(),
        active_uj: shares
            .active
            .iter()
            .map(|share| share.microjoules())
            .collect(),
        idle_seeded: record.idle_seeded,
        ..sample
    }
}

fn readings(node: &Node) -> Vec<CounterReading> {
    let reading = |(index, state): (usize, &ZoneState)| {
        let reading = state.last_reading()?;
        Some(CounterReading {
            zone: index as u32,
            counter_uj: reading.counter_uj,
            boottime_ns: reading.boottime_ns,
            awake_ns: reading.awake_ns,
        })
    };
    node.zones.iter().enumerate().filter_map(reading).collect()
}
