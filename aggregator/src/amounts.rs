//! What runs used, remembered from one look at the budgets to the next, so that only what changed is counted anew.
//!
//! A figure is good as long as the run's summary is what it was and no slot of its time was new or changed. What else moves it
//! a little (other work of its last minute that comes later, minutes that are folded into hours) is seen within an hour; of
//! a run that has just ended nothing is remembered.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use crate::budget::{Amount, Period};
use crate::ledger::{Ledger, LedgerError};
use crate::store::{RunKey, RunSummary, SlotChanges};

/// Figures that are remembered at most; what there is no room for is counted each time.
const MAX_REMEMBERED: usize = 20_000;

/// A run that ended so long ago is told of by all its nodes, as a rule.
const SETTLED_AFTER: SignedDuration = SignedDuration::from_mins(10);
/// A figure is counted anew after so long a time, whatever happened.
const COUNTED_AGAIN_AFTER: Duration = Duration::from_secs(3600);

/// The figures of one server.
#[derive(Debug, Default)]
pub struct Amounts(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    entries: HashMap<(RunKey, Option<Period>), Entry>,
    /// Number of the last change of slots that is accounted for.
    change: i64,
}

#[derive(Debug)]
struct Entry {
    start: Timestamp,
    end: Timestamp,
    active_joules: f64,
    amount: Amount,
    counted: Instant,
    /// Since it was last looked which are.
    is_used: bool,
}

impl Amounts {
    /// Forgets what changed intensities touch.
    ///
    /// # Errors
    /// Where the store fails.
    pub fn catch_up(&self, ledger: &Ledger) -> Result<(), LedgerError> {
        let after = self.remembered().change;
        let changes = ledger.slot_changes(after)?;
        self.remembered().forget(&changes);
        Ok(())
    }

    /// What a run used within a period, or all of it.
    ///
    /// # Errors
    /// Where the store fails.
    pub fn of(
        &self,
        ledger: &Ledger,
        run: &RunSummary,
        period: Option<Period>,
        now: Timestamp,
    ) -> Result<Amount, LedgerError> {
        let key = (run.key.clone(), period);
        let change = {
            let mut remembered = self.remembered();
            if let Some(entry) = remembered.entries.get_mut(&key)
                && entry.is_of(run)
                && entry.counted.elapsed() < COUNTED_AGAIN_AFTER
            {
                entry.is_used = true;
                return Ok(entry.amount);
            }
            remembered.change
        };
        let amount = ledger.amount(&run.key, period)?;
        let mut remembered = self.remembered();
        let has_room =
            remembered.entries.len() < MAX_REMEMBERED || remembered.entries.contains_key(&key);
        let has_settled = run.end + SETTLED_AFTER < now;
        // It may rest on slots that were changed meanwhile.
        if has_room && has_settled && remembered.change == change {
            remembered.entries.insert(key, Entry::new(run, amount));
        }
        Ok(amount)
    }

    /// Forgets what nobody asked for since this was called last.
    pub fn forget_unused(&self) {
        let mut remembered = self.remembered();
        remembered
            .entries
            .retain(|_, entry| std::mem::take(&mut entry.is_used));
    }

    fn remembered(&self) -> MutexGuard<'_, Remembered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Remembered {
    fn forget(&mut self, changes: &SlotChanges) {
        if changes.last <= self.change {
            return;
        }
        self.change = changes.last;
        let Some(times) = &changes.times else {
            self.entries.clear();
            return;
        };
        self.entries.retain(|_, entry| {
            let touched =
                |(from, to): &(Timestamp, Timestamp)| entry.start < *to && *from < entry.end;
            !times.iter().any(touched)
        });
    }
}

impl Entry {
    fn new(run: &RunSummary, amount: Amount) -> Self {
        Self {
            start: run.start,
            end: run.end,
            active_joules: run.active_joules,
            amount,
            counted: Instant::now(),
            is_used: true,
        }
    }

    fn is_of(&self, run: &RunSummary) -> bool {
        (self.start, self.end) == (run.start, run.end)
            && self.active_joules.to_bits() == run.active_joules.to_bits()
    }
}
