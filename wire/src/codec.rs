//! A batch as bytes: protobuf inside one zstd frame.

use std::io::Read;

use prost::Message;

use crate::count::check_counts;
use crate::limits::{MAX_BATCH_BYTES, MAX_UNPACKED_BYTES};
use crate::v1::{Batch, Envelope};
use crate::validate::{Invalid, validate};

/// The version that this build writes, and the only one that it reads.
pub const VERSION: u32 = 1;
/// `Content-Type` of a batch over HTTP.
pub const CONTENT_TYPE: &str = "application/x-protobuf";
/// `Content-Encoding` of a batch over HTTP.
pub const CONTENT_ENCODING: &str = "zstd";

/// Fast enough for an agent, and within a few per cent of the slower levels on such small frames.
const ZSTD_LEVEL: i32 = 3;

/// Why bytes are no batch. Each is for good: the same bytes will never be accepted.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// More bytes than a batch may have, as sent or once unpacked.
    #[error("the batch is larger than {0} bytes")]
    TooLarge(usize),
    /// Not a whole zstd frame.
    #[error("the batch is not a whole zstd frame: {0}")]
    Zstd(std::io::Error),
    /// Not the protobuf message that it should be.
    #[error("the batch is not a protobuf message of this schema: {0}")]
    Protobuf(#[from] prost::DecodeError),
    /// Written under another version of the schema.
    #[error(
        "the batch has schema version {0}, this program reads {VERSION}; upgrade the older of the two"
    )]
    Version(u32),
    /// A whole message that breaks a rule.
    #[error("the batch is not valid: {0}")]
    Invalid(#[from] Invalid),
}

/// Packs a batch. What it returns is what is sent, and what the ledger keeps.
#[must_use]
pub fn encode(batch: &Batch) -> Vec<u8> {
    zstd::bulk::compress(&batch.encode_to_vec(), ZSTD_LEVEL)
        .expect("compressing into memory cannot fail")
}

/// Unpacks and validates a batch. Fields that a newer agent added are skipped.
///
/// # Errors
/// [`DecodeError`], for anything but a whole and valid batch of [`VERSION`].
pub fn decode(bytes: &[u8]) -> Result<Batch, DecodeError> {
    let unpacked = unpack(bytes)?;
    let Envelope { version } = Envelope::decode(unpacked.as_slice())?;
    if version != VERSION {
        return Err(DecodeError::Version(version));
    }
    check_counts(&unpacked)?;
    let batch = Batch::decode(unpacked.as_slice())?;
    validate(&batch)?;
    Ok(batch)
}

fn unpack(bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
    if bytes.len() > MAX_BATCH_BYTES {
        return Err(DecodeError::TooLarge(MAX_BATCH_BYTES));
    }
    // One byte more than allowed tells a batch of exactly the limit from a larger one.
    let mut unpacked = Vec::new();
    let decoder = zstd::stream::read::Decoder::new(bytes).map_err(DecodeError::Zstd)?;
    decoder
        .take(MAX_UNPACKED_BYTES as u64 + 1)
        .read_to_end(&mut unpacked)
        .map_err(DecodeError::Zstd)?;
    if unpacked.len() > MAX_UNPACKED_BYTES {
        return Err(DecodeError::TooLarge(MAX_UNPACKED_BYTES));
    }
    Ok(unpacked)
}
