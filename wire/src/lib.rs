//! What crosses the network between agents and the aggregator: the batch, its ids and its units.
//!
//! Owns the protobuf messages, their encoding and the rules that every batch must keep. Does no I/O and
//! knows nothing of sensors, stores or carbon.

mod codec;
mod count;
mod energy;
pub mod exec_group;
pub mod limits;
mod stream_id;
mod validate;

pub use codec::{CONTENT_ENCODING, CONTENT_TYPE, DecodeError, VERSION, decode, encode};
pub use energy::{Energy, apportion};
pub use stream_id::{InvalidStreamId, StreamId};
pub use validate::{Invalid, is_name, validate};

/// Version 1 of the messages, generated from `proto/batch.proto`, where each field is described.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/hxmlops.wire.v1.rs"));
}
