//! What the open file says, and how its bytes are framed: the header, and what was appended since. Pure.
//!
//! A frame is the length and the CRC-32 of its body (both little-endian), then the body: one byte that says what it
//! is, and a zstd frame of a protobuf message. What is not whole is as if it had never been written.

use std::io::Read;

use prost::Message;
use wire::Energy;
use wire::v1::{Basis, Interval, LossReason, Workload, Zone, ZoneSample};

/// Version of the open file.
pub(super) const VERSION: u32 = 1;

const HEADER: u8 = 1;
const MEASURED: u8 = 2;
const LOST: u8 = 3;

/// Length and checksum.
const PREFIX_BYTES: usize = 8;
/// No message is larger.
const MAX_MESSAGE_BYTES: u64 = 256 << 20;
const ZSTD_LEVEL: i32 = 1;

/// One counter as it was last read. Zones are known by name and by where they are read.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Counter {
    /// The zone's name.
    #[prost(string, tag = "1")]
    pub zone: String,
    /// Where it is read from.
    #[prost(string, tag = "2")]
    pub source: String,
    /// Microjoules.
    #[prost(uint64, tag = "3")]
    pub counter_uj: u64,
    /// CLOCK_BOOTTIME when it was read.
    #[prost(uint64, tag = "4")]
    pub boottime_ns: u64,
    /// CLOCK_MONOTONIC then.
    #[prost(uint64, tag = "5")]
    pub awake_ns: u64,
}

/// How things stood at the end of an interval.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Standing {
    /// Every counter that has a reading.
    #[prost(message, repeated, tag = "1")]
    pub counters: Vec<Counter>,
    /// CLOCK_BOOTTIME at the interval's end.
    #[prost(uint64, tag = "2")]
    pub boottime_ns: u64,
    /// The wall clock then.
    #[prost(int64, tag = "3")]
    pub unix_ms: i64,
}

/// A workload that was told under its pod's uid, and its name.
#[derive(Clone, PartialEq, Message)]
pub struct Named {
    /// As it was told.
    #[prost(message, required, tag = "1")]
    pub was: Workload,
    /// Who it is.
    #[prost(message, required, tag = "2")]
    pub is: Workload,
}

/// One measured interval, with dictionaries of its own.
#[derive(Clone, PartialEq, Message)]
pub struct Measured {
    /// Who ran.
    #[prost(message, repeated, tag = "1")]
    pub workloads: Vec<Workload>,
    /// The node's zones.
    #[prost(message, repeated, tag = "2")]
    pub zones: Vec<Zone>,
    /// What was measured.
    #[prost(message, required, tag = "3")]
    pub interval: Interval,
    /// How things stood at its end.
    #[prost(message, required, tag = "4")]
    pub end: Standing,
    /// Names of what was told without one, in this interval or before.
    #[prost(message, repeated, tag = "5")]
    pub renames: Vec<Named>,
    /// The site that the node named then; empty: none.
    #[prost(string, tag = "6")]
    pub site: String,
}

impl Measured {
    /// Its energy, additive zones together.
    #[must_use]
    pub fn energy(&self) -> Energy {
        let additive = |sample: &&ZoneSample| {
            let zone = self.zones.get(sample.zone as usize);
            zone.is_some_and(|zone| zone.parent.is_empty())
        };
        let samples = self.interval.zones.iter().filter(additive);
        samples
            .map(|sample| Energy::from_microjoules(sample.measured_uj))
            .sum()
    }
}

/// Whose figures a spool takes in.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Origin {
    /// The cluster's name.
    #[prost(string, tag = "1")]
    pub cluster: String,
    /// The node's name.
    #[prost(string, tag = "2")]
    pub node: String,
    /// The kernel's boot id.
    #[prost(string, tag = "3")]
    pub boot_id: String,
}

/// What an open file begins with.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Header {
    #[prost(uint32, tag = "1")]
    pub(super) version: u32,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) stream_id: Vec<u8>,
    /// Of the batch that is being filled.
    #[prost(uint64, tag = "3")]
    pub(super) sequence: u64,
    #[prost(message, required, tag = "4")]
    pub(super) origin: Origin,
    /// How things stood when it was begun.
    #[prost(message, required, tag = "5")]
    pub(super) start: Standing,
    /// Still to be told.
    #[prost(message, repeated, tag = "6")]
    pub(super) losses: Vec<Lost>,
}

/// A batch that will never come.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Lost {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) stream_id: Vec<u8>,
    #[prost(uint64, tag = "2")]
    pub(super) sequence: u64,
    #[prost(enumeration = "LossReason", tag = "3")]
    pub(super) reason: i32,
    #[prost(int64, tag = "4")]
    pub(super) start_unix_ms: i64,
    #[prost(uint64, tag = "5")]
    pub(super) duration_ns: u64,
    #[prost(message, repeated, tag = "6")]
    pub(super) zones: Vec<LostZone>,
}

/// Energy of an additive zone.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct LostZone {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(enumeration = "Basis", tag = "2")]
    pub(super) basis: i32,
    #[prost(uint64, tag = "3")]
    pub(super) measured_uj: u64,
}

#[derive(Clone, PartialEq, Message)]
struct Losses {
    #[prost(message, repeated, tag = "1")]
    losses: Vec<Lost>,
}

