//! What an operator sets of a provider.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Key;
use super::http::Http;
use super::pace::Limit;
use crate::intensity::normalized_zone;

/// How long an answer is waited for.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// Settings of one provider; those that it has no use for are not set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Base of its addresses, where it is another than the provider's own.
    pub url: Option<String>,
    /// Its key.
    pub key: Option<Key>,
    /// Version of its API.
    pub version: Option<String>,
    /// `lifecycle` or `direct`.
    pub emissions: Option<String>,
    /// The provider's own name of a signal.
    pub signal: Option<String>,
    /// Its names of intensity zones, by ours.
    pub zones: BTreeMap<String, String>,
    /// The longest wait for an answer.
    pub answer_within: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            url: None,
            key: None,
            version: None,
            emissions: None,
            signal: None,
            zones: BTreeMap::new(),
            answer_within: ANSWER_WITHIN,
        }
    }
}

impl Settings {
    /// For requests below the URL that is set, else `base`.
    pub(super) fn http(&self, base: &str, limit: Limit) -> Result<Http, String> {
        Http::new(
            self.url.as_deref().unwrap_or(base),
            limit,
            self.answer_within,
        )
    }

    /// The same for a provider with a key, and that key, which is there and crosses no network in the clear.
    pub(super) fn http_with_key(&self, base: &str, limit: Limit) -> Result<(Http, Key), String> {
        let http = self.http(base, limit)?;
        let key = self.key.clone().ok_or(
            "it needs a key: give --intensity-key-file, $HXMLOPS_INTENSITY_KEY, or key_file in the config file",
        )?;
        key.read()?;
        if http.is_in_the_clear() {
            return Err(
                "its url begins with http://: the key would cross the network in the clear".into(),
            );
        }
        Ok((http, key))
    }

    /// The word that is set of those that there are, the first of them where none is.
    pub(super) fn choice<T: Copy>(
        name: &str,
        set: Option<&str>,
        choices: &[(&str, T)],
    ) -> Result<T, String> {
        let Some(set) = set else {
            return Ok(choices[0].1);
        };
        let chosen = choices.iter().find(|(word, _)| *word == set);
        chosen.map(|(_, choice)| *choice).ok_or_else(|| {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            format!(
                "{name} '{}' is none of {}",
                set.escape_debug(),
                words.join(", ")
            )
        })
    }

    /// The provider's names of zones.
    pub(super) fn zone_names(&self) -> ZoneNames {
        let ours = self.zones.iter();
        ZoneNames(
            ours.map(|(ours, theirs)| (normalized_zone(ours), theirs.clone()))
                .collect(),
        )
    }
}

/// What a provider calls zones.
#[derive(Debug)]
pub(super) struct ZoneNames(BTreeMap<String, String>);

impl ZoneNames {
    /// Its name of a zone of ours: the same, unless it is told.
    pub(super) fn of(&self, zone: &str) -> String {
        let zone = normalized_zone(zone);
        self.0.get(&zone).cloned().unwrap_or(zone)
    }
}
