//! What is a batch and what is not, and the batch of version 1 that must decode for ever.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use prost::Message;
use wire::v1::{
    Basis, Batch, CounterReading, Interval, Loss, LossReason, LostEnergy, Outcome, Rename,
    Workload, WorkloadKind, Zone, ZoneSample,
};
use wire::{DecodeError, Invalid, decode, encode, limits};

fn batch() -> Batch {
    Batch {
        version: 1,
        cluster: "default".into(),
        node: "node-1".into(),
        site: "paris".into(),
        stream_id: (0..16).collect(),
        sequence: 42,
        boot_id: "6b5f0c1e-9d51-4a57-8f9e-2f4f64a1d8e7".into(),
        agent_version: "0.1.0".into(),
        workloads: vec![
            Workload {
                kind: WorkloadKind::Container.into(),
                pod_uid: "6a2f3c1e-0b1d-4c52-9a51-2f8f0d3b7a11".into(),
                namespace: "ml".into(),
                pod: "trainer-0".into(),
                container_id: "ab".repeat(32),
                container: "main".into(),
                workflow: "churn".into(),
                run: "churn-7".into(),
                stage: "train".into(),
                ..Workload::default()
            },
            Workload {
                kind: WorkloadKind::Exec.into(),
                run: "é".into(),
                ..Workload::default()
            },
        ],
        zones: vec![
            Zone {
                name: "package-0".into(),
                parent: String::new(),
                basis: Basis::Measured.into(),
                ..Zone::default()
            },
            Zone {
                name: "core-0".into(),
                parent: "package-0".into(),
                basis: Basis::Measured.into(),
                ..Zone::default()
            },
            Zone {
                name: "dram-0".into(),
                parent: String::new(),
                basis: Basis::Modelled.into(),
                ..Zone::default()
            },
        ],
        intervals: vec![Interval {
            start_unix_ms: 1_767_225_600_000,
            duration_ns: 5_000_000_001,
            workloads: vec![1, 0],
            cpu_ns: vec![3, 1_500_000_000],
            system_cpu_ns: 7,
            zones: vec![
                ZoneSample {
                    zone: 0,
                    outcome: Outcome::Wrapped.into(),
                    measured_uj: 100,
                    idle_uj: 40,
                    system_uj: 20,
                    active_uj: vec![10, 30],
                    idle_seeded: true,
                },
                ZoneSample {
                    zone: 1,
                    outcome: Outcome::Sampled.into(),
                    measured_uj: 50,
                    ..ZoneSample::default()
                },
                ZoneSample {
                    zone: 2,
                    outcome: Outcome::Failed.into(),
                    active_uj: vec![0, 0],
                    ..ZoneSample::default()
                },
            ],
            ..Interval::default()
        }],
        readings: vec![CounterReading {
            zone: 0,
            counter_uj: 262_143_000_000,
            boottime_ns: 99_000_000_000,
            ..CounterReading::default()
        }],
        ..Batch::default()
    }
}

fn fixture() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/batch-v1.zst")
}

#[test]
fn the_batch_of_version_1_decodes_for_ever() {
    assert_eq!(decode(&std::fs::read(fixture()).unwrap()).unwrap(), batch());
}

#[test]
fn a_batch_round_trips() {
    assert_eq!(decode(&encode(&batch())).unwrap(), batch());
}

#[test]
fn fields_of_a_newer_agent_are_skipped() {
    let mut bytes = batch().encode_to_vec();
    // Field 99, length-delimited, and field 100, a varint: neither is in version 1.
    bytes.extend([0x9a, 0x06, 3, b'n', b'e', b'w', 0xa0, 0x06, 5]);
    assert_eq!(decode(&pack(&bytes)).unwrap(), batch());
}

#[test]
fn another_version_is_named() {
    let mut other = batch();
    other.version = 2;
    assert!(matches!(
        decode(&encode(&other)),
        Err(DecodeError::Version(2))
    ));
    // Even where the rest is no message of version 1 at all.
    assert!(matches!(
        decode(&pack(&[0x08, 7, 0x10, 5])),
        Err(DecodeError::Version(7))
    ));
}

#[test]
fn bytes_that_are_no_batch_are_refused_and_harm_nothing() {
    let good = encode(&batch());
    for length in 0..good.len() {
        assert!(decode(&good[..length]).is_err(), "truncated to {length}");
    }
    assert!(matches!(
        decode(b"not a frame at all"),
        Err(DecodeError::Zstd(_))
    ));
    assert!(matches!(
        decode(&pack(&[0xff; 40])),
        Err(DecodeError::Protobuf(_))
    ));
    assert!(matches!(
        decode(&vec![0; limits::MAX_BATCH_BYTES + 1]),
        Err(DecodeError::TooLarge(_))
    ));
    let bomb = pack(&vec![0; 200 << 20]);
    assert!(bomb.len() < limits::MAX_BATCH_BYTES);
    assert!(matches!(
        decode(&bomb),
        Err(DecodeError::TooLarge(limits::MAX_UNPACKED_BYTES))
    ));
}

