//! What the agent is told: flags over `HXMLOPS_AGENT_...` over the file of `--config`, checked as a whole
//! before anything starts.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Parser, ValueEnum};
use wire::stage::Rules;

use crate::kube;
use crate::sensor::{Source, Surroundings, redfish};
use crate::uplink::Access;

pub use self::kubernetes::SiteSource;
use self::kubernetes::{KubeArg, SERVICE_ACCOUNT_CA, SERVICE_ACCOUNT_TOKEN};
use self::values::{
    PowerArg, check_name, parse_duration, parse_idle_watts, parse_listen, parse_size,
    power_sources, power_values,
};

pub mod file;
mod kubernetes;
mod values;

/// Room for some of the largest batches.
const MIN_SPOOL_BYTES: u64 = 4 << 20;

/// Reads the node's energy counters and gives every joule to a pod, a workflow stage and a run.
#[derive(Clone, Debug, Parser)]
#[command(name = "hxmlops-agent", version, max_term_width = 100)]
pub struct Args {
    /// Name of this node [default: $NODE_NAME, else the host name]
    #[arg(long, env = "HXMLOPS_AGENT_NODE_NAME", value_name = "NAME")]
    node_name: Option<String>,
    /// Name of the cluster that it belongs to
    #[arg(
        long,
        env = "HXMLOPS_AGENT_CLUSTER",
        value_name = "NAME",
        default_value = "default"
    )]
    cluster: String,
    /// Site that the node is at [default: the aggregator goes by the node's name]
    #[arg(long, env = "HXMLOPS_AGENT_SITE", value_name = "NAME")]
    site: Option<String>,
    /// Label of the Node object whose value is the site, such as topology.kubernetes.io/region; from the API server
    #[arg(
        long,
        env = "HXMLOPS_AGENT_SITE_LABEL",
        value_name = "KEY",
        conflicts_with = "site"
    )]
    site_label: Option<String>,
    /// Where the host's /proc is
    #[arg(
        long,
        env = "HXMLOPS_AGENT_PROC_ROOT",
        value_name = "DIR",
        default_value = "/proc"
    )]
    proc_root: PathBuf,
    /// Where the host's /sys is
    #[arg(
        long,
        env = "HXMLOPS_AGENT_SYS_ROOT",
        value_name = "DIR",
        default_value = "/sys"
    )]
    sys_root: PathBuf,
    /// Where the host's cgroup tree is [default: found from the mounts, those below --sys-root first]
    #[arg(long, env = "HXMLOPS_AGENT_CGROUP_ROOT", value_name = "DIR")]
    cgroup_root: Option<PathBuf>,
    /// Time between two readings, 1s to 5m
    #[arg(long, env = "HXMLOPS_AGENT_INTERVAL", value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    interval: Duration,
    /// Address of /metrics, /healthz and /readyz; "" for none
    #[arg(
        long,
        env = "HXMLOPS_AGENT_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:8643"
    )]
    listen: String,
    /// The aggregator, such as http://aggregator:8642 [default: none, metrics only]
    #[arg(long, env = "HXMLOPS_AGENT_AGGREGATOR_URL", value_name = "URL")]
    aggregator_url: Option<reqwest::Url>,
    /// File with the token that the aggregator lets this node in with
    #[arg(long, env = "HXMLOPS_AGENT_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Certificates (PEM) of the authorities that may vouch for the aggregator [default: the system's]
    #[arg(long, env = "HXMLOPS_AGENT_CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// This node's own certificate (PEM), for an aggregator that asks for one
    #[arg(
        long,
        env = "HXMLOPS_AGENT_CLIENT_CERT",
        value_name = "FILE",
        requires = "client_key"
    )]
    client_cert: Option<PathBuf>,
    /// The key of --client-cert (PEM)
    #[arg(
        long,
        env = "HXMLOPS_AGENT_CLIENT_KEY",
        value_name = "FILE",
        requires = "client_cert"
    )]
    client_key: Option<PathBuf>,
    /// Who counts CPU time
    #[arg(long, env = "HXMLOPS_AGENT_USAGE", value_enum, default_value_t = UsageSource::Auto)]
    usage: UsageSource,
    /// Power sources to use, with commas; of each domain (packages, memory, GPUs, platform) the first that gives it
    /// [default: auto]
    #[arg(long, env = "HXMLOPS_AGENT_POWER", value_name = "SOURCE", value_delimiter = ',', value_parser = power_values())]
    power: Vec<PowerArg>,
    /// Where RAPL's zones are; in a virtual machine the folder that its host shares with it [default: class/powercap in
    /// --sys-root]
    #[arg(long, env = "HXMLOPS_AGENT_POWERCAP_DIR", value_name = "DIR")]
    powercap_dir: Option<PathBuf>,
    /// The platform's management controller, such as https://10.0.0.7, or one chassis of it, for the source redfish
    #[arg(long, env = "HXMLOPS_AGENT_REDFISH_URL", value_name = "URL")]
    redfish_url: Option<reqwest::Url>,
    /// File with one line USER:PASSWORD for it
    #[arg(
        long,
        env = "HXMLOPS_AGENT_REDFISH_CREDENTIALS_FILE",
        value_name = "FILE",
        requires = "redfish_url"
    )]
    redfish_credentials_file: Option<PathBuf>,
    /// Certificates (PEM) of the authorities that may vouch for it [default: the system's]
    #[arg(
        long,
        env = "HXMLOPS_AGENT_REDFISH_CA_FILE",
        value_name = "FILE",
        requires = "redfish_url"
    )]
    redfish_ca_file: Option<PathBuf>,
    /// Idle power by zone where it is known, such as package-0=38.5,dram-0=4 [default: learned]
    #[arg(long, env = "HXMLOPS_AGENT_IDLE_WATTS", value_name = "ZONE=WATTS", value_delimiter = ',', value_parser = parse_idle_watts)]
    idle_watts: Vec<(String, f64)>,
    /// Where what is not delivered yet waits, and idle power, as it was learned, is kept across restarts [default:
    /// $STATE_DIRECTORY, else in memory and nowhere]
    #[arg(long, env = "HXMLOPS_AGENT_SPOOL_DIR", value_name = "DIR")]
    spool_dir: Option<PathBuf>,
    /// Most bytes of batches that wait there (without --spool-dir at most 64MiB); beyond it the oldest are dropped and
    /// told as lost
    #[arg(long, env = "HXMLOPS_AGENT_SPOOL_MAX_BYTES", value_name = "SIZE", default_value = "256MiB", value_parser = parse_size)]
    spool_max_bytes: u64,
    /// Who tells of pods' names and labels
    #[arg(long, env = "HXMLOPS_AGENT_KUBE", value_enum, default_value_t = KubeArg::Auto)]
    kube: KubeArg,
    /// How to reach the API server from outside of the cluster [default: this pod's service account]
    #[arg(long, env = "HXMLOPS_AGENT_KUBECONFIG", value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The kubelet, for --kube kubelet [default: https://$NODE_IP:10250]
    #[arg(long, env = "HXMLOPS_AGENT_KUBELET_URL", value_name = "URL")]
    kubelet_url: Option<reqwest::Url>,
    /// Certificates (PEM) of the authorities that may vouch for the kubelet
    #[arg(long, env = "HXMLOPS_AGENT_KUBELET_CA_FILE", value_name = "FILE", default_value = SERVICE_ACCOUNT_CA)]
    kubelet_ca_file: PathBuf,
    /// File with the token that the kubelet lets the agent in with
    #[arg(long, env = "HXMLOPS_AGENT_KUBELET_TOKEN_FILE", value_name = "FILE", default_value = SERVICE_ACCOUNT_TOKEN)]
    kubelet_token_file: PathBuf,
    /// Levels that /metrics exports, with commas
    #[arg(
        long,
        env = "HXMLOPS_AGENT_METRICS",
        value_enum,
        value_delimiter = ',',
        default_value = "node,pod"
    )]
    metrics: Vec<Level>,
    /// Also export the metrics of another tool, under its names
    #[arg(
        long,
        env = "HXMLOPS_AGENT_COMPAT",
        value_enum,
        value_delimiter = ',',
        value_name = "TOOL"
    )]
    compat: Vec<Compat>,
    /// How long a workload that ended stays exported
    #[arg(long, env = "HXMLOPS_AGENT_METRICS_LINGER", value_name = "TIME", default_value = "10m", value_parser = parse_duration)]
    metrics_linger: Duration,
    /// Most workloads that each level exports; those beyond are one series named "other"
    #[arg(
        long,
        env = "HXMLOPS_AGENT_METRICS_MAX_SERIES",
        value_name = "N",
        default_value_t = 1000
    )]
    metrics_max_series: usize,
    /// Say what was found (sensors, eBPF, Kubernetes, permissions) and exit: 0, or 3 if something needed is missing
    #[arg(long)]
    check: bool,
    /// The same keys in a YAML file
    #[arg(long, env = "HXMLOPS_AGENT_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Who counts CPU time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum UsageSource {
    /// eBPF, else accounting with a warning that says why.
    Auto,
    /// eBPF or nothing.
    Ebpf,
    /// The cgroups' own CPU accounting, and /proc for the processes inside.
    Accounting,
}

