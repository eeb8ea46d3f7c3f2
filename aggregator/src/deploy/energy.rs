//! What deployed modules used, by what a ledger tells of components. Pure.
//!
//! A module's pods carry its release's name as their component. Active energy alone is a module's own.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;

use crate::intensity::Signal;
use crate::report::{ComponentUse, EnergyBasis};

/// Where a release's pods are.
#[derive(Clone, Copy, Debug)]
pub struct Release<'a> {
    /// Its name: the component that its pods are.
    pub name: &'a str,
    /// Its namespaces: one, or as many as its steps have.
    pub namespaces: &'a [String],
}

/// What one module used: active energy (IT side) alone; the idle energy of its nodes is in no module.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModuleEnergy {
    /// Cluster, as the ledger names it.
    pub cluster: String,
    /// Start of the time that joules and grams are of; its end is now.
    pub since: Timestamp,
    /// Mean active power of the last five whole minutes that are told; null where nothing of them is known.
    pub active_watts: Option<f64>,
    /// Active energy.
    pub active_joules: f64,
    /// gCO2e of that, facility side; null where they are not known for all of it.
    pub carbon_grams: Option<f64>,
    /// What they count.
    pub signal: Option<Signal>,
    /// Energy that they could not be told for.
    pub uncovered_joules: f64,
    /// For how much of the time, 0 to 1, the energy of the zones that it used is known; the least of its namespaces.
    pub coverage_ratio: f64,
    /// Part of the energy by basis.
    pub energy_basis: EnergyBasis,
}

/// Why the figures of a ledger are not shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoEnergy {
    /// The same names are in several clusters, and nobody says which is meant.
    #[error(
        "the ledger knows several clusters with such modules ({0}); name the domain's with `hxmlops init new-config --cluster`"
    )]
    SeveralClusters(String),
    /// It tells nothing of the cluster that is meant, but of others.
    #[error("today the ledger tells nothing of cluster '{0}' here, but of: {1}")]
    OtherClusters(String, String),
}

/// What each release used since a time, in their order; `None` of which nothing is told.
///
/// # Errors
/// Where they are in several clusters.
pub fn module_energies(
    uses: &[ComponentUse],
    releases: &[Release<'_>],
    since: Timestamp,
) -> Result<Vec<Option<ModuleEnergy>>, NoEnergy> {
    let of = |release: &Release<'_>| -> Vec<&ComponentUse> {
        let is_its = |used: &&ComponentUse| {
            used.key.component == release.name && release.namespaces.contains(&used.key.namespace)
        };
        uses.iter().filter(is_its).collect()
    };
    let of_releases: Vec<Vec<&ComponentUse>> = releases.iter().map(of).collect();
    let clusters = clusters(of_releases.iter().flatten().copied());
    if clusters.len() > 1 {
        return Err(NoEnergy::SeveralClusters(listed(&clusters)));
    }
    let energy = |uses: &Vec<&ComponentUse>| module_energy(uses, since);
    Ok(of_releases.iter().map(energy).collect())
}

/// Why there is nothing of a cluster, where there is something of others.
#[must_use]
pub fn other_clusters(cluster: &str, uses: &[ComponentUse]) -> Option<NoEnergy> {
    let others = clusters(uses);
    let why = || NoEnergy::OtherClusters(cluster.to_owned(), listed(&others));
    (!others.is_empty()).then(why)
}

fn clusters<'u>(uses: impl IntoIterator<Item = &'u ComponentUse>) -> BTreeSet<&'u str> {
    let names = uses.into_iter().map(|used| used.key.cluster.as_str());
    names.collect()
}

fn listed(names: &BTreeSet<&str>) -> String {
    names.iter().copied().collect::<Vec<_>>().join(", ")
}

