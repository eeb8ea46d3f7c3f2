//! A whole environment in one file: which modules there are to be, where, and with which values; and the order in which they
//! are deployed, in which who offers comes before who needs.
//!
//! Pure. Whether a need is met by what is deployed already is [`needs`](super::needs)'.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Map, Value};
use serde_saphyr::Spanned;

use super::catalogue::{Catalogue, Module};
use super::domains::check_namespace;
use super::needs::{self, Deployed, NeedError, Wanted};
use super::yaml;

/// The file, strict: an unknown key is an error.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// Domain of the modules that name none.
    pub domain: Option<String>,
    /// Namespace of the modules that name none.
    pub namespace: Option<String>,
    /// In any order.
    pub modules: Vec<Entry>,
}

/// A module of the file.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// `GROUP/NAME`.
    pub module: Spanned<String>,
    /// Its release, where that is not the module's name.
    pub name: Option<String>,
    /// Its domain, where that is another one.
    pub domain: Option<String>,
    /// Its namespace, where that is another one.
    pub namespace: Option<String>,
    /// Files with values, in order; a relative path begins where this file is.
    #[serde(default)]
    pub files: Vec<PathBuf>,
    /// Values that win over the files'.
    pub values: Option<Map<String, Value>>,
    /// Which release gives what it needs, by the need's name, where several could.
    #[serde(default, rename = "use")]
    pub using: BTreeMap<String, String>,
}

/// An error with the line that it is about.
#[must_use]
pub fn at(line: u64, what: impl Display) -> String {
    format!("line {line}: {what}")
}

impl Environment {
    /// Reads the file's text.
    ///
    /// # Errors
    /// One line that says what is wrong in it, and where.
    pub fn parse(text: &str) -> Result<Self, String> {
        let environment: Self = yaml::parse(text)?;
        let check =
            |namespace: &Option<String>| namespace.as_deref().map_or(Ok(()), check_namespace);
        check(&environment.namespace).map_err(|invalid| invalid.to_string())?;
        for entry in &environment.modules {
            check(&entry.namespace).map_err(|invalid| at(entry.line(), invalid))?;
        }
        Ok(environment)
    }
}

impl Entry {
    /// Where it is in the file, from 1.
    #[must_use]
    pub fn line(&self) -> u64 {
        self.module.referenced.line()
    }

    /// The module that is meant, and its release.
    ///
    /// # Errors
    /// Where there is none, or a release cannot have this name: with the line.
    pub fn find<'c>(&self, catalogue: &'c Catalogue) -> Result<(&'c Module, String), String> {
        let name = &self.module.value;
        let parts = name.split_once('/');
        let (group, name) =
            parts.ok_or_else(|| at(self.line(), format!("'{name}' is no GROUP/NAME")))?;
        let module = catalogue.find_any(group, name);
        let module = module.map_err(|error| at(self.line(), error))?;
        let release = module.release_named(self.name.as_deref());
        let release = release.map_err(|error| at(self.line(), error))?;
        Ok((module, release))
    }
}

/// An entry where it goes to.
#[derive(Clone, Debug)]
pub struct Placed<'c> {
    /// Number of the place, a namespace of a domain.
    pub place: usize,
    /// Of the entry.
    pub line: u64,
    /// What is to be there.
    pub wanted: Wanted<'c>,
}

