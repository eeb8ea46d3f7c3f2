//! The rules that every batch keeps, whoever made it.

use crate::limits::{
    MAX_CPU_REQUEST_MILLIS, MAX_INTERVAL_NS, MAX_INTERVALS, MAX_LOSSES, MAX_NAME_BYTES,
    MAX_RANGE_PERCENT, MAX_RENAMES, MAX_SAMPLE_UJ, MAX_START_UNIX_MS, MAX_WORKLOADS, MAX_ZONES,
};
use crate::stream_id::StreamId;
use crate::v1::{
    Basis, Batch, Interval, Loss, LossReason, Outcome, Rename, Workload, WorkloadKind, Zone,
    ZoneSample,
};

/// The first rule that a batch was found to break.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// A field that must not be empty is.
    #[error("{0} is empty")]
    Empty(&'static str),
    /// A name is too long or has control characters in it.
    #[error("{0} is longer than {MAX_NAME_BYTES} bytes or has control characters")]
    Name(&'static str),
    /// More entries than allowed.
    #[error("more than {1} {0}")]
    TooMany(&'static str, usize),
    /// The stream id has not 16 bytes.
    #[error("the stream id has not 16 bytes")]
    StreamId,
    /// Sequences count from 1.
    #[error("the sequence is 0")]
    Sequence,
    /// An index points past its dictionary, or comes twice.
    #[error("interval {0}: an index of {1} is out of range or comes twice")]
    Index(usize, &'static str),
    /// Two lists that must be parallel are not.
    #[error("interval {0}: {1} is not parallel to workloads")]
    NotParallel(usize, &'static str),
    /// An interval starts before 1970 or after 9999, or has no or too great a length.
    #[error("interval {0}: its start or its length is out of range")]
    Time(usize),
    /// A value of an enumeration that this version does not know.
    #[error("unknown {0}")]
    Unknown(&'static str),
    /// The parts of a sample do not sum to what was measured.
    #[error(
        "interval {interval}, zone '{zone}': workloads + system + idle is {parts} uJ, measured {measured} uJ"
    )]
    Unbalanced {
        /// Index of the interval.
        interval: usize,
        /// Name of the zone.
        zone: String,
        /// Sum of the parts.
        parts: u128,
        /// What it should be.
        measured: u64,
    },
    /// Per cent that do not hold what was told, or beside energy that was measured.
    #[error("zone '{0}': its range is no model's")]
    Range(String),
    /// Energy in a sample whose outcome says that none is known.
    #[error("interval {0}: energy in a sample whose outcome has none")]
    EnergyWithoutSample(usize),
    /// Workloads in an interval in which nobody watched.
    #[error("interval {0}: workloads in an interval in which nobody watched")]
    Unwatched(usize),
    /// A lost batch without a sequence, a stream, a reason, a time or a zone of its own.
    #[error("loss {0}: {1} is not valid")]
    Loss(usize, &'static str),
    /// A workload asks for more CPU than a node has.
    #[error("a CPU request of more than {MAX_CPU_REQUEST_MILLIS} thousandths")]
    CpuRequest,
    /// A renaming of what has a name, of what is not there, or into another stage.
    #[error("rename {0}: {1}")]
    Rename(usize, &'static str),
    /// More energy than one sample may hold.
    #[error("interval {0}: a sample of more than {MAX_SAMPLE_UJ} uJ")]
    SampleTooLarge(usize),
}

/// Checks every rule.
///
/// # Errors
/// The first rule that the batch breaks.
pub fn validate(batch: &Batch) -> Result<(), Invalid> {
    StreamId::try_from(batch.stream_id.as_slice()).map_err(|_| Invalid::StreamId)?;
    if batch.sequence == 0 {
        return Err(Invalid::Sequence);
    }
    check_name("cluster", &batch.cluster, true)?;
    check_name("node", &batch.node, true)?;
    check_name("site", &batch.site, false)?;
    check_name("boot_id", &batch.boot_id, false)?;
    check_name("agent_version", &batch.agent_version, false)?;
    check_count("workloads", batch.workloads.len(), MAX_WORKLOADS)?;
    check_count("zones", batch.zones.len(), MAX_ZONES)?;
    check_count("intervals", batch.intervals.len(), MAX_INTERVALS)?;
    check_count("readings", batch.readings.len(), MAX_ZONES)?;
    check_count("losses", batch.losses.len(), MAX_LOSSES)?;
    check_count("renames", batch.renames.len(), MAX_RENAMES)?;

    batch.workloads.iter().try_for_each(check_workload)?;
    for zone in &batch.zones {
        check_name("zone", &zone.name, true)?;
        check_name("parent", &zone.parent, false)?;
        if !matches!(zone.basis(), Basis::Measured | Basis::Modelled) {
            return Err(Invalid::Unknown("basis"));
        }
        check_range(zone)?;
    }
    if batch
        .readings
        .iter()
        .any(|reading| reading.zone as usize >= batch.zones.len())
    {
        return Err(Invalid::Unknown("zone of a reading"));
    }
    let mut renames = batch.renames.iter().enumerate();
    renames.try_for_each(|(index, rename)| check_rename(batch, index, rename))?;
    let mut losses = batch.losses.iter().enumerate();
    losses.try_for_each(|(index, loss)| check_loss(batch, index, loss))?;
    batch
        .intervals
        .iter()
        .enumerate()
        .try_for_each(|(index, interval)| check_interval(batch, index, interval))
}

/// A range is a modelled zone's, and holds what was told.
fn check_range(zone: &Zone) -> Result<(), Invalid> {
    let is_there = (zone.low_percent, zone.high_percent) != (0, 0);
    let holds = (1..=100).contains(&zone.low_percent)
        && (100..=MAX_RANGE_PERCENT).contains(&zone.high_percent);
    if is_there && !(holds && zone.basis() == Basis::Modelled) {
        return Err(Invalid::Range(zone.name.clone()));
    }
    Ok(())
}

fn check_loss(batch: &Batch, index: usize, loss: &Loss) -> Result<(), Invalid> {
    let zones = loss.zones.iter().map(|lost| lost.zone);
    let is_additive = |zone: u32| batch.zones[zone as usize].parent.is_empty();
    let rules = [
        ("sequence", loss.sequence > 0),
        (
            "stream id",
            loss.stream_id.is_empty() || StreamId::try_from(loss.stream_id.as_slice()).is_ok(),
        ),
        ("reason", loss.reason() != LossReason::Unspecified),
        ("time", is_time(loss.start_unix_ms, loss.duration_ns)),
        (
            "zones",
            all_once(zones.clone(), batch.zones.len()) && zones.clone().all(is_additive),
        ),
        (
            "energy",
            loss.zones
                .iter()
                .all(|lost| lost.measured_uj <= MAX_SAMPLE_UJ),
        ),
    ];
    match rules.into_iter().find(|(_, holds)| !holds) {
        Some((what, _)) => Err(Invalid::Loss(index, what)),
        None => Ok(()),
    }
}

fn is_time(start_unix_ms: i64, duration_ns: u64) -> bool {
    (0..=MAX_START_UNIX_MS).contains(&start_unix_ms) && (1..=MAX_INTERVAL_NS).contains(&duration_ns)
}

/// Whether a text is short and plain enough for a name or a label. The empty one is.
#[must_use]
pub fn is_name(text: &str) -> bool {
    text.len() <= MAX_NAME_BYTES && !text.chars().any(char::is_control)
}

/// Whether a workload's energy is told under the id of its pod, so that its name may follow.
#[must_use]
pub fn is_unnamed(workload: &Workload) -> bool {
    workload.kind() == WorkloadKind::Container
        && !workload.pod_uid.is_empty()
        && workload.container.is_empty()
}

fn check_rename(batch: &Batch, index: usize, rename: &Rename) -> Result<(), Invalid> {
    let workload = |index: u32| batch.workloads.get(index as usize);
    let (Some(was), Some(is)) = (workload(rename.was), workload(rename.is)) else {
        return Err(Invalid::Rename(index, "no such workload"));
    };
    let stage = |workload: &Workload| {
        [&workload.workflow, &workload.run, &workload.stage].map(String::clone)
    };
    let has_stage = stage(was).iter().any(|label| !label.is_empty());
    let rules = [
        (is_unnamed(was), "the workload has a name already"),
        (!is_unnamed(is), "the new name is none"),
        (
            !has_stage || stage(was) == stage(is),
            "the workload has another stage already",
        ),
    ];
    match rules.into_iter().find(|(holds, _)| !holds) {
        Some((_, what)) => Err(Invalid::Rename(index, what)),
        None => Ok(()),
    }
}

fn check_workload(workload: &Workload) -> Result<(), Invalid> {
    if workload.cpu_request_millis > MAX_CPU_REQUEST_MILLIS {
        return Err(Invalid::CpuRequest);
    }
    let names = [
        ("pod_uid", &workload.pod_uid),
        ("namespace", &workload.namespace),
        ("pod", &workload.pod),
        ("container_id", &workload.container_id),
        ("container", &workload.container),
        ("workflow", &workload.workflow),
        ("run", &workload.run),
        ("stage", &workload.stage),
        ("component", &workload.component),
    ];
    names
        .into_iter()
        .try_for_each(|(field, value)| check_name(field, value, false))
}

fn check_name(field: &'static str, value: &str, required: bool) -> Result<(), Invalid> {
    if required && value.is_empty() {
        return Err(Invalid::Empty(field));
    }
    if is_name(value) {
        Ok(())
    } else {
        Err(Invalid::Name(field))
    }
}

fn check_count(field: &'static str, count: usize, max: usize) -> Result<(), Invalid> {
    if count > max {
        Err(Invalid::TooMany(field, max))
    } else {
        Ok(())
    }
}

fn check_interval(batch: &Batch, index: usize, interval: &Interval) -> Result<(), Invalid> {
    if !is_time(interval.start_unix_ms, interval.duration_ns) {
        return Err(Invalid::Time(index));
    }
    if interval.unwatched && !interval.workloads.is_empty() {
        return Err(Invalid::Unwatched(index));
    }
    if !all_once(interval.workloads.iter().copied(), batch.workloads.len()) {
        return Err(Invalid::Index(index, "workloads"));
    }
    if !all_once(
        interval.zones.iter().map(|sample| sample.zone),
        batch.zones.len(),
    ) {
        return Err(Invalid::Index(index, "zones"));
    }
    if interval.cpu_ns.len() != interval.workloads.len() {
        return Err(Invalid::NotParallel(index, "cpu_ns"));
    }
    interval
        .zones
        .iter()
        .try_for_each(|sample| check_sample(batch, index, interval, sample))
}

/// Each index is below `length` and comes once.
fn all_once(indexes: impl Iterator<Item = u32>, length: usize) -> bool {
    let mut seen = vec![false; length];
    indexes.into_iter().all(|index| {
        seen.get_mut(index as usize)
            .is_some_and(|seen| !std::mem::replace(seen, true))
    })
}

fn check_sample(
    batch: &Batch,
    index: usize,
    interval: &Interval,
    sample: &ZoneSample,
) -> Result<(), Invalid> {
    if sample.outcome() == Outcome::Unspecified {
        return Err(Invalid::Unknown("outcome"));
    }
    let zone = &batch.zones[sample.zone as usize];
    let nested = !zone.parent.is_empty();
    let shares = if nested { 0 } else { interval.workloads.len() };
    if sample.active_uj.len() != shares {
        return Err(Invalid::NotParallel(index, "active_uj"));
    }
    let known = matches!(sample.outcome(), Outcome::Sampled | Outcome::Wrapped);
    if !known && sample.measured_uj != 0 {
        return Err(Invalid::EnergyWithoutSample(index));
    }
    if sample.measured_uj > MAX_SAMPLE_UJ {
        return Err(Invalid::SampleTooLarge(index));
    }
    let expected = if nested { 0 } else { sample.measured_uj };
    let parts = [sample.idle_uj, sample.system_uj];
    let parts: u128 = parts
        .iter()
        .chain(&sample.active_uj)
        .map(|&part| u128::from(part))
        .sum();
    if parts != u128::from(expected) {
        let zone = zone.name.clone();
        return Err(Invalid::Unbalanced {
            interval: index,
            zone,
            parts,
            measured: expected,
        });
    }
    Ok(())
}
