//! Who tells the intensity of which site, and the settings of each provider.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde::Deserialize;

use super::InvalidConfig;
use crate::intensity::{Signal, normalized_zone};
use crate::provider::file::{FileProvider, PREFIX};
use crate::provider::{
    Coverage, IntensityProvider, KINDS, Key, ProviderKind, Secret, Settings, kind_named,
};
use crate::site::Site;

/// Variable with the key of the provider of `--intensity`.
const KEY_VARIABLE: &str = "HXMLOPS_INTENSITY_KEY";
/// Nobody is asked: the yearly table, and what is imported.
const STATIC: &str = "static";

/// Flags of the provider of all sites that name no other.
#[derive(Args, Clone, Debug, Default)]
pub struct IntensityArgs {
    /// Who tells the intensity of the grid: static (the yearly table, and what is imported), electricitymaps, watttime, neso, rte, or file:PATH [default: static]
    #[arg(long, value_name = "PROVIDER", env = "HXMLOPS_INTENSITY")]
    pub intensity: Option<String>,
    /// Base of the provider's addresses, where it is another than its own
    #[arg(long, value_name = "URL", env = "HXMLOPS_INTENSITY_URL")]
    pub intensity_url: Option<String>,
    /// File with the provider's key (of WattTime USER:PASSWORD), read again each time; without it the key is $HXMLOPS_INTENSITY_KEY
    #[arg(long, value_name = "FILE", env = "HXMLOPS_INTENSITY_KEY_FILE")]
    pub intensity_key_file: Option<PathBuf>,
    /// The key itself: no flag, which every user of a machine could see.
    #[arg(skip)]
    pub intensity_key: Option<Secret>,
}

/// What the file says of one provider.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProviderEntry {
    url: Option<String>,
    #[serde(alias = "key-file")]
    key_file: Option<PathBuf>,
    version: Option<String>,
    emissions: Option<String>,
    signal: Option<String>,
    #[serde(default)]
    zones: BTreeMap<String, String>,
}

/// Who tells what, all of it checked.
#[derive(Clone, Debug)]
pub(super) struct IntensityConfig {
    default: Choice,
    settings: BTreeMap<&'static str, Settings>,
    opened: BTreeMap<Choice, Arc<dyn IntensityProvider>>,
}

/// Who is asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Choice {
    Static,
    /// One of [`KINDS`], by its name.
    Asked(&'static str),
    File(PathBuf),
}

impl IntensityArgs {
    /// With the key that the environment has, where none is given.
    ///
    /// # Errors
    /// Where what it has is no key.
    pub(super) fn with_key_of_environment(mut self) -> Result<Self, InvalidConfig> {
        if self.intensity_key.is_none()
            && let Some(key) = std::env::var_os(KEY_VARIABLE)
        {
            let key = Secret::new(&key.to_string_lossy());
            let key = key.map_err(|fault| InvalidConfig(format!("${KEY_VARIABLE}: {fault}")))?;
            self.intensity_key = Some(key);
        }
        Ok(self)
    }

    /// The flags win over the file, and that over the environment's key.
    fn override_in(self, settings: &mut Settings, name: &str) -> Result<(), InvalidConfig> {
        if kind_named(name).is_some_and(|kind| kind.key.is_none()) {
            if self.intensity_key_file.is_some() {
                return Err(InvalidConfig(format!(
                    "--intensity-key-file: the provider {name} asks for no key"
                )));
            }
        } else {
            let key = self.intensity_key_file.map(Key::File);
            let key = key.or(settings.key.take());
            settings.key = key.or(self.intensity_key.map(Key::Given));
        }
        settings.url = self.intensity_url.or(settings.url.take());
        Ok(())
    }
}

/// What the flags say, and the file's entries of providers.
///
/// # Errors
/// The first thing that cannot be.
pub(super) fn resolve(
    args: IntensityArgs,
    entries: BTreeMap<String, ProviderEntry>,
) -> Result<IntensityConfig, InvalidConfig> {
    let default = choice(args.intensity.as_deref().unwrap_or(STATIC))?;
    let mut settings = BTreeMap::new();
    for (name, entry) in entries {
        let kind = kind_named(&name).ok_or_else(|| {
            let name = name.escape_debug();
            InvalidConfig(format!(
                "providers: '{name}' is none of {}",
                names().join(", ")
            ))
        })?;
        settings.insert(kind.name, entry.settings(kind)?);
    }
    match default {
        Choice::Asked(name) => args.override_in(settings.entry(name).or_default(), name)?,
        _ if args.intensity_url.is_some() || args.intensity_key_file.is_some() => {
            return Err(InvalidConfig(
                "--intensity-url and --intensity-key-file are for a provider that is asked: choose one with --intensity".into(),
            ));
        }
        _ => {}
    }
    Ok(IntensityConfig {
        default,
        settings,
        opened: BTreeMap::new(),
    })
}

fn names() -> Vec<&'static str> {
    KINDS.iter().map(|kind| kind.name).collect()
}