/// A level of /metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Level {
    /// The node's zones.
    Node,
    /// Pods and exec groups.
    Pod,
    /// Containers within pods.
    Container,
    /// The processes that used most; the rest in comm="other".
    Process,
}

/// A tool whose metrics are exported as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Compat {
    /// Kepler 0.11: nodes, containers, pods, virtual machines, and processes where --metrics has them.
    Kepler,
}

/// The checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Name of this node.
    pub node_name: String,
    /// Name of its cluster.
    pub cluster: String,
    /// Who says at which site it is.
    pub site: SiteSource,
    /// The host's /proc.
    pub proc_root: PathBuf,
    /// The host's /sys.
    pub sys_root: PathBuf,
    /// The host's cgroup tree; `None`: found from the mounts.
    pub cgroup_root: Option<PathBuf>,
    /// Time between two readings.
    pub interval: Duration,
    /// Address to serve on; `None`: no server.
    pub listen: Option<SocketAddr>,
    /// Where batches go; `None`: nowhere.
    pub aggregator: Option<Access>,
    /// Who counts CPU time.
    pub usage: UsageSource,
    /// Power sources in order; empty: auto.
    pub power: Vec<&'static Source>,
    /// Where RAPL's zones are; `None`: where sysfs has them.
    pub powercap_dir: Option<PathBuf>,
    /// The platform's management controller.
    pub redfish: Option<redfish::Access>,
    /// Idle power in watts of zones for which it is not to be learned.
    pub idle_watts: Vec<(String, f64)>,
    /// Where to keep what is to outlive the process; `None`: nowhere.
    pub spool_dir: Option<PathBuf>,
    /// Most bytes of batches that wait there.
    pub spool_max_bytes: u64,
    /// Who tells of pods; `None`: nobody.
    pub kube: Option<kube::Access>,
    /// By what pods are placed in runs and stages.
    pub stage_rules: Rules,
    /// Levels of /metrics.
    pub metrics: Vec<Level>,
    /// Tools whose metrics are exported as well.
    pub compat: Vec<Compat>,
    /// How long an ended workload stays exported.
    pub metrics_linger: Duration,
    /// Most workloads per level.
    pub metrics_max_series: usize,
    /// Only say what was found.
    pub check: bool,
}

