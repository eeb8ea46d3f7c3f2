//! The catalogue: which modules there are, by group and name. It is inside the program; a folder of the user's own adds
//! to it, and wins where both have a module of the same group and name.

pub mod embedded;
pub mod module;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;

use self::module::{Kind, ModuleFile};
use super::domains::check_namespace;
use super::yaml;

/// One module.
#[derive(Clone, Debug, PartialEq)]
pub struct Module {
    /// Its group, such as `storage`.
    pub group: String,
    /// Its name, such as `postgres`.
    pub name: String,
    /// What its file says.
    pub file: ModuleFile,
}

impl Module {
    /// As it is shown: `storage/postgres`.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.group, self.name)
    }

    /// As a value of a label, which has no slash.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{}.{}", self.group, self.name)
    }

    /// The name of its release where no other is given: small letters, digits and `-`.
    #[must_use]
    pub fn release(&self) -> String {
        self.name.to_lowercase().replace(['_', '.'], "-")
    }

    /// The name of its release, another one where that is given.
    ///
    /// # Errors
    /// Where no release can have that name.
    pub fn release_named(&self, name: Option<&str>) -> Result<String, CatalogueError> {
        let name = name.map_or_else(|| self.release(), str::to_owned);
        if check_namespace(&name).is_err() || name.len() > MAX_RELEASE {
            return Err(CatalogueError::Release(name));
        }
        Ok(name)
    }
}

/// The longest name of a release: the charts' names are made from it.
const MAX_RELEASE: usize = 40;

/// All modules that are known.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    modules: BTreeMap<(String, String), Module>,
}

/// A name that no module has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogueError {
    /// No group has this name.
    #[error("there is no group '{0}' of {1}s; there are: {2}")]
    NoGroup(String, Kind, String),
    /// The group has no such module.
    #[error("the group {0} has no {1} '{2}'; it has: {3}")]
    NoModule(String, Kind, String, String),
    /// No group of any kind has this name.
    #[error("there is no group '{0}'; there are: {1}")]
    NoGroupOfAny(String, String),
    /// The group has no such module of any kind.
    #[error("the group {0} has no module '{1}'; it has: {2}")]
    NoModuleOfAny(String, String, String),
    /// A name that no release can have.
    #[error(
        "'{0}' is no name of a release: a release has small letters, digits and '-', {MAX_RELEASE} at most"
    )]
    Release(String),
}

impl Catalogue {
    /// What is inside the program.
    ///
    /// # Errors
    /// Where a file of it cannot be read, which a test rules out.
    pub fn built_in() -> anyhow::Result<Self> {
        let mut catalogue = Self::default();
        for (path, text) in embedded::below("catalogue") {
            let path = Path::new(path);
            let group = path.parent().and_then(Path::to_str);
            let name = path.file_stem().and_then(|name| name.to_str());
            let (Some(group), Some(name)) = (group, name) else {
                continue;
            };
            catalogue.add(group, name, text)?;
        }
        Ok(catalogue)
    }

    /// With the modules of a folder: `GROUP/NAME.yaml`. What has another ending is passed over.
    ///
    /// # Errors
    /// Where the folder or a file of it cannot be read, or is wrong: a line with its name.
    pub fn with_directory(mut self, directory: &Path) -> anyhow::Result<Self> {
        let shown = |path: &Path| format!("--catalogue: cannot read {}", path.display());
        let entries = |path: &Path| {
            let entries = std::fs::read_dir(path).and_then(Iterator::collect);
            entries.with_context(|| shown(path))
        };
        let groups: Vec<std::fs::DirEntry> = entries(directory)?;
        for group in groups.iter().filter(|entry| entry.path().is_dir()) {
            for file in entries(&group.path())? {
                let path = file.path();
                let name = path.file_stem().and_then(|name| name.to_str());
                let (Some(name), Some("yaml" | "yml")) =
                    (name, path.extension().and_then(|ending| ending.to_str()))
                else {
                    continue;
                };
                let text = std::fs::read_to_string(&path).with_context(|| shown(&path))?;
                let group = group.file_name().to_string_lossy().into_owned();
                self.add(&group, name, &text)
                    .with_context(|| format!("--catalogue {}", directory.display()))?;
            }
        }
        Ok(self)
    }

