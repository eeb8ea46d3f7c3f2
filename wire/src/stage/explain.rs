//! Why a pod belongs where it does, rule by rule.

use serde::Serialize;

use super::{Condition, FIELDS, Field, Key, Placement, PodMeta, Rules, given};

/// What each rule said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Where the pod belongs.
    #[serde(flatten)]
    pub placement: Placement,
    /// Where each field that has a value has it from.
    pub origins: Vec<Origin>,
    /// Every rule in order; those after the one that decided were not asked.
    pub verdicts: Vec<Verdict>,
}

/// Where a field's value is from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// Which field.
    pub field: Field,
    /// Its value.
    pub value: String,
    /// The rule that gave it.
    pub rule: String,
    /// Where on the pod.
    pub from: Key,
}

/// What became of one rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Its name.
    pub rule: String,
    /// Whether it fits, and why not.
    pub why: Why,
}

/// See [`Verdict`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// It fits, and decides.
    Decided,
    /// It fits, and others are asked too.
    Gave,
    /// It is one that others are asked beside, and the pod has nothing of it.
    GaveNothing,
    /// The pod lacks this.
    Lacks(Key),
    /// The pod has another value than the rule wants.
    IsOther {
        /// Where.
        key: Key,
        /// What the pod has.
        value: String,
        /// What the rule wants.
        wanted: Vec<String>,
    },
    /// One before it decided.
    NotAsked,
}

impl Rules {
    /// What [`Rules::place`] says, and why.
    #[must_use]
    pub fn explain(&self, pod: &PodMeta) -> Explanation {
        let placed = self.place(pod);
        let origin = |field| {
            let given = given(&placed.rules, field, pod)?;
            Some(Origin {
                field,
                value: given.value,
                rule: given.rule.name.clone(),
                from: given.source.key.clone(),
            })
        };
        let origins: Vec<Origin> = FIELDS.into_iter().filter_map(origin).collect();
        let decided = self
            .rules()
            .iter()
            .position(|rule| !rule.also && rule.fits(pod));
        let verdict = |(index, rule): (usize, &super::Rule)| {
            let lacking = || rule.when.iter().find_map(|condition| fails(condition, pod));
            let why = match decided {
                Some(decided) if index > decided => Why::NotAsked,
                Some(decided) if index == decided => Why::Decided,
                _ => lacking().unwrap_or_else(|| {
                    if origins.iter().any(|origin| origin.rule == rule.name) {
                        Why::Gave
                    } else {
                        Why::GaveNothing
                    }
                }),
            };
            Verdict {
                rule: rule.name.clone(),
                why,
            }
        };
        Explanation {
            verdicts: self.rules().iter().enumerate().map(verdict).collect(),
            placement: placed.placement,
            origins,
        }
    }
}

fn fails(condition: &Condition, pod: &PodMeta) -> Option<Why> {
    if condition.holds(pod) {
        return None;
    }
    let key = condition.key.clone();
    Some(match condition.key.on(pod) {
        None => Why::Lacks(key),
        Some(value) => Why::IsOther {
            value: super::clean(value),
            key,
            wanted: condition.is.clone(),
        },
    })
}
