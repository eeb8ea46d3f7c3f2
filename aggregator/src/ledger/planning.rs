//! Plans and their scores, from what the ledger knows of a grid at a time.

use jiff::{SignedDuration, Timestamp};

use super::{Ledger, LedgerError, RunById};
use crate::intensity::errors::{LOOK_BACK, forecast_errors};
use crate::intensity::{Signal, Slot, normalized_zone, timeline};
use crate::plan::{self, NoPlan, NoScore, Plan, Score, Usage, Work};
use crate::report::Report;
use crate::site::Site;
use crate::store::StoreError;

/// What is to be planned, as it is asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlanQuery {
    /// Grid, where it is not the site's.
    pub intensity_zone: Option<String>,
    /// Site whose grid, signal and PUE count; the run's unless told otherwise.
    pub site: Option<String>,
    /// What the intensity counts; the site's unless told otherwise.
    pub signal: Option<Signal>,
    /// How long the work takes; as long as the run took unless told otherwise.
    pub duration: Option<SignedDuration>,
    /// Time within which it is to be done.
    pub within: SignedDuration,
    /// Mean power on the IT side.
    pub watts: Option<f64>,
    /// A run that says how long the work takes, at what power, and where, as far as nobody else does.
    pub like: Option<RunById>,
    /// When the plan was made, by what was known then; now unless told otherwise.
    pub at: Option<Timestamp>,
}

/// As much no cluster draws.
const MAX_WATTS: f64 = 1e9;

