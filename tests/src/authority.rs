//! An authority of our own, and the certificates that it signs.

use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// Who signs.
pub struct Authority(Issuer<'static, KeyPair>);

impl Authority {
    /// With its own certificate in a file.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn new(ca: &Path) -> anyhow::Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        fs::write(ca, params.self_signed(&key)?.pem())?;
        Ok(Self(Issuer::new(params, key)))
    }

    /// A certificate of this machine and its key, into two files.
    ///
    /// # Errors
    /// Where the files cannot be written.
    pub fn sign(&self, cert: &Path, key: &Path, subject: &[(DnType, &str)]) -> anyhow::Result<()> {
        self.sign_names(&["127.0.0.1"], cert, key, subject)
    }

    /// The same, of a server that goes by these names and addresses.
    ///
    /// # Errors
    /// As [`Authority::sign`].
    pub fn sign_names(
        &self,
        names: &[&str],
        cert: &Path,
        key: &Path,
        subject: &[(DnType, &str)],
    ) -> anyhow::Result<()> {
        let names: Vec<String> = names.iter().copied().map(str::to_owned).collect();
        let mut params = CertificateParams::new(names)?;
        for (field, value) in subject {
            params.distinguished_name.push(field.clone(), *value);
        }
        let own_key = KeyPair::generate()?;
        fs::write(key, own_key.serialize_pem())?;
        fs::write(cert, params.signed_by(&own_key, &self.0)?.pem())?;
        Ok(())
    }
}
