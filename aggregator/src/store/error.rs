//! Why a store did not do what it was asked.

use wire::StreamId;

use crate::rollup::Unfit;

/// Why a store did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The same (node, stream, sequence) was written before with other content.
    #[error("batch {sequence} of stream {stream_id} was already written with other content")]
    Conflict {
        /// Stream of the batch.
        stream_id: StreamId,
        /// Its number in the stream.
        sequence: u64,
    },
    /// It was declared lost, and its energy is on record as such.
    #[error("batch {sequence} of stream {stream_id} was declared lost before")]
    DeclaredLost {
        /// Stream of the batch.
        stream_id: StreamId,
        /// Its number in the stream.
        sequence: u64,
    },
    /// More batches wait to be written than there may be.
    #[error("too many batches wait to be written; send it again later")]
    Busy,
    /// A valid batch that a ledger cannot hold; it never will.
    #[error("the batch does not fit the ledger: {0}")]
    Unfit(#[from] Unfit),
    /// A question whose answer is made from more rows than there may be.
    #[error(
        "the answer would be made from more than {0} rows and is not given; ask for less, or a shorter time"
    )]
    TooLarge(usize),
    /// The ledger was written by a newer program.
    #[error(
        "the ledger {path} has schema {found}, this program knows up to {known}; use a newer hxmlops"
    )]
    Newer {
        /// Where the ledger is.
        path: String,
        /// Its schema's number.
        found: i64,
        /// The newest schema that this program knows.
        known: i64,
    },
    /// No such ledger, and the caller did not want one made.
    #[error("there is no ledger in {0}: is it the data directory of a server?")]
    Missing(String),
    /// The store could not read or write.
    #[error("the ledger {path}: {message}")]
    Failed {
        /// Where the ledger is.
        path: String,
        /// What the database said.
        message: String,
    },
}
