//! A module's file: which keys it may have, and what has to hold between them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde_json::Value;

use crate::charts::Faults;

/// A module, as its file has it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Module {
    /// Directory of its file.
    #[serde(skip)]
    pub(super) group: String,
    /// Its file's name.
    #[serde(skip)]
    pub(super) name: String,
    pub(super) title: String,
    kind: Kind,
    pub(super) about: String,
    #[serde(default)]
    pub(super) deprecated: bool,
    pub(super) version: String,
    #[serde(default)]
    aliases: Vec<String>,
    /// Values of the chart module.
    pub(super) chart: Option<Value>,
    /// One of our other charts.
    pub(super) own: Option<Own>,
    /// What one chart cannot carry.
    pub(super) steps: Option<Vec<Step>>,
    #[serde(default)]
    pub(super) config_from: Vec<ConfigFrom>,
    #[serde(default)]
    pub(super) needs: Vec<Need>,
    #[serde(default)]
    pub(super) offers: Vec<Offer>,
    #[serde(default)]
    pub(super) values: Vec<Setting>,
    pub(super) checked: Checked,
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Component,
    Link,
    Stage,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Own {
    pub(super) chart: String,
    pub(super) values: Value,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    pub(super) kustomize: String,
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default)]
    wait: Option<Wait>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wait {
    r#for: String,
    on: String,
    timeout: String,
}

/// Files of the project that become files of the module's configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConfigFrom {
    files: FileSet,
    /// Directory below the configuration's.
    pub(super) under: String,
}

#[derive(Debug, Deserialize)]
enum FileSet {
    #[serde(rename = "hxmlops-rules")]
    Rules,
    #[serde(rename = "hxmlops-dashboards")]
    Dashboards,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Need {
    pub(super) capability: String,
    r#as: String,
    #[serde(default)]
    pub(super) optional: bool,
    /// What of the offer is put where.
    pub(super) wire: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Offer {
    pub(super) capability: String,
    pub(super) port: u16,
    #[serde(default)]
    pub(super) scheme: Option<String>,
    /// The release's own, where it is not said.
    #[serde(default)]
    pub(super) service: Option<String>,
    /// `name`, and the key of each role in it.
    #[serde(default)]
    pub(super) secret: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) facts: BTreeMap<String, String>,
}

/// A value that users may set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Setting {
    pub(super) path: String,
    pub(super) default: Value,
    pub(super) about: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Checked {
    pub(super) real: Vec<String>,
    pub(super) not: Vec<String>,
}

impl Module {
    /// Its release's name, unless another one is given.
    pub(super) fn release(&self) -> String {
        self.name.to_lowercase()
    }

    /// The chart that it is installed by.
    pub(super) fn chart(&self) -> PathBuf {
        let own = self.own.as_ref().map_or("module", |own| &own.chart);
        super::helm().join(own)
    }
}

impl ConfigFrom {
    /// The files, as name and content.
    ///
    /// # Errors
    /// Where one cannot be read.
    pub(super) fn read(&self) -> Result<Vec<(String, String)>> {
        let helm = super::helm().join("hxmlops");
        let files = match self.files {
            FileSet::Rules => vec![helm.join("rules/hxmlops.yaml")],
            FileSet::Dashboards => sorted(&helm.join("dashboards"))?,
        };
        let named = |file: PathBuf| Ok((stem(&file, false), crate::charts::readme::text(&file)?));
        files.into_iter().map(named).collect()
    }
}

/// All of them, by group and name.
///
/// # Errors
/// Where a file cannot be read, or is none of a module.
pub(super) fn all() -> Result<Vec<Module>> {
    let mut modules = Vec::new();
    for group in sorted(&super::helm().join("catalogue"))? {
        for file in sorted(&group)? {
            let text = crate::charts::readme::text(&file)?;
            let mut module: Module = serde_saphyr::from_str(&text)
                .with_context(|| format!("{} is no module", file.display()))?;
            module.group = stem(&group, false);
            module.name = stem(&file, true);
            modules.push(module);
        }
    }
    ensure!(!modules.is_empty(), "no modules in helm/catalogue");
    Ok(modules)
}

/// What the types do not say.
pub(super) fn check(modules: &[Module], faults: &mut Faults) {
    let mut releases = BTreeSet::new();
    let mut names = BTreeSet::new();
    for module in modules {
        faults.of(format!(
            "helm/catalogue/{}/{}.yaml",
            module.group, module.name
        ));
        let is_one = [
            module.chart.is_some(),
            module.own.is_some(),
            module.steps.is_some(),
        ];
        faults.check(is_one.iter().filter(|is| **is).count() == 1, || {
            "has to have one of chart, own and steps".into()
        });
        faults.check(releases.insert(module.release()), || {
            "has the release's name of another one: both could not be in one namespace".into()
        });
        for name in module.aliases.iter().chain([&module.name]) {
            faults.check(names.insert((&module.group, name)), || {
                format!("has the name or alias {name} of another one of its group")
            });
        }
        let texts = [&module.title, &module.about, &module.version];
        faults.check(texts.iter().all(|text| !text.is_empty()), || {
            "has an empty text".into()
        });
        let is_link = ["api", "mqtt"].contains(&&*module.group);
        faults.check(is_link == (module.kind == Kind::Link), || {
            "is a link in a group of components, or the reverse".into()
        });
        faults.check(
            !module.checked.real.is_empty() || !module.checked.not.is_empty(),
            || "does not say what was checked".into(),
        );
        check_version(module, faults);
        check_steps(module, faults);
    }
}

/// The tag says the version; our own images are of the workspace's.
fn check_version(module: &Module, faults: &mut Faults) {
    let image = module.chart.as_ref().map(|chart| &chart["image"]);
    if let Some(image) = image {
        let tag = image["tag"].as_str().unwrap_or_default();
        faults.check(tag.contains(&module.version), || {
            format!("is of version {}, and its image of {tag}", module.version)
        });
    }
    let is_ours =
        module.own.is_some() || image.is_some_and(|image| image["repository"] == "hxmlops");
    faults.check(
        !is_ours || module.version == env!("CARGO_PKG_VERSION"),
        || "is our own, and not of the workspace's version".into(),
    );
}

/// Manifests from elsewhere are of a version.
fn check_steps(module: &Module, faults: &mut Faults) {
    for step in module.steps.iter().flatten() {
        let reference = format!("?ref={}", module.version);
        faults.check(step.kustomize.ends_with(&reference), || {
            format!("{} is not of version {}", step.kustomize, module.version)
        });
        let texts = step
            .wait
            .iter()
            .flat_map(|wait| [&wait.r#for, &wait.on, &wait.timeout]);
        let mut texts = texts.chain(&step.namespace);
        faults.check(texts.all(|text| !text.is_empty()), || {
            format!("{} has an empty text", step.kustomize)
        });
    }
    for need in &module.needs {
        faults.check(!need.wire.is_empty() && !need.r#as.is_empty(), || {
            format!("needs {} for nothing", need.capability)
        });
    }
}

fn sorted(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    Ok(files)
}

fn stem(path: &Path, without_extension: bool) -> String {
    let name = if without_extension {
        path.file_stem()
    } else {
        path.file_name()
    };
    name.unwrap_or_default().to_string_lossy().into_owned()
}
