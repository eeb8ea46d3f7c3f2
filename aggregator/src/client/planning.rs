//! Plans and budgets of a server.

use serde::de::DeserializeOwned;

use super::Client;
use crate::budget::{Budget, BudgetState};
use crate::intensity::Signal;
use crate::ledger::{BudgetQuery, PlanQuery};
use crate::plan::{Plan, Score};

impl Client {
    /// The greenest start of some work.
    ///
    /// # Errors
    /// Where the server cannot be reached or there is none.
    pub async fn plan(&self, query: &PlanQuery) -> anyhow::Result<Plan> {
        self.ask_plan(&["api", "v1", "plan"], query).await
    }

    /// What came of a plan.
    ///
    /// # Errors
    /// Where the server cannot be reached, or the window is not over or not settled.
    pub async fn plan_score(&self, query: &PlanQuery) -> anyhow::Result<Score> {
        self.ask_plan(&["api", "v1", "plan", "score"], query).await
    }

    async fn ask_plan<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &PlanQuery,
    ) -> anyhow::Result<T> {
        let duration_s = query.duration.map(|length| length.as_secs().to_string());
        let within_s = query.within.as_secs().to_string();
        let watts = query.watts.map(|watts| watts.to_string());
        let at = query.at.map(|at| at.to_string());
        let like = query.like.as_ref();
        let query = [
            ("intensity_zone", query.intensity_zone.as_deref()),
            ("site", query.site.as_deref()),
            ("signal", query.signal.map(Signal::as_str)),
            ("duration_s", duration_s.as_deref()),
            ("within_s", Some(within_s.as_str())),
            ("watts", watts.as_deref()),
            ("run", like.map(|like| like.run.as_str())),
            ("workflow", like.and_then(|like| like.workflow.as_deref())),
            ("cluster", like.and_then(|like| like.cluster.as_deref())),
            ("at", at.as_deref()),
        ];
        self.get(path, &query).await
    }

    /// Sets a budget.
    ///
    /// # Errors
    /// Where the server cannot be reached or refuses.
    pub async fn put_budget(&self, budget: &Budget) -> anyhow::Result<()> {
        let url = self.url(&["api", "v1", "budgets", &budget.name]);
        self.ask(self.http.put(url).json(&budget.rule))
            .await
            .map(drop)
    }

    /// Removes a budget.
    ///
    /// # Errors
    /// Where the server cannot be reached, or has no such budget.
    pub async fn remove_budget(&self, name: &str) -> anyhow::Result<()> {
        let url = self.url(&["api", "v1", "budgets", name]);
        self.ask(self.http.delete(url)).await.map(drop)
    }

    /// All budgets.
    ///
    /// # Errors
    /// Where the server cannot be reached or refuses.
    pub async fn budgets(&self) -> anyhow::Result<Vec<Budget>> {
        self.get(&["api", "v1", "budgets"], &[]).await
    }

    /// How budgets stand.
    ///
    /// # Errors
    /// Where the server cannot be reached, or has no such budget or run.
    pub async fn budget_states(&self, query: &BudgetQuery) -> anyhow::Result<Vec<BudgetState>> {
        let run = query.run.as_ref();
        let query = [
            ("name", query.name.as_deref()),
            ("run", run.map(|run| run.run.as_str())),
            ("workflow", run.and_then(|run| run.workflow.as_deref())),
            ("cluster", run.and_then(|run| run.cluster.as_deref())),
        ];
        self.get(&["api", "v1", "budget-states"], &query).await
    }
}
