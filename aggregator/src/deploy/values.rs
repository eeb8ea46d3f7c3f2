//! The values that a module's chart gets. Pure.

use serde_json::{Map, Value};

use super::catalogue::embedded;
use super::catalogue::module::FileSet;
use super::needs::Planned;

/// Names a release's module on all of its objects.
pub const MODULE_LABEL: &str = "hxmlops.io/module";

/// Sets a value at a dotted path. Maps on the way are made, and take the place of what is none.
pub fn insert(values: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            values.insert(path.to_owned(), value);
        }
        Some((first, rest)) => insert(map(values, first), rest, value),
    }
}

/// The map under a key, made where there is none.
fn map<'v>(values: &'v mut Map<String, Value>, key: &str) -> &'v mut Map<String, Value> {
    let value = values.entry(key).or_insert(Value::Null);
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut().expect("it was made one")
}

/// Whether values have something at a dotted path.
#[must_use]
pub fn has(values: &Value, path: &str) -> bool {
    let mut parts = path.split('.');
    let found = parts.try_fold(values, |value, part| value.get(part));
    found.is_some()
}

/// The text at a dotted path; `None` where there is none.
#[must_use]
pub fn text<'v>(values: &'v Value, path: &str) -> Option<&'v str> {
    let mut parts = path.split('.');
    let found = parts.try_fold(values, |value, part| value.get(part));
    found?.as_str()
}

/// Lays values over others, as helm does: maps are merged, null removes, and all else is replaced.
pub fn merge(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                if value.is_null() {
                    under.remove(&key);
                } else {
                    merge(under.entry(key).or_insert(Value::Null), value);
                }
            }
        }
        (under, over) => *under = over,
    }
}

/// The paths that arguments of `--set` name: `a.b=c,d=e` has `a.b` and `d`. An index ends a path.
pub fn paths_of_set(argument: &str) -> impl Iterator<Item = &str> {
    let assigned = argument.split(',').filter_map(|one| one.split_once('='));
    assigned.map(|(path, _)| path.split('[').next().unwrap_or_default())
}

/// All of a planned module's values but the user's own, which come after; `None` for one of steps.
#[must_use]
pub fn of(planned: &Planned<'_>, site: Option<&str>) -> Option<Value> {
    let file = &planned.module.file;
    let own = file.own.as_ref().map(|own| &own.values);
    let mut values = file.chart.as_ref().or(own)?.clone();
    for from in &file.config_from {
        let files = map(map(&mut values, "config"), "files");
        for (name, text) in set(from.files) {
            files.insert(format!("{}/{name}", from.under), text.into());
        }
    }
    for (path, text) in &planned.wires {
        insert(&mut values, path, text.as_str().into());
    }
    let label = planned.module.label().into();
    map(&mut values, "commonLabels").insert(MODULE_LABEL.to_owned(), label);
    let has_agent = own.is_some_and(|own| own.get("agent").is_none_or(|it| it["enabled"] != false));
    if let Some(site) = site.filter(|_| has_agent) {
        insert(&mut values, "agent.config.site", site.into());
    }
    Some(Value::Object(values))
}

fn set(files: FileSet) -> impl Iterator<Item = (&'static str, &'static str)> {
    let (directory, ending) = files.place();
    let files = embedded::below(directory);
    files.filter(move |(name, _)| name.ends_with(ending) && !name.contains('/'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::catalogue::module::{ConfigFrom, Kind};
    use super::super::catalogue::tests::fixture;
    use super::*;

    #[test]
    fn paths_are_set() {
        let check = |before: Value, path: &str, expected: Value| {
            let mut values = before.as_object().unwrap().clone();
            insert(&mut values, path, json!("x"));
            assert!(has(&Value::Object(values.clone()), path));
            assert_eq!(Value::Object(values), expected, "{path}");
        };
        check(json!({}), "a", json!({ "a": "x" }));
        check(
            json!({ "a": { "b": 1 } }),
            "a.c.d",
            json!({ "a": { "b": 1, "c": { "d": "x" } } }),
        );
        check(json!({ "a": 1 }), "a.b", json!({ "a": { "b": "x" } }));
        assert!(!has(&json!({ "a": 1 }), "a.b") && !has(&json!([]), "a"));
    }

    #[test]
    fn values_are_laid_over_others() {
        let mut values = json!({ "a": { "b": 1, "c": [1] }, "d": 2 });
        merge(
            &mut values,
            json!({ "a": { "b": null, "c": [2], "e": { "f": 3 } } }),
        );
        assert_eq!(
            values,
            json!({ "a": { "c": [2], "e": { "f": 3 } }, "d": 2 })
        );
    }

    #[test]
    fn arguments_of_set_name_paths() {
        let paths = |text| paths_of_set(text).collect::<Vec<_>>();
        assert_eq!(paths("a.b=c,d=e"), ["a.b", "d"]);
        assert_eq!(paths("a[0].b=c=d"), ["a"]);
        assert_eq!(paths("a"), [""; 0]);
    }

    #[test]
    fn a_module_s_values_have_its_wires_files_and_label() {
        let catalogue = fixture();
        let mut module = catalogue
            .find(Kind::Link, "api", "modelsharing")
            .unwrap()
            .clone();
        module.file.config_from = vec![ConfigFrom {
            files: FileSet::HxmlopsRules,
            under: "rules".to_owned(),
        }];
        let planned = Planned {
            module: &module,
            release: "r".to_owned(),
            wires: vec![("env.PORT".to_owned(), "5432".to_owned())],
            uses: Vec::new(),
        };
        let values = of(&planned, Some("paris")).unwrap();
        assert_eq!(values["env"], json!({ "A": "b", "PORT": "5432" }));
        assert_eq!(
            values["commonLabels"],
            json!({ "hxmlops.io/module": "api.modelsharing" })
        );
        assert!(
            values["config"]["files"]["rules/hxmlops.yaml"].is_string(),
            "{values}"
        );
        assert_eq!(values.get("agent"), None, "only our own chart has agents");
        let steps = catalogue
            .find(Kind::Component, "ml_toolkit", "kubeflowPipeline")
            .unwrap();
        assert_eq!(
            of(
                &Planned {
                    module: steps,
                    ..planned
                },
                None
            ),
            None
        );
    }

    proptest! {
        #[test]
        fn what_is_set_is_there_and_all_else_stays(path in "[a-c](\\.[a-c]){0,3}", other in "[d-f](\\.[d-f]){0,3}") {
            let mut values = Map::new();
            insert(&mut values, &other, 1.into());
            insert(&mut values, &path, 2.into());
            let values = Value::Object(values);
            prop_assert!(has(&values, &path) && has(&values, &other));
        }
    }
}
