//! Counts the messages within a batch before they are decoded: an empty one takes two bytes on the wire and
//! hundreds in memory.

use prost::bytes::Buf;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use crate::limits::{
    MAX_INTERVALS, MAX_LOSSES, MAX_RENAMES, MAX_SAMPLES, MAX_WORKLOADS, MAX_ZONES,
};
use crate::validate::Invalid;

// Field numbers of the schema.
const WORKLOADS: u32 = 9;
const ZONES: u32 = 10;
const INTERVALS: u32 = 11;
const READINGS: u32 = 12;
const LOSSES: u32 = 13;
const RENAMES: u32 = 14;
const INTERVAL_ZONES: u32 = 6;
const LOSS_ZONES: u32 = 6;

/// Checks the number of every repeated message against its limit.
pub(crate) fn check_counts(batch: &[u8]) -> Result<(), crate::DecodeError> {
    let (mut workloads, mut zones, mut intervals, mut readings, mut samples) = (0, 0, 0, 0, 0);
    let (mut losses, mut lost, mut renames) = (0, 0, 0);
    for_each_message(batch, &mut |field, inside| {
        match field {
            WORKLOADS => add(&mut workloads, "workloads", MAX_WORKLOADS)?,
            ZONES => add(&mut zones, "zones", MAX_ZONES)?,
            RENAMES => add(&mut renames, "renames", MAX_RENAMES)?,
            READINGS => add(&mut readings, "readings", MAX_ZONES)?,
            INTERVALS => {
                add(&mut intervals, "intervals", MAX_INTERVALS)?;
                for_each_message(inside, &mut |field, _| match field {
                    INTERVAL_ZONES => add(&mut samples, "samples", MAX_SAMPLES),
                    _ => Ok(()),
                })?;
            }
            LOSSES => {
                add(&mut losses, "losses", MAX_LOSSES)?;
                for_each_message(inside, &mut |field, _| match field {
                    LOSS_ZONES => add(&mut lost, "lost samples", MAX_SAMPLES),
                    _ => Ok(()),
                })?;
            }
            _ => {}
        }
        Ok(())
    })
}

fn add(count: &mut usize, what: &'static str, max: usize) -> Result<(), crate::DecodeError> {
    *count += 1;
    if *count > max {
        Err(Invalid::TooMany(what, max).into())
    } else {
        Ok(())
    }
}

/// Calls `visit` with the number and the bytes of each length-delimited field.
fn for_each_message<'a>(
    mut message: &'a [u8],
    visit: &mut dyn FnMut(u32, &'a [u8]) -> Result<(), crate::DecodeError>,
) -> Result<(), crate::DecodeError> {
    while message.has_remaining() {
        let (field, wire_type) = decode_key(&mut message)?;
        if wire_type != WireType::LengthDelimited {
            skip_field(wire_type, field, &mut message, DecodeContext::default())?;
            continue;
        }
        let length = decode_varint(&mut message)?;
        let inside = usize::try_from(length)
            .ok()
            .and_then(|length| message.split_at_checked(length));
        // Longer than what holds it: the decoder will say so.
        let Some((inside, rest)) = inside else {
            return Ok(());
        };
        visit(field, inside)?;
        message = rest;
    }
    Ok(())
}
