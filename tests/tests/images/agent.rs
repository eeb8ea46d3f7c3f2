//! The agent in its container, as the chart's DaemonSet has it: it measures, and may do nothing else.

use std::fs;
use std::path::{Path, PathBuf};

use e2e::cgroups::Cgroup;
use e2e::nvml::{FakeNvml, gpu};
use e2e::truth::client::{PowerTruth, Truth};
use e2e::{get, metric, metric_sum, poll};

use crate::chart::Release;
use crate::pod::{Node, Pod, RuntimeDefault};
use crate::podman::{Container, build};

const AGENT: &str = "hxmlops-agent";
/// Of much power per CPU second, so that the machine's other load is little beside it.
const PACKAGE: &str = "zone intel-rapl:0 package-0 20 200";
const ZONE: &str = "package-0";
const SPIN: &str = "i=0; while [ $i -lt 1000000 ]; do i=$((i+1)); done";
/// Capabilities by the kernel's numbers (include/uapi/linux/capability.h).
const CAPABILITIES: [(&str, u32); 2] = [("PERFMON", 38), ("BPF", 39)];

/// A node whose power is made, and everything else real.
struct Site {
    truth: PowerTruth,
    agent: Container,
    pod: Pod,
    cgroup: Cgroup,
    uid: String,
    /// Held as long as the agent writes there.
    _spool: tempfile::TempDir,
}

impl Site {
    fn new(runtime_default: RuntimeDefault) -> anyhow::Result<Self> {
        build(AGENT)?;
        let program = Path::new(env!("CARGO_BIN_EXE_power-truth"));
        let mut truth = PowerTruth::start(program, &[PACKAGE])?;
        // A pod's container, named as the kubelet names it, away from the node's own.
        let pid = std::process::id();
        let uid = format!("6a2f3c1e-0b1d-4c52-9a51-{pid:012x}");
        let path = format!("hxmlops-images-{pid}/kubepods/burstable/pod{uid}/{pid:064x}");
        let cgroup = Cgroup::new(&path)?;
        truth.tell(&format!("group {path} 200 50"))?;

        // The host's /sys: its cgroups, and the power that is made. The rest is nothing to the agent.
        let sys = truth.sys_root().to_owned();
        fs::create_dir_all(sys.join("fs/cgroup"))?;
        let spool = tempfile::tempdir()?;
        let node = Node {
            host_paths: vec![
                (
                    "/sys",
                    vec![(sys, ""), (PathBuf::from("/sys/fs/cgroup"), "/fs/cgroup")],
                ),
                ("/var/lib/hxmlops", vec![(spool.path().to_owned(), "")]),
            ],
            fields: &[("spec.nodeName", "node-1"), ("status.podIP", "127.0.0.1")],
            runtime_default,
        };
        let port = format!("agent.port={}", free_port()?);
        let release = Release::new(&[
            &port,
            "aggregator.enabled=false",
            "agent.kube.mode=off",
            "agent.config.interval=1s",
        ])?;
        let pod = Pod::new(&release, "DaemonSet", &node)?;
        let agent = Container::start(&pod.flags, &pod.image, &pod.args)?;
        Ok(Self {
            truth,
            agent,
            pod,
            cgroup,
            uid,
            _spool: spool,
        })
    }

    /// The pod uses CPU time: the metrics once all of it was seen. Its energy is in them, as far as a machine with other
    /// work lets a test say that; how near it comes is for the accuracy bench.
    fn check_that_it_measures(&mut self) -> anyhow::Result<String> {
        let ticks = |text: &str| metric_sum(text, "hxmlops_agent_tick_duration_seconds_count", &[]);
        // What came before the agent's first reading is not its business.
        self.until("an interval", |text| ticks(text) >= 2.0)?;
        let before = self.truth.sync()?;
        self.cgroup.shell(SPIN)?.run()?;
        self.truth.tell("stop intel-rapl:0")?;
        let end = ticks(&self.metrics()?) + 2.0;
        let text = self.until("two more intervals", |text| ticks(text) >= end)?;
        let after = self.truth.sync()?;
        let since = |joules: &dyn Fn(&Truth) -> f64| joules(&after) - joules(&before);
        let truth = since(&|truth| truth.group(ZONE, self.cgroup.path()));
        let active = since(&|truth| truth.total(ZONE) - truth.idle(ZONE));
        let pod = format!("pod=\"{}\"", self.uid);
        let told = metric_sum(
            &text,
            "hxmlops_pod_energy_joules_total",
            &[&pod, "zone=\"package-0\"", "basis=\"measured\""],
        );
        let is_near = (told - truth).abs() < 0.05 * active && told > truth / 2.0;
        assert!(
            truth > 10.0 && is_near,
            "{told} J of {truth} J, of {active} J in all"
        );
        Ok(text)
    }

