//! What is read of Redfish's documents. Pure.

use serde::Deserialize;

/// More chassis than this are not looked at.
pub const MAX_MEMBERS: usize = 64;

#[derive(Deserialize)]
struct Collection {
    #[serde(rename = "Members")]
    members: Vec<Link>,
}

#[derive(Deserialize)]
struct Link {
    #[serde(rename = "@odata.id")]
    id: String,
}

#[derive(Deserialize)]
struct EnvironmentMetrics {
    #[serde(rename = "PowerWatts")]
    power: Option<Excerpt>,
}

#[derive(Deserialize)]
struct Excerpt {
    #[serde(rename = "Reading")]
    reading: Option<f64>,
}

#[derive(Deserialize)]
struct Power {
    #[serde(rename = "PowerControl", default)]
    control: Vec<PowerControl>,
}

#[derive(Deserialize)]
struct PowerControl {
    #[serde(rename = "PowerConsumedWatts")]
    consumed: Option<f64>,
}

/// Paths of a collection's members, at most [`MAX_MEMBERS`]; `None` where it is no collection.
#[must_use]
pub fn members(document: &[u8]) -> Option<Vec<String>> {
    let collection: Collection = serde_json::from_slice(document).ok()?;
    let paths = collection.members.into_iter().map(|link| link.id);
    let is_path = |id: &String| id.starts_with("/redfish/");
    Some(paths.filter(is_path).take(MAX_MEMBERS).collect())
}

/// Watts in a chassis's `EnvironmentMetrics`.
#[must_use]
pub fn environment_watts(document: &[u8]) -> Option<f64> {
    let metrics: EnvironmentMetrics = serde_json::from_slice(document).ok()?;
    plausible(metrics.power?.reading?)
}

/// Watts in a chassis's `Power`: the first of its controls is that of all of it.
#[must_use]
pub fn control_watts(document: &[u8]) -> Option<f64> {
    let power: Power = serde_json::from_slice(document).ok()?;
    plausible(power.control.first()?.consumed?)
}

/// No server draws more than 100 kW, and one that answers draws something.
fn plausible(watts: f64) -> Option<f64> {
    (watts > 0.0 && watts <= 100_000.0).then_some(watts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents() {
        let members_of = |text: &str| members(text.as_bytes());
        let two = r#"{"Members":[{"@odata.id":"/redfish/v1/Chassis/1"},{"@odata.id":"http://elsewhere/"}],"Members@odata.count":2}"#;
        assert_eq!(
            members_of(two),
            Some(vec!["/redfish/v1/Chassis/1".to_owned()])
        );
        assert_eq!(members_of("{}"), None);
        let environment = |text: &str| environment_watts(text.as_bytes());
        assert_eq!(
            environment(r#"{"PowerWatts":{"Reading":212.5}}"#),
            Some(212.5)
        );
        assert_eq!(environment(r#"{"PowerWatts":{"Reading":null}}"#), None);
        assert_eq!(environment(r#"{"PowerWatts":{"Reading":-3}}"#), None);
        assert_eq!(environment(r#"{"PowerWatts":{"Reading":1e300}}"#), None);
        assert_eq!(environment("[]"), None);
        let control = |text: &str| control_watts(text.as_bytes());
        let three = r#"{"PowerControl":[{"PowerConsumedWatts":344},{"PowerConsumedWatts":90}]}"#;
        assert_eq!(control(three), Some(344.0));
        assert_eq!(control(r#"{"PowerControl":[{}]}"#), None);
        assert_eq!(control("{}"), None);
        assert_eq!(control("<html>"), None);
    }
}
