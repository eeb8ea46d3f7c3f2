//! Domains: where modules are deployed. Each is a context of a kubeconfig with a namespace, a site and a role.
//!
//! Pure: text in, values out. Where the file lies, and that it is written whole or not at all, is [`file`]'s.

pub mod file;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use reqwest::Url;
use serde::{Deserialize, Serialize};

use super::yaml;

/// Whose cluster a domain is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The software vendor's own.
    Vendor,
    /// Where an operator tries what comes.
    #[default]
    Staging,
    /// Where it has to work.
    Production,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vendor => "vendor",
            Self::Staging => "staging",
            Self::Production => "production",
        })
    }
}

/// One place to deploy to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Domain {
    /// Context of the kubeconfig.
    pub context: String,
    /// Namespace that modules go to; `None`: the context's own, else `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Where its nodes stand, as the ledger names that; `None`: not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// Whose it is.
    #[serde(default)]
    pub role: Role,
    /// Its cluster, as agents name it to the ledger; `None`: not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// URL of the aggregator that has its energy; `None`: none is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregator: Option<String>,
    /// File with the token that it asks for.
    #[serde(
        default,
        rename = "aggregator-token-file",
        skip_serializing_if = "Option::is_none"
    )]
    pub aggregator_token_file: Option<PathBuf>,
    /// Roots that its certificate is checked against; `None`: the system's.
    #[serde(
        default,
        rename = "aggregator-ca-file",
        skip_serializing_if = "Option::is_none"
    )]
    pub aggregator_ca_file: Option<PathBuf>,
}

impl Domain {
    /// A context, and nothing else.
    #[must_use]
    pub fn of_context(context: &str) -> Self {
        Self {
            context: context.to_owned(),
            namespace: None,
            site: None,
            role: Role::default(),
            cluster: None,
            aggregator: None,
            aggregator_token_file: None,
            aggregator_ca_file: None,
        }
    }
}

/// All domains of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Domains {
    /// The one that is meant where none is named.
    #[serde(
        default,
        rename = "default-domain",
        alias = "default_domain",
        skip_serializing_if = "Option::is_none"
    )]
    pub default_domain: Option<String>,
    /// By name.
    #[serde(default)]
    pub domains: BTreeMap<String, Domain>,
}

/// A domain that is not there, or cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DomainError {
    /// Nobody has made one.
    #[error("there are no domains yet; `hxmlops init new-config` makes one")]
    None,
    /// There are several, and none was named.
    #[error(
        "there is no default domain; name one with --domain ({0}), or with `hxmlops init set-default-domain`"
    )]
    NoDefault(String),
    /// No domain has this name.
    #[error("there is no domain '{0}'; there are: {1}")]
    Unknown(String, String),
    /// A name that no domain may have.
    #[error(
        "'{0}' is no name of a domain: letters, digits, '-', '_' and '.', 63 at most, beginning with a letter or digit"
    )]
    Name(String),
    /// A name that no namespace may have.
    #[error(
        "'{0}' is no name of a namespace: small letters, digits and '-', 63 at most, beginning and ending with a letter or digit"
    )]
    Namespace(String),
    /// A name without any text.
    #[error("the {0} of domain '{1}' is empty")]
    Empty(&'static str, String),
    /// Text that is no URL of a server.
    #[error("the aggregator '{0}' is not a URL that begins with http:// or https://")]
    Aggregator(String),
    /// A URL that would be kept and shown with its password.
    #[error("the aggregator's URL has a name or a password in it: say --aggregator-token-file")]
    Password,
    /// A file for an aggregator that there is not.
    #[error("the {0} of domain '{1}' is for an aggregator, and there is none")]
    NoAggregator(&'static str, String),
}

impl Domains {
    /// Reads the content of the file; an empty one has no domains.
    ///
    /// # Errors
    /// One line that says what is wrong in it, and where.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let domains: Self = yaml::parse(text)?;
        domains.validate().map_err(|error| error.to_string())?;
        Ok(domains)
    }

    /// Adds a domain, in place of one of the same name. The first becomes the default. Returns the one that was there.
    ///
    /// # Errors
    /// Where a name of it cannot be.
    pub fn set(
        &mut self,
        name: &str,
        domain: Domain,
        is_default: bool,
    ) -> Result<Option<Domain>, DomainError> {
        validate(name, &domain)?;
        if is_default || self.default_domain.is_none() {
            self.default_domain = Some(name.to_owned());
        }
        Ok(self.domains.insert(name.to_owned(), domain))
    }

    /// Makes a domain the default.
    ///
    /// # Errors
    /// Where there is none of this name.
    pub fn set_default(&mut self, name: &str) -> Result<(), DomainError> {
        let (name, _) = self.find(Some(name))?;
        self.default_domain = Some(name.to_owned());
        Ok(())
    }

    /// A domain by its name, or the one that is meant where none is named: the default, or the only one.
    ///
    /// # Errors
    /// Where there is none of this name, or it is not known which is meant.
    pub fn find(&self, name: Option<&str>) -> Result<(&str, &Domain), DomainError> {
        if self.domains.is_empty() {
            return Err(DomainError::None);
        }
        let only = (self.domains.len() == 1).then(|| self.domains.keys().next());
        let named = name
            .or(self.default_domain.as_deref())
            .or(only.flatten().map(String::as_str));
        let named = named.ok_or_else(|| DomainError::NoDefault(self.names()))?;
        self.domains
            .get_key_value(named)
            .map(|(name, domain)| (name.as_str(), domain))
            .ok_or_else(|| DomainError::Unknown(named.to_owned(), self.names()))
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.domains.keys().map(String::as_str).collect();
        names.join(", ")
    }

    fn validate(&self) -> Result<(), DomainError> {
        for (name, domain) in &self.domains {
            validate(name, domain)?;
        }
        match &self.default_domain {
            Some(name) if !self.domains.contains_key(name) => {
                Err(DomainError::Unknown(name.clone(), self.names()))
            }
            _ => Ok(()),
        }
    }
}

