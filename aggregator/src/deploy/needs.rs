//! What a module needs and who gives it: found among what is deployed, or planned to be deployed before, and wired.
//!
//! What a release uses already, it keeps: who that is, is [`current`]'s.
//!
//! Pure.

pub mod current;

use std::collections::BTreeMap;

use self::current::Wires;
use super::catalogue::module::{Need, Offer};
use super::catalogue::{Catalogue, Module};

/// Who is taken for a capability that several modules offer, as (capability, group, name).
const DEFAULT_PROVIDERS: [(&str, &str, &str); 5] = [
    ("postgres", "storage", "postgres"),
    ("s3", "storage", "seaweedfs"),
    ("prometheus", "energy_measurement_asset", "prometheus"),
    ("mqtt", "mqtt", "mosquitto"),
    ("aggregator", "energy", "aggregator"),
];

/// A module that is in the namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployed {
    /// Its [`Module::label`].
    pub label: String,
    /// Its release.
    pub release: String,
}

/// A module that is to be deployed.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// Which.
    pub module: &'a Module,
    /// Its release.
    pub release: String,
    /// Which release gives what it needs, by the need's name.
    pub using: BTreeMap<String, String>,
    /// Paths of values that the user sets: a need that is wired there is the user's own business.
    pub set_paths: Vec<String>,
    /// What the release, where it is there, has at the paths that its needs wire.
    pub current: Wires,
}

/// A step of a plan: a module, and the values that it gets from others.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned<'a> {
    /// Which.
    pub module: &'a Module,
    /// Its release.
    pub release: String,
    /// (path, text).
    pub wires: Vec<(String, String)>,
    /// Who gives what it needs, as (need, release).
    pub uses: Vec<(String, String)>,
}

/// What stands in the way of a plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NeedError {
    /// Nobody gives it.
    #[error(
        "{module} needs {capability} ({need}), which nothing in the namespace offers: create one of {offered_by} first, or add --with-dependencies"
    )]
    Unmet {
        /// Who needs it.
        module: String,
        /// The need's name.
        need: String,
        /// What is needed.
        capability: String,
        /// Modules of the catalogue.
        offered_by: String,
    },
    /// Several give it.
    #[error(
        "{module} needs {capability} ({need}), which several releases offer: say which with --use {need}=RELEASE ({releases})"
    )]
    Ambiguous {
        /// Who needs it.
        module: String,
        /// The need's name.
        need: String,
        /// What is needed.
        capability: String,
        /// Who offers it.
        releases: String,
    },
    /// The one that it uses is gone, and another one has other data.
    #[error(
        "{module} uses {host} ({need}), which is not there any more: create that again, or say which release takes its place with --use {need}=RELEASE ({releases})"
    )]
    Gone {
        /// Who uses it.
        module: String,
        /// The need's name.
        need: String,
        /// Where the one was that is gone.
        host: String,
        /// Who offers such a thing now.
        releases: String,
    },
    /// The release that was named is not there, or offers something else.
    #[error("--use {0}={1}: there is no release '{1}' in the namespace that offers {2}")]
    NotOffered(String, String, String),
    /// There is no such need.
    #[error("--use {0}: {1} has no need of this name; it has: {2}")]
    NoSuchNeed(String, String, String),
    /// Modules need each other.
    #[error("{0} needs itself, by way of others")]
    Circular(String),
    /// A text has a placeholder that the offer does not fill.
    #[error("{module}: {{{{{placeholder}}}}} is nothing that {provider} tells with {capability}")]
    Placeholder {
        /// Whose text it is.
        module: String,
        /// The placeholder.
        placeholder: String,
        /// Who offers.
        provider: String,
        /// What.
        capability: String,
    },
}

/// Where needs are met.
#[derive(Clone, Debug)]
pub struct Planner<'a> {
    catalogue: &'a Catalogue,
    namespace: &'a str,
    /// What is there, and what the plan has put there.
    deployed: Vec<Deployed>,
    /// Modules that lack are planned, too.
    with_dependencies: bool,
    plan: Vec<Planned<'a>>,
}

impl<'a> Planner<'a> {
    /// In a namespace with what is deployed there.
    #[must_use]
    pub fn new(
        catalogue: &'a Catalogue,
        namespace: &'a str,
        deployed: Vec<Deployed>,
        with_dependencies: bool,
    ) -> Self {
        Self {
            catalogue,
            namespace,
            deployed,
            with_dependencies,
            plan: Vec::new(),
        }
    }

    /// Adds a module, after those that it needs and that lack.
    ///
    /// # Errors
    /// Where a need is not met, or not clear.
    pub fn add(&mut self, wanted: &Wanted<'a>) -> Result<(), NeedError> {
        self.visit(wanted, &mut Vec::new())
    }

