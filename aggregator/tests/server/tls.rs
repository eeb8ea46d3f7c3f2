//! TLS with real handshakes: the server's certificate and its renewal, and clients that show one.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use aggregator::config::{ServeArgs, ServeConfig};
use aggregator::serve::{Server, StartError};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
};
use reqwest::{Certificate, Client, Identity};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::batches::batch;
use crate::running::args;

/// Who signs.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name = subject(&[(DnType::CommonName, name)]);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            pem,
            issuer: Issuer::new(params, key),
        }
    }

    /// A certificate and its key.
    fn sign(&self, names: &[&str], fields: &[(DnType, &str)]) -> (String, String) {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = subject(fields);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

fn subject(fields: &[(DnType, &str)]) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    for (field, value) in fields {
        name.push(field.clone(), *value);
    }
    name
}

struct Site {
    directory: tempfile::TempDir,
    authority: Authority,
}

impl Site {
    fn new() -> Self {
        aggregator::crypto::install();
        let site = Self {
            directory: tempfile::tempdir().unwrap(),
            authority: Authority::new("test authority"),
        };
        site.renew(&site.authority);
        fs::write(site.path("ca"), &site.authority.pem).unwrap();
        site
    }

    /// Gives the server a new certificate.
    fn renew(&self, authority: &Authority) {
        let (cert, key) = authority.sign(&["127.0.0.1"], &[]);
        fs::write(self.path("key"), key).unwrap();
        fs::write(self.path("cert"), cert).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn args(&self, client_ca: bool) -> ServeArgs {
        ServeArgs {
            tls_cert: Some(self.path("cert")),
            tls_key: Some(self.path("key")),
            client_ca: client_ca.then(|| self.path("ca")),
            ..args(&self.path("data"))
        }
    }

    async fn start(&self, client_ca: bool) -> Running {
        let config = ServeConfig::read(self.args(client_ca)).unwrap();
        let server = Server::bind(config).await.unwrap();
        assert_eq!(server.scheme(), "https");
        let base = format!("https://{}", server.address());
        let stop = CancellationToken::new();
        let task = tokio::spawn(server.run(stop.clone()));
        Running { base, stop, task }
    }

    fn client(&self, identity: Option<(String, String)>) -> Client {
        trusting(&self.authority, identity)
    }
}

fn trusting(authority: &Authority, identity: Option<(String, String)>) -> Client {
    let root = Certificate::from_pem(authority.pem.as_bytes()).unwrap();
    // A connection of its own for each request: each one is a handshake.
    let mut builder = Client::builder()
        .tls_certs_only([root])
        .pool_max_idle_per_host(0);
    if let Some((cert, key)) = identity {
        builder = builder.identity(Identity::from_pem(format!("{cert}{key}").as_bytes()).unwrap());
    }
    builder.build().unwrap()
}

struct Running {
    base: String,
    stop: CancellationToken,
    task: JoinHandle<std::io::Result<()>>,
}

impl Running {
    async fn status(&self, client: &Client, path: &str) -> reqwest::Result<u16> {
        let answer = client.get(format!("{}{path}", self.base)).send().await?;
        Ok(answer.status().as_u16())
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_client_that_trusts_the_authority_is_served_and_others_refuse() {
    let site = Site::new();
    let server = site.start(false).await;
    let client = site.client(None);
    let answer = client
        .get(format!("{}/healthz", server.base))
        .send()
        .await
        .unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.version()),
        (200, reqwest::Version::HTTP_2)
    );
    let stranger = trusting(&Authority::new("another"), None);
    assert!(server.status(&stranger, "/healthz").await.is_err());
    let plain = server.base.replace("https", "http");
    assert!(client.get(format!("{plain}/healthz")).send().await.is_err());
    server.stop().await;
}

#[tokio::test]
async fn a_renewed_certificate_serves_new_connections() {
    let site = Site::new();
    let server = site.start(false).await;
    let (old, next) = (site.client(None), Authority::new("the next"));
    let new = trusting(&next, None);
    assert_eq!(server.status(&old, "/healthz").await.unwrap(), 200);
    // One that cannot be used first: what was in force stays.
    fs::write(site.path("cert"), "no certificate").unwrap();
    site.renew(&next);
    // The bound only makes a failure of what would else wait without end.
    let begun = Instant::now();
    while server.status(&new, "/healthz").await.is_err() {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "it was not renewed"
        );
        tokio::task::yield_now().await;
    }
    assert!(server.status(&old, "/healthz").await.is_err());
    server.stop().await;
}

#[tokio::test]
async fn a_client_s_certificate_is_as_good_as_a_token() {
    use DnType::{CommonName, OrganizationName, OrganizationalUnitName};
    let site = Site::new();
    let server = site.start(true).await;
    let with =
        |fields: &[(DnType, &str)]| site.client(Some(site.authority.sign(&["client"], fields)));
    let reader = with(&[(OrganizationName, "hxmlops:read")]);
    let unknown = with(&[(OrganizationName, "somebody")]);
    assert_eq!(server.status(&reader, "/api/v1/runs").await.unwrap(), 200);
    assert_eq!(server.status(&reader, "/api/v1/tokens").await.unwrap(), 403);
    assert_eq!(server.status(&unknown, "/api/v1/runs").await.unwrap(), 401);
    assert_eq!(
        server
            .status(&site.client(None), "/api/v1/runs")
            .await
            .unwrap(),
        401
    );
    assert_eq!(
        server.status(&site.client(None), "/healthz").await.unwrap(),
        200
    );
    let forged = Authority::new("forger").sign(&["client"], &[(OrganizationName, "hxmlops:admin")]);
    assert!(
        server
            .status(&site.client(Some(forged)), "/healthz")
            .await
            .is_err()
    );

    let agent = with(&[
        (OrganizationName, "hxmlops:ingest"),
        (CommonName, "n1"),
        (OrganizationalUnitName, "c1"),
    ]);
    for (node, expected) in [("n1", 200), ("n2", 403)] {
        let request = agent
            .post(format!("{}/v1/batches", server.base))
            .header("content-type", wire::CONTENT_TYPE)
            .header("content-encoding", wire::CONTENT_ENCODING)
            .body(wire::encode(&batch(node, 1, "r1")));
        assert_eq!(request.send().await.unwrap().status(), expected, "{node}");
    }
    server.stop().await;
}

#[tokio::test]
async fn beyond_this_machine_it_takes_both_a_certificate_and_somebody_to_ask() {
    let site = Site::new();
    let everywhere = |args: ServeArgs| ServeArgs {
        listen: Some("0.0.0.0:0".parse().unwrap()),
        ..args
    };
    let start = async |args| Server::bind(ServeConfig::read(args).unwrap()).await;
    let error = start(everywhere(site.args(false))).await.err().unwrap();
    assert!(matches!(error, StartError::Config(_)), "{error}");
    assert!(
        error.to_string().contains("hxmlops token create"),
        "{error}"
    );
    assert!(start(everywhere(site.args(true))).await.is_ok());
    fs::write(site.path("operator"), "x".repeat(32)).unwrap();
    let with_token = ServeArgs {
        token_file: Some(site.path("operator")),
        ..site.args(false)
    };
    assert!(start(everywhere(with_token)).await.is_ok());
}
