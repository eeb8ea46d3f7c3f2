//! Who gives a release what it needs now: told from the values that it was deployed with, so that it needs no record of its
//! own.
//!
//! Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::catalogue::Module;
use super::super::catalogue::module::Need;
use super::super::values;
use super::{facts, offer};

/// Texts of a release at the paths that its module's needs wire.
pub type Wires = BTreeMap<String, String>;

/// Those of the values that a release was deployed with.
#[must_use]
pub fn wires(module: &Module, deployed_with: &Value) -> Wires {
    let paths = module.file.needs.iter().flat_map(|need| need.wire.keys());
    let text = |path: &String| Some((path.clone(), values::text(deployed_with, path)?.to_owned()));
    paths.filter_map(text).collect()
}

/// The need of a module that a release meets now, by its name; `None` where it meets none.
#[must_use]
pub fn met_by<'m>(
    module: &'m Module,
    wires: &Wires,
    (provider, release): (&Module, &str),
    namespace: &str,
) -> Option<&'m str> {
    let mut needs = module.file.needs.iter();
    let is_met = |need: &&Need| {
        let now = host(need, wires, namespace);
        now.is_some() && now == host_of(provider, release, need, namespace).as_deref()
    };
    needs.find(is_met).map(|need| &*need.name)
}

/// Whether a module has a need that another could meet.
#[must_use]
pub fn may_use(module: &Module, provider: &Module) -> bool {
    let mut needs = module.file.needs.iter();
    needs.any(|need| offer(provider, &need.capability).is_some())
}

/// The host of the namespace that a need is wired to; `None` where it is not, or to one of elsewhere.
pub(super) fn host<'w>(need: &Need, wires: &'w Wires, namespace: &str) -> Option<&'w str> {
    let mut texts = need.wire.keys().filter_map(|path| wires.get(path));
    texts.find_map(|text| host_in(text, namespace))
}

/// The host at which a release gives what a need asks for.
pub(super) fn host_of(
    provider: &Module,
    release: &str,
    need: &Need,
    namespace: &str,
) -> Option<String> {
    let offer = offer(provider, &need.capability)?;
    facts(offer, release, namespace).remove("host")
}

/// The first `SERVICE.NAMESPACE.svc` in a text.
fn host_in<'t>(text: &'t str, namespace: &str) -> Option<&'t str> {
    let is_name = |char: char| char.is_ascii_alphanumeric() || char == '-';
    let domain = format!(".{namespace}.svc");
    let host = |(dot, domain): (usize, &str)| {
        let (before, end) = (&text[..dot], dot + domain.len());
        let start = before.trim_end_matches(is_name).len();
        let is_whole = start < dot && !text[end..].starts_with(is_name);
        is_whole.then(|| &text[start..end])
    };
    text.match_indices(&domain).find_map(host)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::catalogue::module::Kind;
    use super::super::super::catalogue::tests::fixture;
    use super::*;

    #[test]
    fn hosts_of_the_namespace_are_found_in_texts() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(host_in(text, "work"), expected, "{text}");
        };
        check("db.work.svc", Some("db.work.svc"));
        check("http://db-2.work.svc:80/x", Some("db-2.work.svc"));
        check("{\"Host\": \"db.work.svc\"}", Some("db.work.svc"));
        check("db.work.svc.cluster.local", Some("db.work.svc"));
        check("x.work.svcs a.work.svc", Some("a.work.svc"));
        for other in ["", "db", ".work.svc", "db.other.svc", "db.homework.svc"] {
            check(other, None);
        }
    }

    #[test]
    fn who_is_wired_meets_the_need() {
        let catalogue = fixture();
        let module = catalogue.find(Kind::Link, "api", "modelsharing").unwrap();
        let check = |values: Value, provider: (&str, &str), expected: Option<&str>| {
            let (label, release) = provider;
            let provider = (catalogue.by_label(label).unwrap(), release);
            let found = met_by(module, &wires(module, &values), provider, "work");
            assert_eq!(found, expected, "{values} {label} {release}");
        };
        let database = ("storage.postgres", "db");
        let wired = json!({ "env": { "HOST": "db.work.svc", "S3": "http://s.work.svc:9000" } });
        check(wired.clone(), database, Some("database"));
        check(wired.clone(), ("storage.minio", "s"), Some("blobs"));
        check(wired.clone(), ("storage.postgres", "s"), None);
        check(wired, ("storage.postgres", "other"), None);
        check(Value::Null, database, None);
        check(json!({ "env": { "HOST": "db.example" } }), database, None);
        check(json!({ "env": { "X": "db.work.svc" } }), database, None);
    }
}
