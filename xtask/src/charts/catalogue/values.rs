//! The values that a module's file tells its users of: each is a value of its chart, and has the default that the file says.

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::file::Module;
use crate::charts::Faults;
use crate::charts::readme::text;

/// Compares with the module's own values, and with the chart's.
///
/// # Errors
/// Where the chart's values cannot be read.
pub(super) fn check(modules: &[Module], faults: &mut Faults) -> Result<()> {
    for module in modules.iter().filter(|module| module.steps.is_none()) {
        faults.of(format!(
            "helm/catalogue/{}/{}.yaml",
            module.group, module.name
        ));
        let values = text(&module.chart().join("values.yaml"))?;
        let chart: Value = serde_saphyr::from_str(&values).context("values.yaml is no YAML")?;
        let schema = text(&module.chart().join("values.schema.json"))?;
        let schema: Value = serde_json::from_str(&schema).context("the schema is no JSON")?;
        let own = module
            .own
            .as_ref()
            .map(|own| &own.values)
            .or(module.chart.as_ref());
        for setting in &module.values {
            let path = &setting.path;
            faults.check(!setting.about.is_empty(), || {
                format!("does not say what {path} is for")
            });
            let first = path.split('.').next().unwrap_or_default();
            faults.check(schema["properties"][first].is_object(), || {
                format!("{path} is no value of its chart")
            });
            let own = own
                .and_then(|own| at(own, path))
                .filter(|value| !value.is_null());
            let found = own.or(at(&chart, path)).unwrap_or(&Value::Null);
            faults.check(*found == setting.default, || {
                format!(
                    "says that {path} is {} by default, and it is {found}",
                    setting.default
                )
            });
        }
    }
    Ok(())
}

/// The value at a dotted path.
fn at<'a>(values: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.')
        .try_fold(values, |value, key| value.get(key))
}
