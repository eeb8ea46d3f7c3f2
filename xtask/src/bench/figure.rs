//! A measured figure: how often, and how it was spread.

/// One figure over its runs.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub(crate) struct Figure {
    name: String,
    unit: String,
    median: f64,
    min: f64,
    max: f64,
    runs: usize,
}

impl Figure {
    /// From what each run gave; there must be at least one.
    pub(crate) fn new(
        name: impl Into<String>,
        unit: impl Into<String>,
        mut runs: Vec<f64>,
    ) -> Self {
        runs.sort_by(f64::total_cmp);
        let middle = runs.len() / 2;
        let median = if runs.len().is_multiple_of(2) {
            f64::midpoint(runs[middle - 1], runs[middle])
        } else {
            runs[middle]
        };
        Self {
            name: name.into(),
            unit: unit.into(),
            median,
            min: runs[0],
            max: runs[runs.len() - 1],
            runs: runs.len(),
        }
    }

    /// The middle one.
    pub(crate) fn median(&self) -> f64 {
        self.median
    }
}

/// The figures for a reader.
pub(crate) fn table(figures: &[Figure]) -> String {
    let name = |figure: &Figure| format!("{} ({})", figure.name, figure.unit);
    let width = figures
        .iter()
        .map(|figure| name(figure).len())
        .max()
        .unwrap_or(0);
    let mut text = format!(
        "{:width$} {:>12} {:>12} {:>12} {:>5}\n",
        "", "median", "min", "max", "runs"
    );
    for figure in figures {
        let Figure {
            median,
            min,
            max,
            runs,
            ..
        } = figure;
        let name = name(figure);
        text += &format!("{name:width$} {median:>12.3} {min:>12.3} {max:>12.3} {runs:>5}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::Figure;

    #[test]
    fn the_median_is_the_middle_or_between_the_two() {
        for (runs, median) in [
            (vec![3.0], 3.0),
            (vec![9.0, 1.0, 2.0], 2.0),
            (vec![4.0, 1.0, 2.0, 9.0], 3.0),
        ] {
            let figure = Figure::new("time", "ns", runs.clone());
            assert!(
                (figure.median - median).abs() < 1e-9,
                "{runs:?}: {figure:?}"
            );
            assert_eq!(figure.runs, runs.len());
            assert!(figure.min <= figure.median && figure.median <= figure.max);
        }
    }
}