/// The sum over a release's namespaces of one cluster.
fn module_energy(uses: &[&ComponentUse], since: Timestamp) -> Option<ModuleEnergy> {
    let first = uses.first()?;
    let sum = |of: &dyn Fn(&ComponentUse) -> f64| uses.iter().map(|used| of(used)).sum::<f64>();
    let active_joules = sum(&|used| used.active_joules);
    let used_grids = uses.iter().flat_map(|used| &used.intensity);
    let signals: BTreeSet<Signal> = used_grids.map(|grid| grid.kind).collect();
    let grams: Option<f64> = uses.iter().map(|used| used.carbon_grams).sum();
    let watts = uses.iter().filter_map(|used| used.active_watts);
    let modelled_joules = sum(&|used| used.energy_basis.modelled * used.active_joules);
    let modelled = modelled_joules / active_joules;
    Some(ModuleEnergy {
        cluster: first.key.cluster.clone(),
        since,
        active_watts: watts.reduce(|sum, watts| sum + watts),
        active_joules,
        // Kinds that differ never add.
        carbon_grams: grams.filter(|_| signals.len() <= 1),
        signal: signals.first().copied().filter(|_| signals.len() == 1),
        uncovered_joules: sum(&|used| used.uncovered_joules),
        coverage_ratio: uses
            .iter()
            .map(|used| used.coverage_ratio)
            .fold(1.0, f64::min),
        energy_basis: if active_joules > 0.0 {
            EnergyBasis {
                measured: 1.0 - modelled,
                modelled,
            }
        } else {
            EnergyBasis::default()
        },
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::report::{IntensityShares, IntensityUsed};
    use crate::store::ComponentKey;

    /// 100 J, 2 W and 0.5 g of a component, named as `cluster/namespace/component`.
    pub(crate) fn used(name: &str) -> ComponentUse {
        let [cluster, namespace, component] = name.split('/').collect::<Vec<_>>()[..] else {
            panic!("three names, not {name}");
        };
        ComponentUse {
            key: ComponentKey {
                cluster: cluster.to_owned(),
                namespace: namespace.to_owned(),
                component: component.to_owned(),
            },
            active_joules: 100.0,
            active_watts: Some(2.0),
            carbon_grams: Some(0.5),
            uncovered_joules: 0.0,
            subtotals: Vec::new(),
            pue: 1.0,
            sites: vec!["paris".to_owned()],
            coverage_ratio: 0.75,
            energy_basis: EnergyBasis {
                measured: 1.0,
                modelled: 0.0,
            },
            intensity_basis: IntensityShares::default(),
            intensity: vec![IntensityUsed {
                intensity_zone: "FR".to_owned(),
                provider: "a test".to_owned(),
                kind: Signal::default(),
                g_per_kwh: 50.0,
            }],
        }
    }

    fn energies(
        uses: &[ComponentUse],
        releases: &[(&str, &[&str])],
    ) -> Result<Vec<Option<ModuleEnergy>>, NoEnergy> {
        let releases: Vec<(&str, Vec<String>)> = releases
            .iter()
            .map(|(name, namespaces)| {
                let namespaces = namespaces.iter().map(|name| (*name).to_owned());
                (*name, namespaces.collect())
            })
            .collect();
        let releases: Vec<Release> = releases
            .iter()
            .map(|(name, namespaces)| Release { name, namespaces })
            .collect();
        module_energies(uses, &releases, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_module_has_the_energy_of_its_release_in_its_namespace() {
        let uses = ["a/ml/db", "a/ml/web", "a/other/db"].map(used);
        let found = energies(&uses, &[("db", &["ml"]), ("none", &["ml"])]).unwrap();
        let [Some(db), None] = &found[..] else {
            panic!("one of two, not {found:?}");
        };
        assert_eq!((db.active_joules, db.active_watts), (100.0, Some(2.0)));
        assert_eq!((db.carbon_grams, db.coverage_ratio), (Some(0.5), 0.75));
        assert_eq!((&*db.cluster, db.signal), ("a", Some(Signal::default())));
    }

    #[test]
    fn namespaces_add_up_and_kinds_that_differ_do_not() {
        let both: &[(&str, &[&str])] = &[("db", &["ml", "other"])];
        let mut uses = ["a/ml/db", "a/other/db"].map(used);
        uses[1].active_watts = None;
        uses[1].energy_basis.modelled = 1.0;
        let sum = energies(&uses, both).unwrap()[0].clone().unwrap();
        assert_eq!((sum.active_joules, sum.active_watts), (200.0, Some(2.0)));
        assert_eq!(
            (sum.carbon_grams, sum.energy_basis.modelled),
            (Some(1.0), 0.5)
        );
        uses[1].intensity[0].kind = "marginal-direct".parse().unwrap();
        let sum = energies(&uses, both).unwrap()[0].clone().unwrap();
        assert_eq!((sum.carbon_grams, sum.signal), (None, None));
        uses[1].carbon_grams = None;
        let sum = energies(&uses, both).unwrap()[0].clone().unwrap();
        assert_eq!(sum.carbon_grams, None);
    }

    #[test]
    fn clusters_are_never_mixed() {
        let check = |uses: &[&str], expected: Option<&str>| {
            let uses: Vec<ComponentUse> = uses.iter().map(|name| used(name)).collect();
            let found = energies(&uses, &[("db", &["ml"]), ("web", &["ml"])]);
            let clusters = |error| match error {
                NoEnergy::SeveralClusters(names) => names,
                other => panic!("{other}"),
            };
            assert_eq!(found.err().map(clusters).as_deref(), expected);
        };
        check(&["b/ml/db", "a/ml/db"], Some("a, b"));
        check(&["b/ml/db", "a/ml/web"], Some("a, b"));
        check(&["b/ml/db", "a/other/db"], None);
        check(&[], None);
        assert_eq!(other_clusters("x", &[]), None);
        let other = other_clusters("x", &[used("a/ml/db")]).unwrap();
        assert!(
            other.to_string().ends_with("cluster 'x' here, but of: a"),
            "{other}"
        );
    }
}
