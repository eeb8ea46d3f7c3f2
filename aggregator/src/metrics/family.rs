//! A metric family put together by hand, for figures that the library's own counters cannot hold.

use prometheus::core::Desc;
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

/// Name, help, kind and label names of a family.
#[derive(Clone, Copy, Debug)]
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) kind: MetricType,
    pub(super) labels: &'static [&'static str],
}

impl Family {
    pub(super) fn describe(&self) -> Desc {
        let labels = self.labels.iter().map(|&label| label.to_owned()).collect();
        Desc::new(
            self.name.to_owned(),
            self.help.to_owned(),
            labels,
            std::collections::HashMap::new(),
        )
        .expect("names and labels are valid")
    }

    /// With one metric for each row: label values in order, and the figure.
    pub(super) fn with<'a>(
        &self,
        rows: impl IntoIterator<Item = (Vec<&'a str>, f64)>,
    ) -> MetricFamily {
        let metrics = rows.into_iter();
        let metrics = metrics.map(|(values, figure)| self.metric(&values, figure));
        let mut family = MetricFamily::default();
        family.set_name(self.name.to_owned());
        family.set_help(self.help.to_owned());
        family.set_field_type(self.kind);
        family.set_metric(metrics.collect());
        family
    }

    fn metric(&self, values: &[&str], figure: f64) -> Metric {
        let pairs = self.labels.iter().zip(values).map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        });
        let mut metric = Metric::from_label(pairs.collect());
        match self.kind {
            MetricType::COUNTER => {
                let mut counter = Counter::default();
                counter.set_value(figure);
                metric.set_counter(counter);
            }
            _ => {
                let mut gauge = Gauge::default();
                gauge.set_value(figure);
                metric.set_gauge(gauge);
            }
        }
        metric
    }
}
