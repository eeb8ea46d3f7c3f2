//! Manifests, as helm and kustomize print them: objects, what differs between two, and labels for those that lack them.
//! Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use similar::TextDiff;

use crate::token::digest;

/// Where a secret has what is to stay one.
const SECRET_FIELDS: [&str; 2] = ["data", "stringData"];

/// Which object: kind, namespace (empty where none is said) and name.
pub type Key = (String, String, String);

/// The objects of a manifest of several documents.
///
/// # Errors
/// Where it is no YAML: one line.
pub fn objects(manifest: &str) -> Result<Vec<Value>, String> {
    // What helm and kubectl print is as long as it is.
    let options = serde_saphyr::options! { budget: None, strict_booleans: true };
    let documents = serde_saphyr::from_multiple_with_options::<Value>(manifest, options);
    let documents = documents.map_err(|error| {
        let text = error.to_string();
        text.lines().next().unwrap_or_default().to_owned()
    })?;
    Ok(documents.into_iter().filter(Value::is_object).collect())
}

/// Which object it is.
#[must_use]
pub fn key(object: &Value) -> Key {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let metadata = &object["metadata"];
    (
        text(&object["kind"]),
        text(&metadata["namespace"]),
        text(&metadata["name"]),
    )
}

/// As YAML, with a secret's data hidden.
#[must_use]
pub fn shown(object: &Value) -> String {
    let mut object = object.clone();
    hide_secrets(&mut object);
    serde_saphyr::to_string(&object).unwrap_or_else(|_| object.to_string())
}

/// Replaces a secret's data by what only tells whether they are the same.
pub fn hide_secrets(object: &mut Value) {
    if object["kind"] == "Secret" {
        for field in SECRET_FIELDS {
            if let Some(data) = object[field].as_object_mut() {
                data.values_mut().for_each(hide);
            }
        }
    }
}

/// Leaves out what secrets hold.
pub fn drop_secret_data(objects: &mut [Value]) {
    let secrets = objects
        .iter_mut()
        .filter(|object| object["kind"] == "Secret");
    for secret in secrets.filter_map(Value::as_object_mut) {
        secret.retain(|field, _| !SECRET_FIELDS.contains(&field.as_str()));
    }
}

fn hide(value: &mut Value) {
    let sha256 = digest(value.as_str().unwrap_or_default());
    let start: String = sha256[..4]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    *value = format!("(hidden, sha256 {start}…)").into();
}

/// What differs, as a unified diff, object by object; empty where nothing does.
#[must_use]
pub fn diff(before: &[Value], after: &[Value]) -> String {
    let text = |objects: &[Value]| -> BTreeMap<Key, String> {
        objects
            .iter()
            .map(|object| (key(object), shown(object)))
            .collect()
    };
    let (before, after) = (text(before), text(after));
    let keys: std::collections::BTreeSet<&Key> = before.keys().chain(after.keys()).collect();
    let one = |key: &&Key| {
        let (old, new) = (before.get(*key), after.get(*key));
        let name = |there: Option<&String>| match there {
            Some(_) => [&*key.0, &*key.1, &*key.2]
                .into_iter()
                .filter(|part| !part.is_empty())
                .collect::<Vec<_>>()
                .join("/"),
            None => "(not there)".to_owned(),
        };
        let (old_text, new_text) = (old.map_or("", |text| text), new.map_or("", |text| text));
        let diff = TextDiff::from_lines(old_text, new_text);
        let mut diff = diff.unified_diff();
        diff.context_radius(3)
            .header(&name(old), &name(new))
            .to_string()
    };
    keys.iter().map(one).collect()
}

/// Puts a label on an object, and one on the pods that it makes, if it makes any.
pub fn label(object: &mut Value, own: (&str, &str), pods: (&str, &str)) {
    put(object, own);
    for path in ["/spec/template", "/spec/jobTemplate/spec/template"] {
        if let Some(template) = object.pointer_mut(path)
            && template["spec"]["containers"].is_array()
        {
            put(template, pods);
        }
    }
}

fn put(object: &mut Value, (name, value): (&str, &str)) {
    let labels = &mut object["metadata"]["labels"];
    if !labels.is_object() {
        *labels = Value::Object(Map::new());
    }
    labels[name] = value.into();
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_are_objects() {
        let text = "---\n# Source: a\nkind: A\nmetadata: {name: a}\n---\n\n---\nkind: B\nmetadata: {name: b, namespace: n}\n";
        let found: Vec<Key> = objects(text).unwrap().iter().map(key).collect();
        let expected = [("A", "", "a"), ("B", "n", "b")];
        let expected = expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned()));
        assert_eq!(found, expected);
        assert_eq!(objects("").unwrap(), [Value::Null; 0]);
        assert!(objects("a: [").is_err());
    }

    #[test]
    fn what_differs_is_shown_and_no_secret() {
        let map = |value| json!({ "kind": "ConfigMap", "metadata": { "name": "m" }, "data": { "a": value } });
        let secret = |value| json!({ "kind": "Secret", "metadata": { "name": "s" }, "data": { "p": value } });
        assert_eq!(diff(&[map("1"), secret("x")], &[secret("x"), map("1")]), "");
        let changed = diff(&[map("1"), secret("top")], &[map("2"), secret("best")]);
        assert!(
            changed.starts_with("--- ConfigMap/m\n+++ ConfigMap/m\n"),
            "{changed}"
        );
        assert!(changed.contains("-  a: \"1\"\n+  a: \"2\"\n"), "{changed}");
        assert!(
            changed.contains("-  p: ") && !changed.contains("top") && !changed.contains("best"),
            "{changed}"
        );
        let new = diff(&[], &[map("1")]);
        assert!(
            new.starts_with("--- (not there)\n+++ ConfigMap/m\n"),
            "{new}"
        );
    }

    #[test]
    fn pods_of_every_workload_get_the_label() {
        let template =
            json!({ "metadata": { "labels": { "app": "x" } }, "spec": { "containers": [] } });
        let mut deployment = json!({ "kind": "Deployment", "spec": { "template": template } });
        let mut cron = json!({ "kind": "CronJob", "spec": { "jobTemplate": { "spec": { "template": template } } } });
        let mut other = json!({ "kind": "X", "spec": { "template": { "text": "no pod" } } });
        for object in [&mut deployment, &mut cron, &mut other] {
            label(object, ("m", "1"), ("c", "2"));
            assert_eq!(object["metadata"]["labels"], json!({ "m": "1" }));
        }
        let expected = json!({ "app": "x", "c": "2" });
        assert_eq!(
            deployment["spec"]["template"]["metadata"]["labels"],
            expected
        );
        assert_eq!(
            cron["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"],
            expected
        );
        assert_eq!(other["spec"]["template"], json!({ "text": "no pod" }));
    }
}
