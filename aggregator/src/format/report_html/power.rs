//! The chart of power over time, stacked by stage, with the intensity of the grid on a second axis.

use maud::{Markup, html};

use super::palette::groups;
use super::scale::{DIVISIONS, SIDE, Scale, band, borders, steps, time_ticks};
use crate::format::escape::terminal;
use crate::format::units::{duration, figure, time};
use crate::report::{CoursePart, Report};

pub(super) fn power(report: &Report) -> Markup {
    let (Some(first), Some(last)) = (report.course.first(), report.course.last()) else {
        return Markup::default();
    };
    let chart = Chart::new(report);
    html! {
        section aria-labelledby="power" {
            h2 id="power" { "Power over time" }
            p.note {
                "Mean power of each " (duration(first.from, first.to)) ", in UTC, from " (time(first.from))
                " to " (time(last.to)) "; active power by stage on the run's share of idle power."
            }
            figure {
                (chart.legend())
                (chart.plot(report))
            }
        }
    }
}

/// One colour's power in each part of the time, in watts.
struct Layer {
    class: &'static str,
    name: String,
    watts: Vec<f64>,
}

struct Chart {
    /// From the bottom to the top.
    layers: Vec<Layer>,
    borders: Vec<f64>,
    /// gCO2e/kWh in each part.
    intensity: Vec<Option<f64>>,
    power: Scale,
    grams: Scale,
}

impl Chart {
    fn new(report: &Report) -> Self {
        let course = &report.course;
        let layers = layers(report);
        let sums = (0..course.len()).map(|part| layers.iter().map(|layer| layer.watts[part]).sum());
        let intensity: Vec<Option<f64>> = course.iter().map(|part| part.g_per_kwh).collect();
        let times: Vec<_> = course.iter().map(|part| (part.from, part.to)).collect();
        Self {
            power: Scale::reaching(sums.fold(0.0, f64::max)),
            grams: Scale::reaching(intensity.iter().flatten().copied().fold(0.0, f64::max)),
            borders: borders(&times),
            intensity,
            layers,
        }
    }

    fn has_intensity(&self) -> bool {
        self.intensity.iter().any(Option::is_some)
    }

    fn legend(&self) -> Markup {
        html! {
            ul.legend {
                @for layer in self.layers.iter().rev() {
                    li { (swatch(layer.class)) (terminal(&layer.name)) }
                }
                @if self.has_intensity() {
                    li { (line_swatch()) "carbon intensity (right axis)" }
                }
            }
        }
    }

    fn plot(&self, report: &Report) -> Markup {
        let (unit, unit_name) = if self.power.top() >= 4_000.0 {
            (1e3, "kW")
        } else {
            (1.0, "W")
        };
        let (Some(first), Some(last)) = (report.course.first(), report.course.last()) else {
            return Markup::default();
        };
        html! {
            div.axes aria-hidden="true" {
                span { "Power (" (unit_name) ")" }
                @if self.has_intensity() { span { "gCO₂e/kWh" } }
            }
            div.plot {
                (axis("left", &self.power.ticks(unit)))
                (self.canvas(report))
                @if self.has_intensity() { (axis("right", &self.grams.ticks(1.0))) }
                (time_axis(&time_ticks(first.from, last.to)))
            }
        }
    }

    fn canvas(&self, report: &Report) -> Markup {
        let side = SIDE;
        html! {
            svg viewBox={ "0 0 " (side) " " (side) } preserveAspectRatio="none" role="img" aria-labelledby="power-title power-text" {
                title id="power-title" { "Power over time, by stage" }
                desc id="power-text" { (self.in_words(report)) }
                @if self.has_intensity() { path.tint d=(self.tint()) {} }
                @for (layer, path) in self.layers.iter().zip(self.stacked()) {
                    path class={ "layer " (layer.class) } d=(path) { title { (terminal(&layer.name)) } }
                }
                @for line in 0..=DIVISIONS {
                    @let y = SIDE * f64::from(line) / f64::from(DIVISIONS);
                    line.grid x1="0" x2=(side) y1=(y) y2=(y) {}
                }
                @if self.has_intensity() {
                    @let path = steps(&self.borders, &self.levels());
                    path.halo d=(path) {}
                    path.intensity d=(path) { title { "carbon intensity" } }
                }
            }
        }
    }

    /// The outline of each layer on those below it.
    fn stacked(&self) -> Vec<String> {
        let mut lower = vec![0.0; self.intensity.len()];
        let mut sums = lower.clone();
        let mut path = |layer: &Layer| {
            for (sum, watts) in sums.iter_mut().zip(&layer.watts) {
                *sum += watts;
            }
            let upper: Vec<f64> = sums.iter().map(|watts| self.power.share(*watts)).collect();
            let path = band(&self.borders, &lower, &upper);
            lower = upper;
            path
        };
        self.layers.iter().map(&mut path).collect()
    }

