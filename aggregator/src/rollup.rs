//! A batch summed up per minute: pure arithmetic, in whole microjoules.
//!
//! An interval that crosses minutes is cut in proportion to time, each of its parts (every share, idle,
//! system) on its own; what a minute measured is then the sum of its parts, so that no rounding can break
//! the balance of a minute. Leaves the keeping of the sums to the store.

use std::collections::{BTreeMap, HashMap};

use wire::limits::MAX_UJ_PER_NS;
use wire::v1::{Batch, Interval, Loss, Outcome, Workload, ZoneSample};

/// Nanoseconds in a minute.
pub const MINUTE_NS: u64 = 60_000_000_000;
/// Milliseconds in a minute.
pub const MINUTE_MS: i64 = 60_000;
/// Pieces (shares and zones, times minutes) that one batch may be cut into; more would keep the writer
/// busy for too long.
pub const MAX_PIECES: u64 = 4_000_000;

/// Digits of a container's id that agents tell.
const ID_DIGITS: usize = 12;
/// 9999-01-01T00:00:00Z: later times have no calendar form.
const MAX_END_MS: u64 = 253_370_764_800_000;
/// More CPUs than any node has; a greater CPU time would in the end overflow the ledger's sums.
const MAX_CPUS: u64 = 65_536;

/// A valid batch that the ledger nevertheless cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Too many rows would come of it.
    #[error(
        "its intervals make {0} minute shares, at most {MAX_PIECES} are allowed; send fewer intervals per batch"
    )]
    TooManyPieces(u64),
    /// An interval that ends after the year 9998.
    #[error("interval {0} ends after the year 9998")]
    TooLate(usize),
    /// More CPU time than an interval can have.
    #[error("interval {0} has more CPU time than {MAX_CPUS} CPUs")]
    TooMuchCpuTime(usize),
    /// More energy than a zone can have used in the time.
    #[error("interval {0} has a zone of more than 10 MW")]
    TooMuchPower(usize),
    /// A lost batch that ends after the year 9998, or had a zone of more than 10 MW.
    #[error("loss {0} ends after the year 9998, or has a zone of more than 10 MW")]
    Loss(usize),
    /// The same, of intervals that overlap.
    #[error("its intervals overlap, and together have a zone of more than 10 MW")]
    TooMuchPowerTogether,
    /// A sum that 63 bits do not hold.
    #[error("its sums are greater than the ledger can hold")]
    TooGreat,
}

/// Sums of one zone in one minute. In an additive zone, measured = idle + system + all its shares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ZoneMinute {
    /// All energy.
    pub measured_uj: u64,
    /// Idle energy.
    pub idle_uj: u64,
    /// Active energy of what belongs to no workload.
    pub system_uj: u64,
    /// CPU time of the same.
    pub system_usage_ns: u64,
    /// Time for which the energy is known.
    pub covered_ns: u64,
    /// Some of the idle power was the model's seed.
    pub idle_seeded: bool,
}

/// Sums of one workload in one zone and minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShareMinute {
    /// Active energy.
    pub active_uj: u64,
    /// CPU time.
    pub usage_ns: u64,
    /// CPU time that was reserved for it: its CPU request times its time, in microseconds.
    pub request_us: u64,
}

/// What one stage of one run, or one workload, did in the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StageSpan {
    /// Start of its first interval, in milliseconds since 1970.
    pub start_ms: i64,
    /// End of its last.
    pub end_ms: i64,
    /// Active energy over all zones.
    pub active_uj: u64,
}

impl StageSpan {
    fn add_to(self, spans: &mut BTreeMap<usize, Self>, key: usize) -> Result<(), Unfit> {
        let span = spans.entry(key).or_insert(Self {
            active_uj: 0,
            ..self
        });
        span.start_ms = span.start_ms.min(self.start_ms);
        span.end_ms = span.end_ms.max(self.end_ms);
        add(&mut span.active_uj, self.active_uj)
    }
}

/// Names a stage within a cluster; any part may be empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StageKey<'a> {
    /// Workflow.
    pub workflow: &'a str,
    /// Run's id.
    pub run: &'a str,
    /// Stage.
    pub stage: &'a str,
}