    fn add(&mut self, group: &str, name: &str, text: &str) -> anyhow::Result<()> {
        let file = yaml::parse::<ModuleFile>(text).and_then(|file| file.check().map(|()| file));
        let file = file.map_err(|why| anyhow::anyhow!("{group}/{name}.yaml: {why}"))?;
        let module = Module {
            group: group.to_owned(),
            name: name.to_owned(),
            file,
        };
        let key = (group.to_owned(), name.to_owned());
        self.modules.insert(key, module);
        Ok(())
    }

    /// All modules, by group and name.
    pub fn modules(&self) -> impl Iterator<Item = &Module> {
        self.modules.values()
    }

    /// The modules of a kind, of a group where one is named.
    ///
    /// # Errors
    /// Where no module of this kind is in such a group.
    pub fn list(&self, kind: Kind, group: Option<&str>) -> Result<Vec<&Module>, CatalogueError> {
        let of_kind = || self.modules().filter(|module| module.file.kind == kind);
        let Some(group) = group else {
            return Ok(of_kind().collect());
        };
        let found: Vec<&Module> = of_kind().filter(|one| is_same(&one.group, group)).collect();
        if found.is_empty() {
            let mut groups: Vec<&str> = of_kind().map(|module| &*module.group).collect();
            groups.dedup();
            let groups = listed(&groups);
            return Err(CatalogueError::NoGroup(group.to_owned(), kind, groups));
        }
        Ok(found)
    }

    /// A module by its name or an old name of it, whatever is written with capitals, `-` or `_`.
    ///
    /// # Errors
    /// Where there is none.
    pub fn find(&self, kind: Kind, group: &str, name: &str) -> Result<&Module, CatalogueError> {
        let modules = self.list(kind, Some(group))?;
        named(&modules, name).ok_or_else(|| {
            let group = modules[0].group.clone();
            CatalogueError::NoModule(group, kind, name.to_owned(), names(&modules))
        })
    }

    /// A module of any kind, as [`Catalogue::find`] finds it.
    ///
    /// # Errors
    /// Where there is none.
    pub fn find_any(&self, group: &str, name: &str) -> Result<&Module, CatalogueError> {
        let is_in = |module: &&Module| is_same(&module.group, group);
        let modules: Vec<&Module> = self.modules().filter(is_in).collect();
        let Some(first) = modules.first() else {
            let mut groups: Vec<&str> = self.modules().map(|module| &*module.group).collect();
            groups.dedup();
            return Err(CatalogueError::NoGroupOfAny(
                group.to_owned(),
                listed(&groups),
            ));
        };
        named(&modules, name).ok_or_else(|| {
            CatalogueError::NoModuleOfAny(first.group.clone(), name.to_owned(), names(&modules))
        })
    }

    /// The module that a label names.
    #[must_use]
    pub fn by_label(&self, label: &str) -> Option<&Module> {
        self.modules().find(|module| module.label() == label)
    }
}

/// The one with this name, else the one that had it once.
fn named<'m>(modules: &[&'m Module], name: &str) -> Option<&'m Module> {
    let by_name = modules.iter().find(|module| is_same(&module.name, name));
    let has_alias = |module: &&&Module| {
        let mut aliases = module.file.aliases.iter();
        aliases.any(|alias| is_same(alias, name))
    };
    by_name.or_else(|| modules.iter().find(has_alias)).copied()
}

fn names(modules: &[&Module]) -> String {
    let names: Vec<&str> = modules.iter().map(|module| &*module.name).collect();
    listed(&names)
}

fn is_same(a: &str, b: &str) -> bool {
    let plain = |text: &str| text.to_lowercase().replace(['-', '_'], "");
    plain(a) == plain(b)
}

fn listed(names: &[&str]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

#[cfg(test)]
pub(crate) mod tests;
