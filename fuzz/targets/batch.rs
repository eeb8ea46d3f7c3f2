//! A batch as the aggregator meets it: bytes as they are, bytes as the protobuf message inside a frame, and
//! batches that keep most rules, so that the rollup is reached.

#![no_main]

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;

use aggregator::rollup::{Rollup, count_pieces, is_known, rollup};
use wire::limits::MAX_BATCH_BYTES;
use wire::v1::{
    Batch, CounterReading, Interval, Loss, LostEnergy, Rename, Workload, Zone, ZoneSample,
};

/// A batch of more pieces is within its limits, and takes too long for a fuzzer.
const MOST_PIECES: u64 = 20_000;

fuzz_target!(|data: &[u8]| fuzz::one_of(data, &[check, check_message, check_generated]));

fn check_message(message: &[u8]) {
    check(&zstd::bulk::compress(message, 1).expect("memory takes it"));
}

fn check_generated(data: &[u8]) {
    let Ok(batch) = generated(&mut Unstructured::new(data)) else {
        return;
    };
    let (valid, bytes) = (wire::validate(&batch), wire::encode(&batch));
    let decoded = wire::decode(&bytes);
    assert_eq!(valid.is_ok(), decoded.is_ok(), "{valid:?} {decoded:?}");
    check(&bytes);
}

fn check(bytes: &[u8]) {
    let Ok(batch) = wire::decode(bytes) else {
        return;
    };
    wire::validate(&batch).expect("what is decoded is valid");
    let again = wire::encode(&batch);
    // Another packer may have made less of it than ours does.
    if again.len() <= MAX_BATCH_BYTES {
        let again = wire::decode(&again).expect("what was decoded can be sent");
        assert_eq!(batch, again);
    }
    if count_pieces(&batch) <= MOST_PIECES
        && let Ok(rollup) = rollup(&batch)
    {
        check_minutes(&batch, &rollup);
        check_wholes(&batch, &rollup);
    }
}

/// In each minute of an additive zone, workloads + system + idle = measured.
fn check_minutes(batch: &Batch, rollup: &Rollup) {
    for (&(minute, zone), sums) in &rollup.zones {
        if batch.zones[zone].parent.is_empty() {
            let shares = rollup
                .shares
                .range((minute, zone, 0)..=(minute, zone, usize::MAX));
            let active_uj: u64 = shares.map(|(_, share)| share.active_uj).sum();
            let parts = active_uj + sums.system_uj + sums.idle_uj;
            assert_eq!(parts, sums.measured_uj, "zone {zone}, minute {minute}");
        }
    }
}

/// What was measured, and what each workload was given, is neither more nor less after the cut into minutes.
fn check_wholes(batch: &Batch, rollup: &Rollup) {
    for zone in 0..batch.zones.len() {
        let minutes = rollup.zones.iter().filter(|((_, of), _)| *of == zone);
        let after: u64 = minutes.map(|(_, sums)| sums.measured_uj).sum();
        let before: u64 = samples(batch)
            .filter(|(_, sample)| sample.zone as usize == zone && is_known(sample))
            .map(|(_, sample)| sample.measured_uj)
            .sum();
        assert_eq!(before, after, "zone {zone}");
    }
    for workload in 0..batch.workloads.len() {
        let minutes = rollup
            .shares
            .iter()
            .filter(|((_, _, of), _)| *of == workload);
        let after: u64 = minutes.map(|(_, share)| share.active_uj).sum();
        let shares = samples(batch)
            .flat_map(|(interval, sample)| interval.workloads.iter().zip(&sample.active_uj));
        let own = shares.filter(|(of, _)| **of as usize == workload);
        let before: u64 = own.map(|(_, active_uj)| active_uj).sum();
        assert_eq!(before, after, "workload {workload}");
    }
}

fn samples(batch: &Batch) -> impl Iterator<Item = (&Interval, &ZoneSample)> {
    let intervals = batch.intervals.iter();
    intervals.flat_map(|interval| interval.zones.iter().map(move |sample| (interval, sample)))
}

/// A batch that keeps the rules but where the bytes say otherwise.
fn generated(u: &mut Unstructured<'_>) -> Result<Batch> {
    let mut batch = Batch {
        version: wire::VERSION,
        cluster: "default".to_owned(),
        node: text(u)?,
        stream_id: vec![7; 16],
        sequence: u.arbitrary()?,
        workloads: several(u, 4, workload)?,
        zones: several(u, 4, zone)?,
        ..Batch::default()
    };
    let (workloads, zones) = (batch.workloads.len() as u32, batch.zones.clone());
    batch.intervals = several(u, 6, |u| interval(u, workloads, &zones))?;
    batch.readings = several(u, 3, |u| reading(u, &zones))?;
    batch.losses = several(u, 3, |u| loss(u, &zones))?;
    batch.renames = several(u, 3, |u| {
        let (was, is) = (
            u.int_in_range(0..=workloads)?,
            u.int_in_range(0..=workloads)?,
        );
        Ok(Rename { was, is })
    })?;
    Ok(batch)
}

