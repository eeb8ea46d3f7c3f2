//! Secrets are in Secrets and nowhere else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::Faults;
use super::objects::{name, of_kind};

/// What is no secret although it lies in one: the certificates.
const PUBLIC: [&str; 2] = ["ca.crt", "tls.crt"];
/// As `hxmlops serve` asks for.
pub(super) const MIN_TOKEN_BYTES: usize = 32;
const KEEP: &str = "helm.sh/resource-policy";

/// Looks for each secret in all other objects, at what keeps them, and whether they have so many characters.
pub(super) fn check(objects: &[Value], min_bytes: usize, faults: &mut Faults) {
    let others: Vec<(String, String)> = objects
        .iter()
        .filter(|object| object["kind"] != "Secret")
        .map(|object| (name(object), object.to_string()))
        .collect();
    for secret in of_kind(objects, "Secret") {
        let own = name(secret);
        faults.check(secret["metadata"]["annotations"][KEEP] == "keep", || {
            format!("{own} ends with the release")
        });
        for (key, value) in secret["data"].as_object().into_iter().flatten() {
            let encoded = value.as_str().unwrap_or_default();
            let decoded = STANDARD.decode(encoded).unwrap_or_default();
            let decoded = String::from_utf8(decoded).unwrap_or_default();
            faults.check(decoded.len() >= min_bytes, || {
                format!("{own} has a short {key}")
            });
            if PUBLIC.contains(&&**key) {
                continue;
            }
            let leaks = others
                .iter()
                .filter(|(_, text)| text.contains(encoded) || text.contains(&decoded));
            for (other, _) in leaks {
                faults.add(&format!("{key} of {own} is in {other}"));
            }
        }
    }
}

/// The objects without what is made by chance.
pub(super) fn without(objects: &[Value]) -> Vec<Value> {
    let mut objects = objects.to_vec();
    for object in &mut objects {
        if object["kind"] == "Secret" {
            object["data"] = Value::Null;
        }
    }
    objects.sort_by_key(name);
    objects
}