    fn metrics(&self) -> anyhow::Result<String> {
        let (status, text) = get(&format!("{}/metrics", self.agent.url()))?;
        anyhow::ensure!(status == 200, "{text}");
        Ok(text)
    }

    fn until(&self, what: &str, is_so: impl Fn(&str) -> bool) -> anyhow::Result<String> {
        poll(
            what,
            || Ok(Some(self.metrics()?).filter(|text| is_so(text))),
        )
    }

    /// Exactly the capabilities that the chart names, no way to more, and nowhere to write but in the spool.
    fn check_rights(&self) -> anyhow::Result<()> {
        let security = &self.pod.container["securityContext"];
        let names = security["capabilities"]["add"].as_array().unwrap();
        let bits = names.iter().map(|name| {
            let known = CAPABILITIES.iter().find(|(known, _)| name == known);
            1_u64 << known.unwrap_or_else(|| panic!("{name} is new here")).1
        });
        let wanted: u64 = bits.sum();
        let status = self.agent.proc_file("status")?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_else(|| panic!("no {name} in {status}"))
                .trim()
        };
        for set in ["CapEff:", "CapPrm:", "CapBnd:"] {
            assert_eq!(field(set), format!("{wanted:016x}"), "{set}");
        }
        assert_eq!(field("CapAmb:"), format!("{:016x}", 0));
        assert_eq!(field("NoNewPrivs:"), "1");
        assert_eq!(field("Seccomp:"), "2", "it is filtered");
        assert_eq!(field("Uid:"), "0\t0\t0\t0");

        let mounts = self.agent.proc_file("mountinfo")?;
        let is_read_only = |place: &str| {
            let mut mounts = mounts
                .lines()
                .map(|line| line.split(' ').collect::<Vec<_>>());
            let mount = mounts.find(|words| words[4] == place);
            let options = mount.unwrap_or_else(|| panic!("{place} in {mounts:?}"))[5];
            options.split(',').any(|option| option == "ro")
        };
        assert!(is_read_only("/") && is_read_only("/host/sys"));
        assert!(!is_read_only("/var/lib/hxmlops"));
        Ok(())
    }
}

/// One that was free just now: the chart names ports.
fn free_port() -> anyhow::Result<u16> {
    let socket = std::net::TcpListener::bind("127.0.0.1:0")?;
    Ok(socket.local_addr()?.port())
}

#[test]
fn ebpf_in_the_chart_s_container_gives_a_pod_its_energy() -> anyhow::Result<()> {
    let mut site = Site::new(RuntimeDefault::Containerd)?;
    site.check_rights()?;
    let text = site.check_that_it_measures()?;
    metric(&text, "hxmlops_agent_usage_info", &["source=\"ebpf\""])?;
    site.agent.stop()
}

#[test]
fn where_seccomp_keeps_ebpf_away_accounting_measures() -> anyhow::Result<()> {
    let mut site = Site::new(RuntimeDefault::Podman)?;
    site.check_rights()?;
    let text = site.check_that_it_measures()?;
    metric(
        &text,
        "hxmlops_agent_usage_info",
        &["source=\"accounting\""],
    )?;
    site.agent.stop()
}

/// NVIDIA's runtime puts the driver into one of two directories, by what distribution it takes the image or the node for.
#[test]
fn a_driver_s_library_is_found_where_nvidia_s_runtime_mounts_it() -> anyhow::Result<()> {
    build(AGENT)?;
    let driver = FakeNvml::new(&[gpu("GPU-1")])?;
    for directory in ["/usr/lib/x86_64-linux-gnu", "/usr/lib64"] {
        let mut flags = vec!["--cap-drop=ALL".to_owned(), "--read-only".to_owned()];
        flags.extend(driver.mounts(directory));
        let args = ["--check", "--power=nvml"].map(str::to_owned);
        let image = format!("localhost/{AGENT}:{}", crate::podman::TAG);
        let output = Container::output(&flags, &image, &args)?;
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            said.contains("power nvml: found"),
            "{directory}: {output:?}"
        );
        assert!(said.contains("gpu-0"), "{said}");
    }
    Ok(())
}