impl Config {
    /// From the program's own arguments, its environment and the file that they name. Exits where clap does
    /// (`--help`, `--version`, usage errors: 2).
    ///
    /// # Errors
    /// Where the file cannot be read, or a value is out of its range.
    pub fn from_environment() -> anyhow::Result<Self> {
        let arguments: Vec<OsString> = std::env::args_os().collect();
        let config_file = Args::parse_from(&arguments).config;
        let file = match config_file {
            Some(path) => file::read(&arguments, &path)?,
            None => file::Merged {
                arguments,
                stage_rules: Rules::built_in(),
            },
        };
        let config = Self::check(Args::parse_from(file.arguments))?;
        Ok(Self {
            stage_rules: file.stage_rules,
            ..config
        })
    }

    /// Where power sources look.
    #[must_use]
    pub fn surroundings(&self) -> Surroundings {
        Surroundings::new(
            &self.proc_root,
            &self.sys_root,
            self.powercap_dir.as_deref(),
            self.redfish.as_ref(),
        )
    }

    /// Checks what clap cannot.
    ///
    /// # Errors
    /// Names the flag whose value is out of its range, or whose directory cannot be read.
    pub fn check(args: Args) -> anyhow::Result<Self> {
        let aggregator = aggregator(&args)?;
        let redfish = redfish_access(&args)?;
        let kube = kubernetes::access(&args)?;
        let node_name = args
            .node_name
            .or_else(|| std::env::var("NODE_NAME").ok())
            .unwrap_or_else(|| {
                rustix::system::uname()
                    .nodename()
                    .to_string_lossy()
                    .into_owned()
            });
        check_name("--node-name", &node_name)?;
        check_name("--cluster", &args.cluster)?;
        let site = kubernetes::site(
            args.site.as_deref(),
            args.site_label.as_deref(),
            kube.as_ref(),
        )?;
        if !(Duration::from_secs(1)..=Duration::from_secs(300)).contains(&args.interval) {
            bail!("--interval {:?} is out of range: 1s to 5m", args.interval);
        }
        if args.metrics_max_series == 0 {
            bail!(
                "--metrics-max-series is 0: nothing would be exported; use --metrics to choose levels"
            );
        }
        let mut zones: Vec<&str> = args.idle_watts.iter().map(|(zone, _)| &**zone).collect();
        zones.sort_unstable();
        if let Some(twice) = zones.windows(2).find(|pair| pair[0] == pair[1]) {
            bail!("--idle-watts has zone {} twice", twice[0]);
        }
        for (flag, root) in [
            ("--proc-root", &args.proc_root),
            ("--sys-root", &args.sys_root),
        ] {
            std::fs::read_dir(root)
                .with_context(|| format!("{flag} {} cannot be read", root.display()))?;
        }
        if args.spool_max_bytes < MIN_SPOOL_BYTES {
            bail!(
                "--spool-max-bytes {} is too small: at least 4MiB",
                args.spool_max_bytes
            );
        }
        Ok(Self {
            node_name,
            cluster: args.cluster,
            site,
            proc_root: args.proc_root,
            sys_root: args.sys_root,
            cgroup_root: args.cgroup_root,
            interval: args.interval,
            listen: parse_listen(&args.listen)?,
            aggregator,
            usage: args.usage,
            power: power_sources(&args.power)?,
            powercap_dir: args.powercap_dir,
            redfish,
            idle_watts: args.idle_watts,
            spool_dir: args.spool_dir.or_else(state_directory),
            spool_max_bytes: args.spool_max_bytes,
            kube,
            stage_rules: Rules::built_in(),
            metrics: args.metrics,
            compat: args.compat,
            metrics_linger: args.metrics_linger,
            metrics_max_series: args.metrics_max_series,
            check: args.check,
        })
    }
}

