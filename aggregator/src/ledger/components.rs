//! What components used.

use std::collections::BTreeSet;

use super::{Ledger, LedgerError};
use crate::report::{self, ComponentUse};
use crate::store::{ComponentPart, ComponentQuery};

impl Ledger {
    /// What components used, by cluster, namespace and name: those of which something was told in the time, or in the
    /// minutes that the power at its end is the mean of. With the intensities that are known now.
    ///
    /// # Errors
    /// Where the store fails, or there is too much for one answer.
    pub fn components(&self, query: &ComponentQuery) -> Result<Vec<ComponentUse>, LedgerError> {
        let recent = report::recent_minutes(query.to);
        let energies = self.store.component_energy(query, recent)?;
        let parts = || energies.iter().flat_map(|energy| &energy.parts);
        let sites = self.store.sites(None)?;
        let took_part: BTreeSet<&str> = parts().map(|part| part.site.as_str()).collect();
        // Minutes and hours are whole, whatever was asked for.
        let time = parts().fold(
            (query.from, query.to),
            |(from, to), part: &ComponentPart| (from.min(part.start), to.max(part.end())),
        );
        let grids = self.grids(&sites, &took_part, time, None)?;
        Ok(report::component_uses(&energies, &sites, &grids))
    }
}
