//! No password is written anywhere: not in a variable, not in an argument, not in a file of a configuration.

use serde_json::Value;

use crate::charts::Faults;
use crate::charts::objects::name;

/// What names of secret things have in them.
const NAMES: [&str; 8] = [
    "password",
    "passwd",
    "secret",
    "token",
    "credential",
    "apikey",
    "accesskey",
    "privatekey",
];
/// Passwords that the whole world knows.
const KNOWN: [&str; 7] = [
    "minioadmin",
    "changeme",
    "admin:admin",
    "postgres:postgres",
    "postgres123",
    "example-password",
    "hunter2",
];
/// Keys of Kubernetes that name secrets and have none.
const HARMLESS: [&str; 7] = [
    "secretName",
    "secretKeyRef",
    "secretRef",
    "secret",
    "automountServiceAccountToken",
    "tlsSecret",
    "imagePullSecrets",
];

/// Looks at every text of every object but the secrets, which are made by chance.
pub(super) fn check(objects: &[Value], faults: &mut Faults) {
    for object in objects.iter().filter(|object| object["kind"] != "Secret") {
        for found in found(object) {
            faults.add(&format!("{} has a password: {found}", name(object)));
        }
    }
}

/// What looks like a password in an object.
fn found(object: &Value) -> Vec<String> {
    let mut found = Vec::new();
    walk("", object, &mut found);
    found
}

fn walk(key: &str, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            // A variable: its name is what a key is elsewhere.
            if let (Some(name), Some(text)) = (map.get("name"), map.get("value")) {
                let name = name.as_str().unwrap_or_default();
                check_pair(name, text.as_str().unwrap_or_default(), found);
            }
            for (key, value) in map {
                walk(key, value, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| walk(key, item, found)),
        Value::String(text) => {
            if !text.contains('\n') {
                check_pair(key, text, found);
            }
            text.lines().for_each(|line| check_line(line, found));
        }
        _ => {}
    }
}

/// A line of a file, or an argument: `NAME: VALUE`, `NAME=VALUE`, `scheme://USER:PASSWORD@HOST`.
fn check_line(line: &str, found: &mut Vec<String>) {
    let lower = line.to_lowercase();
    if KNOWN.iter().any(|known| lower.contains(known)) {
        found.push(line.trim().to_owned());
    }
    let authority = line.split_once("://").map(|(_, rest)| rest);
    let user = authority.and_then(|rest| rest.split(['/', ' ']).next()?.rsplit_once('@'));
    if let Some((_, password)) = user.and_then(|(user, _)| user.split_once(':'))
        && !is_reference(password)
    {
        found.push(line.trim().to_owned());
    }
    for separator in [": ", "="] {
        if let Some((key, value)) = line.split_once(separator) {
            check_pair(key.trim_start_matches(['-', ' ']).trim_end(), value, found);
        }
    }
}

fn check_pair(key: &str, value: &str, found: &mut Vec<String>) {
    let plain: String = key.chars().filter(char::is_ascii_alphanumeric).collect();
    let plain = plain.to_lowercase();
    let is_word = key
        .chars()
        .all(|char| char.is_ascii_alphanumeric() || "-_.".contains(char));
    let is_secret =
        is_word && NAMES.iter().any(|name| plain.contains(name)) && !HARMLESS.contains(&key);
    let value = value.trim().trim_matches(['"', '\'']);
    // A file with the secret, or one that may be read as a switch, is none.
    let is_harmless = value.is_empty()
        || value.starts_with('/')
        || ["true", "false", "off", "on"].contains(&value)
        || is_reference(value);
    if is_secret && !is_harmless {
        found.push(format!("{key}={value}"));
    }
}

/// Something that stands for the secret.
fn is_reference(value: &str) -> bool {
    value.starts_with('$') || value.starts_with("%s")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn passwords_are_found_and_their_places_are_not() {
        for (object, expected) in [
            (json!({"env": [{"name": "PGPASSWORD", "value": "x"}]}), 1),
            (
                json!({"env": [{"name": "PGPASSWORD", "value": "$(PASSWORD)"}]}),
                0,
            ),
            (json!({"args": ["--api-token=abc"]}), 1),
            (json!({"args": ["--token-file=/etc/token"]}), 0),
            (json!({"args": ["postgres://u:p@host/db"]}), 1),
            (json!({"args": ["postgres://$(U):$(P)@host/db"]}), 0),
            (json!({"args": ["http://host:80/a@b"]}), 0),
            (
                json!({"data": {"app.ini": "[db]\nadmin_password = secret1\n"}}),
                1,
            ),
            (
                json!({"data": {"app.ini": "[db]\nadmin_password=secret1\n"}}),
                1,
            ),
            (
                json!({"data": {"app.yaml": "db:\n  password: secret1\n"}}),
                1,
            ),
            (
                json!({"data": {"app.yaml": "a:\n  credentials_file: /etc/x\n"}}),
                0,
            ),
            (json!({"env": [{"name": "A", "value": "minioadmin"}]}), 1),
            (
                json!({"spec": {"volumes": [{"secret": {"secretName": "a-auth"}}]}}),
                0,
            ),
        ] {
            assert_eq!(
                found(&object).len(),
                expected,
                "{object}: {:?}",
                found(&object)
            );
        }
    }
}
