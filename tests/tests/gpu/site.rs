//! An agent beside a driver that is none.

use e2e::nvml::FakeNvml;
use e2e::{Running, get, metric_sum, poll};
use serde_json::{Value, json};

pub(crate) struct Site {
    pub(crate) driver: FakeNvml,
    pub(crate) agent: Running,
}

/// Where one zone's energy went, in microjoules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) measured: u64,
    pub(crate) workloads: u64,
    pub(crate) processes: u64,
    pub(crate) idle: u64,
    pub(crate) system: u64,
}

impl Site {
    /// With these GPUs, and nothing else that is measured.
    pub(crate) fn new(gpus: &[Value], flags: &[&str]) -> Self {
        let driver = FakeNvml::new(gpus).unwrap();
        Self::of(driver, &[&["--power", "nvml"], flags].concat())
    }

    /// With this driver.
    pub(crate) fn of(driver: FakeNvml, flags: &[&str]) -> Self {
        Self::every("1s", driver, flags)
    }

    /// The same with another interval: one of more than a second has readings in between.
    pub(crate) fn every(interval: &str, driver: FakeNvml, flags: &[&str]) -> Self {
        let interval = ["--interval", interval];
        let agent = driver
            .agent(&[&ALWAYS[..], &interval, flags].concat())
            .unwrap();
        let site = Self { driver, agent };
        // From here on energy is somebody's: the counters were read.
        site.after_ticks(1);
        site
    }

    pub(crate) fn metrics(&self) -> String {
        let (status, text) = get(&format!("{}/metrics", self.agent.url())).unwrap();
        assert_eq!(status, 200, "{text}");
        text
    }

    /// The metrics once they are so.
    pub(crate) fn until(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        let found = poll(what, || Ok(Some(self.metrics()).filter(|text| is_so(text))));
        found.unwrap_or_else(|error| panic!("{error}:\n{}", self.metrics()))
    }

    /// The metrics after so many more intervals.
    pub(crate) fn after_ticks(&self, number: u32) -> String {
        let ticks = |text: &str| metric_sum(text, "hxmlops_agent_tick_duration_seconds_count", &[]);
        let end = ticks(&self.metrics()) + f64::from(number);
        self.until("intervals", |text| ticks(text) >= end)
    }

    /// The metrics once a zone has come to so many millijoules; never more.
    pub(crate) fn at(&self, zone: &str, millijoules: u64) -> String {
        let measured = |text: &str| parts(text, zone).measured;
        let text = self.until(zone, |text| measured(text) >= millijoules * 1_000);
        assert_eq!(measured(&text), millijoules * 1_000, "{zone}");
        text
    }

    /// The metrics once a zone's counter came to more of such an outcome.
    pub(crate) fn outcome(&self, zone: &str, outcome: &str) -> String {
        let before = outcomes(&self.metrics(), zone, outcome);
        self.until(outcome, |text| outcomes(text, zone, outcome) > before)
    }
}

const ALWAYS: [&str; 4] = [
    "--metrics",
    "node,pod,container,process",
    "--listen",
    "127.0.0.1:0",
];

/// Of these processes: each with its percent of the GPU's time.
pub(crate) fn used_by(driver: &mut FakeNvml, gpu: usize, users: &[(u32, u32)]) {
    let pids: Vec<u32> = users.iter().map(|(pid, _)| *pid).collect();
    driver.tell_gpu(gpu, "processes", json!(pids)).unwrap();
    driver.tell_gpu(gpu, "samples", json!(users)).unwrap();
}

/// The zone's parts, which are all of it.
pub(crate) fn parts(text: &str, zone: &str) -> Parts {
    let zone = format!("zone=\"{zone}\"");
    let microjoules = |name: &str, labels: &[&str]| {
        let labels = [&[zone.as_str()], labels].concat();
        let joules = metric_sum(
            text,
            &format!("hxmlops_{name}_energy_joules_total"),
            &labels,
        );
        (joules * 1e6).round() as u64
    };
    let parts = Parts {
        measured: microjoules("node", &[]),
        workloads: microjoules("pod", &[]),
        processes: microjoules("process", &[]),
        idle: microjoules("node_idle", &[]),
        system: microjoules("node_system", &[]),
    };
    assert_eq!(
        parts.workloads + parts.idle + parts.system,
        parts.measured,
        "{zone}: {parts:?}"
    );
    assert_eq!(
        parts.processes,
        parts.workloads + parts.system,
        "{zone}: {parts:?}"
    );
    parts
}

/// The energy of a zone that lies inside another, in microjoules.
pub(crate) fn nested(text: &str, zone: &str) -> u64 {
    let zone = format!("zone=\"{zone}\"");
    (metric_sum(text, "hxmlops_node_nested_energy_joules_total", &[&zone]) * 1e6).round() as u64
}

/// A pod's or exec group's energy in a zone, in microjoules.
pub(crate) fn pod(text: &str, pod: &str, zone: &str) -> u64 {
    let labels = [format!("pod=\"{pod}\""), format!("zone=\"{zone}\"")];
    let labels = labels.each_ref().map(String::as_str);
    (metric_sum(text, "hxmlops_pod_energy_joules_total", &labels) * 1e6).round() as u64
}

pub(crate) fn outcomes(text: &str, zone: &str, outcome: &str) -> f64 {
    let labels = [format!("zone=\"{zone}\""), format!("outcome=\"{outcome}\"")];
    metric_sum(
        text,
        "hxmlops_agent_samples_total",
        &labels.each_ref().map(String::as_str),
    )
}

/// A name that no other test's process uses: agents see all that runs on the machine.
pub(crate) fn named(run: &str) -> String {
    format!("{run}-{}", std::process::id())
}
