//! What a module is given of others: the values of its chart in every way in which its needs can be met.

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Map, Value};

use super::file::{Module, Need, Offer};
use crate::charts::helm::NAMESPACE;

/// The values of a module: once without its optional needs, and once with each module that meets one. None of a module of steps.
///
/// # Errors
/// Where nobody meets a need, or a text asks for what the offer has not.
pub(super) fn all(module: &Module, modules: &[Module]) -> Result<Vec<Value>> {
    let Some(values) = module
        .chart
        .as_ref()
        .or(module.own.as_ref().map(|own| &own.values))
    else {
        return Ok(Vec::new());
    };
    let mut values = values.clone();
    add_files(module, &mut values)?;
    let mut ways = Vec::new();
    let rounds = module
        .needs
        .iter()
        .map(|need| providers(need, modules).count())
        .max();
    if module.needs.iter().all(|need| need.optional) {
        ways.push(values.clone());
    }
    for round in 0..rounds.unwrap_or_default() {
        let mut wired = values.clone();
        for need in &module.needs {
            let count = providers(need, modules).count();
            ensure!(
                count > 0,
                "{}/{}: nobody offers {}",
                module.group,
                module.name,
                need.capability
            );
            let (provider, offer) = providers(need, modules)
                .nth(round % count)
                .context("a remainder is below what divides")?;
            wire(&mut wired, need, provider, offer).with_context(|| {
                format!(
                    "{}/{} by {}/{}",
                    module.group, module.name, provider.group, provider.name
                )
            })?;
        }
        ways.push(wired);
    }
    Ok(ways)
}

fn providers<'a>(
    need: &'a Need,
    modules: &'a [Module],
) -> impl Iterator<Item = (&'a Module, &'a Offer)> {
    modules.iter().flat_map(|module| {
        let offers = module
            .offers
            .iter()
            .filter(|offer| offer.capability == need.capability);
        offers.map(move |offer| (module, offer))
    })
}

fn wire(values: &mut Value, need: &Need, provider: &Module, offer: &Offer) -> Result<()> {
    for (path, text) in &need.wire {
        let value = filled(text, provider, offer)?;
        put(values, path.split('.'), Value::String(value))?;
    }
    Ok(())
}

/// A text with its placeholders replaced.
fn filled(text: &str, provider: &Module, offer: &Offer) -> Result<String> {
    let release = provider.release();
    let service = offer.service.as_deref().unwrap_or(&release);
    let host = format!("{service}.{NAMESPACE}.svc");
    let scheme = offer.scheme.as_deref().unwrap_or("http");
    let mut known = vec![
        ("host".to_owned(), host.clone()),
        ("port".to_owned(), offer.port.to_string()),
        (
            "endpoint".to_owned(),
            format!("{scheme}://{host}:{}", offer.port),
        ),
    ];
    for (role, key) in &offer.secret {
        let name = if role == "name" {
            "secret".to_owned()
        } else {
            format!("secret.{role}")
        };
        known.push((name, key.clone()));
    }
    known.extend(offer.facts.clone());
    let mut filled = text.to_owned();
    for (name, value) in &known {
        filled = filled.replace(&format!("{{{{{name}}}}}"), value);
    }
    filled = filled
        .replace("{{release}}", &release)
        .replace("{{namespace}}", NAMESPACE);
    if filled.contains("{{") {
        bail!("'{text}' asks for what is not offered: {filled}");
    }
    Ok(filled)
}

/// Puts a value at a path, with the maps that it takes.
fn put<'a>(values: &mut Value, mut path: impl Iterator<Item = &'a str>, new: Value) -> Result<()> {
    let Some(key) = path.next() else {
        *values = new;
        return Ok(());
    };
    if values.is_null() {
        *values = Value::Object(Map::new());
    }
    let map = values
        .as_object_mut()
        .context("a path goes through what is no map")?;
    put(map.entry(key).or_insert(Value::Null), path, new)
}

/// The project's own files, where the module has them.
fn add_files(module: &Module, values: &mut Value) -> Result<()> {
    for from in &module.config_from {
        for (name, content) in from.read()? {
            let path = format!("{}/{name}", from.under);
            put(
                values,
                ["config", "files", &path].into_iter(),
                Value::String(content),
            )?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_goes_where_its_path_leads() {
        for (before, path, expected) in [
            (json!({}), "a.b", json!({"a": {"b": "x"}})),
            (
                json!({"a": {"c": 1}}),
                "a.b",
                json!({"a": {"b": "x", "c": 1}}),
            ),
            (json!({"a": {"b": "y"}}), "a.b", json!({"a": {"b": "x"}})),
        ] {
            let mut values = before;
            put(&mut values, path.split('.'), json!("x")).unwrap();
            assert_eq!(values, expected);
        }
        assert!(put(&mut json!({"a": 1}), "a.b".split('.'), json!("x")).is_err());
    }
}