#[test]
fn what_would_grow_in_memory_is_counted_before_it_is_decoded() {
    let version = [0x08, 1];
    // Fields 9 to 14, empty: two bytes each on the wire.
    for (field, what, max) in [
        (9_u8, "workloads", limits::MAX_WORKLOADS),
        (10, "zones", limits::MAX_ZONES),
        (11, "intervals", limits::MAX_INTERVALS),
        (12, "readings", limits::MAX_ZONES),
        (13, "losses", limits::MAX_LOSSES),
        (14, "renames", limits::MAX_RENAMES),
    ] {
        let many = [field << 3 | 2, 0].repeat(4_000_000);
        let error = decode(&pack(&[&version[..], &many].concat()));
        assert!(
            matches!(&error, Err(DecodeError::Invalid(Invalid::TooMany(found, most))) if (*found, *most) == (what, max)),
            "{error:?}"
        );
    }
    // Field 6 of one interval, and of one loss.
    for (field, what) in [(11_u8, "samples"), (13, "lost samples")] {
        let samples = [6_u8 << 3 | 2, 0].repeat(limits::MAX_SAMPLES + 1);
        let mut around = vec![field << 3 | 2];
        prost::encoding::encode_varint(samples.len() as u64, &mut around);
        let error = decode(&pack(&[&version[..], &around, &samples].concat()));
        assert!(
            matches!(&error, Err(DecodeError::Invalid(Invalid::TooMany(found, _))) if *found == what),
            "{error:?}"
        );
    }
}

fn check(expected: &Invalid, change: impl FnOnce(&mut Batch)) {
    let mut changed = batch();
    change(&mut changed);
    match decode(&encode(&changed)) {
        Err(DecodeError::Invalid(found)) => assert_eq!(found, *expected),
        other => panic!("expected {expected}, got {other:?}"),
    }
}

#[test]
fn each_rule_is_kept() {
    check(&Invalid::StreamId, |batch| batch.stream_id.truncate(3));
    check(&Invalid::Sequence, |batch| batch.sequence = 0);
    check(&Invalid::Empty("node"), |batch| batch.node.clear());
    check(&Invalid::Name("stage"), |batch| {
        batch.workloads[0].stage = "x".repeat(1 << 20);
    });
    check(&Invalid::Name("run"), |batch| {
        batch.workloads[0].run = "a\nb".into();
    });
    check(&Invalid::Unknown("basis"), |batch| {
        batch.zones[0].basis = 77;
    });
    for (zone, low, high) in [
        (0, 50, 200),
        (2, 0, 200),
        (2, 101, 200),
        (2, 50, 99),
        (2, 50, 1_001),
    ] {
        let name = ["package-0", "core-0", "dram-0"][zone];
        check(&Invalid::Range(name.into()), |batch| {
            (
                batch.zones[zone].low_percent,
                batch.zones[zone].high_percent,
            ) = (low, high);
        });
    }
    check(&Invalid::Time(0), |batch| {
        batch.intervals[0].duration_ns = 0;
    });
    check(&Invalid::Time(0), |batch| {
        batch.intervals[0].duration_ns = u64::MAX;
    });
    check(&Invalid::Time(0), |batch| {
        batch.intervals[0].start_unix_ms = -1;
    });
    check(&Invalid::Time(0), |batch| {
        batch.intervals[0].start_unix_ms = i64::MAX;
    });
    check(&Invalid::Index(0, "workloads"), |batch| {
        batch.intervals[0].workloads[0] = 2;
    });
    check(&Invalid::Index(0, "workloads"), |batch| {
        batch.intervals[0].workloads[0] = 0;
    });
    check(&Invalid::Index(0, "zones"), |batch| {
        batch.intervals[0].zones[2].zone = 0;
    });
    check(&Invalid::NotParallel(0, "cpu_ns"), |batch| {
        batch.intervals[0].cpu_ns.clear();
    });
    check(&Invalid::NotParallel(0, "active_uj"), |batch| {
        batch.intervals[0].zones[0].active_uj.push(1);
    });
    check(&Invalid::Unwatched(0), |batch| {
        batch.intervals[0].unwatched = true;
    });
    check_losses();
    check_renames();
    check(&Invalid::CpuRequest, |batch| {
        batch.workloads[0].cpu_request_millis = limits::MAX_CPU_REQUEST_MILLIS + 1;
    });
    check(&Invalid::EnergyWithoutSample(0), |batch| {
        batch.intervals[0].zones[2].measured_uj = 1;
    });
    check(&Invalid::SampleTooLarge(0), |batch| {
        batch.intervals[0].zones[1].measured_uj = u64::MAX;
    });
    let unbalanced = |parts, measured| Invalid::Unbalanced {
        interval: 0,
        zone: "package-0".into(),
        parts,
        measured,
    };
    check(&unbalanced(101, 100), |batch| {
        batch.intervals[0].zones[0].idle_uj += 1;
    });
    check(&unbalanced(u128::from(u64::MAX) + 60, 100), |batch| {
        batch.intervals[0].zones[0].idle_uj = u64::MAX;
    });
    check(
        &Invalid::TooMany("intervals", limits::MAX_INTERVALS),
        |batch| {
            batch.intervals = vec![Interval::default(); limits::MAX_INTERVALS + 1];
        },
    );
}

