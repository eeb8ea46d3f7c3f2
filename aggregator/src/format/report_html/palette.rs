//! Which stage has which colour, the same in every chart. The colours are in `ui/report.css`: a set that people with
//! any colour vision tell apart, with 3:1 against the page in light and in dark.

use crate::format::report_table::stage_name;
use crate::report::Report;

/// Stages that have a colour of their own: those with the most energy. The others share one.
const OWN: usize = 7;

/// The class of each stage, in the report's order.
pub(super) fn classes(report: &Report) -> Vec<&'static str> {
    const NAMES: [&str; OWN] = ["c0", "c1", "c2", "c3", "c4", "c5", "c6"];
    let stages = &report.stages;
    let mut places: Vec<usize> = (0..stages.len()).collect();
    places.sort_by(|a, b| {
        stages[*b]
            .energy_joules
            .total_cmp(&stages[*a].energy_joules)
    });
    let mut own = places.into_iter().take(OWN).collect::<Vec<usize>>();
    own.sort_unstable();
    let class = |stage| own.iter().position(|place| *place == stage);
    (0..stages.len())
        .map(|stage| class(stage).map_or(OTHERS, |number| NAMES[number]))
        .collect()
}

/// The class of the stages without a colour of their own.
pub(super) const OTHERS: &str = "cx";

/// Each class that stages have, with the names of its stages' places, in the order of the report; others come last.
pub(super) fn groups(report: &Report) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut others = Group {
        class: OTHERS,
        name: String::new(),
        stages: Vec::new(),
    };
    for (stage, class) in classes(report).into_iter().enumerate() {
        if class == OTHERS {
            others.stages.push(stage);
        } else {
            groups.push(Group {
                class,
                name: stage_name(&report.stages[stage].stage).to_owned(),
                stages: vec![stage],
            });
        }
    }
    if !others.stages.is_empty() {
        others.name = format!("{} other stages", others.stages.len());
        groups.push(others);
    }
    groups
}

/// Stages of one colour.
pub(super) struct Group {
    pub(super) class: &'static str,
    pub(super) name: String,
    /// Their places among the report's stages.
    pub(super) stages: Vec<usize>,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::format::fixture::rich;
    use crate::format::report_html::STYLE;

    #[test]
    fn the_largest_stages_have_colours_of_their_own() {
        let mut report = rich();
        let stage = report.stages[0].clone();
        report.stages = (0..9)
            .map(|number| crate::report::StageReport {
                stage: number.to_string(),
                energy_joules: if number == 0 { 0.0 } else { f64::from(number) },
                ..stage.clone()
            })
            .collect();
        assert_eq!(
            classes(&report),
            ["cx", "cx", "c0", "c1", "c2", "c3", "c4", "c5", "c6"]
        );
        let last = groups(&report).pop().unwrap();
        assert_eq!(
            (last.name.as_str(), last.stages),
            ("2 other stages", vec![0, 1])
        );
    }

    /// The colours of the style by name: in light and in dark.
    fn colours() -> BTreeMap<&'static str, [[f64; 3]; 2]> {
        let colour = |text: &str| {
            let digits = u32::from_str_radix(text.trim().trim_start_matches('#'), 16).unwrap();
            [16, 8, 0].map(|shift| f64::from(digits >> shift & 0xff) / 255.0)
        };
        let lines = STYLE.lines().filter_map(|line| {
            let (name, rest) = line.trim().split_once(": light-dark(")?;
            let (light, dark) = rest.strip_suffix(");")?.split_once(',')?;
            Some((name, [colour(light), colour(dark)]))
        });
        lines.collect()
    }

    /// Relative luminance (WCAG 2.2).
    fn luminance(colour: [f64; 3]) -> f64 {
        let linear = |part: f64| {
            if part <= 0.040_45 {
                part / 12.92
            } else {
                ((part + 0.055) / 1.055).powf(2.4)
            }
        };
        let [red, green, blue] = colour.map(linear);
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    #[test]
    fn colours_stand_out_from_the_page_in_light_and_in_dark() {
        let colours = colours();
        let check = |name: &str, at_least: f64| {
            for shade in 0..2 {
                let of = |name: &str| luminance(colours[name][shade]) + 0.05;
                let (one, other) = (of(name), of("--back"));
                let contrast = one.max(other) / one.min(other);
                assert!(
                    contrast >= at_least,
                    "{name}: {contrast:.2} in {}",
                    ["light", "dark"][shade]
                );
            }
        };
        for name in [
            "--c0", "--c1", "--c2", "--c3", "--c4", "--c5", "--c6", "--cx", "--idle", "--g",
        ] {
            check(name, 3.0);
        }
        check("--text", 7.0);
        check("--faint", 4.5);
    }
}