impl<'a> StageKey<'a> {
    /// Of a workload; `None` for one that carries no label.
    #[must_use]
    pub fn of(workload: &'a Workload) -> Option<Self> {
        let key = Self {
            workflow: &workload.workflow,
            run: &workload.run,
            stage: &workload.stage,
        };
        let labelled = [key.workflow, key.run, key.stage]
            .iter()
            .any(|label| !label.is_empty());
        labelled.then_some(key)
    }
}

/// A batch's sums. Minutes count from 1970; zones and workloads are indexes into the batch's dictionaries.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Rollup {
    /// By (minute, zone), nested zones too. An additive zone that could not be read, or whose batch was lost, is
    /// there as well, with no energy and no time covered, so that a reader sees what is missing.
    pub zones: BTreeMap<(i64, usize), ZoneMinute>,
    /// By (minute, zone, workload).
    pub shares: BTreeMap<(i64, usize, usize), ShareMinute>,
    /// One for each [`StageKey`], by the first of the batch's workloads that has it.
    pub stages: BTreeMap<usize, StageSpan>,
    /// One for each workload whose name may follow, by its index; and for who looks like one, by its labels, which are all
    /// that the ledger tells workloads apart by.
    pub unnamed: BTreeMap<usize, StageSpan>,
}

/// Sums up a batch that [`wire::validate`] has found valid.
///
/// # Errors
/// [`Unfit`], where the ledger could not hold the sums.
pub fn rollup(batch: &Batch) -> Result<Rollup, Unfit> {
    check(batch)?;
    let mut rollup = Rollup::default();
    let stages = stages(batch);
    let unnamed: Vec<bool> = batch.workloads.iter().map(looks_unnamed).collect();
    for interval in &batch.intervals {
        for sample in &interval.zones {
            let nested = !batch.zones[sample.zone as usize].parent.is_empty();
            for piece in pieces(interval.start_unix_ms, interval.duration_ns) {
                match (is_known(sample), nested) {
                    (true, true) => rollup.add_nested(sample, &piece),
                    (true, false) => rollup.add_additive(batch, interval, sample, &piece)?,
                    (false, true) => {}
                    (false, false) => rollup.add_unknown(interval, sample, &piece),
                }
            }
        }
        rollup.add_spans(&stages, &unnamed, interval)?;
    }
    for loss in &batch.losses {
        rollup.add_loss(loss);
    }
    rollup.check_sums()?;
    Ok(rollup)
}

/// Of each workload the first that has the same stage; `None` for one that carries no label.
fn stages(batch: &Batch) -> Vec<Option<usize>> {
    let mut first = HashMap::new();
    let keys = batch.workloads.iter().map(StageKey::of).enumerate();
    keys.map(|(index, key)| Some(*first.entry(key?).or_insert(index)))
        .collect()
}

/// Whether it has no container's name, but nothing or the digits of its id in that place.
fn looks_unnamed(workload: &Workload) -> bool {
    let container = match &*workload.container {
        "" => &workload.container_id,
        name => name,
    };
    let is_id =
        container.len() == ID_DIGITS && container.bytes().all(|byte| byte.is_ascii_hexdigit());
    container.is_empty() || is_id
}

/// Pieces that a batch would be cut into: what [`MAX_PIECES`] bounds.
#[must_use]
pub fn count_pieces(batch: &Batch) -> u64 {
    let of_interval = |interval: &Interval| {
        let minutes = count_minutes(interval.start_unix_ms, interval.duration_ns);
        let rows = interval.zones.len() * (1 + interval.workloads.len());
        minutes.saturating_mul(rows as u64)
    };
    let of_loss = |loss: &Loss| {
        let minutes = count_minutes(loss.start_unix_ms, loss.duration_ns);
        minutes.saturating_mul(loss.zones.len() as u64)
    };
    let of_intervals = batch.intervals.iter().map(of_interval);
    of_intervals
        .chain(batch.losses.iter().map(of_loss))
        .fold(0, u64::saturating_add)
}

/// Whether a sample says how much energy there was.
#[must_use]
pub fn is_known(sample: &ZoneSample) -> bool {
    matches!(sample.outcome(), Outcome::Sampled | Outcome::Wrapped)
}

/// End of an interval in milliseconds since 1970, rounded up.
fn end_ms(interval: &Interval) -> i64 {
    interval.start_unix_ms + interval.duration_ns.div_ceil(1_000_000) as i64
}