/// Why there is no plan, or no score of one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The question lacks something.
    #[error("a plan needs {0}")]
    Lacks(&'static str),
    /// The power is none.
    #[error("the power must be more than 0 watts, and at most {MAX_WATTS:e}")]
    Power,
    /// There is no such site.
    #[error(
        "no site '{0}' in the ledger; the sites are those that `hxmlops serve` was started with"
    )]
    UnknownSite(String),
    /// A site whose grid nobody told.
    #[error("site '{0}' has no intensity zone; say --intensity-zone")]
    NoZone(String),
    /// A run at no site, or at several.
    #[error("run '{0}' was not at one site alone; say --site or --intensity-zone")]
    NotOneSite(String),
    /// The work does not fit, or no start is covered.
    #[error(transparent)]
    NoPlan(#[from] NoPlan),
    /// It cannot be judged yet.
    #[error(transparent)]
    NoScore(#[from] NoScore),
}

impl Ledger {
    /// The greenest start of some work.
    ///
    /// # Errors
    /// [`LedgerError::Plan`] where there is none, or the question does not say enough.
    pub fn plan(&self, query: &PlanQuery, now: Timestamp) -> Result<Plan, LedgerError> {
        let made = made(query, now);
        let work = self.work(query, made)?;
        self.plan_work(&work, made)
    }

    /// What came of a plan that was made at a time, by what is known now.
    ///
    /// # Errors
    /// [`LedgerError::Plan`] where there was none, or its window is not over and settled.
    pub fn plan_score(&self, query: &PlanQuery, now: Timestamp) -> Result<Score, LedgerError> {
        let made = made(query, now);
        let work = self.work(query, made)?;
        let plan = self.plan_work(&work, made)?;
        let actual = self.timeline_of(&work, plan.now, plan.window_end, None)?;
        plan::score(&work, plan, &actual, now).map_err(of_score)
    }

    /// At `now`, by what was known then.
    fn plan_work(&self, work: &Work, now: Timestamp) -> Result<Plan, LedgerError> {
        let as_of = now.checked_add(SignedDuration::from_millis(999)).ok();
        let end = now.checked_add(work.within).unwrap_or(Timestamp::MAX);
        let past = now.checked_sub(LOOK_BACK).unwrap_or(Timestamp::MIN);
        let timeline = self.timeline_of(work, now, end, as_of)?;
        if timeline.is_empty() && !self.is_known(&work.intensity_zone)? {
            let zone = work.intensity_zone.clone();
            return Err(LedgerError::UnknownIntensityZone(zone));
        }
        let past = self.store.slots(&work.intensity_zone, past, now, as_of)?;
        let errors = forecast_errors(&past, work.signal);
        plan::plan(work, now, &timeline, errors).map_err(of_plan)
    }

    fn timeline_of(
        &self,
        work: &Work,
        from: Timestamp,
        to: Timestamp,
        as_of: Option<Timestamp>,
    ) -> Result<Vec<Slot>, StoreError> {
        let zone = &work.intensity_zone;
        let slots = self.store.slots(zone, from, to, as_of)?;
        Ok(timeline(slots, zone, work.signal, from, to))
    }

    /// The question in full: what it does not say is the site's, or else the run's that it names.
    fn work(&self, query: &PlanQuery, now: Timestamp) -> Result<Work, LedgerError> {
        let like = query.like.as_ref().map(|run| self.report(&run.query()));
        let like = like.transpose()?;
        let site = self.site_of(query, like.as_ref())?;
        let (intensity_zone, signal) = self.grid(query, site.as_ref())?;
        let duration = query.duration.or_else(|| like.as_ref().map(length));
        let duration = duration.ok_or(PlanError::Lacks("--duration or --like"))?;
        let pue = match (&like, &site) {
            (Some(report), _) if query.site.is_none() => report.pue,
            (_, Some(site)) => site.pue_at(now),
            _ => 1.0,
        };
        let joules = |watts| watts * duration.as_secs_f64();
        let usage = watts(query, like.as_ref())?.map(|watts| Usage {
            joules: joules(watts),
            pue,
        });
        Ok(Work {
            intensity_zone,
            signal,
            duration,
            within: query.within,
            usage,
        })
    }

    /// The zone and the signal: those asked for, else the site's, else what the sites of the zone use.
    fn grid(
        &self,
        query: &PlanQuery,
        site: Option<&Site>,
    ) -> Result<(String, Signal), LedgerError> {
        let of_site = site.and_then(|site| site.intensity_zone.as_ref());
        let zone = query.intensity_zone.as_ref().or(of_site);
        let name = || site.map(|site| site.name.clone()).unwrap_or_default();
        let zone = normalized_zone(zone.ok_or_else(|| PlanError::NoZone(name()))?);
        let signal = match query.signal.or(site.map(|site| site.signal)) {
            Some(signal) => signal,
            None => self.signal_of(&zone)?,
        };
        Ok((zone, signal))
    }

    /// The site that is named, or else the one that the run was at, where the question names no grid.
    fn site_of(
        &self,
        query: &PlanQuery,
        like: Option<&Report>,
    ) -> Result<Option<Site>, LedgerError> {
        let name = match (&query.site, &query.intensity_zone, like) {
            (Some(name), ..) => name,
            (None, Some(_), _) => return Ok(None),
            (None, None, None) => {
                return Err(PlanError::Lacks("--intensity-zone, --site or --like").into());
            }
            (None, None, Some(report)) => match &report.sites[..] {
                [only] => only,
                _ => return Err(PlanError::NotOneSite(report.run.clone()).into()),
            },
        };
        let sites = self.store.sites(query.at)?;
        let site = sites.into_iter().find(|site| site.name == *name);
        Ok(Some(
            site.ok_or_else(|| PlanError::UnknownSite(name.clone()))?,
        ))
    }
}

fn of_plan(refused: NoPlan) -> LedgerError {
    PlanError::from(refused).into()
}

fn of_score(refused: NoScore) -> LedgerError {
    PlanError::from(refused).into()
}

/// When the plan is made. Sub-seconds are of no use to who is to start then; what was recorded within the second is known, so
/// that a score finds the same plan.
fn made(query: &PlanQuery, now: Timestamp) -> Timestamp {
    let made = query.at.unwrap_or(now);
    Timestamp::from_second(made.as_second()).unwrap_or(made)
}

/// Mean power: the one asked for, else the run's.
fn watts(query: &PlanQuery, like: Option<&Report>) -> Result<Option<f64>, PlanError> {
    let is_power = |watts: f64| watts > 0.0 && watts <= MAX_WATTS;
    match (query.watts, like) {
        (Some(watts), _) if !is_power(watts) => Err(PlanError::Power),
        (Some(watts), _) => Ok(Some(watts)),
        (None, like) => {
            let mean = like.map(|report| report.energy_joules / length(report).as_secs_f64());
            Ok(mean.filter(|watts| is_power(*watts)))
        }
    }
}

fn length(report: &Report) -> SignedDuration {
    report.start.duration_until(report.end)
}
