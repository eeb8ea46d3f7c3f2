//! The process's own figures, under the names that all Prometheus clients use.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::core::{Collector, Desc};
use prometheus::proto::{MetricFamily, MetricType};
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::family::Family;

const CPU: Family = Family {
    name: "process_cpu_seconds_total",
    help: "CPU time of the process, user and system.",
    kind: MetricType::COUNTER,
    labels: &[],
};
const MEMORY: Family = Family {
    name: "process_resident_memory_bytes",
    help: "Memory of the process that is in RAM.",
    kind: MetricType::GAUGE,
    labels: &[],
};
const OPEN_FILES: Family = Family {
    name: "process_open_fds",
    help: "File descriptors that are open.",
    kind: MetricType::GAUGE,
    labels: &[],
};
const MAX_FILES: Family = Family {
    name: "process_max_fds",
    help: "File descriptors that may be open.",
    kind: MetricType::GAUGE,
    labels: &[],
};
const START: Family = Family {
    name: "process_start_time_seconds",
    help: "When the server started, in seconds since 1970.",
    kind: MetricType::GAUGE,
    labels: &[],
};

/// Reads the figures at each scrape; what cannot be read is left out.
#[derive(Clone, Debug)]
pub(super) struct Process {
    start_seconds: Option<f64>,
    descriptions: Vec<Desc>,
}

impl Process {
    pub(super) fn new() -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        let families = [CPU, MEMORY, OPEN_FILES, MAX_FILES, START];
        Self {
            start_seconds: since_1970.ok().map(|time| time.as_secs_f64()),
            descriptions: families.iter().map(Family::describe).collect(),
        }
    }
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let figures = [
            (CPU, Some(cpu_seconds())),
            (MEMORY, resident_bytes()),
            (OPEN_FILES, open_files()),
            (
                MAX_FILES,
                getrlimit(Resource::Nofile).current.map(|max| max as f64),
            ),
            (START, self.start_seconds),
        ];
        figures
            .into_iter()
            .map(|(family, figure)| family.with(figure.map(|figure| (Vec::new(), figure))))
            .collect()
    }
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn resident_bytes() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib * 1024.0)
}

fn open_files() -> Option<f64> {
    Some(fs::read_dir("/proc/self/fd").ok()?.count() as f64)
}
