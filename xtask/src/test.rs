//! `cargo xtask test`: everything that has to pass, in order, and nothing left out in silence.

mod long;
mod nextest;

use std::time::Instant;

use anyhow::{Context as _, Result, bail};

pub(crate) use self::nextest::Outcome;

use crate::run::{cargo, run as run_program};
use crate::{charts, cluster, ebpf, fuzz, image, install};

/// Install what the tests need, then check format, lints and tests.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Leave a part out; may be repeated.
    #[arg(long, value_enum, value_name = "NAME")]
    without: Vec<Part>,
    /// Fuzz each target for ten minutes, and run the agent in other kernels under QEMU; downloads about 100 MB once.
    #[arg(long)]
    long: bool,
    /// Run this round of --long and nothing else; may be repeated.
    #[arg(long, value_enum, value_name = "NAME", conflicts_with = "without")]
    only: Vec<long::Round>,
}

/// What a machine may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// The eBPF programs in this kernel, which needs root.
    Ebpf,
    /// Prometheus' linter over both programs' metrics.
    Promtool,
    /// The fuzz targets, which take minutes.
    Fuzz,
    /// The tests in a Kubernetes cluster, whose API server takes minutes to build once.
    Cluster,
    /// The chart, its rules and dashboards, which need helm from PyPI and promtool.
    Charts,
    /// The container images, which buildah makes and podman runs.
    Images,
    /// What the catalogue's modules say to PostgreSQL, SeaweedFS and Mosquitto, which come from Debian and PyPI.
    Modules,
    /// Pages and reports in Chromium, which is installed from Debian.
    Browser,
    /// Model cards as huggingface_hub reads them, which comes from PyPI.
    Huggingface,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Ebpf => "ebpf",
            Self::Promtool => "promtool",
            Self::Fuzz => "fuzz",
            Self::Cluster => "cluster",
            Self::Charts => "charts",
            Self::Images => "images",
            Self::Modules => "modules",
            Self::Browser => "browser",
            Self::Huggingface => "huggingface",
        }
    }

    /// The integration tests that need it, as a nextest filter; `None` of what is no such test.
    fn tests(self) -> Option<&'static str> {
        match self {
            Self::Ebpf => Some("kind(test) & (binary(ebpf) | test(ebpf))"),
            Self::Promtool => Some("kind(test) & test(promtool)"),
            Self::Cluster => Some("kind(test) & binary(cluster)"),
            Self::Fuzz | Self::Charts => None,
            Self::Images => Some("kind(test) & binary(images)"),
            Self::Modules => Some("kind(test) & binary(modules)"),
            Self::Browser => Some("kind(test) & binary(browser)"),
            Self::Huggingface => Some("kind(test) & test(huggingface)"),
        }
    }
}

/// One step: its name and what it does.
type Step = (&'static str, fn(&[Part]) -> Result<()>);

const STEPS: &[Step] = &[
    ("prerequisites", prerequisites),
    ("format", |_| {
        run_program(cargo().args(["fmt", "--all", "--check"]))?;
        run_program(cargo().args(["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"]))
    }),
    ("eBPF build", ebpf_build),
    ("lints", |_| run_program(cargo().args(LINTS))),
    ("charts", check_charts),
    ("build", nextest::build),
];

const LINTS: &[&str] = &[
    "clippy",
    "--workspace",
    "--all-targets",
    "--locked",
    "--quiet",
    "--",
    "-D",
    "warnings",
];

/// Runs every step, the tests and, where asked for, the long rounds; the last line is how many passed and failed.
///
/// # Errors
/// Where a step or a test fails, or a part cannot run and was not left out.
pub(crate) fn run(args: &Args) -> Result<()> {
    let begin = Instant::now();
    let mut result = if args.only.is_empty() {
        check_and_test(args)?
    } else {
        Outcome::default()
    };
    if (args.long || !args.only.is_empty()) && result.failed == 0 {
        println!("== long rounds");
        result += long::run(&args.only, &args.without)
            .context("step 'long rounds' of cargo xtask test")?;
    } else if args.long {
        println!("the long rounds are left out: something failed before");
    }
    println!("all steps took {:.0} s", begin.elapsed().as_secs_f64());
    println!("{} passed, {} failed", result.passed, result.failed);
    if result.failed > 0 {
        std::process::exit(1);
    }
    Ok(())
}

fn check_and_test(args: &Args) -> Result<Outcome> {
    let without = &args.without;
    for part in without {
        println!("left out: {}", part.name());
    }
    for (name, step) in STEPS {
        let begin = Instant::now();
        println!("== {name}");
        step(without).with_context(|| format!("step '{name}' of cargo xtask test"))?;
        println!("== {name}: done in {:.1} s", begin.elapsed().as_secs_f64());
    }
    println!("== tests");
    let mut result = nextest::run(without)?;
    // One of the long rounds fuzzes for longer.
    if !args.long && !without.contains(&Part::Fuzz) {
        println!("== fuzz");
        let fuzzed = fuzz::run(fuzz::Effort::Short).context("step 'fuzz' of cargo xtask test");
        result += fuzzed.context("or leave it out with `--without fuzz`")?;
    }
    Ok(result)
}

fn prerequisites(without: &[Part]) -> Result<()> {
    // setpriv: the tests run programs with fewer capabilities.
    install::debian_program("setpriv", "util-linux")?;
    if !without.contains(&Part::Promtool) {
        install::prometheus::promtool().context("or leave it out with `--without promtool`")?;
    }
    if !without.contains(&Part::Browser) {
        install::chromium().context("or leave it out with `--without browser`")?;
    }
    if !without.contains(&Part::Huggingface) {
        install::python::huggingface_hub()
            .context("or leave it out with `--without huggingface`")?;
    }
    if !without.contains(&Part::Ebpf) && !install::is_root() {
        bail!("the eBPF tests need root: run as root, or leave them out with `--without ebpf`");
    }
    if !without.contains(&Part::Cluster) {
        if !install::is_root() {
            bail!(
                "the cluster's tests need root: run as root, or leave them out with `--without cluster`"
            );
        }
        cluster::install().context("or leave it out with `--without cluster`")?;
    }
    if !without.contains(&Part::Images) {
        if !install::is_root() {
            bail!(
                "the images' tests need root: run as root, or leave them out with `--without images`"
            );
        }
        image::test_prerequisites().context("or leave it out with `--without images`")?;
    }
    if !without.contains(&Part::Modules) {
        if !install::is_root() {
            bail!(
                "the modules' tests need root: run as root, or leave them out with `--without modules`"
            );
        }
        install::modules::programs().context("or leave it out with `--without modules`")?;
    }
    if !without.contains(&Part::Fuzz) {
        fuzz::prerequisites(fuzz::Effort::Short)
            .context("or leave it out with `--without fuzz`")?;
    }
    if !without.contains(&Part::Charts) {
        charts::prerequisites().context("or leave it out with `--without charts`")?;
    }
    nextest::install()
}

fn check_charts(without: &[Part]) -> Result<()> {
    if without.contains(&Part::Charts) {
        return Ok(());
    }
    charts::check()
}

fn ebpf_build(without: &[Part]) -> Result<()> {
    if without.contains(&Part::Ebpf) {
        return Ok(());
    }
    ebpf::run_installing().context("or leave it out with `--without ebpf`")
}
