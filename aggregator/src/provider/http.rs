//! One request to a provider: in its turn, within its time, of a bounded size, to no other address.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url};

use super::answer::{refusal, retry_after};
use super::pace::{Limit, Pace};
use super::{ProviderError, Secret};
use crate::crypto;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest answer: a month of 5-minute points is less than a hundredth.
const MAX_BODY_BYTES: usize = 64 << 20;

/// Stands for a key where a provider repeats it.
const HIDDEN: &str = "***";

/// Asks one provider.
pub(super) struct Http {
    client: Client,
    base: Url,
    pace: Pace,
    /// Some request was answered: a key that is refused later was good.
    has_succeeded: AtomicBool,
}

/// What is asked.
#[derive(Debug)]
pub(super) struct Request<'a> {
    /// Below the base, segment by segment.
    pub(super) path: &'a [&'a str],
    pub(super) query: &'a [(&'a str, &'a str)],
    /// Who asks.
    pub(super) credentials: Option<(HeaderName, HeaderValue)>,
    /// What must not be seen in an error.
    pub(super) secret: Option<&'a Secret>,
}

impl Request<'_> {
    /// A provider's text without what it was shown, which it may have repeated.
    fn hide_in(&self, text: &str) -> String {
        let shown = self.credentials.as_ref();
        let shown = shown
            .and_then(|(_, value)| value.to_str().ok())
            .unwrap_or_default();
        let (_, bare) = shown.split_once(' ').unwrap_or(("", shown));
        let secret = self.secret.map_or("", Secret::expose);
        let hidden = [secret, bare]
            .into_iter()
            .filter(|hidden| !hidden.is_empty());
        hidden
            .flat_map(forms)
            .fold(text.to_owned(), |text, hidden| {
                text.replace(&hidden, HIDDEN)
            })
    }
}

/// A secret as it is, and as it stands in JSON and in an address.
fn forms(secret: &str) -> [String; 3] {
    let json = serde_json::Value::from(secret).to_string();
    let mut address = Url::parse("http://h/").expect("it is an address");
    address.set_query(Some(secret));
    let address = address.query().unwrap_or_default().to_owned();
    [
        secret.to_owned(),
        json.trim_matches('"').to_owned(),
        address,
    ]
}

impl Http {
    /// For what is below `base`, with a wait of at most `within` for an answer.
    ///
    /// # Errors
    /// In words, where that is no address of a provider.
    pub(super) fn new(base: &str, limit: Limit, within: Duration) -> Result<Self, String> {
        let url = Url::parse(base).map_err(|error| format!("url '{base}' is no URL: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(format!(
                "url '{base}' does not begin with http:// or https://"
            ));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("url has a user or a password in it: give a key file".to_owned());
        }
        crypto::install();
        let mut client = Client::builder()
            .timeout(within)
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(concat!("hxmlops/", env!("CARGO_PKG_VERSION")))
            // Followed, it would take the key to whoever it is sent on to.
            .redirect(Policy::none());
        if url.scheme() == "http" {
            client = client.tls_certs_only([]);
        }
        if is_loopback(&url) {
            client = client.no_proxy();
        }
        Ok(Self {
            client: client.build().map_err(|error| error.to_string())?,
            base: url,
            pace: Pace::new(limit),
            has_succeeded: AtomicBool::new(false),
        })
    }

    /// Whether what is sent can be read on its way to another machine.
    pub(super) fn is_in_the_clear(&self) -> bool {
        self.base.scheme() == "http" && !is_loopback(&self.base)
    }

    /// The text of an answer.
    ///
    /// # Errors
    /// Where there is none of success.
    pub(super) async fn get(&self, request: Request<'_>) -> Result<String, Failed> {
        self.pace.turn().await?;
        let mut asked = self.ask(&request).await;
        match &mut asked {
            Ok(_) => self.has_succeeded.store(true, Relaxed),
            Err(failed) => {
                if let ProviderError::Throttled(Some(after)) = &failed.error {
                    self.pace.hold(*after);
                }
                failed.error.change_text(|said| request.hide_in(said));
            }
        }
        asked
    }

    async fn ask(&self, request: &Request<'_>) -> Result<String, Failed> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .expect("an http URL has a path")
            .pop_if_empty()
            .extend(request.path);
        let mut asked = self.client.get(url).query(request.query);
        if let Some((name, value)) = &request.credentials {
            asked = asked.header(name, value);
        }
        let response = asked.send().await.map_err(|error| unreachable(&error))?;
        let status = response.status().as_u16();
        let after = response.headers().get(RETRY_AFTER);
        let after = after.and_then(|after| retry_after(after.to_str().ok()?, Timestamp::now()));
        let text = body(response).await;
        // What a refusal says may be missing, or be no text.
        let said = text.as_deref().unwrap_or_default();
        // Before anything of it is cut or written otherwise. Of a good answer nothing is shown.
        let said = if (200..300).contains(&status) {
            String::new()
        } else {
            request.hide_in(said)
        };
        match refusal(status, after, &said, self.has_succeeded.load(Relaxed)) {
            Some(error) => Err(Failed {
                status: Some(status),
                error,
            }),
            None => Ok(text?),
        }
    }
}

/// Why a request brought nothing, with the status of the answer where there was one of refusal.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) status: Option<u16>,
    error: ProviderError,
}

impl From<ProviderError> for Failed {
    fn from(error: ProviderError) -> Self {
        Self {
            status: None,
            error,
        }
    }
}

impl From<Failed> for ProviderError {
    fn from(failed: Failed) -> Self {
        failed.error
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.base.as_str())
    }
}

async fn body(mut response: Response) -> Result<String, ProviderError> {
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| unreachable(&error))?
    {
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            let message = format!("longer than {} MiB", MAX_BODY_BYTES >> 20);
            return Err(ProviderError::Malformed(message));
        }
        body.extend_from_slice(&chunk);
    }
    String::from_utf8(body).map_err(|_| ProviderError::Malformed("it is no UTF-8 text".into()))
}

fn unreachable(error: &reqwest::Error) -> ProviderError {
    if error.is_timeout() {
        return ProviderError::Unreachable("it did not answer in time".to_owned());
    }
    // The innermost reason: the layers above it have the address, and only say that a request failed.
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    ProviderError::Unreachable(cause.to_string())
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_hidden_in_every_form_that_is_repeated() {
        let long = "k".repeat(300);
        for key in ["abc123", r#"ab"cd'ef\gh"#, "a b&c=d%", long.as_str()] {
            let secret = Secret::new(key).unwrap();
            let request = Request {
                path: &[],
                query: &[],
                credentials: None,
                secret: Some(&secret),
            };
            for form in forms(key) {
                let hidden = request.hide_in(&format!("bad token {form}!"));
                assert_eq!(hidden, "bad token ***!", "{form}");
            }
            let body = serde_json::json!({ "error": format!("bad token {key}") }).to_string();
            let refused = refusal(401, None, &request.hide_in(&body), false).unwrap();
            assert!(!refused.to_string().contains(&key[..3]), "{refused}");
        }
    }
}
