//! Whose a release is: told by the label that a module's objects get, so that no module takes the name of another, or of what
//! is none of ours. Pure.

use std::collections::BTreeSet;

use serde_json::Value;

use super::catalogue::Module;
use super::values::MODULE_LABEL;

/// What to do where a name is taken.
const ADVICE: &str = "choose another name (--name, or name: in a file)";

/// Whose a release is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// There is none, nor anything that one left behind.
    Nobody,
    /// Of a module, by [`Module::label`].
    Module(String),
    /// Not deployed by these commands.
    Foreign,
    /// There is none, and secrets or volumes of these modules are left of it.
    Left(BTreeSet<String>),
}

impl Owner {
    /// By the values that a release was given; `None` where there is no release.
    #[must_use]
    pub fn of_values(values: Option<&Value>) -> Self {
        let Some(values) = values else {
            return Self::Nobody;
        };
        match values["commonLabels"][MODULE_LABEL].as_str() {
            Some(label) => Self::Module(label.to_owned()),
            None => Self::Foreign,
        }
    }

    /// Why a module may not have this release; `None` where it may.
    #[must_use]
    pub fn refusal(&self, module: &Module, release: &str, namespace: &str) -> Option<String> {
        let (own, name) = (module.label(), module.full_name());
        let place = format!("release {release} in namespace {namespace}");
        match self {
            Self::Foreign => Some(format!("{place} is none of hxmlops' modules: {ADVICE}")),
            Self::Module(label) if *label != own => {
                let other = full_name(label);
                Some(format!("{place} is {other}, not {name}: {ADVICE}"))
            }
            Self::Left(labels) => {
                let other = full_name(labels.iter().find(|label| **label != own)?);
                Some(format!(
                    "{place} has left secrets or volumes of {other}, which {name} may not take: {ADVICE}"
                ))
            }
            Self::Module(_) | Self::Nobody => None,
        }
    }
}

/// `GROUP/NAME` of a label; no group has a dot.
fn full_name(label: &str) -> String {
    label.replacen('.', "/", 1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::catalogue::module::Kind;
    use super::super::catalogue::tests::fixture;
    use super::*;

    #[test]
    fn a_release_is_told_by_its_values() {
        let check = |values: Option<Value>, expected: Owner| {
            assert_eq!(Owner::of_values(values.as_ref()), expected, "{values:?}");
        };
        check(None, Owner::Nobody);
        check(Some(Value::Null), Owner::Foreign);
        check(
            Some(json!({ "commonLabels": { "a": "b" } })),
            Owner::Foreign,
        );
        check(
            Some(json!({ "commonLabels": { "hxmlops.io/module": "api.modelsharing" } })),
            Owner::Module("api.modelsharing".to_owned()),
        );
    }

    #[test]
    fn a_module_may_have_its_own_release_alone() {
        let catalogue = fixture();
        let module = catalogue.find(Kind::Link, "api", "modelsharing").unwrap();
        let check = |owner: Owner, expected: Option<&str>| {
            let refusal = owner.refusal(module, "r", "work");
            match expected {
                Some(part) => assert!(refusal.unwrap().contains(part), "{owner:?}"),
                None => assert_eq!(refusal, None, "{owner:?}"),
            }
        };
        let left = |labels: &[&str]| Owner::Left(labels.iter().map(ToString::to_string).collect());
        check(Owner::Nobody, None);
        check(Owner::Module("api.modelsharing".to_owned()), None);
        check(
            Owner::Module("storage.postgres".to_owned()),
            Some("release r in namespace work is storage/postgres, not api/modelsharing: choose"),
        );
        check(
            Owner::Foreign,
            Some("release r in namespace work is none of hxmlops' modules: choose"),
        );
        check(left(&[]), None);
        check(left(&["api.modelsharing"]), None);
        check(
            left(&["api.modelsharing", "storage.postgres"]),
            Some("has left secrets or volumes of storage/postgres, which api/modelsharing may not"),
        );
    }
}