/// Binds each need that other entries of the same place meet to one of these, whatever else is deployed: what comes out
/// does not depend on what was there before.
///
/// # Errors
/// Where two entries are the same release, or several meet a need: with the line.
pub fn bind(entries: &mut [Placed<'_>], catalogue: &Catalogue) -> Result<(), String> {
    let mut seen = BTreeMap::new();
    for entry in &*entries {
        let key = (entry.place, entry.wanted.release.clone());
        if let Some(line) = seen.insert(key, entry.line) {
            let release = &entry.wanted.release;
            return Err(at(
                entry.line,
                format!(
                    "{release} is the release of line {line}, too: give one of them another name"
                ),
            ));
        }
    }
    for index in 0..entries.len() {
        let bound = bound(&entries[index], entries, catalogue)?;
        entries[index].wanted.using.extend(bound);
    }
    Ok(())
}

/// What an entry gets from others, as (need, release).
fn bound(
    entry: &Placed<'_>,
    entries: &[Placed<'_>],
    catalogue: &Catalogue,
) -> Result<Vec<(String, String)>, String> {
    let mut bound = Vec::new();
    for need in &entry.wanted.module.file.needs {
        if entry.wanted.using.contains_key(&need.name) || needs::is_own(&entry.wanted, need) {
            continue;
        }
        let is_other = |other: &&Placed| {
            other.place == entry.place && other.wanted.release != entry.wanted.release
        };
        let offers =
            |other: &&Placed| needs::offer(other.wanted.module, &need.capability).is_some();
        let offering: Vec<Deployed> = entries
            .iter()
            .filter(is_other)
            .filter(offers)
            .map(|other| Deployed {
                label: other.wanted.module.label(),
                release: other.wanted.release.clone(),
            })
            .collect();
        match needs::pick(catalogue, &need.capability, &offering) {
            Some(provider) => bound.push((need.name.clone(), provider.release.clone())),
            None if offering.is_empty() => {}
            None => {
                let error = needs::ambiguous(&entry.wanted, need, &offering);
                return Err(at(entry.line, in_file(&error)));
            }
        }
    }
    Ok(bound)
}

/// What stands in the way, in words of the file instead of the command's.
#[must_use]
pub fn in_file(error: &NeedError) -> String {
    match error {
        NeedError::Ambiguous {
            module,
            need,
            capability,
            releases,
        } => format!(
            "{module} needs {capability} ({need}), which several releases offer: say which with use: {{{need}: RELEASE}} ({releases})"
        ),
        NeedError::Unmet {
            module,
            need,
            capability,
            offered_by,
        } => format!(
            "{module} needs {capability} ({need}), which nothing in the file or the namespace offers: add one of {offered_by}, or say --with-dependencies"
        ),
        NeedError::Gone {
            module,
            need,
            host,
            releases,
        } => format!(
            "{module} uses {host} ({need}), which is not there any more: add that to the file, or say which release takes its place with use: {{{need}: RELEASE}} ({releases})"
        ),
        NeedError::NotOffered(need, release, capability) => {
            format!(
                "use: {{{need}: {release}}}: there is no release '{release}' in the namespace that offers {capability}"
            )
        }
        NeedError::NoSuchNeed(need, module, needs) => {
            format!("use: {{{need}: …}}: {module} has no need of this name; it has: {needs}")
        }
        other => other.to_string(),
    }
}

/// The order in which bound entries are deployed: as written, but who offers before who needs.
///
/// # Errors
/// Where entries need each other: with the line of one.
pub fn order(entries: &[Placed<'_>]) -> Result<Vec<usize>, String> {
    let number = |entry: &Placed, release: &String| {
        let is_it = |other: &Placed| other.place == entry.place && other.wanted.release == *release;
        entries.iter().position(is_it)
    };
    let before = |entry: &Placed| {
        let releases = entry.wanted.using.values();
        releases
            .filter_map(|release| number(entry, release))
            .collect()
    };
    let before: Vec<BTreeSet<usize>> = entries.iter().map(before).collect();
    sorted(&before).map_err(|circular| {
        let Placed { line, wanted, .. } = &entries[circular];
        at(*line, NeedError::Circular(wanted.module.full_name()))
    })
}

/// Numbers from 0 such that each comes after those that have to be before it, and as they are where that allows it. The
/// number of one that has to be before itself, where there is one.
fn sorted(before: &[BTreeSet<usize>]) -> Result<Vec<usize>, usize> {
    fn visit(
        one: usize,
        before: &[BTreeSet<usize>],
        above: &mut BTreeSet<usize>,
        sorted: &mut Vec<usize>,
    ) -> Result<(), usize> {
        if sorted.contains(&one) {
            return Ok(());
        }
        if !above.insert(one) {
            return Err(one);
        }
        for other in &before[one] {
            visit(*other, before, above, sorted)?;
        }
        above.remove(&one);
        sorted.push(one);
        Ok(())
    }
    let mut sorted = Vec::with_capacity(before.len());
    for one in 0..before.len() {
        visit(one, before, &mut BTreeSet::new(), &mut sorted)?;
    }
    Ok(sorted)
}

#[cfg(test)]
mod tests;
