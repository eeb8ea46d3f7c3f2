//! Versions as helm and kubectl tell them.

use std::fmt;

use serde::Deserialize;

/// Major, minor, patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32, pub u32);

impl Version {
    /// Reads `v3.17.2+g0123` and the like; a missing patch is 0.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix('v').unwrap_or(text);
        let end = text.find(|char: char| !(char.is_ascii_digit() || char == '.'));
        let mut numbers = text[..end.unwrap_or(text.len())].split('.');
        let mut next = || numbers.next().map(|number| number.parse().ok());
        let (major, minor) = (next()??, next()??);
        Some(Self(major, minor, next().unwrap_or(Some(0))?))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(major, minor, patch) = self;
        write!(f, "{major}.{minor}.{patch}")
    }
}

/// What `kubectl version --client --output json` tells.
#[must_use]
pub fn of_kubectl(json: &str) -> Option<Version> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Told {
        client_version: Client,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Client {
        git_version: String,
    }
    let told: Told = serde_json::from_str(json).ok()?;
    Version::parse(&told.client_version.git_version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let check = |text: &str, expected: Option<Version>| {
            assert_eq!(Version::parse(text), expected, "{text}");
        };
        check("v3.17.2\n", Some(Version(3, 17, 2)));
        check("v4.3.1+g0bc1d45", Some(Version(4, 3, 1)));
        check("1.20", Some(Version(1, 20, 0)));
        check("v1.20.5-rc.1", Some(Version(1, 20, 5)));
        for text in ["", "v", "v3", "three", "v3.x", "v3.1.", "v99999999999.1.1"] {
            check(text, None);
        }
        assert!(Version(3, 9, 0) < Version(3, 12, 0) && Version(3, 12, 0) < Version(4, 0, 0));
    }

    #[test]
    fn kubectl_tells_it_in_json() {
        let json = r#"{"clientVersion": {"major": "1", "gitVersion": "v1.32.1"}}"#;
        assert_eq!(of_kubectl(json), Some(Version(1, 32, 1)));
        assert_eq!(of_kubectl("{}"), None);
        assert_eq!(of_kubectl("Client Version: v1.32.1"), None);
    }
}
