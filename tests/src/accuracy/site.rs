//! The agent and the truth side by side.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::Programs;
use super::interrupt::{self, Process};
use crate::cgroups::{Cgroup, Trees, remove};
use crate::truth::client::{PowerTruth, Truth};
use crate::{Running, metric_sum, text};

/// The workflow of all groups here.
const WORKFLOW: &str = "accuracy";

/// The zones, as (name, line of the truth): watts such as a small server's.
const ZONES: [(&str, &str); 2] = [
    ("package-0", "zone intel-rapl:0 package-0 10 15"),
    ("dram-0", "zone intel-rapl:0:0 dram 2 3"),
];

/// Watts per CPU second of what is in no group, which a group's usually are too.
pub const WATTS: (u32, u32) = (15, 3);

/// Longer than an interval of the agent takes on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(20);

/// One agent, counting in one way, and the truth that it is held against.
pub struct Site {
    agent: Running,
    truth: PowerTruth,
    usage: String,
    run: String,
    load: PathBuf,
}

/// What both say at the end of one interval.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The agent's metrics.
    pub metrics: String,
    /// The truth.
    pub truth: Truth,
}

/// One group of a workload.
pub struct Group {
    /// Its cgroup's path; of one that has ended too.
    pub path: String,
    /// Its name in the agent's metrics.
    pub stage: String,
    /// Kept until the figures are read; `None`: removed already, as a container's would be.
    pub cgroup: Option<Cgroup>,
}

/// Where to find a group's figures.
#[derive(Clone, Debug)]
pub struct Named {
    /// Its cgroup's path.
    pub path: String,
    /// Its name.
    pub stage: String,
    /// The run's label.
    pub run: String,
}

impl Group {
    /// Without its cgroup.
    #[must_use]
    pub fn named(&self, run: &str) -> Named {
        Named {
            path: self.path.clone(),
            stage: self.stage.clone(),
            run: run.to_owned(),
        }
    }
}

impl Snapshot {
    /// Whether the agent has learned its idle power, as far as it says so.
    #[must_use]
    pub fn idle_origin(&self) -> &'static str {
        let origins = ["seeded", "learned", "configured", "exact"];
        let name = "hxmlops_agent_idle_power_watts";
        let said = |origin: &&&str| {
            let label = format!("origin=\"{origin}\"");
            metric_sum(&self.metrics, name, &["zone=\"package-0\"", &label]) > 0.0
        };
        origins.iter().find(said).copied().unwrap_or("not told")
    }
}

/// The zones' names.
pub fn zones() -> impl Iterator<Item = &'static str> {
    ZONES.iter().map(|(name, _)| *name)
}

impl Site {
    /// Starts both, and removes what an earlier bench was killed without removing.
    ///
    /// # Errors
    /// Where one does not start.
    pub fn start(programs: &Programs, usage: &str) -> anyhow::Result<Self> {
        remove_left_behind()?;
        let lines = ZONES.map(|(_, line)| line);
        let truth = PowerTruth::start(&programs.path("power-truth"), &lines)?;
        let mut agent = Command::new(programs.path("hxmlops-agent"));
        agent.args(["--power", "rapl", "--sys-root", text(truth.sys_root())]);
        agent.args(["--usage", usage, "--interval", "1s"]);
        agent.args(["--metrics", "node,pod,container,process"]);
        agent.args(["--listen", "127.0.0.1:0"]);
        let agent = Running::spawn(agent)?;
        Ok(Self {
            agent,
            truth,
            run: format!("{usage}-{}", std::process::id()),
            usage: usage.to_owned(),
            load: programs.path("accuracy"),
        })
    }

    /// How the agent counts.
    #[must_use]
    pub fn usage(&self) -> &str {
        &self.usage
    }

    /// What the agent says of how it counts, and of what it cannot have.
    ///
    /// # Errors
    /// Where it has ended.
    pub fn detail(&self) -> anyhow::Result<String> {
        let metrics = self.metrics()?;
        let mut lines = metrics.lines();
        let info = lines.find_map(|line| line.strip_prefix("hxmlops_agent_usage_info{"));
        Ok(info.context("the agent says how it counts")?.to_owned())
    }

    /// The run that all groups belong to.
    #[must_use]
    pub fn run(&self) -> &str {
        &self.run
    }

    /// A new group, which the truth knows of, with the watts of all.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn group(&mut self, stage: &str) -> anyhow::Result<Group> {
        self.group_of_watts(stage, WATTS)
    }

    /// The same, with watts of its own per CPU second: of the package, of memory.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn group_of_watts(&mut self, stage: &str, watts: (u32, u32)) -> anyhow::Result<Group> {
        let cgroup = Cgroup::exec(WORKFLOW, &self.run, stage)?;
        let path = cgroup.path().to_owned();
        self.truth
            .tell(&format!("group {path} {} {}", watts.0, watts.1))?;
        Ok(Group {
            path,
            stage: stage.to_owned(),
            cgroup: Some(cgroup),
        })
    }

    /// Ends a group: counted for the last time, and removed.
    ///
    /// # Errors
    /// Where the truth has ended.
    pub fn end(&mut self, group: &mut Group) -> anyhow::Result<()> {
        self.truth.tell(&format!("end {}", group.path))?;
        group.cgroup = None;
        Ok(())
    }

    /// Starts a load in a group.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn load(&self, group: &Group, words: &[&str]) -> anyhow::Result<Process> {
        let cgroup = group.cgroup.as_ref().context("it has not ended")?;
        let mut command = cgroup.command(&self.load);
        Ok(Process(command.arg("load").args(words).spawn()?))
    }

    /// What both say, just after the agent has measured a quiet interval.
    ///
    /// # Errors
    /// Where one has ended, or the agent measures no more.
    pub fn aligned(&mut self) -> anyhow::Result<Snapshot> {
        // What runs no more may still be in the interval that ends first.
        self.after_tick()?;
        let metrics = self.after_tick()?;
        let truth = self.truth.sync()?;
        Ok(Snapshot { metrics, truth })
    }

    fn after_tick(&mut self) -> anyhow::Result<String> {
        let ticks = |text: &str| metric_sum(text, "hxmlops_agent_tick_duration_seconds_count", &[]);
        let begin = Instant::now();
        let before = ticks(&self.metrics()?);
        loop {
            interrupt::pause(Duration::from_millis(10))?;
            let text = self.metrics()?;
            if ticks(&text) > before {
                return Ok(text);
            }
            ensure!(begin.elapsed() < PATIENCE, "the agent measures no more");
        }
    }

    /// As cheap as a scrape can be: it is done a hundred times a second while the end of an interval is awaited.
    fn metrics(&self) -> anyhow::Result<String> {
        let address = self.agent.url().trim_start_matches("http://");
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
        ensure!(head.starts_with("HTTP/1.1 200"), "{head}");
        Ok(body.to_owned())
    }

    /// Ends both.
    ///
    /// # Errors
    /// Where the agent does not end well.
    pub fn stop(self) -> anyhow::Result<()> {
        self.agent.stop()
    }
}

/// Groups of a bench whose process is gone.
fn remove_left_behind() -> anyhow::Result<()> {
    for root in Trees::find()?.all() {
        let groups = fs::read_dir(root.join("hxmlops.exec"));
        for group in groups.into_iter().flatten().flatten() {
            let name = group.file_name().to_string_lossy().into_owned();
            let id = name.rsplit(':').next().unwrap_or_default();
            let is_ours = name.starts_with(&format!("{WORKFLOW}:"));
            if is_ours && !PathBuf::from("/proc").join(id).exists() {
                remove(&group.path());
            }
        }
    }
    Ok(())
}
