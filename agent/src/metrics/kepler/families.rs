//! Kepler's families from the books.

use prometheus::proto::MetricFamily;
use wire::Energy;

use super::{Kepler, LevelBooks, NodeWatts};
use crate::metrics::books::ZoneSums;
use crate::metrics::families::{counter, gauge};
use crate::metrics::processes::Processes;
use crate::metrics::table::Entry;

/// Kinds of zones that Kepler counts as the CPU's; ours of the first two add up, the others lie inside or around them.
const CPU_KINDS: [&str; 5] = ["package", "dram", "core", "uncore", "psys"];
const GPU_KIND: &str = "gpu";

type Labels<'a> = Vec<(&'a str, &'a str)>;

impl Kepler {
    /// All families but the processes'.
    pub(in crate::metrics) fn families(&self, zones: &[ZoneSums]) -> Vec<MetricFamily> {
        let usage = [(vec![], self.usage_ratio)];
        let mut families = vec![gauge(
            "kepler_node_cpu_usage_ratio",
            "CPU time used over CPU time there was, 0 to 1.",
            usage,
        )];
        families.extend(self.node_families("cpu", zones, cpu_labels));
        families.extend(self.node_families("gpu", zones, gpu_labels));
        for books in &self.levels {
            families.extend(self.level_families(books, "cpu", zones));
            if books.level.has_gpu {
                families.extend(self.level_families(books, "gpu", zones));
            }
        }
        families
    }

    /// The processes' families.
    pub(in crate::metrics) fn process_families(
        &self,
        zones: &[ZoneSums],
        processes: &Processes,
    ) -> Vec<MetricFamily> {
        let own: Vec<_> = processes
            .iter()
            .filter(|(key, _)| !key.pid.is_empty())
            .map(|(key, entry)| (key, entry, self.processes.of(key)))
            .collect();
        let rows: Vec<Row<'_>> = own
            .iter()
            .map(|(key, entry, detail)| Row {
                labels: vec![
                    ("pid", &*key.pid),
                    ("comm", &*key.comm),
                    ("exe", &*detail.exe),
                    ("type", detail.kind),
                    ("container_id", &*detail.container_id),
                    ("vm_id", &*detail.vm_id),
                ],
                state: state(detail.is_alive),
                entry,
            })
            .collect();
        let seconds = rows
            .iter()
            .map(|row| (row.labels.clone(), row.entry.cpu_ns as f64 / 1e9));
        let mut families = vec![counter(
            "kepler_process_cpu_seconds_total",
            "CPU time of a process.",
            seconds,
        )];
        for device in ["cpu", "gpu"] {
            families.extend(self.row_families("process", device, zones, &rows));
        }
        families
    }

    fn level_families(
        &self,
        books: &LevelBooks,
        device: &str,
        zones: &[ZoneSums],
    ) -> [MetricFamily; 2] {
        let names = books.level.labels;
        let rows: Vec<Row<'_>> = books
            .table
            .iter()
            .map(|(values, entry)| Row {
                labels: names
                    .iter()
                    .copied()
                    .zip(values.iter().map(String::as_str))
                    .collect(),
                state: state(books.alive.contains(values)),
                entry,
            })
            .collect();
        self.row_families(books.level.noun, device, zones, &rows)
    }