    /// What is to be deployed, in this order.
    #[must_use]
    pub fn plan(self) -> Vec<Planned<'a>> {
        self.plan
    }

    /// What was added since the last time, in its order; what comes later may need it.
    #[must_use]
    pub fn take(&mut self) -> Vec<Planned<'a>> {
        std::mem::take(&mut self.plan)
    }

    fn visit(&mut self, wanted: &Wanted<'a>, above: &mut Vec<String>) -> Result<(), NeedError> {
        let module = wanted.module;
        let name = module.full_name();
        if above.contains(&name) {
            return Err(NeedError::Circular(name));
        }
        above.push(name);
        check_named(wanted)?;
        let mut planned = Planned {
            module,
            release: wanted.release.clone(),
            wires: Vec::new(),
            uses: Vec::new(),
        };
        for need in &module.file.needs {
            if is_own(wanted, need) {
                continue;
            }
            if let Some(provider) = self.provider(wanted, need, above)? {
                planned.wires.extend(self.wires(module, need, &provider)?);
                planned.uses.push((need.name.clone(), provider.release));
            }
        }
        above.pop();
        self.deployed.retain(|one| one.release != wanted.release);
        self.deployed.push(Deployed {
            label: module.label(),
            release: wanted.release.clone(),
        });
        self.plan.push(planned);
        Ok(())
    }

    /// Who meets a need; plans it where it is nobody yet. `None` where nobody does and nobody has to.
    fn provider(
        &mut self,
        wanted: &Wanted<'a>,
        need: &Need,
        above: &mut Vec<String>,
    ) -> Result<Option<Deployed>, NeedError> {
        let offering: Vec<Deployed> = self
            .deployed
            .iter()
            .filter(|one| self.offers(one, need))
            .cloned()
            .collect();
        if let Some(release) = wanted.using.get(&need.name) {
            let named = offering.into_iter().find(|one| one.release == *release);
            return named.map(Some).ok_or_else(|| {
                NeedError::NotOffered(need.name.clone(), release.clone(), need.capability.clone())
            });
        }
        if let Some(host) = current::host(need, &wanted.current, self.namespace) {
            return self.same_provider(wanted, need, (host, &offering), above);
        }
        match (
            pick(self.catalogue, &need.capability, &offering),
            &*offering,
        ) {
            (Some(one), _) => Ok(Some(one.clone())),
            (None, []) if need.optional => Ok(None),
            (None, []) => self.planned_provider(wanted, need, above).map(Some),
            (None, _) => Err(ambiguous(wanted, need, &offering)),
        }
    }

    /// Who gives it at the host where it is used now. Another one has other data, and is not taken unasked.
    fn same_provider(
        &mut self,
        wanted: &Wanted<'a>,
        need: &Need,
        (host, offering): (&str, &[Deployed]),
        above: &mut Vec<String>,
    ) -> Result<Option<Deployed>, NeedError> {
        let is_at_host = |module: &Module, release: &str| {
            let its = current::host_of(module, release, need, self.namespace);
            its.as_deref() == Some(host)
        };
        let is_it = |one: &&Deployed| {
            let module = self.catalogue.by_label(&one.label);
            module.is_some_and(|module| is_at_host(module, &one.release))
        };
        if let Some(one) = offering.iter().find(is_it) {
            return Ok(Some(one.clone()));
        }
        if offering.is_empty() && need.optional {
            return Ok(None);
        }
        let default = default_provider(self.catalogue, &need.capability);
        let is_default = default.is_some_and(|module| is_at_host(module, &module.release()));
        if self.with_dependencies && is_default {
            return self.planned_provider(wanted, need, above).map(Some);
        }
        Err(NeedError::Gone {
            module: wanted.module.full_name(),
            need: need.name.clone(),
            host: host.to_owned(),
            releases: releases(offering),
        })
    }

    fn planned_provider(
        &mut self,
        wanted: &Wanted<'a>,
        need: &Need,
        above: &mut Vec<String>,
    ) -> Result<Deployed, NeedError> {
        let default = default_provider(self.catalogue, &need.capability);
        let Some(module) = default.filter(|_| self.with_dependencies) else {
            let offering = self
                .catalogue
                .modules()
                .filter(|one| offer(one, &need.capability).is_some());
            let offering: Vec<String> = offering.map(Module::full_name).collect();
            return Err(NeedError::Unmet {
                module: wanted.module.full_name(),
                need: need.name.clone(),
                capability: need.capability.clone(),
                offered_by: offering.join(", "),
            });
        };
        let dependency = Wanted {
            module,
            release: module.release(),
            using: BTreeMap::new(),
            set_paths: Vec::new(),
            current: Wires::new(),
        };
        self.visit(&dependency, above)?;
        Ok(Deployed {
            label: module.label(),
            release: dependency.release,
        })
    }

    fn offers(&self, deployed: &Deployed, need: &Need) -> bool {
        let module = self.catalogue.by_label(&deployed.label);
        module.is_some_and(|module| offer(module, &need.capability).is_some())
    }

    fn wires(
        &self,
        module: &Module,
        need: &Need,
        provider: &Deployed,
    ) -> Result<Vec<(String, String)>, NeedError> {
        let offering = self.catalogue.by_label(&provider.label);
        let offer = offering.and_then(|module| offer(module, &need.capability));
        let facts = offer.map(|offer| facts(offer, &provider.release, self.namespace));
        let facts = facts.unwrap_or_default();
        let wire = |(path, text): (&String, &String)| {
            let text = filled(text, &facts).map_err(|placeholder| NeedError::Placeholder {
                module: module.full_name(),
                placeholder,
                provider: provider.release.clone(),
                capability: need.capability.clone(),
            });
            Ok((path.clone(), text?))
        };
        need.wire.iter().map(wire).collect()
    }
}