fn validate(name: &str, domain: &Domain) -> Result<(), DomainError> {
    let is_inner = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.');
    let is_name = (1..=63).contains(&name.len())
        && name.chars().all(is_inner)
        && name.starts_with(|char: char| char.is_ascii_alphanumeric());
    if !is_name {
        return Err(DomainError::Name(name.to_owned()));
    }
    if let Some(namespace) = &domain.namespace {
        check_namespace(namespace)?;
    }
    let texts = [
        ("context", Some(&domain.context)),
        ("site", domain.site.as_ref()),
        ("cluster", domain.cluster.as_ref()),
    ];
    for (what, text) in texts {
        if text.is_some_and(|text| text.trim().is_empty()) {
            return Err(DomainError::Empty(what, name.to_owned()));
        }
    }
    if let Some(aggregator) = &domain.aggregator {
        return check_aggregator(aggregator);
    }
    let files = [
        ("aggregator-token-file", &domain.aggregator_token_file),
        ("aggregator-ca-file", &domain.aggregator_ca_file),
    ];
    match files.iter().find(|(_, file)| file.is_some()) {
        Some((what, _)) => Err(DomainError::NoAggregator(what, name.to_owned())),
        None => Ok(()),
    }
}

/// Whether this is the URL of a server.
///
/// # Errors
/// Where it is not.
pub fn check_aggregator(url: &str) -> Result<(), DomainError> {
    let is_server =
        |url: &Url| matches!(url.scheme(), "http" | "https") && url.host_str().is_some();
    match Url::parse(url) {
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            Err(DomainError::Password)
        }
        Ok(url) if is_server(&url) => Ok(()),
        _ => Err(DomainError::Aggregator(url.to_owned())),
    }
}

/// Whether a namespace may have this name (RFC 1123 label, as Kubernetes asks for).
///
/// # Errors
/// Where it may not.
pub fn check_namespace(name: &str) -> Result<(), DomainError> {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_end = |char: char| char != '-';
    let is_name = (1..=63).contains(&name.len())
        && name.bytes().all(is_inner)
        && name.starts_with(is_end)
        && name.ends_with(is_end);
    is_name
        .then_some(())
        .ok_or_else(|| DomainError::Namespace(name.to_owned()))
}

/// The names that the first tool had, and whose domains they were.
const OLD_ROLES: [(&str, Role); 3] = [
    ("swv", Role::Vendor),
    ("mno_staging", Role::Staging),
    ("mno_production", Role::Production),
];

/// The first tool's file; it wrote more than is read.
#[derive(Deserialize)]
struct OldFile {
    #[serde(default)]
    domains: BTreeMap<String, Option<OldDomain>>,
    default_domain: Option<String>,
}

#[derive(Deserialize)]
struct OldDomain {
    context_name: Option<String>,
}

/// The domains of a file of the first tool; those that it never asked a context for are left out.
///
/// # Errors
/// One line that says what is wrong in it, and where.
pub fn from_old(text: &str) -> Result<Domains, String> {
    let old: OldFile = yaml::parse(text)?;
    let mut domains = Domains::default();
    for (name, domain) in old.domains {
        let context = domain.and_then(|domain| domain.context_name);
        let Some(context) = context.filter(|context| !context.trim().is_empty()) else {
            continue;
        };
        let role = OLD_ROLES.iter().find(|(old, _)| *old == name);
        let domain = Domain {
            role: role.map_or(Role::default(), |(_, role)| *role),
            ..Domain::of_context(&context)
        };
        domains.domains.insert(name, domain);
    }
    let default = old.default_domain;
    domains.default_domain = default.filter(|name| domains.domains.contains_key(name));
    domains.validate().map_err(|error| error.to_string())?;
    Ok(domains)
}

#[cfg(test)]
mod tests;
