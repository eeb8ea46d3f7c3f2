//! Metric families as Prometheus' text format wants them.

use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

/// Labels and value of one series.
pub(super) type Series<'a> = (Vec<(&'a str, &'a str)>, f64);

/// A counter family; empty where it has no series.
pub(super) fn counter<'a>(
    name: &str,
    help: &str,
    series: impl IntoIterator<Item = Series<'a>>,
) -> MetricFamily {
    family(name, help, MetricType::COUNTER, series, |metric, value| {
        let mut counter = Counter::default();
        counter.set_value(value);
        metric.set_counter(counter);
    })
}

/// A gauge family; empty where it has no series.
pub(super) fn gauge<'a>(
    name: &str,
    help: &str,
    series: impl IntoIterator<Item = Series<'a>>,
) -> MetricFamily {
    family(name, help, MetricType::GAUGE, series, |metric, value| {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        metric.set_gauge(gauge);
    })
}

fn family<'a>(
    name: &str,
    help: &str,
    kind: MetricType,
    series: impl IntoIterator<Item = Series<'a>>,
    set: impl Fn(&mut Metric, f64),
) -> MetricFamily {
    let metric = |(labels, value): Series<'a>| {
        let mut metric = Metric::default();
        metric.set_label(
            labels
                .into_iter()
                .map(|(name, value)| label(name, value))
                .collect(),
        );
        set(&mut metric, value);
        metric
    };
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(series.into_iter().map(metric).collect());
    family
}

pub(super) fn label(name: &str, value: &str) -> LabelPair {
    let mut label = LabelPair::default();
    label.set_name(name.to_owned());
    label.set_value(value.to_owned());
    label
}
