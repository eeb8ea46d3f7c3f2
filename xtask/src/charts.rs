//! `cargo xtask charts`: what can be checked of the charts and of the catalogue without a cluster, with the helm of both
//! majors, `promtool` and checks of our own on what comes out.

mod cases;
mod catalogue;
mod dashboards;
mod flags;
mod helm;
mod kinds;
mod objects;
mod pods;
mod rbac;
mod readme;
mod references;
mod refusals;
mod rules;
mod secrets;

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::{install, workspace};

use self::cases::Case;
use self::flags::Flags;
use self::helm::Helm;

/// Check the charts and the catalogue: lint, render with every example and module, and look at what comes out.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write what is made of them instead: the tables of values in README.md, and of modules in docs/catalogue.md.
    #[arg(long)]
    write: bool,
}

/// Runs the checks, or writes the tables.
///
/// # Errors
/// Where a program is missing and cannot be installed, or something has faults: each has been printed.
pub(crate) fn run(args: &Args) -> Result<()> {
    if args.write {
        readme::write(&directory())?;
        return catalogue::write();
    }
    prerequisites()?;
    check()
}

/// Installs helm, kubectl and promtool.
///
/// # Errors
/// Where one is missing and cannot be installed.
pub(crate) fn prerequisites() -> Result<()> {
    install::prometheus::promtool()?;
    install::wheels::helm_and_kubectl()
}

/// Everything that has to hold of the charts and the catalogue.
///
/// # Errors
/// Where something does not; each fault has been printed.
pub(crate) fn check() -> Result<()> {
    let mut faults = Faults::default();
    readme::check(&directory(), &mut faults)?;
    helm::check_version(&mut faults)?;
    let cases = cases::all()?;
    let helms = Helm::both();
    for helm in &helms {
        helm.lint(&directory(), &cases, &mut faults)?;
        refusals::check(helm, &mut faults)?;
    }
    render(&helms, &cases, &mut faults)?;
    rules::check(&mut faults)?;
    dashboards::check(&mut faults)?;
    catalogue::check(&helms, &mut faults)?;
    faults.into_result()
}

fn render(helms: &[Helm], cases: &[Case], faults: &mut Faults) -> Result<()> {
    let flags = Flags::read()?;
    flags.check_schema(faults)?;
    let mut renderings = 0;
    for case in cases {
        for version in kinds::KUBE_VERSIONS {
            let mut before: Option<Vec<serde_json::Value>> = None;
            for helm in helms {
                let objects = helm.template(case, version)?;
                faults.of(format!(
                    "{} in Kubernetes {version}, {}",
                    case.name, helm.name
                ));
                objects::check(&objects, helm::RELEASE, faults);
                flags.check(&objects, faults);
                pods::check(&objects, case, faults);
                references::check(&objects, faults);
                secrets::check(&objects, secrets::MIN_TOKEN_BYTES, faults);
                rbac::check(&objects, faults);
                kinds::check(&objects, version, faults);
                rules::check_rendered(&objects, faults)?;
                let same = secrets::without(&objects);
                if before.as_ref().is_some_and(|before| *before != same) {
                    faults.add("the helms of the two majors make different objects of it");
                }
                before = Some(same);
                renderings += 1;
            }
        }
    }
    println!(
        "{renderings} renderings of {} cases were looked at",
        cases.len()
    );
    kinds::print_newer();
    Ok(())
}

/// What is wrong, and with what.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    subject: String,
    count: usize,
}

impl Faults {
    /// What the faults that follow are of.
    fn of(&mut self, subject: String) {
        self.subject = subject;
    }

    /// Prints a fault of the subject.
    fn add(&mut self, what: &str) {
        println!("{}: {what}", self.subject);
        self.count += 1;
    }

    /// Prints a fault unless `is_well`.
    fn check(&mut self, is_well: bool, what: impl FnOnce() -> String) {
        if !is_well {
            self.add(&what());
        }
    }

    fn into_result(self) -> Result<()> {
        if self.count > 0 {
            bail!("the charts have {} faults", self.count);
        }
        println!("the charts are well");
        Ok(())
    }
}

/// Where the chart hxmlops is.
fn directory() -> PathBuf {
    workspace::root().join("helm/hxmlops")
}
