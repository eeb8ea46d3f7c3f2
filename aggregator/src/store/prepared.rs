//! A batch ready to be written: all that can be worked out without the store, so that the one thread that
//! writes need not.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use wire::StreamId;
use wire::v1::{Basis, Batch, Workload, Zone};

use super::{NodeKey, ReceivedBatch, StoreError};
use crate::rollup::{self, Rollup, rollup};

/// Bytes of memory that one row of a rollup takes, roughly.
const ROW_BYTES: usize = 100;
/// Bytes of memory that one byte of a packed batch takes once it is unpacked, roughly.
const UNPACKED: usize = 10;

/// Names a workload by its labels: the first 16 bytes of their SHA-256. A dictionary of these takes a tenth
/// of the memory that one of the labels does, and nobody can make two alike.
pub(super) type LabelsDigest = [u8; 16];

/// A zone by what tells it from others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ZoneKey {
    pub(super) name: String,
    pub(super) parent: String,
    /// Where it is modelled: the true energy lies between so many per cent of the told; 0 and 0: nobody says.
    pub(super) modelled: Option<(u32, u32)>,
}

impl From<&Zone> for ZoneKey {
    fn from(zone: &Zone) -> Self {
        Self {
            name: zone.name.clone(),
            parent: zone.parent.clone(),
            modelled: (zone.basis() == Basis::Modelled)
                .then_some((zone.low_percent, zone.high_percent)),
        }
    }
}

/// A batch with its sums, its digest and the keys of its names.
#[derive(Debug)]
pub struct Prepared {
    pub(super) received: Arc<ReceivedBatch>,
    pub(super) site: String,
    pub(super) sha256: [u8; 32],
    pub(super) rollup: Arc<Rollup>,
    pub(super) node: NodeKey,
    pub(super) stream_id: StreamId,
    /// Parallel to the batch's zones.
    pub(super) zones: Vec<ZoneKey>,
    /// Parallel to the batch's workloads.
    pub(super) workloads: Vec<LabelsDigest>,
    /// Parallel to the same: whether it is in one of the intervals, and not only in a renaming.
    pub(super) ran: Vec<bool>,
    pub(super) end_ms: i64,
}

impl Prepared {
    /// Sums up a batch of a site.
    ///
    /// # Errors
    /// [`StoreError::Unfit`] where its sums would be too many or too great.
    pub fn new(received: Arc<ReceivedBatch>, site: &str) -> Result<Self, StoreError> {
        let batch = &received.batch;
        let stream_id = StreamId::try_from(batch.stream_id.as_slice());
        Ok(Self {
            site: site.to_owned(),
            sha256: Sha256::digest(&received.bytes).into(),
            rollup: Arc::new(rollup(batch)?),
            node: NodeKey {
                cluster: batch.cluster.clone(),
                node: batch.node.clone(),
            },
            stream_id: stream_id.expect("a valid batch has a stream id of 16 bytes"),
            zones: batch.zones.iter().map(ZoneKey::from).collect(),
            workloads: batch.workloads.iter().map(digest).collect(),
            ran: ran(batch),
            end_ms: rollup::last_end_ms(batch),
            received,
        })
    }

    /// What it was made of.
    #[must_use]
    pub fn received(&self) -> Arc<ReceivedBatch> {
        Arc::clone(&self.received)
    }

    /// Its sums.
    #[must_use]
    pub fn rollup(&self) -> Arc<Rollup> {
        Arc::clone(&self.rollup)
    }

    /// The batch.
    #[must_use]
    pub fn batch(&self) -> &Batch {
        &self.received.batch
    }

    /// Bytes of memory that it takes, roughly.
    #[must_use]
    pub fn weight(&self) -> usize {
        let rows = self.rollup.zones.len() + self.rollup.shares.len();
        self.received.bytes.len() * UNPACKED + rows * ROW_BYTES
    }
}

fn ran(batch: &Batch) -> Vec<bool> {
    let mut ran = vec![false; batch.workloads.len()];
    for &workload in batch
        .intervals
        .iter()
        .flat_map(|interval| &interval.workloads)
    {
        ran[workload as usize] = true;
    }
    ran
}

/// Of the labels that [`super::WorkloadLabels`] keeps.
fn digest(workload: &Workload) -> LabelsDigest {
    let mut digest = Sha256::new();
    for label in super::labels(workload) {
        digest.update((label.len() as u64).to_le_bytes());
        digest.update(label);
    }
    let digest: [u8; 32] = digest.finalize().into();
    let mut short = LabelsDigest::default();
    short.copy_from_slice(&digest[..16]);
    short
}