fn aggregator(args: &Args) -> anyhow::Result<Option<Access>> {
    let Some(url) = args.aggregator_url.clone() else {
        return Ok(None);
    };
    if !(url.username().is_empty() && url.password().is_none()) {
        bail!(
            "--aggregator-url must not hold a password: it would be in the process list and in logs"
        );
    }
    if !matches!(url.scheme(), "http" | "https") {
        bail!("--aggregator-url {url}: it begins with http:// or https://");
    }
    let client_cert = args.client_cert.clone().zip(args.client_key.clone());
    let is_plain = url.scheme() == "http";
    for (flag, is_set) in [
        ("--ca-file", args.ca_file.is_some()),
        ("--client-cert", client_cert.is_some()),
    ] {
        if is_plain && is_set {
            bail!("{flag} is of no use with --aggregator-url {url}: it is not https");
        }
    }
    let access = Access {
        url,
        token_file: args.token_file.clone(),
        ca_file: args.ca_file.clone(),
        client_cert,
    };
    access.check()?;
    Ok(Some(access))
}

fn redfish_access(args: &Args) -> anyhow::Result<Option<redfish::Access>> {
    let Some(url) = args.redfish_url.clone() else {
        return Ok(None);
    };
    if !(url.username().is_empty() && url.password().is_none()) {
        bail!(
            "--redfish-url must not hold a password: it would be in the process list and in logs"
        );
    }
    if url.scheme() != "https" {
        bail!(
            "--redfish-url {url}: it begins with https://, or a password would be read by everybody"
        );
    }
    for (flag, path) in [
        ("--redfish-credentials-file", &args.redfish_credentials_file),
        ("--redfish-ca-file", &args.redfish_ca_file),
    ] {
        if let Some(path) = path {
            std::fs::read(path)
                .with_context(|| format!("cannot read {flag} {}", path.display()))?;
        }
    }
    Ok(Some(redfish::Access {
        url,
        credentials_file: args.redfish_credentials_file.clone(),
        ca_file: args.redfish_ca_file.clone(),
    }))
}

