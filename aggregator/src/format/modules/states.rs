//! How deployed modules stand, and what they use, for a terminal.

use jiff::Zoned;

use super::super::grid::{Align, table as grid};
use super::super::units;
use super::{WIDTH, wrapped};
use crate::deploy::energy::ModuleEnergy;
use crate::deploy::state::{ModuleState, Standing};

/// How modules stand, one line each; with what they use, in their order, where that was asked.
#[must_use]
pub fn states(
    states: &[ModuleState],
    energies: Option<&[Option<ModuleEnergy>]>,
    width: Option<u16>,
) -> String {
    let mut columns = vec![
        ("MODULE", Align::Left),
        ("RELEASE", Align::Left),
        ("STATE", Align::Whole),
        ("PODS", Align::Whole),
    ];
    if energies.is_some() {
        columns.extend([("POWER", Align::Right), ("TODAY", Align::Right)]);
    }
    // Where there is little room, it is for what is there.
    let has_waits = energies.is_none() || states.iter().any(|state| waits(state).is_some());
    if has_waits {
        columns.push(("WAITS FOR", Align::Left));
    }
    let row = |(number, state): (usize, &ModuleState)| {
        let pods = match state.standing {
            Standing::Absent => "-".to_owned(),
            _ => state.rollout.figures(),
        };
        let mut row = vec![
            state.module.clone(),
            state.release.clone(),
            state.standing.to_string(),
            pods,
        ];
        row.extend(
            energies
                .iter()
                .flat_map(|energies| used(energies.get(number))),
        );
        if has_waits {
            row.push(waits(state).unwrap_or_default());
        }
        row
    };
    let rows = states.iter().enumerate().map(row);
    grid(&columns, rows.collect(), width)
}

/// What the first pod that is not ready waits for.
fn waits(state: &ModuleState) -> Option<String> {
    let first = state.rollout.waiting.first()?;
    Some(format!("{}: {}", first.pod, first.why))
}

/// Power now, and grams of today, or energy where no grams are known.
fn used(energy: Option<&Option<ModuleEnergy>>) -> [String; 2] {
    let Some(Some(energy)) = energy else {
        return ["-".to_owned(), "-".to_owned()];
    };
    let mark = if is_modelled(energy) { "~" } else { "" };
    let marked = |text: String| format!("{mark}{text}");
    let today = energy.carbon_grams.map(units::mass);
    let today = today.unwrap_or_else(|| units::energy(energy.active_joules));
    let power = energy.active_watts.map(units::power);
    [power.map_or("-".to_owned(), marked), marked(today)]
}

fn is_modelled(energy: &ModuleEnergy) -> bool {
    energy.energy_basis.modelled > 0.0
}

/// What the columns of energy mean; nothing where they have no figure.
#[must_use]
pub fn foot(energies: &[Option<ModuleEnergy>], since: &Zoned, width: Option<u16>) -> String {
    let told = || energies.iter().flatten();
    if told().next().is_none() {
        return String::new();
    }
    let since = since.strftime("%H:%M %:z");
    let mut text = format!(
        "POWER (mean of five minutes) and TODAY (CO2e since {since}) are active energy: the nodes' idle energy is in no \
         module."
    );
    if told().any(is_modelled) {
        text += " ~: modelled, all or some of it.";
    }
    if told().any(|energy| energy.carbon_grams.is_none()) {
        text += " Where grams are not known, TODAY is energy.";
    }
    let used = told().filter(|energy| energy.active_joules > 0.0);
    let least = used.map(|energy| energy.coverage_ratio).fold(1.0, f64::min);
    if least < 0.99 {
        let unknown = units::percent(1.0 - least);
        text += &format!(" Of up to {unknown} of the time nothing is known.");
    }
    let width = width.map_or(WIDTH, |width| WIDTH.min(width.into()));
    format!("\n{}", wrapped(&text, width, 0))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::tz::TimeZone;

    use super::*;
    use crate::deploy::energy::tests::used as used_by_component;
    use crate::deploy::energy::{Release, module_energies};
    use crate::deploy::rollout::{Rollout, Waiting};

    #[test]
    fn what_modules_use_fits_the_terminal() {
        let state = |module: &str, standing| ModuleState {
            module: module.to_owned(),
            release: module.rsplit('/').next().unwrap_or_default().to_owned(),
            standing,
            record: None,
            rollout: Rollout::default(),
        };
        let mut all = [
            state("energy_measurement_asset/prometheus", Standing::NotReady),
            state("storage/postgres", Standing::Absent),
            state("api/modelsharing", Standing::Absent),
        ];
        let uses = ["c/ml/prometheus", "c/ml/postgres"].map(used_by_component);
        let namespaces = ["ml".to_owned()];
        let names = ["prometheus", "postgres", "modelsharing"];
        let releases = names.map(|name| Release {
            name,
            namespaces: &namespaces,
        });
        let mut energies = module_energies(&uses, &releases, Timestamp::UNIX_EPOCH).unwrap();
        let postgres = energies[1].as_mut().unwrap();
        (postgres.carbon_grams, postgres.active_watts) = (None, None);
        postgres.energy_basis.modelled = 0.5;
        let since = Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC);
        for width in [None, Some(80)] {
            let shown = states(&all, Some(&energies), width);
            let shown = shown + &foot(&energies, &since, width);
            let longest = shown.lines().map(|line| line.chars().count()).max();
            assert!(width.is_none() || longest <= Some(80), "{shown}");
            insta::assert_snapshot!(format!("states_{}", width.unwrap_or(0)), shown);
        }
        all[0].rollout.waiting.push(Waiting {
            pod: "prometheus-0".to_owned(),
            why: "ImagePullBackOff".to_owned(),
            detail: String::new(),
        });
        let shown = states(&all, Some(&energies), Some(80));
        insta::assert_snapshot!("states_that_wait", shown);
        assert_eq!(foot(&[None], &since, None), "");
    }
}
