//! What is told of components: long-lived modules, such as a database or a model server.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::Energy;

/// Names a component: all pods of a namespace that carry its name are it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
pub struct ComponentKey {
    /// Cluster that it runs in.
    pub cluster: String,
    /// Kubernetes namespace; empty outside of one.
    pub namespace: String,
    /// Its name: the label `hxmlops.io/component` of its pods.
    pub component: String,
}

/// Which components are asked for, over what time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentQuery {
    /// Only those of this cluster.
    pub cluster: Option<String>,
    /// Only those of this namespace.
    pub namespace: Option<String>,
    /// Start, inclusive. A minute or hour belongs to the time in which it starts.
    pub from: Timestamp,
    /// End, exclusive.
    pub to: Timestamp,
}

/// What the ledger has of one component.
#[derive(Clone, Debug, PartialEq)]
pub struct ComponentEnergy {
    /// Which one.
    pub key: ComponentKey,
    /// Its energy of the time that was asked for, by start; of what is not known there is no part.
    pub parts: Vec<ComponentPart>,
    /// The zones that it used, then or in the recent minutes, one entry for each zone of each node.
    pub zones: Vec<ZoneUse>,
}

/// A component's energy of one minute, or one hour where minutes were folded: that of all its nodes of a site, of the
/// additive zones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentPart {
    /// Site that the nodes belong to.
    pub site: String,
    /// Start.
    pub start: Timestamp,
    /// Length: 60 or 3,600.
    pub seconds: u32,
    /// Whether the energy was modelled (else measured).
    pub modelled: bool,
    /// Active energy.
    pub active: Energy,
}

impl ComponentPart {
    /// Its end.
    #[must_use]
    pub fn end(&self) -> Timestamp {
        self.start + SignedDuration::from_secs(self.seconds.into())
    }
}

/// An additive zone of a node, as far as a component used it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ZoneUse {
    /// From the first minute to the last, of the time that was asked for, in which the component had a share of it.
    pub elapsed_ms: u64,
    /// For how much of that the zone's energy is known.
    pub known_ms: u64,
    /// Active energy of the component in the recent minutes.
    pub recent: Energy,
    /// For how much of them the zone's energy is known, 0 where they were folded into hours.
    pub recent_known_ms: u64,
}
