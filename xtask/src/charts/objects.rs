//! What every object has: a name, a namespace where it belongs into one, and the labels that tell whose it is.

use serde_json::Value;

use super::Faults;
use super::helm::NAMESPACE;

/// Kinds without a namespace.
const OF_THE_CLUSTER: [&str; 2] = ["ClusterRole", "ClusterRoleBinding"];
/// Labels that every object has.
const LABELS: [&str; 6] = [
    "app.kubernetes.io/name",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/version",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/part-of",
    "helm.sh/chart",
];
/// Labels of a name's length: Kubernetes' own bound.
const MAX_NAME: usize = 63;

/// `KIND/NAME`.
pub(super) fn name(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    format!(
        "{}/{}",
        text(&object["kind"]),
        text(&object["metadata"]["name"])
    )
}

/// Those of a kind.
pub(super) fn of_kind<'a>(objects: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    objects.iter().filter(move |object| object["kind"] == kind)
}

/// Looks at each object of a release.
pub(super) fn check(objects: &[Value], release: &str, faults: &mut Faults) {
    faults.check(!objects.is_empty(), || "nothing is rendered".into());
    let mut names: Vec<String> = objects.iter().map(name).collect();
    names.sort();
    for pair in names.windows(2) {
        faults.check(pair[0] != pair[1], || format!("{} is there twice", pair[0]));
    }
    for object in objects {
        check_one(object, release, faults);
    }
}

fn check_one(object: &Value, release: &str, faults: &mut Faults) {
    let own = name(object);
    let metadata = &object["metadata"];
    let labels = &metadata["labels"];
    for label in LABELS {
        faults.check(labels[label].is_string(), || {
            format!("{own} has no label {label}")
        });
    }
    faults.check(labels["app.kubernetes.io/instance"] == release, || {
        format!("{own} does not say of which release it is")
    });
    let is_global = OF_THE_CLUSTER.iter().any(|kind| object["kind"] == *kind);
    let namespace = metadata["namespace"].as_str();
    let expected = (!is_global).then_some(NAMESPACE);
    faults.check(namespace == expected, || {
        format!("{own} is in namespace {namespace:?}, not {expected:?}")
    });
    let length = metadata["name"].as_str().map_or(0, str::len);
    faults.check(length <= MAX_NAME || is_global, || {
        format!("{own} has a name of {length} characters")
    });
}
