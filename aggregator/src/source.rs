//! Where the command line's answers come from: a server, or a data directory read directly.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use wire::v1::Batch;

use crate::api::tokens::{self, MadeToken, NewToken};
use crate::budget::{Budget, BudgetState};
use crate::cli::LedgerArgs;
use crate::client::Client;
use crate::intensity::Slot;
use crate::ledger::{BudgetQuery, IntensityQuery, Ledger, PlanQuery, ReportQuery};
use crate::plan::{Plan, Score};
use crate::report::{ComponentUse, Report};
use crate::store::{
    ComponentQuery, ReceivedBatch, RunFilter, RunSummary, SqliteStore, Store, StoreError, Written,
};
use crate::token::TokenRecord;

/// The site of batches that name none, where the ledger knows none or several.
const DEFAULT_SITE: &str = "default";

/// Both give the same answers: the server asks the same ledger.
pub enum Source {
    /// A server's API.
    Server(Client),
    /// A store on this machine.
    Store(Arc<dyn Store>),
}

impl Source {
    /// To ask: the data directory where one was given, else the server.
    ///
    /// # Errors
    /// Where there is no ledger in the directory, or the URL is none.
    pub fn open(args: &LedgerArgs) -> anyhow::Result<Self> {
        Self::open_by(args, SqliteStore::open_existing)
    }

    /// To write: the same, but that a ledger is made in the directory where there is none yet.
    ///
    /// # Errors
    /// Where the ledger in the directory cannot be written, or the URL is none.
    pub fn open_for_writing(args: &LedgerArgs) -> anyhow::Result<Self> {
        Self::open_by(args, SqliteStore::open)
    }

    fn open_by(
        args: &LedgerArgs,
        open: fn(&Path) -> Result<SqliteStore, StoreError>,
    ) -> anyhow::Result<Self> {
        match &args.data_dir {
            Some(dir) => Ok(Self::Store(Arc::new(open(dir)?))),
            None => Client::new(args).map(Self::Server),
        }
    }

    /// Runs, the latest first.
    ///
    /// # Errors
    /// Where the ledger cannot be asked.
    pub async fn runs(&self, filter: &RunFilter) -> anyhow::Result<Vec<RunSummary>> {
        match self {
            Self::Server(client) => client.runs(filter).await,
            Self::Store(store) => Ok(Ledger::new(store.clone()).runs(filter)?),
        }
    }

    /// The report on one run.
    ///
    /// # Errors
    /// Where there is no such run or several, or the ledger cannot be asked.
    pub async fn report(&self, query: &ReportQuery) -> anyhow::Result<Report> {
        match self {
            Self::Server(client) => client.report(query).await,
            Self::Store(store) => Ok(Ledger::new(store.clone()).report(query)?),
        }
    }

    /// What components used.
    ///
    /// # Errors
    /// Where the ledger cannot be asked.
    pub async fn components(&self, query: &ComponentQuery) -> anyhow::Result<Vec<ComponentUse>> {
        match self {
            Self::Server(client) => client.components(query).await,
            Self::Store(store) => Ok(Ledger::new(store.clone()).components(query)?),
        }
    }

    /// The intensity of a zone over a time.
    ///
    /// # Errors
    /// Where the zone is unknown or the ledger cannot be asked.
    pub async fn intensity(&self, query: &IntensityQuery) -> anyhow::Result<Vec<Slot>> {
        match self {
            Self::Server(client) => client.intensity(query).await,
            Self::Store(store) => Ok(Ledger::new(store.clone()).intensity(query)?),
        }
    }

    /// The greenest start of some work.
    ///
    /// # Errors
    /// Where there is none, or the ledger cannot be asked.
    pub async fn plan(&self, query: &PlanQuery) -> anyhow::Result<Plan> {
        match self {
            Self::Server(client) => client.plan(query).await,
            Self::Store(store) => Ok(Ledger::new(store.clone()).plan(query, Timestamp::now())?),
        }
    }

    /// What came of a plan.
    ///
    /// # Errors
    /// Where its window is not over or not settled, or the ledger cannot be asked.
    pub async fn plan_score(&self, query: &PlanQuery) -> anyhow::Result<Score> {
        match self {
            Self::Server(client) => client.plan_score(query).await,
            Self::Store(store) => {
                Ok(Ledger::new(store.clone()).plan_score(query, Timestamp::now())?)
            }
        }
    }

