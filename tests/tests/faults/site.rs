//! An agent beside a power truth.

use std::path::Path;

use e2e::cgroups::Cgroup;
use e2e::truth::client::{PowerTruth, Truth};
use e2e::{Running, get, metric_sum, poll, text};

/// One package of much power per CPU second: what the machine's other load and a seeded idle power come to is small
/// beside it.
pub(crate) const PACKAGE: &str = "zone intel-rapl:0 package-0 20 200";

/// Watts per CPU second of every group here, in a package and in memory.
const WATTS: u32 = 200;
const DRAM_WATTS: u32 = 50;

/// What a shell does to use some CPU time.
pub(crate) const SPIN: &str = "i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done";

pub(crate) struct Site {
    pub(crate) truth: PowerTruth,
    pub(crate) agent: Running,
}

impl Site {
    /// With one package.
    pub(crate) fn new(usage: &str) -> Self {
        Self::with(&[PACKAGE], &["--usage", usage])
    }

    /// With these lines told to the truth, and these flags of the agent.
    pub(crate) fn with(lines: &[&str], flags: &[&str]) -> Self {
        Self::of(truth(lines), flags)
    }

    /// Beside a truth that is there.
    pub(crate) fn of(truth: PowerTruth, flags: &[&str]) -> Self {
        let mut args = vec!["--power", "rapl", "--sys-root", text(truth.sys_root())];
        args.extend(ALWAYS);
        args.extend(flags);
        let agent = Running::start("hxmlops-agent", &args).unwrap();
        Self { truth, agent }
    }

    /// A group of our exec kind that the truth knows of, named after its test.
    pub(crate) fn group(&mut self, run: &str) -> Cgroup {
        let cgroup = Cgroup::exec("faults", run, "s").unwrap();
        self.know(&cgroup);
        cgroup
    }

    /// A cgroup at a path, such as a container's, that the truth knows of.
    pub(crate) fn cgroup(&mut self, path: &str) -> Cgroup {
        let cgroup = Cgroup::new(path).unwrap();
        self.know(&cgroup);
        cgroup
    }

    fn know(&mut self, cgroup: &Cgroup) {
        let line = format!("group {} {WATTS} {DRAM_WATTS}", cgroup.path());
        self.truth.tell(&line).unwrap();
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
        let end = ticks(&self.metrics()) + f64::from(number);
        self.until("intervals", |text| ticks(text) >= end)
    }

    /// Stops the counters, and says what both know once the agent has seen that.
    pub(crate) fn settled(&mut self, zones: &[&str]) -> (String, Truth) {
        for zone in zones {
            self.truth.tell(&format!("stop {zone}")).unwrap();
        }
        let text = self.after_ticks(2);
        (text, self.truth.sync().unwrap())
    }
}

const ALWAYS: [&str; 6] = [
    "--interval",
    "1s",
    "--metrics",
    "node,pod,container,process",
    "--listen",
    "127.0.0.1:0",
];

pub(crate) fn truth(lines: &[&str]) -> PowerTruth {
    PowerTruth::start(Path::new(env!("CARGO_BIN_EXE_power-truth")), lines).unwrap()
}

/// A name that no other test's process uses: agents see all that runs on the machine.
pub(crate) fn named(run: &str) -> String {
    format!("{run}-{}", std::process::id())
}

pub(crate) fn ticks(text: &str) -> f64 {
    metric_sum(text, "hxmlops_agent_tick_duration_seconds_count", &[])
}

/// Joules of a pod or exec group in a zone.
pub(crate) fn pod_joules(text: &str, pod: &str, zone: &str) -> f64 {
    let labels = [format!("pod=\"{pod}\""), format!("zone=\"{zone}\"")];
    let labels = labels.each_ref().map(String::as_str);
    metric_sum(text, "hxmlops_pod_energy_joules_total", &labels)
}

pub(crate) fn pod_seconds(text: &str, pod: &str) -> f64 {
    let label = format!("pod=\"{pod}\"");
    metric_sum(text, "hxmlops_pod_cpu_seconds_total", &[&label])
}

/// All of a zone's energy, in joules.
pub(crate) fn measured(text: &str, zone: &str) -> f64 {
    let label = format!("zone=\"{zone}\"");
    metric_sum(text, "hxmlops_node_energy_joules_total", &[&label])
}

pub(crate) fn outcomes(text: &str, outcome: &str) -> f64 {
    let label = format!("outcome=\"{outcome}\"");
    metric_sum(text, "hxmlops_agent_samples_total", &[&label])
}

/// Every counter of these metrics that has `part` in it, with its value.
pub(crate) fn counters<'a>(text: &'a str, part: &str) -> Vec<(&'a str, f64)> {
    let series = text.lines().filter(|line| !line.starts_with('#'));
    let series = series.filter_map(|line| line.rsplit_once(' '));
    let counters = series.filter(|(series, _)| {
        let name = series.split('{').next().unwrap_or_default();
        name.ends_with("_total") && series.contains(part)
    });
    counters
        .map(|(series, value)| (series, value.parse().unwrap()))
        .collect()
}

/// Nothing that was there has fallen or gone.
pub(crate) fn assert_only_up(before: &str, after: &str, part: &str) {
    let now = counters(after, part);
    for (series, value) in counters(before, part) {
        let after = now.iter().find(|(other, _)| *other == series);
        let (_, after) = after.unwrap_or_else(|| panic!("{series} is gone"));
        assert!(*after >= value, "{series}: {value}, then {after}");
    }
}
