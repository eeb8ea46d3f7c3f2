//! What a reader must know of a plan's figures.

use super::{Plan, TimeShares};
use crate::intensity::{IntensityBasis, Slot};

/// One sentence each, in the order in which they matter.
pub(super) fn notes(plan: &Plan, timeline: &[Slot]) -> Vec<String> {
    let notes = [
        annual(plan),
        unforeseen(plan, timeline),
        no_saving(plan),
        no_better(plan),
        no_errors(plan),
    ];
    notes.into_iter().flatten().collect()
}

fn annual(plan: &Plan) -> Option<String> {
    let TimeShares { annual, .. } = plan.basis;
    let zone = &plan.intensity_zone;
    if annual >= 1.0 {
        return Some(format!(
            "No forecast of zone {zone} is known for this time, only the yearly average: nothing is to be gained by \
             waiting."
        ));
    }
    (annual > 0.0).then(|| {
        format!(
            "For {:.0} % of the planned time only the yearly average is known, which does not tell one hour from another.",
            annual * 100.0
        )
    })
}

/// Time of the window in which starts were not weighed.
fn unforeseen(plan: &Plan, timeline: &[Slot]) -> Option<String> {
    if plan.basis.annual > 0.0 {
        return None;
    }
    let window = plan.now.duration_until(plan.window_end).as_secs_f64();
    let known: f64 = timeline
        .iter()
        .filter(|slot| slot.basis != IntensityBasis::Annual)
        .map(|slot| {
            let (from, to) = (slot.from.max(plan.now), slot.to.min(plan.window_end));
            from.duration_until(to).as_secs_f64().max(0.0)
        })
        .sum();
    let unknown = 1.0 - known / window;
    (unknown > 5e-4).then(|| {
        format!(
            "For {:.1} % of the window there is no forecast; starts that reach into that time were not weighed.",
            unknown * 100.0
        )
    })
}

fn no_saving(plan: &Plan) -> Option<String> {
    plan.saving_ratio.is_none().then(|| {
        "What starting now would be is not known for all of its time, so that no saving can be told.".to_owned()
    })
}

fn no_better(plan: &Plan) -> Option<String> {
    let is_now = plan.start == plan.now && plan.basis.annual < 1.0;
    is_now.then(|| "No later start in this window is greener than starting now.".to_owned())
}

fn no_errors(plan: &Plan) -> Option<String> {
    let is_unsure = plan.basis.forecast > 0.0 && plan.forecast_errors.is_none();
    is_unsure.then(|| {
        "How far the forecasts are off is not known: fewer than 24 slots of the 30 days before have both a forecast and a \
         figure."
            .to_owned()
    })
}
