//! What the agent itself costs: CPU time, memory, open files, and its scrapes, on a machine with many processes and
//! containers. The released programs, a powercap tree in place of RAPL's registers, everything else real.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::{Value, json};

use self::sources::Sources;
use crate::accuracy::interrupt::{Process, pause};
use crate::cgroups::{Cgroup, Trees};
use crate::chaos::Turning;
use crate::{block_on, install_crypto, metric_sum, text};

mod sources;

/// The agent's interval, as it is by default.
const INTERVAL_S: u64 = 5;
/// Until the agent has its first figures, and what it learned at its start is behind it.
const WARM_UP: Duration = Duration::from_secs(3 * INTERVAL_S);
const SCRAPES: usize = 100;

/// What there is on the machine while the agent is measured.
#[derive(Clone, Copy, Debug)]
pub struct Scene {
    /// Processes that sleep.
    pub idle: u32,
    /// Processes that wake ten times a second and do a little each time.
    pub busy: u32,
    /// Containers of one process each.
    pub containers: u32,
    /// As `--usage` names it.
    pub usage: &'static str,
    /// As `--power` names them.
    pub power: &'static str,
    /// As `--metrics` names them.
    pub levels: &'static str,
    /// How long CPU time is counted.
    pub seconds: u64,
}

impl Scene {
    /// What is special about it.
    #[must_use]
    pub fn name(&self) -> String {
        let Self {
            idle,
            busy,
            containers,
            usage,
            power,
            levels,
            ..
        } = self;
        format!("{usage}, {power}, {idle} idle, {busy} busy, {containers} containers, {levels}")
    }
}

/// Measures the agent in one scene; rows of {figure, unit, values}.
///
/// # Errors
/// Where a program cannot be run, or a signal came.
pub fn measure(programs: &Path, scene: &Scene) -> anyhow::Result<Vec<Value>> {
    install_crypto();
    let containers = (0..scene.containers)
        .map(Container::start)
        .collect::<anyhow::Result<Vec<_>>>()?;
    let _load = load(scene)?;
    let agent = Agent::start(programs, scene)?;
    pause(WARM_UP)?;
    let before = agent.group.cpu_ns()?;
    let begun = Instant::now();
    pause(Duration::from_secs(scene.seconds))?;
    let cpu_s = (agent.group.cpu_ns()? - before) as f64 / 1e9;
    let minutes = begun.elapsed().as_secs_f64() / 60.0;
    let scrapes = agent.scrape()?;
    drop(containers);
    let name = scene.name();
    let row = |figure: &str, unit: &str, values: &[f64]| json!({"figure": format!("{figure} ({name})"), "unit": unit, "values": values});
    Ok(vec![
        row("CPU time a minute", "s", &[cpu_s / minutes]),
        row("resident memory", "MB", &[agent.resident_mb()?]),
        row(
            "memory of its cgroup, maps included",
            "MB",
            &[agent.group_mb()?],
        ),
        row("open files", "", &[agent.open_files()?]),
        row("scrape", "ms", &scrapes.ms),
        row("scrape", "kB", &[scrapes.bytes as f64 / 1e3]),
        row("scrape", "series", &[scrapes.series as f64]),
        row("time unaccounted", "s", &[scrapes.unaccounted_s]),
    ])
}

/// A process that does a little, in a cgroup that is named like containerd's.
struct Container {
    _group: Cgroup,
    _process: Process,
}

impl Container {
    fn start(number: u32) -> anyhow::Result<Self> {
        let id = format!(
            "{:064x}",
            u128::from(std::process::id()) << 64 | u128::from(number)
        );
        let pod = format!("{:08x}-0000-4000-8000-{:012x}", std::process::id(), number);
        let group = Cgroup::new(&format!("kubepods/burstable/pod{pod}/{id}"))?;
        let own = std::env::current_exe()?;
        let process = group.command(&own).arg("wake").spawn()?;
        Ok(Self {
            _group: group,
            _process: Process(process),
        })
    }
}

/// All idle and busy processes, which end with the one that started them.
fn load(scene: &Scene) -> anyhow::Result<(Cgroup, Process)> {
    let group = Cgroup::new(&format!("hxmlops-bench-load-{}", std::process::id()))?;
    let own = std::env::current_exe()?;
    let mut command = group.command(&own);
    command.args(["load", &scene.idle.to_string(), &scene.busy.to_string()]);
    let process = Process(command.stdout(Stdio::null()).spawn()?);
    let all = (scene.idle + scene.busy) as usize;
    let begun = Instant::now();
    while group.processes().len() / group.directories().len() < all {
        pause(Duration::from_millis(50))?;
        if begun.elapsed() > Duration::from_secs(60) {
            bail!("the load of {all} processes did not start");
        }
    }
    Ok((group, process))
}

/// Becomes `idle` sleeping and `busy` waking processes, and waits for their end.
///
/// # Errors
/// Where they cannot be started.
pub fn become_load(idle: u32, busy: u32) -> anyhow::Result<()> {
    let own = std::env::current_exe()?;
    let mut children = Vec::new();
    for _ in 0..idle {
        children.push(
            Command::new("sleep")
                .arg("86400")
                .stdin(Stdio::null())
                .spawn()?,
        );
    }
    for _ in 0..busy {
        children.push(
            Command::new(&own)
                .arg("wake")
                .stdin(Stdio::null())
                .spawn()?,
        );
    }
    for mut child in children {
        child.wait()?;
    }
    Ok(())
}

