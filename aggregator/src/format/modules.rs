//! Modules of the catalogue, and how they stand, for a terminal.

use jiff::Zoned;

use super::grid::{Align, table as grid};
use super::units;
use crate::deploy::catalogue::Module;
use crate::deploy::catalogue::module::{Need, Offer, Settable};
use crate::deploy::energy::ModuleEnergy;
use crate::deploy::state::{ModuleState, Standing};

/// Where the output is no terminal, sentences are as long as this.
const WIDTH: usize = 80;
/// Before what is said of a key.
const INDENT: usize = 11;

/// One line per module.
#[must_use]
pub fn list(modules: &[&Module], width: Option<u16>) -> String {
    let columns = [
        ("GROUP", Align::Left),
        ("NAME", Align::Whole),
        ("VERSION", Align::Left),
        ("TITLE", Align::Left),
    ];
    let row = |module: &&Module| {
        let file = &module.file;
        let note = if file.deprecated { " (deprecated)" } else { "" };
        let title = format!("{}{note}", file.title);
        vec![
            module.group.clone(),
            module.name.clone(),
            file.version.clone(),
            title,
        ]
    };
    grid(&columns, modules.iter().map(row).collect(), width)
}

/// One line per value.
#[must_use]
pub fn values(values: &[Settable], width: Option<u16>) -> String {
    let columns = [
        ("PATH", Align::Left),
        ("DEFAULT", Align::Left),
        ("WHAT FOR", Align::Left),
    ];
    let row = |value: &Settable| {
        let default = match &value.default {
            serde_json::Value::String(text) if !text.is_empty() => text.clone(),
            serde_json::Value::Null => "-".to_owned(),
            other => other.to_string(),
        };
        vec![value.path.clone(), default, value.about.clone()]
    };
    grid(&columns, values.iter().map(row).collect(), width)
}

/// What a module is, and the values that it runs with (as YAML).
#[must_use]
pub fn info(module: &Module, values: &str, width: Option<u16>) -> String {
    let file = &module.file;
    let width = width.map_or(WIDTH, usize::from);
    let mut text = format!("{}: {} {}\n", module.full_name(), file.title, file.version);
    text += &wrapped(&file.about, width, 0);
    let mut key = |name: &str, what: String| {
        text += &format!("{name:<INDENT$}{}", wrapped(&what, width, INDENT));
    };
    let runs = runs(module);
    key("runs", runs);
    file.needs.iter().for_each(|one| key("needs", need(one)));
    file.offers.iter().for_each(|one| key("offers", offer(one)));
    file.checked
        .real
        .iter()
        .for_each(|one| key("checked", one.clone()));
    file.checked
        .not
        .iter()
        .for_each(|one| key("unchecked", one.clone()));
    if !values.is_empty() {
        text += &format!("values\n{values}");
    }
    text
}

fn runs(module: &Module) -> String {
    let file = &module.file;
    if let Some(steps) = &file.steps {
        let steps: Vec<&str> = steps.iter().map(|step| &*step.kustomize).collect();
        return format!("kubectl kustomize, in this order: {}", steps.join(", "));
    }
    let Some(chart) = &file.chart else {
        return "the chart hxmlops".to_owned();
    };
    let text = |path: &str| {
        let mut parts = path.split('.');
        let first = parts.next().and_then(|part| chart.get(part));
        let found = parts.try_fold(first?, |value, part| value.get(part));
        found.and_then(|value| value.as_str())
    };
    let kind = text("kind").unwrap_or("deployment");
    let image = text("image.repository").unwrap_or("its image");
    format!(
        "a {kind} of {image}:{}",
        text("image.tag").unwrap_or("its version")
    )
}

fn need(need: &Need) -> String {
    let optional = if need.optional {
        ", if it is there"
    } else {
        ""
    };
    format!("{} as {}{optional}", need.capability, need.name)
}

fn offer(offer: &Offer) -> String {
    let secret = offer.secret.get("name");
    let secret = secret.map_or(String::new(), |name| {
        format!(", secret {}", name.replace("{{release}}", "RELEASE"))
    });
    format!("{} at port {}{secret}", offer.capability, offer.port)
}

/// Words in lines of a width, all but the first indented.
fn wrapped(text: &str, width: usize, indent: usize) -> String {
    let mut wrapped = String::new();
    let mut column = indent;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > indent && column + 1 + length > width {
            wrapped += &format!("\n{:indent$}", "");
            column = indent;
        } else if column > indent {
            wrapped.push(' ');
            column += 1;
        }
        wrapped += word;
        column += length;
    }
    wrapped + "\n"
}

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
    columns.push(("WAITS FOR", Align::Left));
    let row = |(number, state): (usize, &ModuleState)| {
        let waits = state.rollout.waiting.first();
        let waits = waits.map_or(String::new(), |one| format!("{}: {}", one.pod, one.why));
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
        row.push(waits);
        row
    };
    let rows = states.iter().enumerate().map(row);
    grid(&columns, rows.collect(), width)
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
    use super::*;
    use jiff::Timestamp;
    use jiff::tz::TimeZone;

    use crate::deploy::catalogue::module::Kind;
    use crate::deploy::catalogue::tests::fixture;
    use crate::deploy::energy::tests::used as used_by_component;
    use crate::deploy::energy::{Release, module_energies};
    use crate::deploy::rollout::Rollout;

    #[test]
    fn words_are_wrapped_within_the_width() {
        let check = |text: &str, width, indent, expected: &str| {
            assert_eq!(wrapped(text, width, indent), expected);
        };
        check("a b c", 3, 0, "a b\nc\n");
        check("aa bb", 6, 2, "aa\n  bb\n");
        check("longer than it", 4, 0, "longer\nthan\nit\n");
        check(" \n ", 4, 0, "\n");
    }

    #[test]
    fn what_modules_use_fits_the_terminal() {
        let state = |module: &str, standing| ModuleState {
            module: module.to_owned(),
            release: module.rsplit('/').next().unwrap_or_default().to_owned(),
            standing,
            record: None,
            rollout: Rollout::default(),
        };
        let all = [
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
        assert_eq!(foot(&[None], &since, None), "");
    }

    #[test]
    fn a_module_is_described() {
        let catalogue = fixture();
        let sharing = catalogue.find(Kind::Link, "api", "modelsharing").unwrap();
        let found = info(sharing, "env:\n  A: b\n", None);
        let expected = "\
api/modelsharing: Sharing 1
Shares.
runs       a deployment of its image:its version
needs      postgres as database
needs      s3 as blobs
needs      prometheus as metrics, if it is there
values
env:
  A: b
";
        assert_eq!(found, expected);
        let steps = catalogue.find(Kind::Component, "ml_toolkit", "kubeflowPipeline");
        let found = info(steps.unwrap(), "", None);
        assert!(found.contains("in this order: first, second"), "{found}");
    }
}
