//! The server's certificate, and who a client's certificate says it is.
//!
//! Files are looked at every few seconds and read anew when they change, as mounted secrets do; connections that
//! there are stay. A change that cannot be used leaves what was in force, and is told once.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};

use crate::token::Role;

/// What an organisation in a client certificate's subject begins with where it names a role.
const ORGANISATION: &str = "hxmlops:";
/// The cluster of an agent's certificate without an organisational unit.
const DEFAULT_CLUSTER: &str = "default";

/// Where the certificates are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate, with those between it and its root (PEM).
    pub cert: PathBuf,
    /// Its private key (PEM).
    pub key: PathBuf,
    /// Roots of client certificates (PEM); without it clients show tokens.
    pub client_ca: Option<PathBuf>,
}

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TlsError(String);

/// The configuration in force.
pub struct Tls {
    files: TlsFiles,
    current: RwLock<Arc<ServerConfig>>,
    seen: Mutex<Vec<Option<SystemTime>>>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// Names the file that cannot be used.
    pub fn open(files: TlsFiles) -> Result<Self, TlsError> {
        let seen = files.changed();
        Ok(Self {
            current: RwLock::new(Arc::new(load(&files)?)),
            seen: Mutex::new(seen),
            files,
        })
    }

    /// What a new connection is served with.
    #[must_use]
    pub fn current(&self) -> Arc<ServerConfig> {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether clients may show certificates.
    #[must_use]
    pub fn takes_certificates(&self) -> bool {
        self.files.client_ca.is_some()
    }

    /// Reads the files again if one has changed; true where that was so.
    ///
    /// # Errors
    /// Names the file that cannot be used; it is tried again when it changes again.
    pub fn reload_if_changed(&self) -> Result<bool, TlsError> {
        let changed = self.files.changed();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == changed {
            return Ok(false);
        }
        *seen = changed;
        let config = Arc::new(load(&self.files)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(true)
    }
}

impl TlsFiles {
    fn changed(&self) -> Vec<Option<SystemTime>> {
        [Some(&self.cert), Some(&self.key), self.client_ca.as_ref()]
            .into_iter()
            .flatten()
            .map(|path| {
                fs::metadata(path)
                    .and_then(|metadata| metadata.modified())
                    .ok()
            })
            .collect()
    }
}

fn load(files: &TlsFiles) -> Result<ServerConfig, TlsError> {
    let failed = |path: &Path, error: &dyn ToString| {
        TlsError(format!("{}: {}", path.display(), error.to_string()))
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError(error.to_string()))?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for root in certificates(path)? {
                roots.add(root).map_err(|error| failed(path, &error))?;
            }
            // A client without a certificate may show a token.
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .allow_unauthenticated()
                .build()
                .map_err(|error| failed(path, &error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let key =
        PrivateKeyDer::from_pem_file(&files.key).map_err(|error| failed(&files.key, &error))?;
    let mut config = builder
        .with_single_cert(certificates(&files.cert)?, key)
        .map_err(|error| failed(&files.cert, &error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed =
        |error: &dyn ToString| TlsError(format!("{}: {}", path.display(), error.to_string()));
    let found = CertificateDer::pem_file_iter(path).map_err(|error| failed(&error))?;
    let found: Result<Vec<_>, _> = found.collect();
    let found = found.map_err(|error| failed(&error))?;
    if found.is_empty() {
        return Err(failed(&"there is no certificate in it"));
    }
    Ok(found)
}

/// The role that a client certificate's subject names: its organisation is `hxmlops:ingest`, `hxmlops:read` or
/// `hxmlops:admin`; an agent's common name is its node, its organisational unit the cluster (else `default`).
#[must_use]
pub fn role_of(certificate: &CertificateDer<'_>) -> Option<Role> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let subject = parsed.subject();
    let mut roles = subject.iter_organization().filter_map(|organisation| {
        role_named(
            organisation.as_str().ok()?.strip_prefix(ORGANISATION)?,
            subject,
        )
    });
    roles.next()
}

fn role_named(role: &str, subject: &X509Name<'_>) -> Option<Role> {
    match role {
        "read" => Some(Role::Read),
        "admin" => Some(Role::Admin),
        "ingest" => {
            let node = subject.iter_common_name().next()?.as_str().ok()?;
            let unit = subject.iter_organizational_unit().next();
            let cluster = unit.and_then(|unit| unit.as_str().ok());
            // A certificate is one node's: nothing in its name stands for others.
            let is_one = !node.is_empty() && !node.contains(['*', '?']);
            is_one.then(|| Role::Ingest {
                cluster: cluster.unwrap_or(DEFAULT_CLUSTER).to_owned(),
                node: node.to_owned(),
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    fn certificate(fields: &[(DnType, &str)]) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (field, value) in fields {
            params.distinguished_name.push(field.clone(), *value);
        }
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().clone()
    }

    #[test]
    fn a_subject_names_a_role() {
        use DnType::{CommonName, OrganizationName, OrganizationalUnitName};
        let check = |fields: &[(DnType, &str)], expected: Option<Role>| {
            assert_eq!(role_of(&certificate(fields)), expected, "{fields:?}");
        };
        let ingest = |cluster: &str| {
            Some(Role::Ingest {
                cluster: cluster.into(),
                node: "n1".into(),
            })
        };
        let organisation = |name| (OrganizationName, name);
        let node = (CommonName, "n1");
        check(&[organisation("hxmlops:admin")], Some(Role::Admin));
        check(
            &[organisation("hxmlops:read"), node.clone()],
            Some(Role::Read),
        );
        check(
            &[organisation("hxmlops:ingest"), node.clone()],
            ingest("default"),
        );
        let unit = (OrganizationalUnitName, "c1");
        check(
            &[organisation("hxmlops:ingest"), node.clone(), unit],
            ingest("c1"),
        );
        check(&[organisation("hxmlops:ingest")], None);
        check(&[organisation("hxmlops:ingest"), (CommonName, "*")], None);
        check(&[organisation("hxmlops:root"), node.clone()], None);
        check(&[organisation("admin"), node], None);
        check(&[], None);
        assert_eq!(role_of(&CertificateDer::from(vec![1, 2, 3])), None);
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let key = KeyPair::generate().unwrap();
        let cert = CertificateParams::default().self_signed(&key).unwrap();
        fs::write(path("cert"), cert.pem()).unwrap();
        fs::write(path("key"), key.serialize_pem()).unwrap();
        fs::write(path("other"), KeyPair::generate().unwrap().serialize_pem()).unwrap();
        fs::write(path("empty"), "").unwrap();
        let open = |cert: &str, key: &str, client_ca: Option<&str>| {
            Tls::open(TlsFiles {
                cert: path(cert),
                key: path(key),
                client_ca: client_ca.map(path),
            })
        };
        assert!(open("cert", "key", Some("cert")).is_ok());
        for (cert, key, client_ca, named) in [
            ("none", "key", None, "none"),
            ("empty", "key", None, "empty"),
            ("cert", "empty", None, "empty"),
            ("cert", "other", None, "cert"),
            ("cert", "key", Some("empty"), "empty"),
        ] {
            let error = open(cert, key, client_ca).err().unwrap().to_string();
            assert!(error.contains(named), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }
}
