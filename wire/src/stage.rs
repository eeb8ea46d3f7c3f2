//! Which run, workflow and stage a pod belongs to, by its labels, annotations and owners. Pure: the rules are data
//! (`rules.yaml`, and those that users add), and agents and the command line apply them alike.
//!
//! Anyone may set a label: values are cut to [`MAX_VALUE_BYTES`] and freed of what a metric's label or a terminal would
//! choke on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

mod explain;
mod take;

pub use explain::{Explanation, Origin, Verdict, Why};
pub use take::Take;

/// Bytes of a value: more than a label may have, and enough for an annotation that names a task.
pub const MAX_VALUE_BYTES: usize = 128;
/// Rules that users may add.
pub const MAX_RULES: usize = 200;

const BUILT_IN: &str = include_str!("stage/rules.yaml");

/// Where a pod belongs; an empty text: nobody says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Placement {
    /// Workflow.
    pub workflow: String,
    /// Run's id.
    pub run: String,
    /// Stage.
    pub stage: String,
    /// What it is within its stage: a long-lived module, or overhead of the run.
    pub component: String,
}

/// What rules look at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodMeta {
    /// The pod's name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// What it was made by.
    pub owner_references: Vec<Owner>,
}

/// Who made a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Owner {
    /// Job, ReplicaSet, Workflow, ...
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// One rule; see `rules.yaml`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// As explanations name it.
    pub name: String,
    /// What a pod must have, all of it.
    #[serde(default)]
    pub when: Vec<Condition>,
    /// It gives what it can, and the rules after it are asked for the rest.
    #[serde(default)]
    pub also: bool,
    /// Sources of the run.
    #[serde(default)]
    pub run: Vec<Source>,
    /// Sources of the workflow.
    #[serde(default)]
    pub workflow: Vec<Source>,
    /// Sources of the stage.
    #[serde(default)]
    pub stage: Vec<Source>,
    /// Sources of the component.
    #[serde(default)]
    pub component: Vec<Source>,
    /// Components of containers by their names.
    #[serde(default)]
    pub names: BTreeMap<String, String>,
}

/// What a pod must have.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Fields")]
pub struct Condition {
    key: Key,
    is: Vec<String>,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Fields")]
pub struct Source {
    key: Key,
    is: Vec<String>,
    take: Take,
}

/// A place on a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Key {
    /// A label, by its key.
    Label(String),
    /// An annotation, by its key.
    Annotation(String),
    /// The name of the owner of a kind.
    Owner(String),
    /// The rule's own text.
    Text(String),
}

/// A condition or source as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    label: Option<String>,
    annotation: Option<String>,
    owner: Option<String>,
    text: Option<String>,
    #[serde(default)]
    is: Vec<String>,
    #[serde(default)]
    take: Take,
}

/// Why a text is no list of rules.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRules {
    /// It is not the YAML that rules are.
    #[error("{0}")]
    Yaml(String),
    /// Two have one name, or one has none.
    #[error("the rule name '{0}' is empty or comes twice")]
    Name(String),
    /// A rule that every pod fits would hide all that come after it.
    #[error("rule '{0}' has neither `when` nor `also: true`: it would hide all rules after it")]
    Unconditional(String),
    /// A component that no label could give.
    #[error("rule '{0}': '{1}' is no component: plain characters, {MAX_VALUE_BYTES} bytes at most")]
    Component(String, String),
    /// Too many.
    #[error("more than {MAX_RULES} rules")]
    TooMany,
}

/// Rules in the order in which they are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules(Vec<Rule>);

impl TryFrom<Fields> for Source {
    type Error = &'static str;

    fn try_from(fields: Fields) -> Result<Self, Self::Error> {
        let keys = [
            fields.label.map(Key::Label),
            fields.annotation.map(Key::Annotation),
            fields.owner.map(Key::Owner),
            fields.text.map(Key::Text),
        ];
        let mut keys = keys.into_iter().flatten();
        match (keys.next(), keys.next()) {
            (Some(key), None) => Ok(Self {
                key,
                is: fields.is,
                take: fields.take,
            }),
            _ => Err("a source is one of label, annotation, owner and text"),
        }
    }
}

impl TryFrom<Fields> for Condition {
    type Error = &'static str;

    fn try_from(fields: Fields) -> Result<Self, Self::Error> {
        if fields.take != Take::default() {
            return Err("a condition takes the whole value");
        }
        match Source::try_from(fields)? {
            Source {
                key: Key::Text(_), ..
            } => Err("a condition is one of label, annotation and owner"),
            Source { key, is, .. } => Ok(Self { key, is }),
        }
    }
}

impl Rules {
    /// Those that come with the program.
    #[must_use]
    pub fn built_in() -> Self {
        let rules = serde_saphyr::from_str(BUILT_IN).expect("the built-in rules are tested");
        Self(rules)
    }

