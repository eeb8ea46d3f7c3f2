//! What is in the images, and what they say of it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;

use crate::podman::{TAG, build, directory, podman, said};

/// A file of an image may be one of these, or lie there.
const PLACES: [&str; 8] = [
    "/etc/debian_version",
    "/etc/nsswitch.conf",
    "/etc/ssl/certs/ca-certificates.crt",
    "/hxmlops",
    "/hxmlops-agent",
    "/usr/lib/x86_64-linux-gnu/",
    "/usr/share/doc/",
    "/usr/share/sbom/",
];

/// An image's files, mounted.
struct Mounted {
    name: String,
    root: PathBuf,
}

impl Mounted {
    fn new(name: &str) -> anyhow::Result<Self> {
        let root = said(podman()?.args(["image", "mount", name]))?;
        Ok(Self {
            name: name.to_owned(),
            root: PathBuf::from(root),
        })
    }

    fn files(&self) -> anyhow::Result<Vec<String>> {
        let mut found = Vec::new();
        let mut directories = vec![self.root.clone()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(&directory)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    directories.push(entry.path());
                } else if entry.file_type()?.is_file() {
                    let path = entry.path();
                    let place = Path::new("/").join(path.strip_prefix(&self.root)?);
                    found.push(place.to_string_lossy().into_owned());
                }
            }
        }
        Ok(found)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Ok(mut podman) = podman() {
            let _ = podman.args(["image", "unmount", &self.name]).output();
        }
    }
}

/// The bill in an image, which is the one beside it.
fn bill(name: &str) -> anyhow::Result<(Value, Vec<String>)> {
    let mounted = Mounted::new(&format!("localhost/{name}:{TAG}"))?;
    let file = format!("{name}.cdx.json");
    let text = fs::read_to_string(mounted.root.join("usr/share/sbom").join(&file))?;
    assert_eq!(text, fs::read_to_string(directory()?.join(file))?);
    Ok((serde_json::from_str(&text)?, mounted.files()?))
}

/// The components by name; every reference in the bill is to one of them.
fn check_bill(bill: &Value) -> anyhow::Result<BTreeSet<String>> {
    let list = |value: &Value| value.as_array().cloned().context("it is a list");
    let text = |value: &Value| value.as_str().map(str::to_owned).context("it is text");
    let mut known = BTreeSet::from([text(&bill["metadata"]["component"]["bom-ref"])?]);
    let mut names = BTreeSet::new();
    for component in list(&bill["components"])? {
        assert!(known.insert(text(&component["bom-ref"])?), "{component}");
        assert!(component["licenses"].is_array(), "{component}");
        let purl = component["purl"].as_str().unwrap_or_default();
        let is_ours = component["version"] == env!("CARGO_PKG_VERSION");
        if purl.starts_with("pkg:cargo/") && !is_ours {
            let checksum = &component["hashes"][0]["content"];
            assert_eq!(
                checksum.as_str().unwrap_or_default().len(),
                64,
                "{component}"
            );
        }
        names.insert(text(&component["name"])?);
    }
    for dependency in list(&bill["dependencies"])? {
        for reference in list(&dependency["dependsOn"])?
            .iter()
            .chain([&dependency["ref"]])
        {
            assert!(known.contains(&text(reference)?), "{reference}");
        }
    }
    Ok(names)
}

fn check(name: &str, has: &[&str], has_not: &[&str]) -> anyhow::Result<Vec<String>> {
    let (bill, files) = bill(name)?;
    let names = check_bill(&bill)?;
    for part in has {
        assert!(names.contains(*part), "{part} is not in {names:?}");
    }
    for part in has_not {
        assert!(!names.contains(*part), "{part}");
    }
    for file in &files {
        let is_known = PLACES
            .iter()
            .any(|place| file == place || (place.ends_with('/') && file.starts_with(place)));
        assert!(is_known, "{file}");
    }
    Ok(files)
}

#[test]
fn the_agent_s_image_holds_what_its_bill_says() -> anyhow::Result<()> {
    build("hxmlops-agent")?;
    let has = [
        "agent",
        "aya",
        "aya-ebpf",
        "tokio",
        "libc6",
        "libgcc-s1",
        "rust-std",
        "ca-certificates",
    ];
    let has_not = [
        "insta",
        "prost-build",
        "serde_derive",
        "rusqlite",
        "aggregator",
    ];
    let files = check("hxmlops-agent", &has, &has_not)?;
    assert!(files.iter().any(|file| file.ends_with("/libc.so.6")));
    Ok(())
}

#[test]
fn the_server_s_image_holds_one_program_and_no_library() -> anyhow::Result<()> {
    build("hxmlops")?;
    let has = ["aggregator", "rusqlite", "axum", "libc6-dev", "rust-std"];
    let files = check("hxmlops", &has, &["insta", "prost-build", "aya", "agent"])?;
    assert!(!files.iter().any(|file| file.contains(".so")), "{files:?}");
    Ok(())
}

#[test]
fn the_same_sources_make_the_same_image_and_it_says_which_they_are() -> anyhow::Result<()> {
    let first = build("hxmlops-agent")?;
    let second = build("hxmlops-agent")?;
    assert_eq!(first, second);
    assert!(first.contains("sha256:"), "{first}");
    let name = format!("localhost/hxmlops-agent:{TAG}");
    let image = said(podman()?.args(["image", "inspect", &name]))?;
    let image: Value = serde_json::from_str(&image)?;
    let label = |key: &str| {
        let label = &image[0]["Config"]["Labels"][format!("org.opencontainers.image.{key}")];
        label.as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(label("version"), env!("CARGO_PKG_VERSION"));
    assert_eq!(label("licenses"), "Apache-2.0");
    assert_eq!(label("title"), "HX-MLOps agent");
    assert!(!label("description").is_empty());
    let git = ["-C", env!("CARGO_MANIFEST_DIR"), "rev-parse", "HEAD"];
    let head = said(std::process::Command::new("git").args(git))?;
    assert!(
        label("revision").starts_with(&head),
        "{}",
        label("revision")
    );
    Ok(())
}
