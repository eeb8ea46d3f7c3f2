//! The spool's state and the order of its steps: what is appended, sealed, sent, dropped and set aside, and what is
//! durable before what. See [`crate::spool`] for the invariants.

use std::collections::VecDeque;
use std::io;

use prost::Message as _;
use wire::v1::LossReason;
use wire::{Energy, StreamId};

use super::entry::{self, Content, Header, Lost, Measured, Origin, Standing};
use super::files::Files;
use super::losses;
use super::merge::{self, Filling};
use super::sealed::{Key, Sealed};

mod leaving;

/// The file that intervals are appended to.
pub(super) const OPEN: &str = "open.log";
/// A file that is being written; left behind by a crash, it is nothing.
pub(super) const NEW: &str = ".new";

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of sealed batches; beyond them the oldest are dropped, and told as lost.
    pub max_bytes: u64,
    /// Bytes of batches that were set aside; beyond them the oldest are deleted.
    pub max_refused_bytes: u64,
    /// Bytes of intervals that cannot be written; beyond them the oldest lose their workloads.
    pub max_waiting_bytes: usize,
}

/// What has happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Batches dropped because too many waited.
    pub dropped: u64,
    /// Batches refused for good.
    pub refused: u64,
    /// Batches that could not be read any more.
    pub damaged: u64,
    /// Energy in dropped batches.
    pub dropped_energy: Energy,
    /// Energy in refused batches.
    pub refused_energy: Energy,
    /// Intervals whose workloads were forgotten, because they could not be written for too long.
    pub forgotten: u64,
    /// Writes that failed.
    pub failures: u64,
}

/// A batch on its way.
#[derive(Clone, Debug, PartialEq)]
pub struct Outgoing {
    /// What names it.
    pub key: Key,
    /// As it is sent.
    pub bytes: Vec<u8>,
    /// The energy in it, additive zones together.
    pub energy: Energy,
}

/// What a batch turned into after it was begun to be sealed; nothing is appended until it is done.
struct Turn {
    /// The batch; `None` where there was nothing in it.
    batch: Option<(Key, Vec<u8>)>,
    /// With the losses that the batch does not tell.
    next: Header,
}

pub(super) struct Store {
    pub(super) files: Box<dyn Files>,
    limits: Limits,
    origin: Origin,
    stream_id: StreamId,
    sequence: u64,
    /// Bytes of the open file that are durable and whole.
    length: u64,
    /// How things stood at the end of the last interval that is durable.
    stood: Standing,
    filling: Filling,
    /// Not durable yet.
    waiting: VecDeque<Measured>,
    /// Durable, to be told.
    losses: Vec<Lost>,
    pub(super) sealed: VecDeque<Sealed>,
    in_flight: Option<Key>,
    /// Not to be sent again, but not set aside yet.
    condemned: Vec<(Key, LossReason)>,
    turn: Option<Turn>,
    pub(super) counts: Counts,
}

/// What a store begins with.
pub(super) struct Beginning {
    pub(super) limits: Limits,
    /// What the open file says.
    pub(super) content: Content,
    pub(super) sealed: Vec<Sealed>,
    /// The header that comes next, but for the losses.
    pub(super) next: Header,
}

impl Store {
    /// Goes on from what was found. Writes nothing: that is the first step of all others.
    pub(super) fn new(files: Box<dyn Files>, beginning: Beginning) -> Self {
        let Content {
            header,
            measured,
            losses,
            length,
        } = beginning.content;
        let mut store = Self {
            files,
            limits: beginning.limits,
            origin: header.origin,
            stream_id: StreamId(header.stream_id.try_into().unwrap_or_default()),
            sequence: header.sequence,
            length,
            stood: header.start,
            filling: Filling::default(),
            waiting: VecDeque::new(),
            losses,
            sealed: beginning.sealed.into(),
            in_flight: None,
            condemned: Vec::new(),
            turn: None,
            counts: Counts::default(),
        };
        for measured in measured {
            store.stood = measured.end.clone();
            store.filling.push(measured, 0);
        }
        store.turn = Some(store.turn_to(beginning.next));
        store
    }

    /// Takes in an interval; durable when this succeeds. Else it waits, and the next call tries again.
    pub(super) fn add(&mut self, mut measured: Measured, now_unix_ms: i64) -> io::Result<()> {
        let packed_bytes = entry::measured(&measured).len();
        let mut is_acceptable = merge::is_acceptable(&self.origin, &measured, packed_bytes);
        if !is_acceptable && !measured.renames.is_empty() {
            // It may be one of the names that it gives.
            measured.renames.clear();
            is_acceptable = merge::is_acceptable(&self.origin, &measured, packed_bytes);
        }
        let bare = (!is_acceptable)
            .then(|| merge::unwatched(&[&measured]))
            .flatten();
        // A name that the wire does not take, or thousands too many: better no names than no energy.
        self.counts.forgotten += u64::from(bare.is_some());
        self.waiting.push_back(bare.unwrap_or(measured));
        self.bound_waiting();
        self.step(now_unix_ms)
    }

    /// Goes on where something failed.
    pub(super) fn step(&mut self, now_unix_ms: i64) -> io::Result<()> {
        let stepped = self.try_step(now_unix_ms);
        self.counts.failures += u64::from(stepped.is_err());
        stepped
    }