/// End of the latest time that a batch speaks of, its losses included, in milliseconds since 1970; 0 for one
/// that speaks of none.
#[must_use]
pub fn last_end_ms(batch: &Batch) -> i64 {
    let losses = batch.losses.iter();
    let losses =
        losses.map(|loss| loss.start_unix_ms + loss.duration_ns.div_ceil(1_000_000) as i64);
    let intervals = batch.intervals.iter().map(end_ms);
    intervals.chain(losses).max().unwrap_or(0)
}

fn check(batch: &Batch) -> Result<(), Unfit> {
    let pieces = count_pieces(batch);
    if pieces > MAX_PIECES {
        return Err(Unfit::TooManyPieces(pieces));
    }
    for (index, interval) in batch.intervals.iter().enumerate() {
        let end = interval.start_unix_ms.unsigned_abs() + interval.duration_ns / 1_000_000;
        if end >= MAX_END_MS {
            return Err(Unfit::TooLate(index));
        }
        let limit = interval.duration_ns.saturating_mul(MAX_CPUS);
        let mut times = interval.cpu_ns.iter().chain([&interval.system_cpu_ns]);
        if times.any(|&cpu_ns| cpu_ns > limit) {
            return Err(Unfit::TooMuchCpuTime(index));
        }
        let limit = interval.duration_ns.saturating_mul(MAX_UJ_PER_NS);
        let mut samples = interval.zones.iter();
        if samples.any(|sample| sample.measured_uj > limit) {
            return Err(Unfit::TooMuchPower(index));
        }
    }
    check_losses(batch)
}

fn check_losses(batch: &Batch) -> Result<(), Unfit> {
    for (index, loss) in batch.losses.iter().enumerate() {
        let end = loss.start_unix_ms.unsigned_abs() + loss.duration_ns / 1_000_000;
        let limit = loss.duration_ns.saturating_mul(MAX_UJ_PER_NS);
        if end >= MAX_END_MS || loss.zones.iter().any(|lost| lost.measured_uj > limit) {
            return Err(Unfit::Loss(index));
        }
    }
    Ok(())
}

/// The part of an interval that lies in one minute.
#[derive(Clone, Copy, Debug)]
struct Piece {
    /// Minutes since 1970.
    minute: i64,
    /// Start and end, counted from the interval's start.
    from_ns: u64,
    to_ns: u64,
    /// Length of the whole interval.
    whole_ns: u64,
}

impl Piece {
    /// What falls into the piece of an amount that is spread evenly over the interval. The floor is taken
    /// of the cumulative amount, so that the pieces of an interval sum to the whole.
    fn part(&self, amount: u64) -> u64 {
        if self.from_ns == 0 && self.to_ns == self.whole_ns {
            return amount;
        }
        let until = |ns: u64| {
            let product = u128::from(amount) * u128::from(ns);
            (product / u128::from(self.whole_ns)) as u64
        };
        until(self.to_ns) - until(self.from_ns)
    }

    /// CPU time that a request of so many thousandths of a CPU reserves; a thousandth of a CPU for a millisecond is a
    /// microsecond.
    fn reserved_us(&self, request_millis: u32) -> u64 {
        let length_ns = self.to_ns - self.from_ns;
        let product = u128::from(request_millis) * u128::from(length_ns);
        (product / 1_000_000) as u64
    }
}

fn pieces(start_unix_ms: i64, duration_ns: u64) -> impl Iterator<Item = Piece> {
    let first = start_unix_ms / MINUTE_MS;
    let lead_ns = lead_ns(start_unix_ms);
    let count = count_minutes(start_unix_ms, duration_ns);
    (0..count).map(move |index| Piece {
        minute: first + index as i64,
        from_ns: (index * MINUTE_NS).saturating_sub(lead_ns),
        to_ns: ((index + 1) * MINUTE_NS - lead_ns).min(duration_ns),
        whole_ns: duration_ns,
    })
}

/// Time from the start of the minute to the start of the interval.
fn lead_ns(start_unix_ms: i64) -> u64 {
    (start_unix_ms % MINUTE_MS) as u64 * 1_000_000
}

/// Minutes that an interval touches.
fn count_minutes(start_unix_ms: i64, duration_ns: u64) -> u64 {
    (lead_ns(start_unix_ms) + duration_ns).div_ceil(MINUTE_NS)
}

impl Rollup {
    fn add_nested(&mut self, sample: &ZoneSample, piece: &Piece) {
        let key = (piece.minute, sample.zone as usize);
        let minute = self.zones.entry(key).or_default();
        minute.measured_uj += piece.part(sample.measured_uj);
        minute.covered_ns += piece.to_ns - piece.from_ns;
    }

