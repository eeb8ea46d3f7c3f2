//! What Prometheus sees: counters that only go up, booked once per interval and read as often as one likes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{Encoder, Histogram, HistogramOpts, TextEncoder};
use wire::Energy;

use self::books::{Books, ZoneSums};
use self::families::{Series, counter, gauge, label};
use self::learned::{Learned, learned};
use self::table::Entry;
use crate::config::{Config, Level};
use crate::node::Node;
use crate::run::Record;
use crate::uplink::Uplink;

mod books;
mod cgroups;
mod delivery;
mod families;
mod held;
mod kepler;
mod kube;
mod learned;
mod processes;
mod table;
mod top;

/// Name of the entry that all who have none of their own share.
const OTHER: &str = "other";

/// Everything that is exported.
pub struct Metrics {
    constant_labels: [(&'static str, String); 2],
    levels: Vec<Level>,
    books: Mutex<Books>,
    learned: Mutex<Vec<Learned>>,
    tick_seconds: Histogram,
    scrape_seconds: Histogram,
    uplink: Option<Arc<Uplink>>,
}

impl Metrics {
    /// Nothing booked yet.
    ///
    /// # Errors
    /// Never in practice: the histograms' names are constants.
    pub fn new(config: &Config, uplink: Option<Arc<Uplink>>) -> anyhow::Result<Self> {
        let histogram = |name: &str, help: &str, buckets: &[f64]| {
            Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))
        };
        Ok(Self {
            constant_labels: [
                ("cluster", config.cluster.clone()),
                ("node", config.node_name.clone()),
            ],
            levels: config.metrics.clone(),
            books: Mutex::new(Books::new(config)),
            learned: Mutex::default(),
            tick_seconds: histogram(
                "hxmlops_agent_tick_duration_seconds",
                "Time to read all counters of one interval and attribute them.",
                &[
                    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
                ],
            )?,
            scrape_seconds: histogram(
                "hxmlops_agent_scrape_duration_seconds",
                "Time to write the metrics for one scrape.",
                &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25],
            )?,
            uplink,
        })
    }

    /// Adds one interval, which took `tick` to measure.
    pub fn book(&self, node: &Node, record: &Record, tick: Duration) {
        self.tick_seconds.observe(tick.as_secs_f64());
        self.books().book(node, record);
        *lock(&self.learned) = learned(&node.zones, record);
    }

    /// The text format of Prometheus.
    ///
    /// # Errors
    /// Where the encoder refuses a family, which the tests rule out.
    pub fn text(&self) -> prometheus::Result<Vec<u8>> {
        let _timer = self.scrape_seconds.start_timer();
        let mut families = self.energy_families();
        families.extend(self.agent_families());
        families.extend(learned::families(&lock(&self.learned)));
        families.extend(self.tick_seconds.collect());
        families.extend(self.scrape_seconds.collect());
        add_labels(&mut families, &self.constant_labels);
        let mut of_kepler = self.kepler_families();
        let [_, (_, node)] = &self.constant_labels;
        add_labels(&mut of_kepler, &[("node_name", node.clone())]);
        families.extend(of_kepler);
        families.retain(|family| !family.get_metric().is_empty());
        let mut text = Vec::new();
        TextEncoder::new().encode(&families, &mut text)?;
        Ok(text)
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        lock(&self.books)
    }

    fn energy_families(&self) -> Vec<MetricFamily> {
        let books = self.books();
        let mut families = Vec::new();
        if self.levels.contains(&Level::Node) {
            families.extend(node_families(&books.zones));
        }
        if self.levels.contains(&Level::Pod) {
            families.push(counter(
                "hxmlops_pod_energy_joules_total",
                "Active energy of a pod or exec group.",
                by_zone(books.pods.iter(), &books.zones, |key| {
                    vec![
                        ("namespace", &key.namespace),
                        ("pod", &key.pod),
                        ("workflow", &key.workflow),
                        ("stage", &key.stage),
                    ]
                }),
            ));
            families.push(counter(
                "hxmlops_pod_cpu_seconds_total",
                "CPU time of a pod or exec group.",
                books.pods.iter().map(|(key, entry)| {
                    let labels: Vec<(&str, &str)> = vec![
                        ("namespace", &key.namespace),
                        ("pod", &key.pod),
                        ("workflow", &key.workflow),
                        ("stage", &key.stage),
                    ];
                    (labels, entry.cpu_ns as f64 / 1e9)
                }),
            ));
        }
        if self.levels.contains(&Level::Container) {
            families.push(counter(
                "hxmlops_container_energy_joules_total",
                "Active energy of a container.",
                by_zone(books.containers.iter(), &books.zones, |key| {
                    vec![
                        ("namespace", &key.namespace),
                        ("pod", &key.pod),
                        ("container", &key.container),
                    ]
                }),
            ));
        }
        if self.levels.contains(&Level::Process) {
            families.push(counter(
                "hxmlops_process_energy_joules_total",
                "Active energy of a process; those of a pod that are not among the ones that use most are together in comm=\"other\".",
                by_zone(books.processes.iter(), &books.zones, |key| {
                    vec![("pid", &key.pid), ("comm", &key.comm), ("namespace", &key.namespace), ("pod", &key.pod)]
                }),
            ));
        }
        families
    }

    fn kepler_families(&self) -> Vec<MetricFamily> {
        let books = self.books();
        let Some(kepler) = &books.kepler else {
            return Vec::new();
        };
        let mut families = kepler.families(&books.zones);
        if self.levels.contains(&Level::Process) {
            families.extend(kepler.process_families(&books.zones, &books.processes));
        }
        families
    }

    fn agent_families(&self) -> Vec<MetricFamily> {
        let books = self.books();
        let mut families = vec![
            gauge(
                "hxmlops_agent_build_info",
                "Version of the agent.",
                [(vec![("version", env!("CARGO_PKG_VERSION"))], 1.0)],
            ),
            gauge(
                "hxmlops_agent_usage_info",
                "Who counts CPU time, ebpf or accounting, and what of it cannot be had.",
                [(
                    vec![
                        ("source", books.usage_source),
                        ("detail", &*books.usage_detail),
                    ],
                    1.0,
                )],
            ),
            counter(
                "hxmlops_agent_cpu_seconds_total",
                "CPU time as the counter of CPU time saw it; tasks, idle and lost are the time that passed, and what fails to add up is unaccounted.",
                [
                    ("tasks", books.cpu.tasks_ns),
                    ("idle", books.cpu.idle_ns),
                    ("lost", books.cpu.lost_ns),
                    ("unaccounted", books.cpu.unaccounted_ns),
                ]
                .map(|(mode, ns)| (vec![("mode", mode)], ns as f64 / 1e9)),
            ),
            gauge(
                "hxmlops_agent_source_info",
                "Where a zone's energy comes from, and why from there: what the sources that were tried before have instead.",
                books.zones.iter().map(|zone| {
                    (
                        vec![
                            ("zone", &*zone.name),
                            ("source", zone.sensor),
                            ("basis", zone.basis),
                            ("detail", &*zone.source),
                            ("reason", &*zone.reason),
                        ],
                        1.0,
                    )
                }),
            ),
            gauge(
                "hxmlops_agent_source_up",
                "Whether the zone's last reading was good.",
                books.zones.iter().map(|zone| {
                    (
                        vec![("zone", &*zone.name), ("source", zone.sensor)],
                        f64::from(u8::from(zone.up)),
                    )
                }),
            ),
            counter(
                "hxmlops_agent_samples_total",
                "Intervals by what happened to the zone's counter.",
                books.zones.iter().flat_map(|zone| {
                    zone.outcomes.iter().map(|(outcome, &count)| {
                        (
                            vec![("zone", &*zone.name), ("outcome", outcome)],
                            count as f64,
                        )
                    })
                }),
            ),
            counter(
                "hxmlops_agent_cut_series_total",
                "Bookings that found no room of their own and went to \"other\".",
                [
                    ("pod", books.pods.cut),
                    ("container", books.containers.cut),
                    ("process", books.processes.cut()),
                ]
                .map(|(level, cut)| (vec![("level", level)], cut as f64)),
            ),
        ];
        families.extend(cgroups::families(books.unresolved, books.cgroup_watch));
        let held_joules = books.held_joules();
        let of_kube = books.kube.iter();
        families.extend(of_kube.flat_map(|kube| kube::families(kube, held_joules)));
        families.extend(
            self.uplink
                .as_deref()
                .map(delivery::families)
                .into_iter()
                .flatten(),
        );
        families
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn add_labels(families: &mut [MetricFamily], labels: &[(&'static str, String)]) {
    for metric in families.iter_mut().flat_map(MetricFamily::mut_metric) {
        let constant = labels.iter().map(|(name, value)| label(name, value));
        let labels = constant.chain(metric.take_label()).collect();
        metric.set_label(labels);
    }
}

fn node_families(zones: &[ZoneSums]) -> Vec<MetricFamily> {
    let additive = |energy: fn(&ZoneSums) -> Energy| {
        let additive = zones.iter().filter(|zone| zone.parent.is_empty());
        additive.map(move |zone| -> Series<'_> {
            (
                vec![("zone", &zone.name), ("basis", zone.basis)],
                energy(zone).joules(),
            )
        })
    };
    let nested = zones.iter().filter(|zone| !zone.parent.is_empty());
    vec![
        counter(
            "hxmlops_node_energy_joules_total",
            "Energy of an additive zone: workloads, system and idle. The zones sum to the node.",
            additive(|zone| zone.measured),
        ),
        counter(
            "hxmlops_node_idle_energy_joules_total",
            "The part of the zone's energy that it uses when nothing runs.",
            additive(|zone| zone.idle),
        ),
        counter(
            "hxmlops_node_system_energy_joules_total",
            "Active energy of what belongs to no workload.",
            additive(|zone| zone.system),
        ),
        counter(
            "hxmlops_node_nested_energy_joules_total",
            "Energy of a zone that lies inside its parent, or around others: not to be added to any.",
            nested.map(|zone| {
                (
                    vec![
                        ("zone", &*zone.name),
                        ("parent", &*zone.parent),
                        ("basis", zone.basis),
                    ],
                    zone.measured.joules(),
                )
            }),
        ),
    ]
}

/// One series per key and zone that the key has energy in.
fn by_zone<'a, K: 'a>(
    entries: impl Iterator<Item = (&'a K, &'a Entry)>,
    zones: &'a [ZoneSums],
    labels: impl Fn(&'a K) -> Vec<(&'a str, &'a String)>,
) -> Vec<Series<'a>> {
    let mut series = Vec::new();
    for (
        key,
        Entry {
            zones: energies, ..
        },
    ) in entries
    {
        let additive = zones.iter().zip(energies);
        for (zone, energy) in additive.filter(|(zone, _)| zone.parent.is_empty()) {
            let own = labels(key)
                .into_iter()
                .map(|(name, value)| (name, value.as_str()));
            series.push((
                own.chain([("zone", &*zone.name), ("basis", zone.basis)])
                    .collect(),
                energy.joules(),
            ));
        }
    }
    series
}
