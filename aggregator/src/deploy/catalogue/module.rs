//! The file of a module: what it deploys, what it needs, and what it offers to others. Strict: an unknown key is an error.
//!
//! Pure. What the texts in it stand for (`{{host}}`) is `needs`'.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// By which command a module is deployed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A part of the platform.
    Component,
    /// What links platforms of several parties.
    Link,
    /// A stage of a workflow.
    Stage,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Component => "component",
            Self::Link => "link",
            Self::Stage => "stage",
        })
    }
}

/// A module, as its file has it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ModuleFile {
    /// One line.
    pub title: String,
    /// Its kind.
    pub kind: Kind,
    /// Some sentences: what it is, and what to know.
    pub about: String,
    /// It is better not deployed any more; `about` says why.
    #[serde(default)]
    pub deprecated: bool,
    /// Of what it runs.
    pub version: String,
    /// Other names that people type.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Values of the chart `module`.
    pub chart: Option<Map<String, Value>>,
    /// Values of our own chart.
    pub own: Option<Own>,
    /// What one chart cannot carry.
    pub steps: Option<Vec<Step>>,
    /// Files that are inside the program, as files of its configuration.
    #[serde(default)]
    pub config_from: Vec<ConfigFrom>,
    /// What it needs of other modules.
    #[serde(default)]
    pub needs: Vec<Need>,
    /// What it gives to other modules.
    #[serde(default)]
    pub offers: Vec<Offer>,
    /// What users set most.
    #[serde(default)]
    pub values: Vec<Settable>,
    /// What was checked of it.
    pub checked: CheckedAgainst,
}

/// Values of our own chart.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Own {
    /// Which: `hxmlops`.
    pub chart: String,
    /// Its values.
    pub values: Map<String, Value>,
}

/// One of several things that are applied in order, and deleted in the reverse of it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// A directory for kustomize, mostly in a repository, pinned.
    pub kustomize: String,
    /// Where its pods are, since the manifests say so.
    pub namespace: Option<String>,
    /// What has to be there before the next step.
    pub wait: Option<Wait>,
}

/// As arguments of `kubectl wait`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    /// The condition.
    #[serde(rename = "for")]
    pub condition: String,
    /// Of what.
    pub on: String,
    /// How long.
    pub timeout: String,
}

/// A set of files for the configuration.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigFrom {
    /// Which.
    pub files: FileSet,
    /// The directory that they are put into.
    pub under: String,
}

/// Files of the chart `hxmlops`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileSet {
    /// Recording rules and alerts.
    HxmlopsRules,
    /// Dashboards.
    HxmlopsDashboards,
}

impl FileSet {
    /// (directory, ending) below the chart.
    #[must_use]
    pub fn place(self) -> (&'static str, &'static str) {
        match self {
            Self::HxmlopsRules => ("hxmlops/rules", ".yaml"),
            Self::HxmlopsDashboards => ("hxmlops/dashboards", ".json"),
        }
    }
}

/// What a module needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Need {
    /// What another module has to offer.
    pub capability: String,
    /// What it is for: the need's name.
    #[serde(rename = "as")]
    pub name: String,
    /// It works without.
    #[serde(default)]
    pub optional: bool,
    /// Values that the offer gives, by path.
    #[serde(default)]
    pub wire: BTreeMap<String, String>,
}

/// What a module offers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// To whom needs it.
    pub capability: String,
    /// Port of its Service.
    pub port: u16,
    /// How it is spoken to.
    #[serde(default = "http")]
    pub scheme: String,
    /// Its Service; the release's name where nothing is said.
    pub service: Option<String>,
    /// A secret's `name`, and which of its keys has which role.
    #[serde(default)]
    pub secret: BTreeMap<String, String>,
    /// More to know of it, by name.
    #[serde(default)]
    pub facts: BTreeMap<String, String>,
}

fn http() -> String {
    "http".to_owned()
}

/// A value that users set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settable {
    /// Path in the chart's values.
    pub path: String,
    /// What it is otherwise.
    pub default: Value,
    /// What it is for.
    pub about: String,
}

/// What stands behind a module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckedAgainst {
    /// What was tried with the real thing.
    pub real: Vec<String>,
    /// What could not be.
    pub not: Vec<String>,
}

impl ModuleFile {
    /// Whether what it says goes together.
    ///
    /// # Errors
    /// A line that says what does not.
    pub fn check(&self) -> Result<(), String> {
        let ways = [
            self.chart.is_some(),
            self.own.is_some(),
            self.steps.is_some(),
        ];
        if ways.iter().filter(|is_there| **is_there).count() != 1 {
            return Err("exactly one of chart, own and steps says what is deployed".to_owned());
        }
        if let Some(own) = &self.own
            && own.chart != "hxmlops"
        {
            return Err(format!("own.chart: '{}' is not hxmlops", own.chart));
        }
        if self.chart.is_none() && !self.config_from.is_empty() {
            return Err("configFrom goes with chart alone".to_owned());
        }
        if self.steps.is_some() && !self.needs.is_empty() {
            return Err("needs cannot be wired into steps".to_owned());
        }
        let nameless =
            |offer: &&Offer| !offer.secret.is_empty() && !offer.secret.contains_key("name");
        match self.offers.iter().find(nameless) {
            Some(offer) => Err(format!("the secret of {} has no name", offer.capability)),
            None => Ok(()),
        }
    }
}
