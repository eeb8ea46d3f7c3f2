//! What is in an image, as CycloneDX 1.5 in JSON (<https://cyclonedx.org/docs/1.5/json/>): the program, the crates that are
//! linked into it, Rust's own library, and Debian's packages.

mod crates;

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use serde_json::{Value, json};

use self::crates::Crate;
use super::debian::Package;
use super::program::Program;
use super::revision::Revision;
use crate::run::{cargo, output};
use crate::workspace;

/// The target that programs are built for.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The bill of an image.
///
/// # Errors
/// Where Cargo cannot tell what the program is made of.
pub(super) fn bom(
    program: &Program,
    packages: &[&Package],
    revision: Option<&Revision>,
) -> Result<String> {
    let mut crates = linked(&["--package", program.package])?;
    for (package, feature) in program.embedded {
        let arguments = ["--package", package, "--features", feature];
        crates::join(&mut crates, linked(&arguments)?);
    }
    let rust = rust_version()?;
    let bom = assemble(program, &crates, &rust, packages, revision)?;
    Ok(serde_json::to_string_pretty(&bom).context("a bill is JSON")? + "\n")
}

/// The crates whose code is in what these arguments choose: no build scripts, macros or tests.
fn linked(arguments: &[&str]) -> Result<Vec<Crate>> {
    let tree = output(
        cargo()
            .args(["tree", "--locked", "--target", TARGET])
            .args(["--edges", "normal,no-proc-macro", "--prefix", "depth"])
            .args(["--format", "|{p}|{l}"])
            .args(arguments),
    )?;
    let lock = workspace::root().join("Cargo.lock");
    let lock = std::fs::read_to_string(&lock)
        .with_context(|| format!("cannot read {}", lock.display()))?;
    crates::parse(&tree, &crates::checksums(&lock))
}

/// Such as `1.95.0`.
fn rust_version() -> Result<String> {
    let text = output(
        Command::new("rustc")
            .current_dir(workspace::root())
            .arg("--version"),
    )?;
    let version = text.split(' ').nth(1);
    Ok(version
        .with_context(|| format!("rustc says {text}"))?
        .to_owned())
}

fn assemble(
    program: &Program,
    crates: &[Crate],
    rust: &str,
    packages: &[&Package],
    revision: Option<&Revision>,
) -> Result<Value> {
    let image = format!("image:{}", program.name);
    let rust_name = format!("rust-std@{rust}");
    let own = crates
        .iter()
        .find(|one| one.name == program.package)
        .with_context(|| format!("Cargo tells nothing of {}", program.package))?;

    let mut components: Vec<Value> = crates.iter().map(of_crate).collect();
    components.push(json!({
        "type": "library",
        "bom-ref": rust_name,
        "name": "rust-std",
        "version": rust,
        "licenses": [{ "expression": "MIT OR Apache-2.0" }],
    }));
    components.extend(packages.iter().map(|package| of_package(package)));

    let mut needs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for one in crates {
        needs.insert(one.reference(), one.needs.iter().cloned().collect());
    }
    needs.entry(own.reference()).or_default().push(rust_name);
    let contents = packages.iter().map(|package| reference(package));
    needs.insert(
        image.clone(),
        std::iter::once(own.reference()).chain(contents).collect(),
    );
    let dependencies: Vec<Value> = needs
        .into_iter()
        .map(|(of, on)| json!({ "ref": of, "dependsOn": on }))
        .collect();

    let mut metadata = json!({
        "component": {
            "type": "container",
            "bom-ref": image,
            "name": program.name,
            "version": env!("CARGO_PKG_VERSION"),
            "description": program.description,
            "licenses": [{ "expression": "Apache-2.0" }],
        },
    });
    if let Some(revision) = revision {
        let time = Timestamp::from_second(revision.seconds).context("a commit has a time")?;
        metadata["timestamp"] = json!(time.to_string());
        metadata["component"]["properties"] =
            json!([{ "name": "hxmlops:revision", "value": revision.name }]);
    }
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": metadata,
        "components": components,
        "dependencies": dependencies,
    }))
}

fn of_crate(one: &Crate) -> Value {
    let mut component = json!({
        "type": "library",
        "bom-ref": one.reference(),
        "name": one.name,
        "version": one.version,
        "purl": one.reference(),
    });
    if let Some(license) = &one.license {
        component["licenses"] = json!([{ "expression": license }]);
    }
    if let Some(checksum) = &one.checksum {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
    }
    component
}

fn of_package(package: &Package) -> Value {
    let place = package.copyright();
    json!({
        "type": "library",
        "bom-ref": reference(package),
        "name": package.name,
        "version": package.version,
        "purl": reference(package),
        // Debian writes for people: the text is in the image.
        "licenses": [{ "license": { "name": format!("see {}", place.display()) } }],
    })
}

/// A package URL (<https://github.com/package-url/purl-spec>).
fn reference(package: &Package) -> String {
    let Package {
        name,
        version,
        architecture,
    } = package;
    let version = escaped(version);
    format!("pkg:deb/debian/{name}@{version}?arch={architecture}")
}

/// A version as package URLs have it.
fn escaped(version: &str) -> String {
    version
        .replace('%', "%25")
        .replace('+', "%2B")
        .replace('~', "%7E")
        .replace(':', "%3A")
}

#[cfg(test)]
mod tests;