    fn try_step(&mut self, now_unix_ms: i64) -> io::Result<()> {
        self.finish_turn(now_unix_ms)?;
        while let Some(first) = self.waiting.front() {
            let frame = entry::measured(first);
            if !self.filling.has_room_for(first, frame.len()) {
                self.turn(now_unix_ms)?;
            }
            self.append(&frame)?;
            if let Some(measured) = self.waiting.pop_front() {
                self.stood = measured.end.clone();
                self.filling.push(measured, frame.len());
            }
            if self.filling.is_full() {
                self.turn(now_unix_ms)?;
            }
        }
        self.keep_within_bounds()
    }

    /// Seals what there is.
    pub(super) fn seal(&mut self, now_unix_ms: i64) -> io::Result<()> {
        self.step(now_unix_ms)?;
        if self.filling.measured().is_empty() {
            return Ok(());
        }
        let turned = self.turn(now_unix_ms);
        self.counts.failures += u64::from(turned.is_err());
        turned
    }

    fn append(&mut self, frame: &[u8]) -> io::Result<()> {
        // What a failed append left behind is cut off by the next. None is lost with it: an interval that is not
        // known to be durable is appended before the batch is sealed, and the batch of a loss is still there.
        self.files.append(OPEN, self.length, frame)?;
        self.length += frame.len() as u64;
        Ok(())
    }

    fn turn(&mut self, now_unix_ms: i64) -> io::Result<()> {
        let next = Header {
            version: entry::VERSION,
            stream_id: self.stream_id.to_vec(),
            sequence: self.sequence + 1,
            origin: self.origin.clone(),
            start: self.stood.clone(),
            losses: Vec::new(),
        };
        self.turn = Some(self.turn_to(next));
        self.finish_turn(now_unix_ms)
    }

    fn turn_to(&self, next: Header) -> Turn {
        let key = Key {
            stream_id: self.stream_id,
            sequence: self.sequence,
        };
        let measured = self.filling.measured();
        if measured.is_empty() {
            let losses = self.losses.clone();
            return Turn {
                batch: None,
                next: Header { losses, ..next },
            };
        }
        let (told, later) = losses::split(&self.losses, |lost| self.is_there(lost));
        let batch = merge::batch(
            &self.origin,
            (key.stream_id, key.sequence),
            measured,
            &self.stood,
            &told,
        );
        Turn {
            batch: Some((key, wire::encode(&batch))),
            next: Header {
                losses: later,
                ..next
            },
        }
    }

    /// The batch under its name, then the file that comes after it; only then is it known to be there. Each of
    /// these steps may be done again.
    fn finish_turn(&mut self, now_unix_ms: i64) -> io::Result<()> {
        let Some(mut turn) = self.turn.take() else {
            return Ok(());
        };
        let finished = self.try_turn(&mut turn);
        let Ok(length) = finished else {
            self.turn = Some(turn);
            return finished.map(drop);
        };
        if let Some((key, bytes)) = turn.batch {
            self.sealed.push_back(Sealed {
                key,
                bytes: bytes.len() as u64,
                sealed_unix_ms: now_unix_ms,
            });
        }
        let next = turn.next;
        self.stream_id = StreamId(next.stream_id.try_into().unwrap_or_default());
        (self.sequence, self.origin, self.stood) = (next.sequence, next.origin, next.start);
        (self.losses, self.filling) = (next.losses, Filling::default());
        self.length = length;
        Ok(())
    }

    fn try_turn(&mut self, turn: &mut Turn) -> io::Result<u64> {
        if let Some((key, bytes)) = &turn.batch {
            self.write(&key.to_string(), bytes)?;
        }
        losses::bound(&mut turn.next.losses);
        let header = entry::header(&turn.next);
        self.write(OPEN, &header)?;
        Ok(header.len() as u64)
    }

    /// Whole or not at all, and durable.
    fn write(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let new = format!("{name}{NEW}");
        self.files.write_new(&new, bytes)?;
        self.files.rename(&new, name)?;
        self.files.sync_names()
    }

    fn bound_waiting(&mut self) {
        let size = |waiting: &VecDeque<Measured>| -> usize {
            waiting.iter().map(Measured::encoded_len).sum()
        };
        let mut position = 0;
        while position + 1 < self.waiting.len()
            && size(&self.waiting) > self.limits.max_waiting_bytes
        {
            let (first, then) = (&self.waiting[position], &self.waiting[position + 1]);
            let Some(merged) = merge::unwatched(&[first, then]) else {
                position += 1;
                continue;
            };
            self.waiting[position] = merged;
            self.waiting.remove(position + 1);
            self.counts.forgotten += 1;
        }
    }

    fn is_there(&self, lost: &Lost) -> bool {
        self.sealed.iter().any(|sealed| lost.is_of(sealed.key))
    }

    pub(super) fn waiting_bytes(&self) -> u64 {
        self.sealed.iter().map(|one| one.bytes).sum()
    }

    /// Intervals that are not sealed yet.
    pub(super) fn intervals(&self) -> usize {
        self.filling.measured().len() + self.waiting.len()
    }

    /// Energy that is not sealed yet, additive zones together.
    pub(super) fn unsealed_energy(&self) -> Energy {
        let all = self.filling.measured().iter().chain(&self.waiting);
        all.map(Measured::energy).sum()
    }
}
