//! Batches to write in tests.

use aggregator::store::ReceivedBatch;
use jiff::Timestamp;
use wire::v1::{
    Basis, Batch, Interval, Loss, LossReason, LostEnergy, Outcome, Workload, WorkloadKind, Zone,
    ZoneSample,
};

/// 2026-01-05T10:00:00Z, the start of a minute.
pub(crate) const START_MS: i64 = 1_767_607_200_000;

/// A workload of a run of workflow `churn`.
pub(crate) fn workload(run: &str, stage: &str, pod: &str) -> Workload {
    Workload {
        kind: WorkloadKind::Container.into(),
        namespace: "ml".to_owned(),
        pod: pod.to_owned(),
        container: "main".to_owned(),
        workflow: if stage.is_empty() { "" } else { "churn" }.to_owned(),
        run: run.to_owned(),
        stage: stage.to_owned(),
        ..Workload::default()
    }
}

/// An additive zone, or a nested one.
pub(crate) fn zone(name: &str, parent: &str) -> Zone {
    Zone {
        name: name.to_owned(),
        parent: parent.to_owned(),
        basis: Basis::Measured.into(),
        ..Zone::default()
    }
}

/// Energy of the zone with this index: idle, system and one share for each workload.
pub(crate) fn sample(zone: u32, idle_uj: u64, system_uj: u64, active_uj: &[u64]) -> ZoneSample {
    ZoneSample {
        zone,
        outcome: Outcome::Sampled.into(),
        measured_uj: idle_uj + system_uj + active_uj.iter().sum::<u64>(),
        idle_uj,
        system_uj,
        active_uj: active_uj.to_vec(),
        idle_seeded: false,
    }
}

/// An interval of `seconds` that starts `offset_ms` after [`START_MS`], with all of `workloads`.
pub(crate) fn interval(
    offset_ms: i64,
    seconds: u64,
    workloads: u32,
    zones: Vec<ZoneSample>,
) -> Interval {
    Interval {
        start_unix_ms: START_MS + offset_ms,
        duration_ns: seconds * 1_000_000_000,
        workloads: (0..workloads).collect(),
        cpu_ns: (0..workloads)
            .map(|index| 1000 + u64::from(index))
            .collect(),
        system_cpu_ns: 500,
        zones,
        unwatched: false,
    }
}

/// Two workloads in two zones (one nested) of `node`, from 50 s to 70 s after [`START_MS`]: 1.0 J idle,
/// 0.5 J system, 3.0 J for run `run` stage `train`, 0.25 J for a pod without labels.
pub(crate) fn batch(node: &str, sequence: u64, run: &str) -> Batch {
    let nested = ZoneSample {
        zone: 1,
        outcome: Outcome::Sampled.into(),
        measured_uj: 2_000_000,
        ..ZoneSample::default()
    };
    Batch {
        version: wire::VERSION,
        cluster: "c1".to_owned(),
        node: node.to_owned(),
        stream_id: vec![7; 16],
        sequence,
        workloads: vec![
            workload(run, "train", "trainer-0"),
            workload("", "", "web-0"),
        ],
        zones: vec![zone("package-0", ""), zone("core", "package-0")],
        intervals: vec![interval(
            50_000,
            20,
            2,
            vec![sample(0, 1_000_000, 500_000, &[3_000_000, 250_000]), nested],
        )],
        ..Batch::default()
    }
}

/// Ten seconds from a minute after [`START_MS`] whose energy, all of zone 0, will never come.
pub(crate) fn loss(sequence: u64, reason: LossReason, measured_uj: u64) -> Loss {
    Loss {
        sequence,
        stream_id: Vec::new(),
        reason: reason.into(),
        start_unix_ms: START_MS + 60_000,
        duration_ns: 10_000_000_000,
        zones: vec![LostEnergy {
            zone: 0,
            measured_uj,
        }],
    }
}

/// A batch as a server receives it.
pub(crate) fn received(batch: Batch) -> ReceivedBatch {
    wire::validate(&batch).unwrap();
    ReceivedBatch {
        bytes: wire::encode(&batch),
        batch,
        received: time(90_000),
    }
}

/// `offset_ms` after [`START_MS`].
pub(crate) fn time(offset_ms: i64) -> Timestamp {
    Timestamp::from_millisecond(START_MS + offset_ms).unwrap()
}
