//! The catalogue: each module's file is what it has to be, and what comes out of it and the chart module has no more rights than
//! it needs, no password that somebody wrote, and keeps its data where the program has it.

mod data;
mod file;
mod options;
mod passwords;
mod ports;
mod prometheus;
mod refusals;
mod rights;
mod table;
mod values;
mod wiring;

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::Value;

use super::cases::Case;
use super::helm::Helm;
use super::objects::{self, name};
use super::pods::{check_resources, items, pod_spec};
use super::references::{self, pod_labels, workloads};
use super::{Faults, kinds, readme, rules, secrets};
use crate::workspace;

use self::file::Module;

/// The shortest secret of a module: the name of a key of S3.
const MIN_SECRET_BYTES: usize = 20;

/// Writes the chart's README and the table of modules.
///
/// # Errors
/// Where a file cannot be read or written, or has no marks.
pub(super) fn write() -> Result<()> {
    readme::write(&chart())?;
    table::write(&file::all()?)
}

/// Everything that has to hold of the catalogue.
///
/// # Errors
/// Where a file is none of a module, helm refuses one, or a program cannot be run.
pub(super) fn check(helms: &[Helm], faults: &mut Faults) -> Result<()> {
    readme::check(&chart(), faults)?;
    let modules = file::all()?;
    table::check(&modules, faults)?;
    file::check(&modules, faults);
    values::check(&modules, faults)?;
    ports::check(&modules, faults);
    let mut renderings = 0;
    for module in &modules {
        for (number, values) in wiring::all(module, &modules)?.into_iter().enumerate() {
            let case = case(module, number, &values)?;
            for helm in helms {
                helm.lint(&module.chart(), std::slice::from_ref(&case), faults)?;
            }
            renderings += render(helms, module, &case, faults)?;
        }
    }
    prometheus::check_targets(faults)?;
    for helm in helms {
        refusals::check(helm, &modules, faults)?;
        options::check(helm, &modules, faults)?;
    }
    println!(
        "{renderings} renderings of {} modules were looked at",
        modules.len()
    );
    Ok(())
}

fn render(helms: &[Helm], module: &Module, case: &Case, faults: &mut Faults) -> Result<usize> {
    let mut renderings = 0;
    let release = module.release();
    for version in kinds::KUBE_VERSIONS {
        let mut before: Option<Vec<Value>> = None;
        for helm in helms {
            let objects = helm.template_of(&release, &module.chart(), case, version)?;
            faults.of(format!(
                "{} in Kubernetes {version}, {}",
                case.name, helm.name
            ));
            check_rendered(&objects, module, version, faults)?;
            check_component(&objects, &release, faults);
            let same = secrets::without(&objects);
            if before.as_ref().is_some_and(|before| *before != same) {
                faults.add("the helms of the two majors make different objects of it");
            }
            before = Some(same);
            renderings += 1;
        }
    }
    Ok(renderings)
}

fn check_rendered(
    objects: &[Value],
    module: &Module,
    version: &str,
    faults: &mut Faults,
) -> Result<()> {
    objects::check(objects, &module.release(), faults);
    references::check_pods(objects, faults);
    kinds::check(objects, version, faults);
    passwords::check(objects, faults);
    for workload in workloads(objects) {
        check_workload(workload, faults);
    }
    if module.own.is_some() {
        // The chart's own checks know the rest of it.
        return Ok(());
    }
    secrets::check(objects, MIN_SECRET_BYTES, faults);
    rights::check(objects, module, faults);
    data::check(objects, module, faults);
    if module.name == "prometheus" {
        prometheus::check(objects, faults)?;
    }
    Ok(())
}

/// The ledger knows the pods by the release's name.
fn check_component(objects: &[Value], release: &str, faults: &mut Faults) {
    for workload in workloads(objects) {
        let component = &pod_labels(workload)["hxmlops.io/component"];
        faults.check(component == release, || {
            format!(
                "{} is {component} in the ledger, not {release}",
                name(workload)
            )
        });
    }
}

fn check_workload(workload: &Value, faults: &mut Faults) {
    let own = name(workload);
    let spec = pod_spec(workload);
    for container in items(&spec["initContainers"]).chain(items(&spec["containers"])) {
        check_resources(&own, container, faults);
    }
    for container in items(&spec["containers"]) {
        for probe in ["livenessProbe", "readinessProbe"] {
            check_probe(&own, container, probe, faults);
        }
    }
}

/// A probe is there, and asks a port that is there.
fn check_probe(own: &str, container: &Value, probe: &str, faults: &mut Faults) {
    let found = &container[probe];
    faults.check(found.is_object(), || format!("{own} has no {probe}"));
    for kind in ["httpGet", "tcpSocket"] {
        let port = &found[kind]["port"];
        let is_there = items(&container["ports"]).any(|other| other["name"] == *port);
        faults.check(port.is_null() || is_there, || {
            format!("{own} has a {probe} of the port {port}, which is not there")
        });
    }
}

/// A case whose values are in a file below `target`.
fn case(module: &Module, number: usize, values: &Value) -> Result<Case> {
    let file = workspace::target().join(format!(
        "helm/catalogue/{}-{}-{number}.json",
        module.group, module.name
    ));
    rules::write(&file, &values.to_string())?;
    Ok(Case {
        name: format!("{}/{}, wired in way {number}", module.group, module.name),
        file: Some(file),
        set: &[],
    })
}

/// Where the chart module is.
fn chart() -> PathBuf {
    helm().join("module")
}

fn helm() -> PathBuf {
    workspace::root().join("helm")
}

/// Whether a path lies below another one, or is it.
fn is_below(path: &str, directory: &str) -> bool {
    Path::new(path).starts_with(directory)
}
