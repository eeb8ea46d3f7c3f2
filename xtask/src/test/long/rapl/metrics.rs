//! What the agent exports, as the text format of Prometheus has it.

use anyhow::{Context as _, Result};

/// Every series of a scrape.
pub(super) struct Metrics {
    series: Vec<Series>,
}

struct Series {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

impl Metrics {
    /// Reads a scrape of the agent: label values without quotes in them.
    ///
    /// # Errors
    /// Where a line is no series; it is in the error.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let lines = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let series = lines.map(|line| {
            parse_series(line).with_context(|| format!("no series of metrics: {line}"))
        });
        Ok(Self {
            series: series.collect::<Result<_>>()?,
        })
    }

    /// The sum of the series of this name that have all of these labels; `None` where there is none.
    pub(super) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let matching: Vec<f64> = self
            .series
            .iter()
            .filter(|series| series.name == name && series.has(labels))
            .map(|series| series.value)
            .collect();
        (!matching.is_empty()).then(|| matching.iter().sum())
    }
}

impl Series {
    fn has(&self, labels: &[(&str, &str)]) -> bool {
        labels.iter().all(|(name, value)| {
            let mut own = self.labels.iter();
            own.any(|(own_name, own_value)| own_name == name && own_value == value)
        })
    }
}

fn parse_series(line: &str) -> Option<Series> {
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let labels = labels.strip_suffix('}')?;
    let labels = match labels.strip_suffix('"') {
        Some(labels) => labels
            .split("\",")
            .map(parse_label)
            .collect::<Option<_>>()?,
        None => Vec::new(),
    };
    Some(Series {
        name: name.to_owned(),
        labels,
        value: value.parse().ok()?,
    })
}

fn parse_label(label: &str) -> Option<(String, String)> {
    let (name, value) = label.split_once("=\"")?;
    Some((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_summed_by_their_labels() {
        let metrics = Metrics::parse(
            "# HELP e Energy.\n# TYPE e counter\ne{pod=\"a, and (b c)\",zone=\"dram-0\"} 1.5\ne{pod=\"b\",zone=\"dram-0\"} 2\ne{pod=\"\",zone=\"package-0\"} 4\nup 1\n",
        )
        .unwrap();
        assert_eq!(metrics.sum("e", &[("zone", "dram-0")]), Some(3.5));
        assert_eq!(
            metrics.sum("e", &[("zone", "dram-0"), ("pod", "b")]),
            Some(2.0)
        );
        assert_eq!(metrics.sum("e", &[]), Some(7.5));
        assert_eq!(metrics.sum("up", &[]), Some(1.0));
        assert_eq!(metrics.sum("e", &[("zone", "psys")]), None);
        assert!(Metrics::parse("no series").is_err());
    }
}