    /// Sets a budget, in place of one of the same name.
    ///
    /// # Errors
    /// Where the ledger does not take it.
    pub async fn put_budget(&self, budget: &Budget) -> anyhow::Result<()> {
        match self {
            Self::Server(client) => client.put_budget(budget).await,
            Self::Store(store) => Ok(Ledger::new(store.clone()).put_budget(budget)?),
        }
    }

    /// Removes a budget.
    ///
    /// # Errors
    /// Where there is none of this name, or the ledger cannot be written.
    pub async fn remove_budget(&self, name: &str) -> anyhow::Result<()> {
        match self {
            Self::Server(client) => client.remove_budget(name).await,
            Self::Store(store) => Ok(Ledger::new(store.clone()).remove_budget(name)?),
        }
    }

    /// All budgets.
    ///
    /// # Errors
    /// Where the ledger cannot be asked.
    pub async fn budgets(&self) -> anyhow::Result<Vec<Budget>> {
        match self {
            Self::Server(client) => client.budgets().await,
            Self::Store(store) => Ok(Ledger::new(store.clone()).budgets()?),
        }
    }

    /// How budgets stand.
    ///
    /// # Errors
    /// Where there is no such budget or run, or the ledger cannot be asked.
    pub async fn budget_states(&self, query: &BudgetQuery) -> anyhow::Result<Vec<BudgetState>> {
        match self {
            Self::Server(client) => client.budget_states(query).await,
            Self::Store(store) => {
                let ledger = Ledger::new(store.clone());
                let meter = |run: &RunSummary, period| ledger.amount(&run.key, period);
                Ok(ledger.budget_states(query, Timestamp::now(), &meter)?)
            }
        }
    }

    /// Adds intensity slots; returns how many were new or changed.
    ///
    /// # Errors
    /// Where the ledger does not take them.
    pub async fn put_slots(&self, slots: &[Slot]) -> anyhow::Result<usize> {
        match self {
            Self::Server(client) => client.put_slots(slots).await,
            Self::Store(store) => Ok(store.put_slots(slots, Timestamp::now())?),
        }
    }

    /// Makes a token.
    ///
    /// # Errors
    /// Where the ledger does not take it.
    pub async fn make_token(&self, new: &NewToken) -> anyhow::Result<MadeToken> {
        match self {
            Self::Server(client) => client.make_token(new).await,
            Self::Store(store) => Ok(tokens::make(&**store, new, Timestamp::now())?),
        }
    }

    /// All tokens.
    ///
    /// # Errors
    /// Where the ledger cannot be asked.
    pub async fn tokens(&self) -> anyhow::Result<Vec<TokenRecord>> {
        match self {
            Self::Server(client) => client.tokens().await,
            Self::Store(store) => Ok(store.tokens()?),
        }
    }

    /// Revokes a token.
    ///
    /// # Errors
    /// Where there is none with this id, or the ledger cannot be written.
    pub async fn revoke_token(&self, id: &str) -> anyhow::Result<()> {
        match self {
            Self::Server(client) => client.revoke_token(id).await,
            Self::Store(store) => {
                let is_there = store.revoke_token(id, Timestamp::now())?;
                anyhow::ensure!(is_there, "there is no token {id}");
                Ok(())
            }
        }
    }

    /// Writes a batch, once.
    ///
    /// # Errors
    /// Where the ledger does not take it.
    pub async fn write_batch(&self, batch: Batch) -> anyhow::Result<Written> {
        match self {
            Self::Server(client) => client.write_batch(&batch).await,
            Self::Store(store) => {
                let site = site_of(&batch, store.as_ref())?;
                let bytes = wire::encode(&batch);
                let received = ReceivedBatch {
                    bytes,
                    batch,
                    received: Timestamp::now(),
                };
                Ok(store.write_batch(&received, &site)?)
            }
        }
    }
}

/// The site that a server would book the batch to.
fn site_of(batch: &Batch, store: &dyn Store) -> anyhow::Result<String> {
    if !batch.site.is_empty() {
        return Ok(batch.site.clone());
    }
    let sites = store.sites(None)?;
    let only = (sites.len() == 1).then(|| sites[0].name.clone());
    Ok(only.unwrap_or_else(|| DEFAULT_SITE.to_owned()))
}
