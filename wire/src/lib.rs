//! What agents and the aggregator must understand alike: the batch, its ids and its units, and by which labels a pod
//! belongs to a run and a stage.
//!
//! Owns the protobuf messages, their encoding, the rules that every batch must keep, and those of stages. Does no I/O and
//! knows nothing of sensors, stores or carbon.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod codec;
mod count;
mod energy;
pub mod exec_group;
pub mod limits;
pub mod stage;
mod stream_id;
mod validate;

pub use codec::{CONTENT_ENCODING, CONTENT_TYPE, DecodeError, VERSION, decode, encode};
pub use energy::{Energy, apportion};
pub use stream_id::{InvalidStreamId, StreamId};
pub use validate::{Invalid, is_name, is_unnamed, validate};

/// Version 1 of the messages, generated from `proto/batch.proto`, where each field is described.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/hxmlops.wire.v1.rs"));
}
