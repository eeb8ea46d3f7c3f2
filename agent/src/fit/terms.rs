//! Which two counters explain which kind of zone.

use wire::v1::Basis;

use crate::sensor::Zone;
use crate::usage::Events;

/// The two terms of a kind of zone.
#[derive(Debug)]
pub struct Terms {
    /// How zones of this kind begin.
    zones: &'static str,
    /// The counters, as they are exported.
    pub names: [&'static str; 2],
    /// Both, as the split is named.
    pub label: &'static str,
    /// A workload's energy per CPU second stays within this factor of the zone's mean.
    pub bound: f64,
    /// The counters' values.
    pub(super) counts: fn(Events) -> [u64; 2],
}

/// A package pays for running and for what is done meanwhile; memory for what misses the caches, and for
/// being kept awake.
static TERMS: [Terms; 2] = [
    Terms {
        zones: "package-",
        names: ["cycles", "instructions"],
        label: "cycles,instructions",
        bound: 4.0,
        counts: |events| [events.cycles, events.instructions],
    },
    Terms {
        zones: "dram-",
        names: ["misses", "cycles"],
        label: "misses,cycles",
        bound: 16.0,
        counts: |events| [events.misses, events.cycles],
    },
];

impl Terms {
    /// Those of a zone; `None` for one that is nested, of no CPU package, or modelled (the model knows nothing
    /// but CPU time).
    #[must_use]
    pub fn of(zone: &Zone) -> Option<&'static Self> {
        let fits =
            zone.parent.is_empty() && zone.package.is_some() && zone.basis == Basis::Measured;
        TERMS
            .iter()
            .find(|terms| fits && zone.name.starts_with(terms.zones))
    }
}