/// Wakes ten times a second, for ever.
pub fn wake() -> ! {
    let mut sum = 0_u64;
    loop {
        std::thread::sleep(Duration::from_millis(100));
        // Some ten microseconds of work.
        for number in 0..10_000_u64 {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(number));
        }
    }
}

struct Agent {
    _turning: Turning,
    _sources: Sources,
    _data: tempfile::TempDir,
    _server: Process,
    process: Process,
    group: Group,
    url: String,
}

impl Agent {
    fn start(programs: &Path, scene: &Scene) -> anyhow::Result<Self> {
        // Counters that go up, or nobody would have any energy.
        let mut turning = Turning::new(1)?;
        turning.turn();
        let sources = Sources::new(programs, turning.root())?;
        let data = tempfile::tempdir()?;
        let (server_port, port) = (free_port()?, free_port()?);
        let server = Command::new(programs.join("hxmlops"))
            .args(["serve", "--listen", &format!("127.0.0.1:{server_port}")])
            .args(["--data-dir", text(&data.path().join("ledger"))])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot run hxmlops")?;
        let group = Group::new()?;
        let mut command = group.command(&programs.join("hxmlops-agent"));
        sources.tell(&mut command);
        let process = command
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .args([
                "--aggregator-url",
                &format!("http://127.0.0.1:{server_port}"),
            ])
            .args(["--interval", &format!("{INTERVAL_S}s")])
            .args(["--power", scene.power])
            .args(["--usage", scene.usage, "--metrics", scene.levels])
            .args(["--sys-root", text(turning.root())])
            .args(["--spool-dir", text(&data.path().join("spool"))])
            .stderr(Stdio::null())
            .spawn()
            .context("cannot run hxmlops-agent")?;
        Ok(Self {
            _turning: turning,
            _sources: sources,
            _data: data,
            _server: Process(server),
            process: Process(process),
            group,
            url: format!("http://127.0.0.1:{port}/metrics"),
        })
    }

    fn scrape(&self) -> anyhow::Result<Scrapes> {
        block_on(async {
            let client = reqwest::Client::new();
            let (mut ms, mut body) = (Vec::new(), String::new());
            for _ in 0..SCRAPES {
                let begun = Instant::now();
                body = client.get(&self.url).send().await?.text().await?;
                ms.push(begun.elapsed().as_secs_f64() * 1e3);
            }
            let unaccounted = [r#"mode="unaccounted""#];
            Ok(Scrapes {
                ms,
                bytes: body.len(),
                series: body.lines().filter(|line| !line.starts_with('#')).count(),
                unaccounted_s: metric_sum(&body, "hxmlops_agent_cpu_seconds_total", &unaccounted),
            })
        })
    }

    fn resident_mb(&self) -> anyhow::Result<f64> {
        let status = fs::read_to_string(self.file("status"))?;
        let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = kib.context("no VmRSS")?.trim().trim_end_matches(" kB");
        Ok(kib.parse::<f64>()? * 1024.0 / 1e6)
    }

    fn open_files(&self) -> anyhow::Result<f64> {
        Ok(fs::read_dir(self.file("fd"))?.count() as f64)
    }

    fn group_mb(&self) -> anyhow::Result<f64> {
        let memory = self.group.memory.join("memory.usage_in_bytes");
        let bytes = fs::read_to_string(&memory)
            .or_else(|_| fs::read_to_string(self.group.memory.join("memory.current")))
            .with_context(|| format!("cannot read {}", memory.display()))?;
        Ok(bytes.trim().parse::<f64>()? / 1e6)
    }

    fn file(&self, name: &str) -> PathBuf {
        format!("/proc/{}/{name}", self.process.0.id()).into()
    }
}

struct Scrapes {
    ms: Vec<f64>,
    bytes: usize,
    series: usize,
    unaccounted_s: f64,
}

/// The agent's own cgroups: its CPU time to the nanosecond, and all memory that the kernel keeps for it.
struct Group {
    cpu: Cgroup,
    memory: PathBuf,
}

impl Group {
    fn new() -> anyhow::Result<Self> {
        let name = format!("hxmlops-bench-agent-{}", std::process::id());
        let memory = match Trees::find()?.unified {
            Some(unified) if unified.join("memory.current").exists() => unified,
            _ => PathBuf::from("/sys/fs/cgroup/memory"),
        };
        let memory = memory.join(&name);
        let cpu = Cgroup::new(&name)?;
        fs::create_dir_all(&memory)
            .with_context(|| format!("no memory cgroup at {}", memory.display()))?;
        Ok(Self { cpu, memory })
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = self.cpu.command(Path::new("sh"));
        let join = format!(
            "echo 0 > '{}/cgroup.procs' && exec \"$@\"",
            self.memory.display()
        );
        command.args(["-c", &join, "sh"]).arg(program);
        command
    }

    fn cpu_ns(&self) -> anyhow::Result<u64> {
        self.cpu.cpu_ns()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        crate::cgroups::remove(&self.memory);
    }
}

/// One that was free a moment ago.
fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}