fn choice(text: &str) -> Result<Choice, InvalidConfig> {
    match text.strip_prefix(PREFIX) {
        Some(path) if !path.is_empty() => return Ok(Choice::File(path.into())),
        None if text == STATIC => return Ok(Choice::Static),
        _ => {}
    }
    let known = kind_named(text).map(|kind| Choice::Asked(kind.name));
    known.ok_or_else(|| {
        InvalidConfig(format!(
            "--intensity '{}' is none of {STATIC}, {}, {PREFIX}PATH",
            text.escape_debug(),
            names().join(", ")
        ))
    })
}

impl ProviderEntry {
    fn settings(self, kind: &ProviderKind) -> Result<Settings, InvalidConfig> {
        let set = [
            ("version", self.version.is_some()),
            ("emissions", self.emissions.is_some()),
            ("signal", self.signal.is_some()),
            ("zones", !self.zones.is_empty()),
        ];
        let has = |name: &str| match name {
            "key_file" => kind.key.is_some(),
            name => kind.settings.contains(&name),
        };
        let set = set
            .into_iter()
            .chain([("key_file", self.key_file.is_some())]);
        if let Some((name, _)) = set.into_iter().find(|(name, is_set)| *is_set && !has(name)) {
            let kind = kind.name;
            return Err(InvalidConfig(format!(
                "providers: {kind} has no setting '{name}'"
            )));
        }
        Ok(Settings {
            url: self.url,
            key: self.key_file.map(Key::File),
            version: self.version,
            emissions: self.emissions,
            signal: self.signal,
            zones: self.zones,
            ..Settings::default()
        })
    }
}

/// A zone, and who is asked about it.
#[derive(Clone, Debug)]
pub struct Fed {
    /// Who.
    pub provider: Arc<dyn IntensityProvider>,
    /// The zone, as it is kept.
    pub zone: String,
}

impl IntensityConfig {
    /// What the provider of a site counts, where it is of one kind; `name`: as the site names it, else that of all sites.
    ///
    /// # Errors
    /// Where there is no such provider, or it cannot be made.
    pub(super) fn signal(&mut self, name: Option<&str>) -> Result<Option<Signal>, InvalidConfig> {
        let choice = self.choice_of(name)?;
        Ok(self.open(&choice)?.and_then(|provider| provider.signal()))
    }

    /// What is asked for the sites, each once.
    ///
    /// # Errors
    /// Where a provider cannot be made, or never has a site's zone.
    pub(super) fn feeds(&mut self, sites: &[Site]) -> Result<Vec<Fed>, InvalidConfig> {
        let mut fed = Vec::<Fed>::new();
        for site in sites {
            let Some(zone) = site.intensity_zone.as_deref().map(normalized_zone) else {
                continue;
            };
            let choice = self.choice_of(site.provider.as_deref())?;
            let Some(provider) = self.open(&choice)? else {
                continue;
            };
            check_coverage(provider.as_ref(), site, &zone)?;
            let is_same = |fed: &Fed| fed.zone == zone && Arc::ptr_eq(&fed.provider, &provider);
            if !fed.iter().any(is_same) {
                fed.push(Fed { provider, zone });
            }
        }
        Ok(fed)
    }

    fn choice_of(&self, name: Option<&str>) -> Result<Choice, InvalidConfig> {
        name.map_or_else(|| Ok(self.default.clone()), choice)
    }

    /// Each once, so that all zones of a provider share its limits.
    fn open(
        &mut self,
        choice: &Choice,
    ) -> Result<Option<Arc<dyn IntensityProvider>>, InvalidConfig> {
        if let Some(provider) = self.opened.get(choice) {
            return Ok(Some(Arc::clone(provider)));
        }
        let provider = self.make(choice)?;
        let kept = provider.clone().map(|provider| (choice.clone(), provider));
        self.opened.extend(kept);
        Ok(provider)
    }

    fn make(&self, choice: &Choice) -> Result<Option<Arc<dyn IntensityProvider>>, InvalidConfig> {
        let wrong = |name: &str, fault: String| InvalidConfig(format!("provider {name}: {fault}"));
        match choice {
            Choice::Static => Ok(None),
            Choice::File(path) => match FileProvider::open(path.clone()) {
                Ok(provider) => Ok(Some(Arc::new(provider))),
                Err(error) => Err(wrong("file", error.to_string())),
            },
            Choice::Asked(name) => {
                let kind = kind_named(name).expect("it was chosen by its name");
                let settings = self.settings.get(name).cloned().unwrap_or_default();
                let opened = (kind.open)(&settings);
                opened.map(Some).map_err(|fault| wrong(name, fault))
            }
        }
    }
}

fn check_coverage(
    provider: &dyn IntensityProvider,
    site: &Site,
    zone: &str,
) -> Result<(), InvalidConfig> {
    if provider.coverage(zone) != Coverage::Lacks {
        return Ok(());
    }
    Err(InvalidConfig(format!(
        "the provider {} never has the intensity zone '{zone}' of site '{}': choose another, or static",
        provider.name(),
        site.name
    )))
}

#[cfg(test)]
mod tests;
