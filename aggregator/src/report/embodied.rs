//! A run's share of the carbon of making the nodes that it ran on (SCI, ISO/IEC 21031:2024):
//! M = TE x TiR / EL x RR / ToR, for each node and minute.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::EmbodiedPolicy;
use crate::site::{NodeType, Site};
use crate::store::{Cell, Share};

/// Seconds of a Julian year.
const SECONDS_PER_YEAR: f64 = 365.25 * 86_400.0;

/// Sums over the cells of a run.
#[derive(Default)]
pub(super) struct Embodied {
    grams: f64,
    /// A node was found in an inventory.
    any: bool,
    /// Nodes that the run ran on, and of which nothing is known.
    pub(super) unknown_nodes: BTreeSet<String>,
}

impl Embodied {
    /// Adds the cells of one node that begin at the same time: its zones, by the minute and by the hour.
    ///
    /// `is_own` says of a share whether it is the run's.
    pub(super) fn add(
        &mut self,
        cells: &[Cell],
        site: Option<&Site>,
        policy: EmbodiedPolicy,
        is_own: impl Fn(&Share) -> bool,
    ) {
        let ran = cells.iter().any(|cell| cell.shares.iter().any(&is_own));
        let Some(first) = cells.first().filter(|_| ran) else {
            return;
        };
        let node = &first.node.node;
        let Some(kind) = site.and_then(|site| site.node_type(node)) else {
            self.unknown_nodes.insert(node.clone());
            return;
        };
        self.any = true;
        for length_ms in lengths(cells) {
            let alike = || cells.iter().filter(move |cell| cell.length_ms == length_ms);
            let part = alike()
                .filter(|cell| !is_gpu(cell))
                .map(|cell| cpu_part(cell, kind, policy, &is_own))
                .fold(0.0, f64::max);
            self.grams += making(kind.total_kg, kind, length_ms) * part;
            for gpu in alike().filter(|cell| is_gpu(cell)) {
                self.grams += making(kind.gpu_kg, kind, length_ms) * gpu_part(gpu, kind, &is_own);
            }
        }
    }

    /// Whether there is an inventory of any of the nodes.
    pub(super) fn is_told(&self) -> bool {
        self.any
    }

    /// `None` where a node's inventory is not known, or it ran on none.
    pub(super) fn grams(&self) -> Option<f64> {
        (self.any && self.unknown_nodes.is_empty()).then_some(self.grams)
    }
}

fn lengths(cells: &[Cell]) -> BTreeSet<u32> {
    cells.iter().map(|cell| cell.length_ms).collect()
}

fn is_gpu(cell: &Cell) -> bool {
    cell.zone.starts_with("gpu")
}

/// Grams of making something that fall on a time of its life.
fn making(kg: f64, kind: &NodeType, length_ms: u32) -> f64 {
    kg * 1e3 * (f64::from(length_ms) / 1e3) / (kind.life_years * SECONDS_PER_YEAR)
}

/// RR / ToR: the run's CPU time, used or reserved, of what the node has. Where more was used or reserved than the
/// inventory says that there is, of that.
fn cpu_part(
    cell: &Cell,
    kind: &NodeType,
    policy: EmbodiedPolicy,
    is_own: impl Fn(&Share) -> bool,
) -> f64 {
    let amount = |share: &Share| match policy {
        EmbodiedPolicy::Use => share.usage_ns as f64,
        EmbodiedPolicy::Reservation => share.request_us as f64 * 1e3,
    };
    let system = match policy {
        EmbodiedPolicy::Use => cell.system_usage_ns as f64,
        EmbodiedPolicy::Reservation => 0.0,
    };
    let capacity = f64::from(kind.cpus) * f64::from(cell.length_ms) * 1e6;
    let all = cell.shares.iter().map(amount).sum::<f64>() + system;
    let own: f64 = cell
        .shares
        .iter()
        .filter(|share| is_own(share))
        .map(amount)
        .sum();
    own / all.max(capacity)
}

/// The same of a GPU, by the active energy that it was made to use, of what it can use in that time: so a minute counts the same
/// by itself and in its hour.
fn gpu_part(cell: &Cell, kind: &NodeType, is_own: impl Fn(&Share) -> bool) -> f64 {
    let joules = |share: &Share| share.active.joules();
    let capacity = kind.gpu_watts * f64::from(cell.length_ms) / 1e3;
    let all = cell.shares.iter().map(joules).sum::<f64>() + cell.system.joules();
    let own: f64 = cell
        .shares
        .iter()
        .filter(|share| is_own(share))
        .map(joules)
        .sum();
    let whole = all.max(capacity);
    if whole > 0.0 { own / whole } else { 0.0 }
}