/// What an open file says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Content {
    pub(super) header: Header,
    pub(super) measured: Vec<Measured>,
    /// The header's, and those that were appended.
    pub(super) losses: Vec<Lost>,
    /// Bytes that are whole.
    pub(super) length: u64,
}

pub(super) fn header(header: &Header) -> Vec<u8> {
    frame(HEADER, &header.encode_to_vec())
}

pub(super) fn measured(measured: &Measured) -> Vec<u8> {
    frame(MEASURED, &measured.encode_to_vec())
}

pub(super) fn lost(losses: &[Lost]) -> Vec<u8> {
    let losses = losses.to_vec();
    frame(LOST, &Losses { losses }.encode_to_vec())
}

fn frame(kind: u8, message: &[u8]) -> Vec<u8> {
    let packed =
        zstd::bulk::compress(message, ZSTD_LEVEL).expect("compressing into memory cannot fail");
    let mut body = vec![kind];
    body.extend(packed);
    let mut frame = (body.len() as u32).to_le_bytes().to_vec();
    frame.extend(crc32fast::hash(&body).to_le_bytes());
    frame.extend(body);
    frame
}

/// Reads an open file up to the first frame that is not whole.
///
/// # Errors
/// Says why it is no open file: no header, or one of another version.
pub(super) fn read(bytes: &[u8]) -> Result<Content, String> {
    let mut content = Content::default();
    let mut rest = bytes;
    while let Some((kind, message, after)) = unframe(rest) {
        let first = content.length == 0;
        let taken = take(&mut content, first, kind, &message);
        if first {
            taken?;
        } else if taken.is_err() {
            break;
        }
        rest = after;
        content.length = (bytes.len() - rest.len()) as u64;
    }
    if content.length == 0 {
        return Err("it has no whole header".to_owned());
    }
    Ok(content)
}

fn take(content: &mut Content, first: bool, kind: u8, message: &[u8]) -> Result<(), String> {
    let broken = |error: prost::DecodeError| error.to_string();
    match (first, kind) {
        (true, HEADER) => {
            let mut header = Header::decode(message).map_err(broken)?;
            if header.version != VERSION {
                return Err(format!("its version is {}, not {VERSION}", header.version));
            }
            content.losses = std::mem::take(&mut header.losses);
            content.header = header;
        }
        (false, MEASURED) => content
            .measured
            .push(Measured::decode(message).map_err(broken)?),
        (false, LOST) => content
            .losses
            .extend(Losses::decode(message).map_err(broken)?.losses),
        _ => return Err(format!("an entry of kind {kind} is out of place")),
    }
    Ok(())
}

/// The first frame's kind and message, and what comes after it; `None` where it is not whole.
fn unframe(bytes: &[u8]) -> Option<(u8, Vec<u8>, &[u8])> {
    let (prefix, rest) = bytes.split_at_checked(PREFIX_BYTES)?;
    let (length, checksum) = prefix.split_at(4);
    let length = u32::from_le_bytes(length.try_into().ok()?) as usize;
    let (body, after) = rest.split_at_checked(length)?;
    if crc32fast::hash(body).to_le_bytes() != checksum {
        return None;
    }
    let (&kind, packed) = body.split_first()?;
    let mut message = Vec::new();
    let decoder = zstd::stream::read::Decoder::new(packed).ok()?;
    decoder
        .take(MAX_MESSAGE_BYTES)
        .read_to_end(&mut message)
        .ok()?;
    Some((kind, message, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> (Vec<u8>, Vec<usize>) {
        let begin = header(&Header {
            version: VERSION,
            stream_id: vec![7; 16],
            sequence: 3,
            losses: vec![Lost::default()],
            ..Header::default()
        });
        let frames = [
            begin,
            measured(&Measured::default()),
            lost(&[Lost::default(), Lost::default()]),
        ];
        let ends = frames.iter().scan(0, |end, frame| {
            *end += frame.len();
            Some(*end)
        });
        (frames.concat(), ends.collect())
    }

    #[test]
    fn a_torn_tail_is_as_if_it_had_never_been_written() {
        let (bytes, ends) = file();
        for length in 0..=bytes.len() {
            let whole = ends.iter().filter(|&&end| end <= length).count();
            match read(&bytes[..length]) {
                Err(why) => assert_eq!((whole, &*why), (0, "it has no whole header")),
                Ok(content) => {
                    assert_eq!(content.length, ends[whole - 1] as u64);
                    let found = (content.measured.len(), content.losses.len());
                    assert_eq!(found, [(0, 1), (1, 1), (1, 3)][whole - 1]);
                }
            }
        }
    }

    #[test]
    fn a_flipped_bit_ends_the_file_before_its_frame() {
        let (bytes, ends) = file();
        for position in 0..bytes.len() {
            let mut spoilt = bytes.clone();
            spoilt[position] ^= 0x10;
            let whole = ends.iter().filter(|&&end| end <= position).count();
            let length = read(&spoilt).map_or(0, |content| content.length);
            assert_eq!(
                length,
                if whole == 0 {
                    0
                } else {
                    ends[whole - 1] as u64
                }
            );
        }
    }

    #[test]
    fn another_version_and_another_file_are_named() {
        let newer = Header {
            version: 2,
            ..Header::default()
        };
        assert_eq!(
            read(&header(&newer)).unwrap_err(),
            "its version is 2, not 1"
        );
        assert!(read(&lost(&[])).unwrap_err().contains("out of place"));
        assert!(read(b"something else entirely").is_err());
    }
}
