//! Looks how budgets stand, once a minute, and shows it in /metrics.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::ledger::{BudgetQuery, LedgerError};
use crate::store::StoreError;

/// From the end of one look to the next, at least.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Looks until `stop`.
pub(super) async fn watch(app: Arc<App>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let (app, stopping) = (Arc::clone(&app), stop.clone());
        let looked = tokio::task::spawn_blocking(move || {
            let shown = show(&app, Timestamp::now(), &|| stopping.is_cancelled());
            if let Err(error) = shown
                && !stopping.is_cancelled()
            {
                tracing::warn!(%error, "how the budgets stand could not be read");
            }
        });
        if let Err(error) = looked.await {
            tracing::error!(%error, "looking how the budgets stand ended in a panic");
        }
    }
}

/// Shows how budgets stand at `now`; given up where `is_stopping` says so, which is asked between two runs.
///
/// # Errors
/// Where the store fails, or it was given up; then what was shown before stays.
pub fn show(app: &App, now: Timestamp, is_stopping: &dyn Fn() -> bool) -> Result<(), LedgerError> {
    app.amounts.catch_up(&app.ledger)?;
    let states = app
        .ledger
        .budget_states(&BudgetQuery::default(), now, &|run, period| {
            if is_stopping() {
                return Err(StoreError::Busy.into());
            }
            app.amounts.of(&app.ledger, run, period, now)
        })?;
    app.amounts.forget_unused();
    app.metrics.show_budgets(states);
    Ok(())
}