/// Whether the user sets what a need would wire, which is then nobody else's business.
pub(super) fn is_own(wanted: &Wanted<'_>, need: &Need) -> bool {
    let is_set = |path: &String| wanted.set_paths.contains(path);
    need.wire.keys().any(is_set) && !wanted.using.contains_key(&need.name)
}

/// Whom a need takes of those that offer what it needs: the only one, else the only one of the module that is taken by
/// default.
pub(super) fn pick<'d>(
    catalogue: &Catalogue,
    capability: &str,
    offering: &'d [Deployed],
) -> Option<&'d Deployed> {
    if let [only] = offering {
        return Some(only);
    }
    let default = default_provider(catalogue, capability)?.label();
    let mut of_default = offering.iter().filter(|one| one.label == default);
    of_default.next().filter(|_| of_default.next().is_none())
}

pub(super) fn ambiguous(wanted: &Wanted<'_>, need: &Need, offering: &[Deployed]) -> NeedError {
    NeedError::Ambiguous {
        module: wanted.module.full_name(),
        need: need.name.clone(),
        capability: need.capability.clone(),
        releases: releases(offering),
    }
}

fn releases(offering: &[Deployed]) -> String {
    let releases: Vec<&str> = offering.iter().map(|one| &*one.release).collect();
    match &*releases {
        [] => "none offers it".to_owned(),
        releases => releases.join(", "),
    }
}

/// The one of the table; else the only module that offers it and is not deprecated.
fn default_provider<'c>(catalogue: &'c Catalogue, capability: &str) -> Option<&'c Module> {
    let mut table = DEFAULT_PROVIDERS.iter();
    let named = table.find(|(name, _, _)| *name == capability);
    let mut modules = catalogue.modules();
    if let Some((_, group, name)) = named {
        let found = modules.find(|module| module.group == *group && module.name == *name);
        return found.filter(|module| offer(module, capability).is_some());
    }
    let is_one = |module: &&Module| !module.file.deprecated && offer(module, capability).is_some();
    let mut offering = modules.filter(is_one);
    offering.next().filter(|_| offering.next().is_none())
}

fn check_named(wanted: &Wanted<'_>) -> Result<(), NeedError> {
    let needs = &wanted.module.file.needs;
    let names: Vec<&str> = needs.iter().map(|need| &*need.name).collect();
    let unknown = wanted
        .using
        .keys()
        .find(|name| !names.contains(&name.as_str()));
    match unknown {
        Some(name) => Err(NeedError::NoSuchNeed(
            name.clone(),
            wanted.module.full_name(),
            names.join(", "),
        )),
        None => Ok(()),
    }
}

/// A module's offer of a capability.
pub(super) fn offer<'m>(module: &'m Module, capability: &str) -> Option<&'m Offer> {
    let mut offers = module.file.offers.iter();
    offers.find(|offer| offer.capability == capability)
}

/// What an offer tells, by placeholder.
#[must_use]
pub fn facts(offer: &Offer, release: &str, namespace: &str) -> BTreeMap<String, String> {
    let own = BTreeMap::from([
        ("release".to_owned(), release.to_owned()),
        ("namespace".to_owned(), namespace.to_owned()),
    ]);
    // What is no placeholder of an offer's own stays as it is.
    let text = |text: &String| filled(text, &own).unwrap_or_else(|_| text.clone());
    let service = offer
        .service
        .as_ref()
        .map_or_else(|| release.to_owned(), text);
    let host = format!("{service}.{namespace}.svc");
    let mut facts: BTreeMap<String, String> = offer
        .facts
        .iter()
        .map(|(name, fact)| (name.clone(), text(fact)))
        .collect();
    for (role, key) in &offer.secret {
        let name = match &**role {
            "name" => "secret".to_owned(),
            role => format!("secret.{role}"),
        };
        facts.insert(name, text(key));
    }
    let endpoint = format!("{}://{host}:{}", offer.scheme, offer.port);
    facts.insert("port".to_owned(), offer.port.to_string());
    facts.insert("endpoint".to_owned(), endpoint);
    facts.insert("host".to_owned(), host);
    facts
}

/// The text with its placeholders filled; the name of one that is unknown.
fn filled(text: &str, facts: &BTreeMap<String, String>) -> Result<String, String> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").ok_or_else(|| after.to_owned())?;
        let name = name.trim();
        filled.push_str(before);
        filled.push_str(facts.get(name).ok_or_else(|| name.to_owned())?);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests;
