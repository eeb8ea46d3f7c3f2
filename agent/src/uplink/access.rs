//! How the agent proves who it is, and how it knows the aggregator: a token, certificates. No secret of these is ever
//! logged.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail, ensure};
use reqwest::header::HeaderValue;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Identity, Url};
use tracing::warn;

/// A request that has no answer by then is tried again.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// No token is longer.
const MAX_TOKEN_BYTES: usize = 4096;
/// Permission of those who are neither the owner nor of the group.
const READABLE_BY_OTHERS: u32 = 0o004;

/// Where the aggregator is, and what is needed to be let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Where batches go.
    pub url: Url,
    /// File of the bearer token.
    pub token_file: Option<PathBuf>,
    /// File of the authorities that may vouch for the aggregator, and nobody else may; `None`: the system's.
    pub ca_file: Option<PathBuf>,
    /// Files of the agent's own certificate and its key.
    pub client_cert: Option<(PathBuf, PathBuf)>,
}

impl Access {
    /// To `url` as anybody.
    #[must_use]
    pub fn open(url: Url) -> Self {
        Self {
            url,
            token_file: None,
            ca_file: None,
            client_cert: None,
        }
    }

    /// Whether its files can be used.
    ///
    /// # Errors
    /// Names the one that cannot.
    pub fn check(&self) -> anyhow::Result<()> {
        self.token_file.as_deref().map(read_token).transpose()?;
        self.client().map(drop)
    }

    fn changed(&self) -> Vec<Option<SystemTime>> {
        let pair = self.client_cert.iter().flat_map(|(cert, key)| [cert, key]);
        let files = self.ca_file.iter().chain(pair);
        let changed = |path: &PathBuf| std::fs::metadata(path)?.modified();
        files.map(|path| changed(path).ok()).collect()
    }

    /// The client for it.
    ///
    /// # Errors
    /// Names the file that cannot be used.
    fn client(&self) -> anyhow::Result<Client> {
        // Fails only where this was done before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut client = Client::builder()
            .http2_prior_knowledge()
            // Whoever redirects a batch has not taken it.
            .redirect(Policy::none())
            .timeout(REQUEST_TIMEOUT);
        if self.url.scheme() == "http" {
            // A machine without any roots is no obstacle where none are needed.
            client = client.tls_certs_only([]);
        } else if let Some(path) = &self.ca_file {
            let cannot = || format!("--ca-file {} has no certificates in PEM", path.display());
            let certificates = Certificate::from_pem_bundle(&read("--ca-file", path)?);
            let certificates = certificates.with_context(cannot)?;
            ensure!(!certificates.is_empty(), cannot());
            client = client.tls_certs_only(certificates);
        }
        if let Some((cert, key)) = &self.client_cert {
            let mut pem = read("--client-cert", cert)?;
            pem.push(b'\n');
            pem.extend(read("--client-key", key)?);
            let identity = Identity::from_pem(&pem).ok().with_context(|| {
                let (cert, key) = (cert.display(), key.display());
                format!(
                    "--client-cert {cert} and --client-key {key} are no certificate and key in PEM"
                )
            });
            client = client.identity(identity?);
        }
        client.build().context("no HTTP client can be made")
    }
}

/// The client, made anew when the files of its certificates change, as mounted secrets do.
#[derive(Debug)]
pub(super) struct Renewed {
    access: Access,
    client: Client,
    /// When each file was last changed, as it was seen.
    seen: Vec<Option<SystemTime>>,
}

impl Renewed {
    /// For the aggregator that `access` names.
    ///
    /// # Errors
    /// Names the file that cannot be used.
    pub(super) fn open(access: &Access) -> anyhow::Result<Self> {
        Ok(Self {
            seen: access.changed(),
            client: access.client()?,
            access: access.clone(),
        })
    }

    /// The client as it is to be now; as it was where the files cannot be used, which is told once.
    pub(super) fn client(&mut self) -> Client {
        let changed = self.access.changed();
        if changed != self.seen {
            self.seen = changed;
            match self.access.client() {
                Ok(client) => self.client = client,
                Err(error) => warn!("{error:#}; the certificates that were read before are used"),
            }
        }
        self.client.clone()
    }
}

fn read(flag: &str, path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {flag} {}", path.display()))
}

/// A bearer token that its owner may change at any time: the file is read for each request.
#[derive(Debug)]
pub(super) struct Token {
    path: PathBuf,
    /// As it was last read.
    header: HeaderValue,
    failing: bool,
}

impl Token {
    /// The token that `access` names.
    ///
    /// # Errors
    /// Where the file has no token.
    pub(super) fn open(access: &Access) -> anyhow::Result<Option<Self>> {
        let Some(path) = &access.token_file else {
            return Ok(None);
        };
        let header = read_token(path)?;
        let shown = path.display();
        let mode = std::fs::metadata(path)?.permissions().mode();
        if mode & READABLE_BY_OTHERS != 0 {
            warn!(
                "--token-file {shown} can be read by everybody on this machine (chmod 640 mends that)"
            );
        }
        if access.url.scheme() == "http" && !is_loopback(&access.url) {
            warn!(
                "the token of {shown} goes to {} unencrypted: use https",
                access.url
            );
        }
        Ok(Some(Self {
            path: path.clone(),
            header,
            failing: false,
        }))
    }

    /// `Authorization` with the token as it is now; as it last was where the file cannot be read.
    pub(super) fn header(&mut self) -> HeaderValue {
        let read = read_token(&self.path);
        if let Err(error) = &read
            && !self.failing
        {
            warn!("{error:#}; the token that was read before is used");
        }
        self.failing = read.is_err();
        if let Ok(header) = read {
            self.header = header;
        }
        self.header.clone()
    }
}

fn read_token(path: &Path) -> anyhow::Result<HeaderValue> {
    let text = String::from_utf8(read("--token-file", path)?);
    let text = text.ok().unwrap_or_default();
    let token = text.trim();
    let is_plain = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_plain || token.len() > MAX_TOKEN_BYTES {
        bail!(
            "--token-file {} has no token in its one line",
            path.display()
        );
    }
    let mut header: HeaderValue = format!("Bearer {token}").parse()?;
    header.set_sensitive(true);
    Ok(header)
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}