    /// The built-in ones, with those of a user after the explicit labels and before all others.
    ///
    /// # Errors
    /// [`InvalidRules`], where the user's cannot be.
    pub fn with(users: Vec<Rule>) -> Result<Self, InvalidRules> {
        let mut rules = Self::built_in().0;
        if users.len() > MAX_RULES {
            return Err(InvalidRules::TooMany);
        }
        for (index, rule) in users.iter().enumerate() {
            let before = rules.iter().chain(&users[..index]);
            if rule.name.is_empty() || before.into_iter().any(|other| other.name == rule.name) {
                return Err(InvalidRules::Name(rule.name.clone()));
            }
            if let Some(component) = rule.names.values().find(|name| clean(name) != **name) {
                let (rule, component) = (rule.name.clone(), clean(component));
                return Err(InvalidRules::Component(rule, component));
            }
            if rule.when.is_empty() && !rule.also {
                return Err(InvalidRules::Unconditional(rule.name.clone()));
            }
        }
        rules.splice(1..1, users);
        Ok(Self(rules))
    }

    /// The rules themselves.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.0
    }

    /// Where a pod belongs, and the rules that said so.
    #[must_use]
    pub fn place(&self, pod: &PodMeta) -> Placed<'_> {
        let rules = self.fitting(pod);
        let given = |field| given(&rules, field, pod).map(|given| given.value);
        let [run, workflow, stage, component] = FIELDS.map(given).map(Option::unwrap_or_default);
        let placement = Placement {
            workflow,
            run,
            stage,
            component,
        };
        Placed { placement, rules }
    }

    /// The rules that fit, up to and with the one that decides.
    fn fitting(&self, pod: &PodMeta) -> Vec<&Rule> {
        let mut fitting: Vec<&Rule> = Vec::new();
        for rule in self.0.iter().filter(|rule| rule.fits(pod)) {
            fitting.push(rule);
            if !rule.also {
                break;
            }
        }
        fitting
    }
}

/// A field's value, and who gave it.
struct Given<'a> {
    value: String,
    rule: &'a Rule,
    source: &'a Source,
}

/// The first value that one of the rules gives.
fn given<'a>(rules: &[&'a Rule], field: Field, pod: &PodMeta) -> Option<Given<'a>> {
    let of_rule = |rule: &&'a Rule| {
        let rule: &'a Rule = rule;
        let mut sources = rule.sources(field).iter();
        sources.find_map(|source| {
            let value = source.value(pod)?;
            Some(Given {
                value,
                rule,
                source,
            })
        })
    };
    rules.iter().find_map(of_rule)
}

/// What the rules make of a pod.
#[derive(Clone, Debug, Default)]
pub struct Placed<'a> {
    /// Where it belongs.
    pub placement: Placement,
    /// The rules that fit, the one that decides last.
    pub rules: Vec<&'a Rule>,
}

impl Placed<'_> {
    /// The component of one of its containers: that of the container's name, else of the pod.
    #[must_use]
    pub fn component_of<'s>(&'s self, container: &str) -> &'s str {
        let named = self
            .rules
            .iter()
            .find_map(|rule| rule.names.get(container))
            .map(String::as_str);
        named.unwrap_or(&self.placement.component)
    }
}

/// A field of a placement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Field {
    /// The run.
    Run,
    /// The workflow.
    Workflow,
    /// The stage.
    Stage,
    /// The component.
    Component,
}

const FIELDS: [Field; 4] = [Field::Run, Field::Workflow, Field::Stage, Field::Component];

impl Rule {
    fn fits(&self, pod: &PodMeta) -> bool {
        self.when.iter().all(|condition| condition.holds(pod))
    }

    fn sources(&self, field: Field) -> &[Source] {
        match field {
            Field::Run => &self.run,
            Field::Workflow => &self.workflow,
            Field::Stage => &self.stage,
            Field::Component => &self.component,
        }
    }
}

impl Condition {
    fn holds(&self, pod: &PodMeta) -> bool {
        let value = self.key.on(pod);
        value.is_some_and(|value| self.is.is_empty() || self.is.iter().any(|is| is == value))
    }
}

impl Source {
    /// `None` where the pod lacks it, or nothing of it is left.
    fn value(&self, pod: &PodMeta) -> Option<String> {
        let value = self.key.on(pod)?;
        if !self.is.is_empty() && !self.is.iter().any(|is| is == value) {
            return None;
        }
        let value = clean(self.take.of(value));
        (!value.is_empty()).then_some(value)
    }
}

impl Key {
    fn on<'a>(&'a self, pod: &'a PodMeta) -> Option<&'a str> {
        match self {
            Self::Label(key) => pod.labels.get(key).map(String::as_str),
            Self::Annotation(key) => pod.annotations.get(key).map(String::as_str),
            Self::Owner(kind) => {
                let mut owners = pod.owner_references.iter();
                owners
                    .find(|owner| owner.kind == *kind)
                    .map(|owner| &*owner.name)
            }
            Self::Text(text) => Some(text),
        }
    }
}

/// Whole characters up to [`MAX_VALUE_BYTES`]; what is no letter, digit, space or one of `-_./:@+=,()` becomes `_`.
fn clean(value: &str) -> String {
    let value = value.trim();
    let value = &value[..value.floor_char_boundary(MAX_VALUE_BYTES)];
    let is_plain = |c: char| c.is_alphanumeric() || " -_./:@+=,()".contains(c);
    let plain = value.chars().map(|c| if is_plain(c) { c } else { '_' });
    plain.collect()
}

#[cfg(test)]
mod tests;
