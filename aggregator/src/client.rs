//! The client of a server's API.

mod planning;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use axum::body::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Certificate, RequestBuilder, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use wire::v1::Batch;

use crate::access::SecretFile;
use crate::api::tokens::{MadeToken, NewToken};
use crate::cli::{LedgerArgs, Usage};
use crate::crypto;
use crate::intensity::{Signal, Slot};
use crate::ledger::{IntensityQuery, ReportQuery};
use crate::report::{ComponentUse, Report};
use crate::store::{ComponentQuery, RunFilter, RunSummary, Written};
use crate::token::TokenRecord;

/// Longer than this no answer is waited for: a report on a month takes seconds.
const TIMEOUT: Duration = Duration::from_secs(120);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest error text that is shown.
const MAX_ERROR_CHARS: usize = 500;

/// Asks one server.
pub struct Client {
    http: reqwest::Client,
    base: Url,
}

#[derive(Deserialize)]
struct ErrorBody {
    error: String,
}

#[derive(Deserialize)]
struct Changed {
    changed: usize,
}

#[derive(Deserialize)]
struct Acknowledged {
    written: WrittenName,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum WrittenName {
    New,
    Duplicate,
}

impl Client {
    /// For the server that the arguments name, with their token and roots.
    ///
    /// # Errors
    /// [`Usage`] where that is no URL of a server; where a file cannot be used.
    pub fn new(args: &LedgerArgs) -> anyhow::Result<Self> {
        let url = &args.server;
        let base = Url::parse(url)
            .map_err(|error| Usage(format!("--server '{url}' is not a URL: {error}")))?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            let hint =
                format!("--server '{url}' is not a URL that begins with http:// or https://");
            return Err(Usage(hint).into());
        }
        crypto::install();
        let mut http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT);
        if base.scheme() == "http" {
            // A machine without any roots is no obstacle where none are needed.
            http = http.tls_certs_only([]);
        } else if let Some(path) = &args.ca_file {
            http = http.tls_certs_only(roots(path)?);
        }
        if let Some(path) = &args.token_file {
            http = http.default_headers(authorization(path)?);
        }
        if is_loopback(&base) {
            // A proxy would look for the server on its own machine.
            http = http.no_proxy();
        }
        let http = http.build().context("cannot make an HTTP client")?;
        Ok(Self { http, base })
    }

    /// Runs, the latest first.
    ///
    /// # Errors
    /// Where the server cannot be reached or refuses.
    pub async fn runs(&self, filter: &RunFilter) -> anyhow::Result<Vec<RunSummary>> {
        let since = filter.since.map(|since| since.to_string());
        let limit = filter.limit.map(|limit| limit.to_string());
        let query = [
            ("since", since.as_deref()),
            ("workflow", filter.workflow.as_deref()),
            ("run", filter.run.as_deref()),
            ("stage", filter.stage.as_deref()),
            ("cluster", filter.cluster.as_deref()),
            ("limit", limit.as_deref()),
        ];
        self.get(&["api", "v1", "runs"], &query).await
    }

    /// The report on one run.
    ///
    /// # Errors
    /// Where the server cannot be reached or has no such report.
    pub async fn report(&self, query: &ReportQuery) -> anyhow::Result<Report> {
        let path = ["api", "v1", "runs", &query.run, "report"];
        let as_of = query.as_of.map(|time| time.to_string());
        let unit = query.unit.as_ref();
        let count = unit.map(|unit| unit.count.to_string());
        let query = [
            ("idle", Some(query.idle.as_str())),
            ("workflow", query.workflow.as_deref()),
            ("cluster", query.cluster.as_deref()),
            ("embodied", Some(query.embodied.as_str())),
            ("unit", unit.map(|unit| unit.unit.as_str())),
            ("count", count.as_deref()),
            ("baseline", query.baseline.as_deref()),
            ("equivalents", query.equivalents.then_some("true")),
            ("course", query.course.then_some("true")),
            ("as_of", as_of.as_deref()),
        ];
        self.get(&path, &query).await
    }

    /// What components used.
    ///
    /// # Errors
    /// Where the server cannot be reached or refuses.
    pub async fn components(&self, query: &ComponentQuery) -> anyhow::Result<Vec<ComponentUse>> {
        let (from, to) = (query.from.to_string(), query.to.to_string());
        let query = [
            ("cluster", query.cluster.as_deref()),
            ("namespace", query.namespace.as_deref()),
            ("from", Some(from.as_str())),
            ("to", Some(to.as_str())),
        ];
        self.get(&["api", "v1", "components"], &query).await
    }

    /// The intensity of a zone over a time.
    ///
    /// # Errors
    /// Where the server cannot be reached or does not know the zone.
    pub async fn intensity(&self, query: &IntensityQuery) -> anyhow::Result<Vec<Slot>> {
        let (from, to) = (query.from.to_string(), query.to.to_string());
        let as_of = query.as_of.map(|time| time.to_string());
        let query = [
            ("zone", Some(query.intensity_zone.as_str())),
            ("signal", query.signal.map(Signal::as_str)),
            ("from", Some(from.as_str())),
            ("to", Some(to.as_str())),
            ("as_of", as_of.as_deref()),
        ];
        self.get(&["api", "v1", "intensity"], &query).await
    }

    /// Adds intensity slots; returns how many were new or changed.
    ///
    /// # Errors
    /// Where the server cannot be reached or refuses them.
    pub async fn put_slots(&self, slots: &[Slot]) -> anyhow::Result<usize> {
        let request = self
            .http
            .post(self.url(&["api", "v1", "intensity"]))
            .json(slots);
        let Changed { changed } = self.send(request).await?;
        Ok(changed)
    }

    /// Writes a batch, once.
    ///
    /// # Errors
    /// Where the server cannot be reached or refuses it.
    pub async fn write_batch(&self, batch: &Batch) -> anyhow::Result<Written> {
        let request = self
            .http
            .post(self.url(&["v1", "batches"]))
            .header(CONTENT_TYPE, wire::CONTENT_TYPE)
            .header(CONTENT_ENCODING, wire::CONTENT_ENCODING)
            .body(wire::encode(batch));
        let Acknowledged { written } = self.send(request).await?;
        Ok(match written {
            WrittenName::New => Written::New,
            WrittenName::Duplicate => Written::Duplicate,
        })
    }

    /// Makes a token.
    ///
    /// # Errors
    /// Where the server cannot be reached or refuses.
    pub async fn make_token(&self, new: &NewToken) -> anyhow::Result<MadeToken> {
        let request = self.http.post(self.url(&["api", "v1", "tokens"]));
        self.send(request.json(new)).await
    }

    /// All tokens.
    ///
    /// # Errors
    /// Where the server cannot be reached or refuses.
    pub async fn tokens(&self) -> anyhow::Result<Vec<TokenRecord>> {
        self.get(&["api", "v1", "tokens"], &[]).await
    }

    /// Revokes a token.
    ///
    /// # Errors
    /// Where the server cannot be reached, or has no such token.
    pub async fn revoke_token(&self, id: &str) -> anyhow::Result<()> {
        let request = self.http.delete(self.url(&["api", "v1", "tokens", id]));
        self.ask(request).await.map(drop)
    }

    async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, Option<&str>)],
    ) -> anyhow::Result<T> {
        let given = query.iter().filter(|(_, value)| value.is_some());
        let request = self.http.get(self.url(path));
        self.send(request.query(&given.collect::<Vec<_>>())).await
    }

    /// Below the path that the server's URL may have.
    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        url.set_query(None);
        url.path_segments_mut()
            .expect("an http URL has a path")
            .pop_if_empty()
            .extend(path);
        url
    }

    async fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> anyhow::Result<T> {
        let body = self.ask(request).await?;
        serde_json::from_slice(&body).map_err(|error| {
            anyhow!(
                "the answer of {} is not one of hxmlops ({error}); is it another server, or of another version?",
                self.base
            )
        })
    }

    /// The body of an answer that is none of an error.
    async fn ask(&self, request: RequestBuilder) -> anyhow::Result<Bytes> {
        let answer = request
            .send()
            .await
            .map_err(|error| self.unreachable(&error))?;
        let status = answer.status();
        let body = answer
            .bytes()
            .await
            .map_err(|error| self.unreachable(&error))?;
        if !status.is_success() {
            bail!(self.refusal(status, &body));
        }
        Ok(body)
    }

    fn unreachable(&self, error: &reqwest::Error) -> anyhow::Error {
        let reason = if error.is_timeout() {
            "it did not answer in time".to_owned()
        } else {
            root_cause(error)
        };
        anyhow!(
            "cannot reach the server at {}: {reason}; is `hxmlops serve` running? \
             (or read a ledger directly with --data-dir)",
            self.base
        )
    }

    /// The server's own line where it has one: it says what to do.
    fn refusal(&self, status: StatusCode, body: &[u8]) -> String {
        match serde_json::from_slice(body) {
            Ok(ErrorBody { error }) => error.chars().take(MAX_ERROR_CHARS).collect(),
            Err(_) => format!("the server at {} answered {status}", self.base),
        }
    }
}

fn roots(path: &Path) -> anyhow::Result<Vec<Certificate>> {
    let name = || format!("--ca-file {}", path.display());
    let pem = std::fs::read(path).with_context(name)?;
    let roots = Certificate::from_pem_bundle(&pem).with_context(name)?;
    if roots.is_empty() {
        bail!("{}: there is no certificate in it", name());
    }
    Ok(roots)
}

/// The token as a header that no log shows.
fn authorization(path: &Path) -> anyhow::Result<HeaderMap> {
    let secret = SecretFile::new(path.to_owned()).read()?;
    let mut value = HeaderValue::from_str(&format!("Bearer {secret}"))
        .context("the token has characters that no header may have")?;
    value.set_sensitive(true);
    Ok(HeaderMap::from_iter([(AUTHORIZATION, value)]))
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// The innermost reason: the layers above it only say that a request failed.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