/// Cells that begin at the same time on the same node, in the order in which the ledger has them.
pub(super) fn by_node_and_start(cells: &[Cell]) -> impl Iterator<Item = &[Cell]> {
    fn key(cell: &Cell) -> (Timestamp, &str, &str) {
        (cell.start, &cell.node.cluster, &cell.node.node)
    }
    cells.chunk_by(|a, b| key(a) == key(b))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wire::Energy;

    use super::*;
    use crate::site_map::NodePattern;
    use crate::store::NodeKey;

    const HOUR_MS: u32 = 3_600_000;

    fn kind(cpus: u32) -> NodeType {
        NodeType {
            nodes: vec![NodePattern::new("n*")],
            total_kg: 1000.0,
            life_years: 4.0,
            cpus,
            gpu_kg: 150.0,
            gpu_watts: 1.0 / 900_000.0,
            source: "a test".to_owned(),
        }
    }

    fn site(cpus: u32) -> Site {
        Site {
            embodied: vec![kind(cpus)],
            ..Site::named("default")
        }
    }

    fn cell(zone: &str, usage_ns: &[u64], system_usage_ns: u64) -> Cell {
        let share = |(workload, &usage_ns): (usize, &u64)| Share {
            workload,
            active: Energy::from_microjoules(usage_ns / 1000),
            usage_ns,
            request_us: usage_ns / 1000,
        };
        Cell {
            start: Timestamp::UNIX_EPOCH,
            length_ms: HOUR_MS,
            node: NodeKey {
                cluster: "default".to_owned(),
                node: "n1".to_owned(),
            },
            site: "default".to_owned(),
            zone: zone.to_owned(),
            modelled: false,
            range_percent: None,
            measured: Energy::ZERO,
            idle: Energy::ZERO,
            system: Energy::from_microjoules(system_usage_ns / 1000),
            system_usage_ns,
            covered_ms: HOUR_MS,
            idle_seeded: false,
            shares: usage_ns.iter().enumerate().map(share).collect(),
        }
    }

    fn grams(cells: &[Cell], cpus: u32, policy: EmbodiedPolicy, workload: usize) -> Option<f64> {
        let mut embodied = Embodied::default();
        for group in by_node_and_start(cells) {
            embodied.add(group, Some(&site(cpus)), policy, |share| {
                share.workload == workload
            });
        }
        embodied.grams()
    }

    #[test]
    fn an_hour_of_a_whole_machine_is_28_5_grams() {
        let whole = u64::from(HOUR_MS) * 1_000_000;
        for policy in [EmbodiedPolicy::Use, EmbodiedPolicy::Reservation] {
            let cells = [cell("package-0", &[2 * whole], 0)];
            let of_two = grams(&cells, 2, policy, 0).unwrap();
            assert!((of_two - 28.5).abs() < 0.05, "{of_two}");
            let of_eight = grams(&cells, 8, policy, 0).unwrap();
            assert!((of_eight * 4.0 - of_two).abs() < 1e-9, "{of_eight}");
            // Each zone tells of the same CPU time, which counts once.
            let zones = [cells[0].clone(), cell("dram-0", &[2 * whole], 0)];
            assert_eq!(grams(&zones, 2, policy, 0), Some(of_two));
        }
    }

    #[test]
    fn a_gpu_goes_by_what_it_was_made_to_use_of_what_it_can() {
        // 3 and 1 uJ; in an hour it can use 4 mJ.
        let cells = [cell("gpu-0", &[3_000, 1_000], 0)];
        let whole = making(150.0, &kind(2), HOUR_MS);
        let found = grams(&cells, 2, EmbodiedPolicy::Use, 0).unwrap();
        assert!((found - whole * 0.000_75).abs() < 1e-12, "{found}");
        // An hour counts as its minutes do.
        let minute = Cell {
            length_ms: HOUR_MS / 60,
            ..cells[0].clone()
        };
        let of_minute = grams(&[minute], 2, EmbodiedPolicy::Use, 0).unwrap();
        assert!((found - of_minute).abs() < 1e-12, "{found} and {of_minute}");
    }

    #[test]
    fn a_node_in_no_inventory_makes_it_unknown() {
        let mut other = cell("package-0", &[1_000], 0);
        other.node.node = "x1".to_owned();
        let known = cell("package-0", &[1_000], 0);
        assert!(grams(std::slice::from_ref(&known), 2, EmbodiedPolicy::Use, 0).is_some());
        assert_eq!(
            grams(&[known.clone(), other.clone()], 2, EmbodiedPolicy::Use, 0),
            None
        );
        // Where the run did not run, nothing need be known.
        other.shares.clear();
        assert!(grams(&[known, other], 2, EmbodiedPolicy::Use, 0).is_some());
        assert_eq!(grams(&[], 2, EmbodiedPolicy::Use, 0), None);
    }

    proptest! {
        #[test]
        fn shares_and_what_is_nobodys_are_the_whole(
            usage_ns in prop::collection::vec(0_u64..1_000_000_000_000_000, 1..8),
            system_ns in 0_u64..1_000_000_000_000_000,
            cpus in 1_u32..512,
            by_use in any::<bool>(),
        ) {
            let policy = if by_use { EmbodiedPolicy::Use } else { EmbodiedPolicy::Reservation };
            let cell = cell("package-0", &usage_ns, system_ns);
            let part = |is_own: &dyn Fn(&Share) -> bool| cpu_part(&cell, &kind(cpus), policy, is_own);
            let parts: f64 = (0..usage_ns.len())
                .map(|workload| part(&|share: &Share| share.workload == workload))
                .sum();
            let all = part(&|_| true);
            prop_assert!((parts - all).abs() < 1e-9);
            prop_assert!((0.0..=1.0 + 1e-9).contains(&all), "unallocated is 1 - {}", all);
        }
    }
}