fn loss() -> Loss {
    Loss {
        sequence: 41,
        stream_id: Vec::new(),
        reason: LossReason::Dropped.into(),
        start_unix_ms: 1_767_225_590_000,
        duration_ns: 10_000_000_000,
        zones: vec![LostEnergy {
            zone: 2,
            measured_uj: 7,
        }],
    }
}

/// What it breaks, and how.
type BrokenLoss = (&'static str, fn(&mut Loss));

fn check_losses() {
    let rules: [BrokenLoss; 8] = [
        ("sequence", |loss| loss.sequence = 0),
        ("stream id", |loss| loss.stream_id.push(1)),
        ("reason", |loss| loss.reason = 0),
        ("reason", |loss| loss.reason = 77),
        ("time", |loss| loss.duration_ns = 0),
        ("zones", |loss| loss.zones[0].zone = 1),
        ("zones", |loss| loss.zones[0].zone = 3),
        ("energy", |loss| loss.zones[0].measured_uj = u64::MAX),
    ];
    for (what, change) in rules {
        check(&Invalid::Loss(1, what), |batch| {
            batch.losses = vec![loss(), loss()];
            change(&mut batch.losses[1]);
        });
    }
}

/// The batch with a workload that has no name yet, and that it is the first one.
fn renamed() -> Batch {
    let mut told = batch();
    told.workloads[0].pod_uid.clear();
    told.workloads[0].cpu_request_millis = 1_500;
    told.workloads.push(Workload {
        kind: WorkloadKind::Container.into(),
        pod_uid: "6a2f3c1e-0b1d-4c52-9a51-2f8f0d3b7a11".into(),
        container_id: "0123456789ab".into(),
        ..Workload::default()
    });
    told.renames = vec![Rename { was: 2, is: 0 }];
    told
}

#[test]
fn a_name_that_comes_later_round_trips() {
    assert_eq!(decode(&encode(&renamed())).unwrap(), renamed());
    let mut same_stage = renamed();
    same_stage.workloads[2].stage = "train".into();
    same_stage.workloads[2].run = "churn-7".into();
    same_stage.workloads[2].workflow = "churn".into();
    assert_eq!(decode(&encode(&same_stage)).unwrap(), same_stage);
}

/// What it breaks, and how.
type BrokenRename = (&'static str, fn(&mut Batch));

fn check_renames() {
    let rules: [BrokenRename; 5] = [
        ("no such workload", |batch| batch.renames[1].was = 3),
        ("no such workload", |batch| batch.renames[1].is = 3),
        ("the workload has a name already", |batch| {
            batch.renames[1].was = 1;
        }),
        ("the new name is none", |batch| batch.renames[1].is = 2),
        ("the workload has another stage already", |batch| {
            batch.workloads.push(Workload {
                stage: "test".into(),
                ..batch.workloads[2].clone()
            });
            batch.renames[1].was = 3;
        }),
    ];
    for (what, change) in rules {
        check(&Invalid::Rename(1, what), |batch| {
            *batch = renamed();
            batch.renames.push(batch.renames[0]);
            change(batch);
        });
    }
}

#[test]
fn losses_and_unwatched_intervals_round_trip() {
    let mut told = batch();
    told.losses = vec![loss()];
    told.readings[0].awake_ns = 98_000_000_000;
    let interval = &mut told.intervals[0];
    interval.unwatched = true;
    interval.workloads.clear();
    interval.cpu_ns.clear();
    for sample in &mut interval.zones {
        let active: u64 = std::mem::take(&mut sample.active_uj).into_iter().sum();
        sample.system_uj += active;
    }
    assert_eq!(decode(&encode(&told)).unwrap(), told);
}

fn pack(bytes: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(bytes, 3).unwrap()
}

mod random {
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]
        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = wire::decode(&bytes);
            let _ = wire::decode(&super::pack(&bytes));
        }
    }
}