    fn add_additive(
        &mut self,
        batch: &Batch,
        interval: &Interval,
        sample: &ZoneSample,
        piece: &Piece,
    ) -> Result<(), Unfit> {
        let zone = sample.zone as usize;
        let mut active_uj = 0;
        let shares = interval.workloads.iter().zip(&interval.cpu_ns);
        for ((&workload, &cpu_ns), &active) in shares.zip(&sample.active_uj) {
            let key = (piece.minute, zone, workload as usize);
            let share = self.shares.entry(key).or_default();
            let part = piece.part(active);
            active_uj += part;
            share.active_uj += part;
            add(&mut share.usage_ns, piece.part(cpu_ns))?;
            let request = batch.workloads[workload as usize].cpu_request_millis;
            add(&mut share.request_us, piece.reserved_us(request))?;
        }
        let idle_uj = piece.part(sample.idle_uj);
        let system_uj = piece.part(sample.system_uj);
        let minute = self.zones.entry((piece.minute, zone)).or_default();
        minute.measured_uj += active_uj + idle_uj + system_uj;
        minute.idle_uj += idle_uj;
        minute.system_uj += system_uj;
        if !interval.unwatched {
            minute.covered_ns += piece.to_ns - piece.from_ns;
        }
        minute.idle_seeded |= sample.idle_seeded;
        add(
            &mut minute.system_usage_ns,
            piece.part(interval.system_cpu_ns),
        )
    }

    /// Who ran is noted, with neither energy nor the weight that shares out what others know to be idle.
    fn add_unknown(&mut self, interval: &Interval, sample: &ZoneSample, piece: &Piece) {
        let zone = sample.zone as usize;
        self.zones.entry((piece.minute, zone)).or_default();
        for &workload in &interval.workloads {
            let key = (piece.minute, zone, workload as usize);
            self.shares.entry(key).or_default();
        }
    }

    /// Nobody knows who ran while a batch was lost: its minutes are noted, with nothing in them.
    fn add_loss(&mut self, loss: &Loss) {
        for piece in pieces(loss.start_unix_ms, loss.duration_ns) {
            for lost in &loss.zones {
                self.zones
                    .entry((piece.minute, lost.zone as usize))
                    .or_default();
            }
        }
    }

    fn add_spans(
        &mut self,
        stages: &[Option<usize>],
        unnamed: &[bool],
        interval: &Interval,
    ) -> Result<(), Unfit> {
        for (position, &workload) in interval.workloads.iter().enumerate() {
            let workload = workload as usize;
            let active_uj = |sample: &ZoneSample| sample.active_uj.get(position).copied();
            let span = StageSpan {
                start_ms: interval.start_unix_ms,
                end_ms: end_ms(interval),
                active_uj: interval.zones.iter().filter_map(active_uj).sum(),
            };
            if let Some(stage) = stages[workload] {
                span.add_to(&mut self.stages, stage)?;
            }
            if unnamed[workload] {
                span.add_to(&mut self.unnamed, workload)?;
            }
        }
        Ok(())
    }

    /// Energy alone stays below 2^64 by the limits of a batch; the ledger's integers end at 2^63.
    fn check_sums(&self) -> Result<(), Unfit> {
        let most = MINUTE_NS * MAX_UJ_PER_NS;
        if self.zones.values().any(|zone| zone.measured_uj > most) {
            return Err(Unfit::TooMuchPowerTogether);
        }
        let zones = self.zones.values();
        let zones = zones.flat_map(|zone| [zone.measured_uj, zone.system_usage_ns]);
        let shares = self.shares.values();
        let shares = shares.flat_map(|share| [share.usage_ns, share.request_us]);
        let spans = self.stages.values().chain(self.unnamed.values());
        let spans = spans.map(|span| span.active_uj);
        let fits = |sum: u64| i64::try_from(sum).is_ok();
        if zones.chain(shares).chain(spans).all(fits) {
            Ok(())
        } else {
            Err(Unfit::TooGreat)
        }
    }
}

fn add(sum: &mut u64, part: u64) -> Result<(), Unfit> {
    *sum = sum.checked_add(part).ok_or(Unfit::TooGreat)?;
    Ok(())
}

#[cfg(test)]
mod tests;