fn interval(u: &mut Unstructured<'_>, workloads: u32, zones: &[Zone]) -> Result<Interval> {
    let unwatched = u.ratio(1, 8)?;
    let workloads: Vec<u32> = match unwatched {
        true => Vec::new(),
        false => some_of(u, workloads)?,
    };
    let cpu_ns = workloads.iter().map(|_| amount(u)).collect::<Result<_>>()?;
    let here = some_of(u, zones.len() as u32)?;
    let samples = here.into_iter().map(|zone| {
        let shares = match zones[zone as usize].parent.as_str() {
            "" => Some(workloads.len()),
            _ => None,
        };
        sample(u, zone, shares)
    });
    Ok(Interval {
        zones: samples.collect::<Result<_>>()?,
        // Within some minutes of a full one, so that intervals cross them and overlap.
        start_unix_ms: 60_000 + i64::from(u.arbitrary::<u16>()?),
        duration_ns: 1 + amount(u)? % 600_000_000_000,
        workloads,
        cpu_ns,
        system_cpu_ns: amount(u)?,
        unwatched,
    })
}

/// Its energy is the sum of its parts, as far as it has any.
fn sample(u: &mut Unstructured<'_>, zone: u32, shares: Option<usize>) -> Result<ZoneSample> {
    let mut sample = ZoneSample {
        zone,
        outcome: u.int_in_range(1..=6)?,
        idle_seeded: u.arbitrary()?,
        active_uj: vec![0; shares.unwrap_or(0)],
        ..ZoneSample::default()
    };
    if !is_known(&sample) {
        return Ok(sample);
    }
    if shares.is_none() {
        sample.measured_uj = amount(u)?;
        return Ok(sample);
    }
    (sample.idle_uj, sample.system_uj) = (amount(u)?, amount(u)?);
    for share in &mut sample.active_uj {
        *share = amount(u)?;
    }
    let parts = sample
        .active_uj
        .iter()
        .chain([&sample.idle_uj, &sample.system_uj]);
    sample.measured_uj = parts.copied().fold(0, u64::wrapping_add);
    Ok(sample)
}

fn workload(u: &mut Unstructured<'_>) -> Result<Workload> {
    Ok(Workload {
        kind: u.int_in_range(0..=4)?,
        pod_uid: text(u)?,
        cpu_request_millis: u.arbitrary()?,
        workflow: text(u)?,
        run: text(u)?,
        stage: text(u)?,
        ..Workload::default()
    })
}

fn zone(u: &mut Unstructured<'_>) -> Result<Zone> {
    let is_nested = u.ratio(1, 4)?;
    Ok(Zone {
        name: "package-0".to_owned(),
        parent: if is_nested { "platform" } else { "" }.to_owned(),
        basis: u.int_in_range(1..=2)?,
        low_percent: u.int_in_range(0..=101)?,
        high_percent: u.int_in_range(0..=1_001)?,
    })
}

fn reading(u: &mut Unstructured<'_>, zones: &[Zone]) -> Result<CounterReading> {
    Ok(CounterReading {
        zone: u.int_in_range(0..=zones.len() as u32)?,
        counter_uj: u.arbitrary()?,
        boottime_ns: u.arbitrary()?,
        awake_ns: u.arbitrary()?,
    })
}

fn loss(u: &mut Unstructured<'_>, zones: &[Zone]) -> Result<Loss> {
    let lost = some_of(u, zones.len() as u32)?.into_iter();
    let lost = lost.map(|zone| {
        let measured_uj = amount(u)?;
        Ok(LostEnergy { zone, measured_uj })
    });
    Ok(Loss {
        zones: lost.collect::<Result<_>>()?,
        sequence: u.arbitrary()?,
        stream_id: vec![9; u.int_in_range(0..=1)? * 16],
        reason: u.int_in_range(0..=4)?,
        start_unix_ms: amount(u)? as i64,
        duration_ns: amount(u)?,
    })
}

fn several<T>(
    u: &mut Unstructured<'_>,
    most: usize,
    mut one: impl FnMut(&mut Unstructured<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let count = u.int_in_range(0..=most)?;
    (0..count).map(|_| one(u)).collect()
}

/// Each index below `count`, or not.
fn some_of(u: &mut Unstructured<'_>, count: u32) -> Result<Vec<u32>> {
    let mask: u8 = u.arbitrary()?;
    Ok((0..count).filter(|index| mask >> index & 1 == 1).collect())
}

/// As likely small as large.
fn amount(u: &mut Unstructured<'_>) -> Result<u64> {
    let bits = u.int_in_range(0..=63)?;
    Ok(u.arbitrary::<u64>()? >> bits)
}

fn text(u: &mut Unstructured<'_>) -> Result<String> {
    let text: &str = u.arbitrary()?;
    Ok(text.to_owned())
}
