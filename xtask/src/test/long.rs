//! `cargo xtask test --long`: rounds in guests, which take minutes and downloads, of chaos and of fuzzing.

mod kernels;
mod longer;
mod power_loss;
mod rapl;

use std::cell::OnceCell;
use std::time::Instant;

use anyhow::{Context as _, Result};

use super::{Outcome, Part};
use crate::guest::{self, Image, Kernel, Machine, Programs, Report, Series, ServerPrograms};
use crate::{ebpf, fuzz, workspace};

/// Debian's kernels of three releases. `rapl` runs in the second, whose headers our module is built against.
const BULLSEYE: Series = Series {
    debian: "bullseye",
    pinned: "5.10.0-46-cloud-amd64",
    with_headers: false,
};
const BOOKWORM: Series = Series {
    debian: "bookworm",
    pinned: "6.1.0-56-cloud-amd64",
    with_headers: true,
};
const TRIXIE: Series = Series {
    debian: "trixie",
    pinned: "6.12.117+deb13-cloud-amd64",
    with_headers: false,
};

/// A round that takes long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Round {
    /// The agent's eBPF tests in Debian's 5.10, 6.1 and 6.12.
    Kernels,
    /// The agent in a guest whose kernel serves RAPL zones.
    Rapl,
    /// The server in a guest whose power is taken away, again and again.
    PowerLoss,
    /// The rounds in which everything is killed and cut, 500 times.
    Chaos,
    /// Forks as fast as the machine can, for ten minutes.
    Forks,
    /// Every module of the catalogue by both helms, in a Kubernetes cluster.
    Modules,
    /// Each fuzz target for ten minutes.
    Fuzz,
}

/// The programs that go into guests, each built when the first guest needs them.
#[derive(Default)]
struct Built {
    agent: OnceCell<Programs>,
    server: OnceCell<ServerPrograms>,
}

impl Built {
    fn agent(&self) -> Result<&Programs> {
        if self.agent.get().is_none() {
            ebpf::run_installing()?;
            let _ = self.agent.set(Programs::build()?);
        }
        Ok(self.agent.get().expect("it was set above"))
    }

    fn server(&self) -> Result<&ServerPrograms> {
        if self.server.get().is_none() {
            let _ = self.server.set(ServerPrograms::build()?);
        }
        Ok(self.server.get().expect("it was set above"))
    }
}

/// What one guest is for: the kernel that it boots, and the check of what it reports.
struct Trial {
    round: Round,
    series: Series,
    run: fn(&Kernel, &Built) -> Result<String>,
}

const TRIALS: &[Trial] = &[
    Trial {
        round: Round::Kernels,
        series: BULLSEYE,
        run: kernels::run,
    },
    Trial {
        round: Round::Kernels,
        series: BOOKWORM,
        run: kernels::run,
    },
    Trial {
        round: Round::Kernels,
        series: TRIXIE,
        run: kernels::run,
    },
    Trial {
        round: Round::Rapl,
        series: BOOKWORM,
        run: rapl::run,
    },
    Trial {
        round: Round::PowerLoss,
        series: BOOKWORM,
        run: power_loss::run,
    },
];

/// Runs the rounds named, or all but those of the parts left out; a line for each guest and fuzz target.
///
/// # Errors
/// Where the guests or the targets cannot be made. One that fails is no error here.
pub(crate) fn run(only: &[Round], without: &[Part]) -> Result<Outcome> {
    let is_wanted = |round| {
        let is_left_out = round == Round::Fuzz && without.contains(&Part::Fuzz);
        only.contains(&round) || (only.is_empty() && !is_left_out)
    };
    let mut outcome = Outcome::default();
    let mut in_guests = TRIALS.iter().map(|trial| trial.round);
    if in_guests.any(is_wanted) {
        outcome += run_guests(&is_wanted)?;
    }
    for longer in longer::TESTS
        .iter()
        .filter(|longer| is_wanted(longer.round))
    {
        outcome += longer.run();
    }
    if is_wanted(Round::Fuzz) {
        fuzz::prerequisites(fuzz::Effort::Long)?;
        outcome += fuzz::run(fuzz::Effort::Long)?;
    }
    Ok(outcome)
}

fn run_guests(is_wanted: &dyn Fn(Round) -> bool) -> Result<Outcome> {
    guest::prerequisites()?;
    if is_wanted(Round::Rapl) {
        rapl::prerequisites()?;
    }
    if is_wanted(Round::PowerLoss) {
        power_loss::prerequisites()?;
    }
    let built = Built::default();
    let mut outcome = Outcome::default();
    for trial in TRIALS.iter().filter(|trial| is_wanted(trial.round)) {
        // Not being able to fetch one says nothing of the others.
        match trial.series.kernel() {
            Ok(kernel) if trial.passes(&kernel, &built) => outcome.passed += 1,
            Ok(_) => outcome.failed += 1,
            Err(error) => {
                println!("guest {}: failed: {error:#}", trial.series.pinned);
                outcome.failed += 1;
            }
        }
    }
    Ok(outcome)
}

impl Trial {
    fn passes(&self, kernel: &Kernel, built: &Built) -> bool {
        let begin = Instant::now();
        let result = (self.run)(kernel, built);
        let seconds = begin.elapsed().as_secs_f64();
        let name = format!("guest {}, {}", kernel.release, self.round.name());
        match &result {
            Ok(what) => println!("{name}: passed in {seconds:.0} s: {what}"),
            Err(error) => println!("{name}: failed in {seconds:.0} s: {error:#}"),
        }
        result.is_ok()
    }
}

impl Round {
    fn name(self) -> &'static str {
        match self {
            Self::Kernels => "kernels",
            Self::Rapl => "rapl",
            Self::PowerLoss => "power-loss",
            Self::Chaos => "chaos",
            Self::Modules => "modules",
            Self::Forks => "forks",
            Self::Fuzz => "fuzz",
        }
    }
}

/// A root with what every round needs: the first process, the round's script, busybox and the real programs that
/// tests start.
fn image(round: &str) -> Result<Image> {
    let scripts = workspace::root().join("tests/guest");
    let mut image = Image::new();
    image.file("init", &scripts.join("init"))?;
    image.file("round", &scripts.join(round))?;
    // The guest's own shell is busybox; the tests start real programs.
    for (path, name) in [
        ("bin/busybox", "busybox"),
        ("bin/sh", "dash"),
        ("bin/true", "true"),
        ("bin/sleep", "sleep"),
        ("bin/setpriv", "setpriv"),
    ] {
        let program = workspace::tool(name).with_context(|| format!("there is no {name}"))?;
        image.program(path, &program)?;
    }
    Ok(image)
}

fn boot(machine: &Machine<'_>, image: Image) -> Result<Report> {
    image.write(&machine.initramfs()?)?;
    let report = machine.run()?;
    let release = report.succeeded("kernel")?.trim();
    anyhow::ensure!(
        release == machine.kernel.release,
        "the guest runs {release}"
    );
    Ok(report)
}