/// What systemd made for a unit with `StateDirectory=`; the first, where there are several.
fn state_directory() -> Option<PathBuf> {
    let directories = std::env::var_os("STATE_DIRECTORY")?;
    std::env::split_paths(&directories)
        .next()
        .filter(|directory| !directory.as_os_str().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(flags: &[&str]) -> anyhow::Result<Config> {
        let args = Args::try_parse_from([&["hxmlops-agent", "--node-name", "n"], flags].concat())?;
        Config::check(args)
    }

    #[test]
    fn bad_values_are_named_with_their_flag() {
        for (flags, expected) in [
            (&["--interval", "100ms"][..], "--interval"),
            (&["--interval", "6m"], "--interval"),
            (&["--interval", "5"], "a time has a unit"),
            (&["--listen", "nowhere"], "--listen nowhere"),
            (
                &["--proc-root", "/no/such/place"],
                "--proc-root /no/such/place",
            ),
            (&["--cluster", ""], "--cluster"),
            (&["--power", "auto,model"], "--power auto"),
            (&["--power", "steam"], "steam"),
            (&["--idle-watts", "package-0"], "ZONE=WATTS"),
            (&["--idle-watts", "package-0=-3"], "not '-3'"),
            (&["--idle-watts", "package-0=NaN"], "not 'NaN'"),
            (&["--idle-watts", "a=1,b=2,a=3"], "zone a twice"),
            (&["--aggregator-url", "ftp://x"], "--aggregator-url"),
            (&["--spool-max-bytes", "1MiB"], "--spool-max-bytes 1048576"),
            (&["--spool-max-bytes", "1 GB"], "a size is a whole number"),
            (&["--client-cert", "c.pem"], "--client-key"),
            (
                &["--aggregator-url", "http://x", "--ca-file", "ca.pem"],
                "--ca-file is of no use",
            ),
            (
                &["--aggregator-url", "http://u:secret@x"],
                "must not hold a password",
            ),
        ] {
            let error = format!("{:#}", check(flags).unwrap_err());
            assert!(error.contains(expected), "{flags:?}: {error}");
        }
    }

    #[test]
    fn defaults_are_the_designs() {
        let config = check(&[]).unwrap();
        assert_eq!(config.interval, Duration::from_secs(5));
        assert_eq!(config.metrics, [Level::Node, Level::Pod]);
        assert_eq!(config.listen, Some("127.0.0.1:8643".parse().unwrap()));
        assert!(check(&["--listen", ""]).unwrap().listen.is_none());
        let idle = check(&["--idle-watts", "package-0=38.5,dram-0=4"]).unwrap();
        let expected = [("package-0".to_owned(), 38.5), ("dram-0".to_owned(), 4.0)];
        assert_eq!(idle.idle_watts, expected);
        assert_eq!(config.spool_max_bytes, 256 << 20);
        let small = check(&["--spool-max-bytes", "8192KiB"]).unwrap();
        assert_eq!(small.spool_max_bytes, 8 << 20);
        let twice = check(&["--power", "model,rapl,model"]).unwrap();
        assert_eq!(format!("{:?}", twice.power), "[model, rapl]");
    }
}
