//! Which crates are in a program, read from `cargo tree` and Cargo.lock.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};

use super::escaped;

/// A crate that is linked into a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Crate {
    pub(super) name: String,
    pub(super) version: String,
    /// An SPDX expression.
    pub(super) license: Option<String>,
    /// SHA-256 of the archive on crates.io; a crate of our own has none.
    pub(super) checksum: Option<String>,
    /// References of those that it uses itself.
    pub(super) needs: BTreeSet<String>,
}

impl Crate {
    /// A package URL.
    pub(super) fn reference(&self) -> String {
        format!("pkg:cargo/{}@{}", self.name, escaped(&self.version))
    }
}

/// By name and version.
pub(super) type Checksums = BTreeMap<(String, String), String>;

/// The crates of `cargo tree --prefix depth --format '|{p}|{l}'`, in the order of their names. A crate stands there with
/// what it needs once, and where it is needed again with `(*)` in place of that.
///
/// # Errors
/// Where a line is none of such a tree.
pub(super) fn parse(tree: &str, checksums: &Checksums) -> Result<Vec<Crate>> {
    let mut found: BTreeMap<String, Crate> = BTreeMap::new();
    // References from the root to the line before.
    let mut way: Vec<String> = Vec::new();
    for line in tree.lines().filter(|line| !line.is_empty()) {
        let (depth, one) = parse_line(line).with_context(|| format!("cargo tree says '{line}'"))?;
        let reference = one.reference();
        way.truncate(depth);
        if let Some(user) = way.last().and_then(|user| found.get_mut(user)) {
            user.needs.insert(reference.clone());
        }
        way.push(reference.clone());
        found.entry(reference).or_insert(Crate {
            checksum: checksums
                .get(&(one.name.clone(), one.version.clone()))
                .cloned(),
            ..one
        });
    }
    Ok(found.into_values().collect())
}

/// `2|axum-core v0.5.6|MIT`, or `1|wire v0.1.0 (DIRECTORY)|Apache-2.0 (*)`.
fn parse_line(line: &str) -> Option<(usize, Crate)> {
    let mut parts = line.splitn(3, '|');
    let depth = parts.next()?.parse().ok()?;
    let mut words = parts.next()?.split(' ');
    let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
    let license = parts.next()?.trim_end_matches("(*)").trim();
    let one = Crate {
        name: name.to_owned(),
        version: version.to_owned(),
        // An older way to write it.
        license: (!license.is_empty()).then(|| license.replace('/', " OR ")),
        checksum: None,
        needs: BTreeSet::new(),
    };
    Some((depth, one))
}

/// What Cargo.lock says that the archives on crates.io are.
pub(super) fn checksums(lock: &str) -> Checksums {
    let packages = lock.split("[[package]]").skip(1);
    let checksums = packages.filter_map(|package| {
        let value = |key: &str| {
            let mut lines = package.lines();
            let line = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \""))?;
            line.strip_suffix('"').map(str::to_owned)
        };
        Some(((value("name")?, value("version")?), value("checksum")?))
    });
    checksums.collect()
}

/// Adds those of another program; one that is in both needs what it needs in either.
pub(super) fn join(crates: &mut Vec<Crate>, others: Vec<Crate>) {
    for other in others {
        let same = crates
            .iter_mut()
            .find(|one| one.reference() == other.reference());
        match same {
            Some(one) => one.needs.extend(other.needs),
            None => crates.push(other),
        }
    }
    crates.sort_by_key(Crate::reference);
}