    /// Joules and watts of workloads or processes, by kind of zone for the CPU and summed for GPUs.
    fn row_families(
        &self,
        noun: &str,
        device: &str,
        zones: &[ZoneSums],
        rows: &[Row<'_>],
    ) -> [MetricFamily; 2] {
        let kinds = kinds(device, zones);
        let (mut energy, mut power) = (Vec::new(), Vec::new());
        for row in rows {
            let newest = row.entry.newest(self.newest_ns);
            for &kind in &kinds {
                let labels = row.labels_with(device, kind);
                energy.push((labels.clone(), joules(zones, &row.entry.zones, kind)));
                power.push((labels, joules(zones, newest, kind) / self.seconds));
            }
        }
        let name = |unit: &str| format!("kepler_{noun}_{device}_{unit}");
        let help = |what: &str| format!("{what} that the {device} used for a {noun}.");
        [
            counter(&name("joules_total"), &help("Joules"), energy),
            gauge(&name("watts"), &help("Watts in the newest interval"), power),
        ]
    }

    /// All, active and idle of the node's zones; of those that are no additive zone's, all alone.
    fn node_families(
        &self,
        device: &str,
        zones: &[ZoneSums],
        labels: fn(&ZoneSums) -> Option<Labels<'_>>,
    ) -> Vec<MetricFamily> {
        let mut families = Vec::new();
        for part in &PARTS {
            let of_part = zones.iter().zip(&self.node).filter_map(|(zone, watts)| {
                let has_part = part.prefix.is_empty() || zone.parent.is_empty();
                let labels = labels(zone).filter(|_| has_part)?;
                Some((labels, (part.joules)(zone), (part.watts)(*watts)))
            });
            let of_part: Vec<_> = of_part.collect();
            let name = |unit: &str| format!("kepler_node_{device}_{}{unit}", part.prefix);
            let help = |what: &str| format!("{what} of the node's {device}, {}.", part.help);
            let joules = of_part
                .iter()
                .map(|(labels, joules, _)| (labels.clone(), *joules));
            families.push(counter(&name("joules_total"), &help("Joules"), joules));
            let watts = of_part
                .iter()
                .map(|(labels, _, watts)| (labels.clone(), *watts));
            families.push(gauge(
                &name("watts"),
                &help("Watts in the newest interval"),
                watts,
            ));
        }
        families
    }
}

/// A part of a node's energy.
struct Part {
    prefix: &'static str,
    help: &'static str,
    joules: fn(&ZoneSums) -> f64,
    watts: fn(NodeWatts) -> f64,
}

static PARTS: [Part; 3] = [
    Part {
        prefix: "",
        help: "all of it",
        joules: |zone| zone.measured.joules(),
        watts: |watts| watts.all,
    },
    Part {
        prefix: "active_",
        help: "what is not idle",
        joules: |zone| {
            zone.measured
                .checked_sub(zone.idle)
                .unwrap_or_default()
                .joules()
        },
        watts: |watts| watts.all - watts.idle,
    },
    Part {
        prefix: "idle_",
        help: "idle",
        joules: |zone| zone.idle.joules(),
        watts: |watts| watts.idle,
    },
];

/// A workload's or a process's series.
struct Row<'a> {
    labels: Labels<'a>,
    state: &'static str,
    entry: &'a Entry,
}

impl<'a> Row<'a> {
    fn labels_with(&self, device: &str, kind: &'a str) -> Labels<'a> {
        let zone = (device == "cpu").then_some(("zone", kind));
        let state = ("state", self.state);
        self.labels
            .iter()
            .copied()
            .chain([state])
            .chain(zone)
            .collect()
    }
}

fn state(is_running: bool) -> &'static str {
    if is_running { "running" } else { "terminated" }
}

fn cpu_labels(zone: &ZoneSums) -> Option<Labels<'_>> {
    let labels = vec![("zone", zone.kind()), ("path", &*zone.source)];
    CPU_KINDS.contains(&zone.kind()).then_some(labels)
}

fn gpu_labels(zone: &ZoneSums) -> Option<Labels<'_>> {
    let number = zone.name.strip_prefix("gpu-")?;
    // NVML's zones are told of as `UUID (name), ...`.
    let (uuid, rest) = zone.source.split_once(" (").unwrap_or((&zone.source, ""));
    let name = rest.split_once("), ").map_or("", |(name, _)| name);
    let labels = vec![
        ("gpu", number),
        ("gpu_uuid", uuid),
        ("gpu_name", name),
        ("vendor", "nvidia"),
    ];
    zone.parent.is_empty().then_some(labels)
}

/// The kinds of zones of a device that have shares here.
fn kinds(device: &str, zones: &[ZoneSums]) -> Vec<&'static str> {
    let kinds: &[&str] = if device == "cpu" {
        &CPU_KINDS
    } else {
        &[GPU_KIND]
    };
    let has_shares = |kind: &&&str| {
        let mut additive = zones.iter().filter(|zone| zone.parent.is_empty());
        additive.any(|zone| zone.kind() == **kind)
    };
    kinds.iter().filter(has_shares).copied().collect()
}

/// Joules of the zones of one kind.
fn joules(zones: &[ZoneSums], energies: &[Energy], kind: &str) -> f64 {
    let of_kind = zones
        .iter()
        .zip(energies)
        .filter(|(zone, _)| zone.kind() == kind);
    of_kind.map(|(_, energy)| energy.joules()).sum()
}
