//! Requests to a management controller.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Response, StatusCode, Url};

use super::Access;
use super::json::{control_watts, environment_watts, members};

/// A request that has no answer by then has failed.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// No document of a chassis is longer.
const MAX_DOCUMENT_BYTES: usize = 1 << 20;
const ALL_CHASSIS: &str = "/redfish/v1/Chassis";

/// How to get watts out of a document.
type Watts = fn(&[u8]) -> Option<f64>;

/// The documents of a chassis that may have its power, the newer first.
const DOCUMENTS: [(&str, Watts); 2] = [
    ("EnvironmentMetrics", environment_watts),
    ("Power", control_watts),
];

/// A management controller that is asked.
pub(super) struct Controller {
    access: Access,
    client: Client,
    /// The one that has told its power.
    chassis: Option<Url>,
}

impl Controller {
    /// Asks nothing yet.
    ///
    /// # Errors
    /// Names the file of `access` that cannot be used.
    pub(super) fn new(access: &Access) -> anyhow::Result<Self> {
        // Fails only where this was done before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut client = Client::builder()
            .redirect(Policy::none())
            .timeout(REQUEST_TIMEOUT);
        if let Some(path) = &access.ca_file {
            let cannot = || {
                format!(
                    "--redfish-ca-file {} has no certificates in PEM",
                    path.display()
                )
            };
            let pem = std::fs::read(path).with_context(cannot)?;
            let certificates = Certificate::from_pem_bundle(&pem).with_context(cannot)?;
            ensure!(!certificates.is_empty(), cannot());
            client = client.tls_certs_only(certificates);
        }
        let controller = Self {
            access: access.clone(),
            client: client.build().context("no HTTP client can be made")?,
            chassis: None,
        };
        controller.credentials()?;
        Ok(controller)
    }

    /// What the platform draws now. The chassis that told it once is asked for ever: another one's power is another's.
    ///
    /// # Errors
    /// Where the controller does not tell it.
    pub(super) async fn watts(&mut self) -> anyhow::Result<f64> {
        let candidates = match &self.chassis {
            Some(chassis) => vec![chassis.clone()],
            None => self.candidates().await?,
        };
        for chassis in candidates {
            for (name, watts) in DOCUMENTS {
                // Only one that has no such document, or no power in it, is passed over: who fails may be the right one.
                let document = self.get(&below(&chassis, name)).await?;
                if let Some(now) = document.as_deref().and_then(watts) {
                    self.chassis = Some(chassis);
                    return Ok(now);
                }
            }
        }
        bail!("no chassis of {} tells its power", self.access.url)
    }

    /// The one that the URL names, or all.
    async fn candidates(&self) -> anyhow::Result<Vec<Url>> {
        let url = &self.access.url;
        if !matches!(
            url.path().trim_end_matches('/'),
            "" | "/redfish" | "/redfish/v1"
        ) {
            return Ok(vec![url.clone()]);
        }
        let all = with_path(url, ALL_CHASSIS);
        let document = self.get(&all).await?.unwrap_or_default();
        let members = members(&document).with_context(|| format!("{all} is no collection"))?;
        Ok(members.iter().map(|path| with_path(url, path)).collect())
    }

    /// `None`: there is no such document.
    async fn get(&self, url: &Url) -> anyhow::Result<Option<Vec<u8>>> {
        let mut request = self.client.get(url.clone());
        if let Some((user, password)) = self.credentials()? {
            request = request.basic_auth(user, Some(password));
        }
        let response = request.send().await?;
        match response.status() {
            StatusCode::OK => document(response).await.map(Some),
            StatusCode::NOT_FOUND => Ok(None),
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                bail!("{url} does not let the agent in ({status}): see --redfish-credentials-file")
            }
            status => bail!("{url} answers {status}"),
        }
    }

    /// The file is read for each request, since its owner may change it.
    fn credentials(&self) -> anyhow::Result<Option<(String, String)>> {
        let Some(path) = &self.access.credentials_file else {
            return Ok(None);
        };
        let shown = path.display();
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read --redfish-credentials-file {shown}"))?;
        let pair = text.trim_end_matches(['\r', '\n']).split_once(':');
        let (user, password) = pair
            .filter(|(user, password)| !user.is_empty() && !password.contains('\n'))
            .with_context(|| {
                format!("--redfish-credentials-file {shown} is not one line USER:PASSWORD")
            })?;
        Ok(Some((user.to_owned(), password.to_owned())))
    }
}

async fn document(mut response: Response) -> anyhow::Result<Vec<u8>> {
    let mut document = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        ensure!(
            document.len() + chunk.len() <= MAX_DOCUMENT_BYTES,
            "{} is longer than 1 MiB",
            response.url()
        );
        document.extend_from_slice(&chunk);
    }
    Ok(document)
}

fn with_path(url: &Url, path: &str) -> Url {
    let mut url = url.clone();
    url.set_path(path);
    url.set_query(None);
    url
}

fn below(chassis: &Url, name: &str) -> Url {
    with_path(
        chassis,
        &format!("{}/{name}", chassis.path().trim_end_matches('/')),
    )
}