    fn levels(&self) -> Vec<Option<f64>> {
        let share = |grams: &Option<f64>| grams.map(|grams| self.grams.share(grams));
        self.intensity.iter().map(share).collect()
    }

    fn tint(&self) -> String {
        let upper: Vec<f64> = self
            .levels()
            .into_iter()
            .map(Option::unwrap_or_default)
            .collect();
        band(&self.borders, &vec![0.0; upper.len()], &upper)
    }

    /// For those who do not see the chart.
    fn in_words(&self, report: &Report) -> String {
        let power = |part: &CoursePart| {
            let joules = part.active_joules.iter().sum::<f64>() + part.idle_joules;
            joules / seconds(part)
        };
        let peak = report
            .course
            .iter()
            .max_by(|a, b| power(a).total_cmp(&power(b)));
        let mut text = peak.map_or_else(String::new, |part| {
            format!(
                "The highest mean power is {} W, at {}.",
                figure(power(part)),
                time(part.from)
            )
        });
        let known = || self.intensity.iter().flatten().copied();
        if self.has_intensity() {
            let (least, most) = (
                known().fold(f64::MAX, f64::min),
                known().fold(0.0, f64::max),
            );
            text += &format!(
                " The grid's carbon intensity lies between {} and {} gCO2e/kWh.",
                figure(least),
                figure(most)
            );
        }
        text
    }
}

fn layers(report: &Report) -> Vec<Layer> {
    let watts = |joules: &dyn Fn(&CoursePart) -> f64| -> Vec<f64> {
        let parts = report.course.iter();
        parts.map(|part| joules(part) / seconds(part)).collect()
    };
    let idle = Layer {
        class: "idle",
        name: "idle share".to_owned(),
        watts: watts(&|part| part.idle_joules),
    };
    let stages = groups(report).into_iter().map(|group| Layer {
        watts: watts(&|part| {
            let stages = group.stages.iter();
            stages
                .filter_map(|stage| part.active_joules.get(*stage))
                .sum()
        }),
        class: group.class,
        name: group.name,
    });
    [idle].into_iter().chain(stages).collect()
}

fn seconds(part: &CoursePart) -> f64 {
    part.from
        .duration_until(part.to)
        .as_secs_f64()
        .max(f64::MIN_POSITIVE)
}

/// A square of a class's colour, which is printed too.
pub(super) fn swatch(class: &str) -> Markup {
    html! {
        svg.swatch viewBox="0 0 10 10" aria-hidden="true" { rect class=(class) width="10" height="10" rx="2" {} }
    }
}

fn line_swatch() -> Markup {
    html! {
        svg.swatch viewBox="0 0 10 10" aria-hidden="true" { path.intensity d="M0 5H10" {} }
    }
}

fn axis(class: &str, ticks: &[(f64, String)]) -> Markup {
    html! {
        div class={ "axis " (class) } aria-hidden="true" {
            @for (share, text) in ticks {
                span style={ "bottom:" (percent(*share)) } { (text) }
            }
        }
    }
}

fn time_axis(ticks: &[(f64, String)]) -> Markup {
    html! {
        div.axis.bottom aria-hidden="true" {
            @for (share, text) in ticks {
                span style={ "left:" (percent(*share)) } { (text) }
            }
        }
    }
}

fn percent(share: f64) -> String {
    format!("{:.2}%", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::fixture::{rich, without_grams};

    #[test]
    fn the_layers_together_are_the_run_s_energy() {
        let report = rich();
        let chart = Chart::new(&report);
        let joules: f64 = chart
            .layers
            .iter()
            .flat_map(|layer| layer.watts.iter().zip(&report.course))
            .map(|(watts, part)| watts * seconds(part))
            .sum();
        assert!((joules - report.energy_joules).abs() < 1.0, "{joules}");
    }

    #[test]
    fn without_an_intensity_there_is_no_second_axis() {
        let mut report = rich();
        for part in &mut report.course {
            part.g_per_kwh = None;
        }
        let page = power(&report).into_string();
        assert!(
            !page.contains("gCO₂e") && !page.contains("intensity"),
            "{page}"
        );
        // And where there is one for some of the time, the line has a gap.
        let line = steps(
            &Chart::new(&without_grams()).borders,
            &Chart::new(&without_grams()).levels(),
        );
        assert_eq!(line.matches('M').count(), 2, "{line}");
    }
}
