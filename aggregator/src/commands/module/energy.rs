//! The energy of deployed modules, where an aggregator is known. How modules stand never waits for it long, nor fails by it.

use std::time::Duration;

use jiff::{Timestamp, Zoned};

use super::place::Place;
use crate::cli::{LedgerArgs, Usage};
use crate::commands::output::tell;
use crate::deploy::domains::Domain;
use crate::deploy::energy::{ModuleEnergy, Release, module_energies, other_clusters};
use crate::report::ComponentUse;
use crate::source::Source;
use crate::store::ComponentQuery;

/// Longer than this no answer is waited for.
const TIMEOUT: Duration = Duration::from_secs(3);

/// What modules used today.
pub(super) struct Today {
    /// Local midnight.
    pub(super) since: Zoned,
    /// In the modules' order; all `None` where there was no answer.
    pub(super) energies: Vec<Option<ModuleEnergy>>,
}

/// Asks for it; `None` where no aggregator is known. What keeps it from being shown is said in a line.
///
/// # Errors
/// [`Usage`] where the aggregator's URL on the command line is none.
pub(super) async fn today(
    place: &Place,
    asked: &LedgerArgs,
    releases: &[Release<'_>],
) -> anyhow::Result<Option<Today>> {
    let Some(ledger) = ledger_of(&place.domain, asked) else {
        return Ok(None);
    };
    let now = Zoned::now();
    let since = now.start_of_day().unwrap_or_else(|_| now.clone());
    let query = ComponentQuery {
        cluster: place.domain.cluster.clone(),
        namespace: only_namespace(releases),
        from: since.timestamp(),
        to: now.timestamp(),
    };
    let asking = energies(&ledger, &query, releases);
    let answer = tokio::time::timeout(TIMEOUT, asking).await;
    let answer = answer.unwrap_or_else(|_| {
        let (server, seconds) = (&ledger.server, TIMEOUT.as_secs());
        let late = anyhow::anyhow!("the server at {server} did not answer within {seconds} s");
        Err(late)
    });
    let energies = match answer {
        Err(error) if error.is::<Usage>() => return Err(error),
        Err(error) => {
            tell(&format!("no energy: {error:#}"));
            vec![None; releases.len()]
        }
        Ok(energies) => energies,
    };
    Ok(Some(Today { since, energies }))
}

/// The one on the command line or in the environment, else the domain's, whose token is for it alone.
fn ledger_of(domain: &Domain, asked: &LedgerArgs) -> Option<LedgerArgs> {
    if asked.is_told {
        return Some(asked.clone());
    }
    Some(LedgerArgs {
        server: domain.aggregator.clone()?,
        data_dir: None,
        token_file: domain.aggregator_token_file.clone(),
        ca_file: domain.aggregator_ca_file.clone(),
        is_told: true,
    })
}

/// The namespace of all releases, where it is one.
fn only_namespace(releases: &[Release<'_>]) -> Option<String> {
    let mut namespaces = releases.iter().flat_map(|release| release.namespaces);
    let first = namespaces.next()?;
    namespaces
        .all(|other| other == first)
        .then(|| first.clone())
}

async fn energies(
    ledger: &LedgerArgs,
    query: &ComponentQuery,
    releases: &[Release<'_>],
) -> anyhow::Result<Vec<Option<ModuleEnergy>>> {
    let source = Source::open(ledger)?;
    let uses = source.components(query).await?;
    if uses.is_empty() {
        explain(&source, query).await?;
    }
    let since: Timestamp = query.from;
    Ok(module_energies(&uses, releases, since)?)
}

/// Why there is nothing of the cluster that was asked for.
async fn explain(source: &Source, query: &ComponentQuery) -> anyhow::Result<()> {
    let Some(cluster) = &query.cluster else {
        return Ok(());
    };
    let everywhere = ComponentQuery {
        cluster: None,
        ..query.clone()
    };
    let uses: Vec<ComponentUse> = source.components(&everywhere).await?;
    match other_clusters(cluster, &uses) {
        Some(others) => Err(others.into()),
        None => Ok(()),
    }
}
