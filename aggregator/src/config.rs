//! What `hxmlops serve` is told: flags over environment over a YAML file, checked before anything starts.

mod intensity;
mod sites;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use clap::builder::FalseyValueParser;
use jiff::{Span, SpanRelativeTo};
use serde::Deserialize;

use crate::access::TokenFiles;
use crate::serve::tls::TlsFiles;
use crate::site_map::SiteMap;
use crate::store::Retention;
use intensity::ProviderEntry;
use sites::{OwnSite, SiteEntry, site_map};

pub use intensity::{Fed, IntensityArgs};

/// Address that a server listens on unless told otherwise.
const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8642);
const DEFAULT_RUN_METRICS_TTL: Duration = Duration::from_secs(3600);
const HOUR: Duration = Duration::from_secs(3600);
const DEFAULT_RETENTION: Retention = Retention {
    raw: Duration::from_secs(48 * 3600),
    minutes: Duration::from_secs(90 * 24 * 3600),
};

/// Flags of `hxmlops serve`.
#[derive(Args, Clone, Debug, Default)]
pub struct ServeArgs {
    /// Address of the dashboard, the API, the agents' batches and /metrics [default: 127.0.0.1:8642]
    #[arg(long, value_name = "ADDRESS", env = "HXMLOPS_LISTEN")]
    pub listen: Option<SocketAddr>,
    /// Directory of the ledger [default: $XDG_DATA_HOME/hxmlops, else ~/.local/share/hxmlops]
    #[arg(long, value_name = "DIR", env = "HXMLOPS_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// Site of the nodes that the config file gives to no other [default: default]
    #[arg(long, value_name = "NAME", env = "HXMLOPS_SITE")]
    pub site: Option<String>,
    /// Grid that feeds the site, such as FR, or a cloud's region such as aws:eu-west-3; without it there are no grams
    #[arg(long, value_name = "ZONE", env = "HXMLOPS_INTENSITY_ZONE")]
    pub intensity_zone: Option<String>,
    /// Power usage effectiveness of the site, 1 or more [default: 1.0]
    #[arg(long, value_name = "RATIO", env = "HXMLOPS_PUE")]
    pub pue: Option<f64>,
    /// Who tells the intensity.
    #[command(flatten)]
    pub provider: IntensityArgs,
    /// File with a token that may do everything; with it, or the first of `hxmlops token create`, everybody is asked for one
    #[arg(long, value_name = "FILE", env = "HXMLOPS_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// File with a token that may write the batches of every node, such as one that all agents of a cluster share
    #[arg(long, value_name = "FILE", env = "HXMLOPS_INGEST_TOKEN_FILE")]
    pub ingest_token_file: Option<PathBuf>,
    /// File with a token that may ask, such as Prometheus'
    #[arg(long, value_name = "FILE", env = "HXMLOPS_READ_TOKEN_FILE")]
    pub read_token_file: Option<PathBuf>,
    /// The server's certificate, and those between it and its root (PEM); read again when it changes
    #[arg(long, value_name = "FILE", env = "HXMLOPS_TLS_CERT")]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's private key (PEM)
    #[arg(long, value_name = "FILE", env = "HXMLOPS_TLS_KEY")]
    pub tls_key: Option<PathBuf>,
    /// Roots of client certificates (PEM), which are as good as tokens: their organisation is hxmlops:ingest (common name: the node), hxmlops:read or hxmlops:admin
    #[arg(long, value_name = "FILE", env = "HXMLOPS_CLIENT_CA")]
    pub client_ca: Option<PathBuf>,
    /// Listen beyond this machine although there are not both TLS and tokens
    #[arg(
        long,
        env = "HXMLOPS_INSECURE",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = FalseyValueParser::new()
    )]
    pub insecure: Option<bool>,
    /// How long a run's metrics stay after its last batch [default: 1h]
    #[arg(long, value_name = "TIME", env = "HXMLOPS_RUN_METRICS_TTL")]
    pub run_metrics_ttl: Option<String>,
    /// How long batches are kept as they came: the proof of the minutes, and of what is the same batch; 1h or more [default: 48h]
    #[arg(long, value_name = "TIME", env = "HXMLOPS_KEEP_RAW")]
    pub keep_raw: Option<String>,
    /// How long minutes are kept before they are folded into hours, which are kept for ever; 1h or more [default: 90d]
    #[arg(long, value_name = "TIME", env = "HXMLOPS_KEEP_MINUTES")]
    pub keep_minutes: Option<String>,
    /// YAML file with the same keys, and `sites` and `providers` beside them
    #[arg(long, value_name = "FILE", env = "HXMLOPS_CONFIG")]
    pub config: Option<PathBuf>,
}

/// The file behind `--config`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct ConfigFile {
    listen: Option<SocketAddr>,
    #[serde(alias = "data-dir")]
    data_dir: Option<PathBuf>,
    site: Option<String>,
    #[serde(alias = "intensity-zone")]
    intensity_zone: Option<String>,
    pue: Option<f64>,
    intensity: Option<String>,
    #[serde(alias = "intensity-url")]
    intensity_url: Option<String>,
    #[serde(alias = "intensity-key-file")]
    intensity_key_file: Option<PathBuf>,
    #[serde(default)]
    providers: BTreeMap<String, ProviderEntry>,
    #[serde(alias = "token-file")]
    token_file: Option<PathBuf>,
    #[serde(alias = "ingest-token-file")]
    ingest_token_file: Option<PathBuf>,
    #[serde(alias = "read-token-file")]
    read_token_file: Option<PathBuf>,
    #[serde(alias = "tls-cert")]
    tls_cert: Option<PathBuf>,
    #[serde(alias = "tls-key")]
    tls_key: Option<PathBuf>,
    #[serde(alias = "client-ca")]
    client_ca: Option<PathBuf>,
    insecure: Option<bool>,
    #[serde(alias = "run-metrics-ttl")]
    run_metrics_ttl: Option<String>,
    #[serde(alias = "keep-raw")]
    keep_raw: Option<String>,
    #[serde(alias = "keep-minutes")]
    keep_minutes: Option<String>,
    #[serde(default)]
    sites: Vec<SiteEntry>,
}

/// A configuration that cannot be: one line that says what to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidConfig(pub String);

/// What a server runs with, all of it checked.
#[derive(Clone, Debug)]
pub struct ServeConfig {
    /// Address to listen on; port 0 for any.
    pub listen: SocketAddr,
    /// Directory of the ledger.
    pub data_dir: PathBuf,
    /// Tokens in files.
    pub token_files: TokenFiles,
    /// The server's certificate; without it, it speaks plain HTTP.
    pub tls: Option<TlsFiles>,
    /// It can be reached from other machines, and has to ask who is there.
    pub must_be_guarded: bool,
    /// Sites and their nodes.
    pub sites: SiteMap,
    /// Who is asked for the intensity of their grids.
    pub fed: Vec<Fed>,
    /// How long a run's metrics stay after its last batch.
    pub run_metrics_ttl: Duration,
    /// How long batches and minutes are kept.
    pub retention: Retention,
}

impl ServeConfig {
    /// Reads the file that the flags name, if any, and checks everything.
    ///
    /// # Errors
    /// The first thing that cannot be.
    pub fn read(mut args: ServeArgs) -> Result<Self, InvalidConfig> {
        args.provider = args.provider.with_key_of_environment()?;
        let file = match &args.config {
            Some(path) => read_file(path)?,
            None => ConfigFile::default(),
        };
        resolve(args, file)
    }
}

fn read_file(path: &Path) -> Result<ConfigFile, InvalidConfig> {
    let invalid = |error: &dyn ToString| {
        let error = error.to_string();
        let line = error.lines().next().unwrap_or_default();
        let line = line.strip_prefix("error: ").unwrap_or(line);
        InvalidConfig(format!("config file {}: {line}", path.display()))
    };
    let text = std::fs::read_to_string(path).map_err(|error| invalid(&error))?;
    parse(&text).map_err(|error| invalid(&error))
}

/// The content of a file of `--config`; an empty one says nothing.
///
/// # Errors
/// Where it is no YAML of the known keys.
pub fn parse(text: &str) -> Result<ConfigFile, String> {
    if text.trim().is_empty() {
        return Ok(ConfigFile::default());
    }
    serde_saphyr::from_str(text).map_err(|error| error.to_string())
}

/// What the flags say, and the file where they do not.
///
/// # Errors
/// The first thing that cannot be.
pub fn resolve(args: ServeArgs, file: ConfigFile) -> Result<ServeConfig, InvalidConfig> {
    let listen = args.listen.or(file.listen).unwrap_or(DEFAULT_LISTEN);
    let insecure = args.insecure.or(file.insecure).unwrap_or(false);
    let tls = tls_files(
        args.tls_cert.or(file.tls_cert),
        args.tls_key.or(file.tls_key),
        args.client_ca.or(file.client_ca),
    )?;
    let must_be_guarded = !listen.ip().is_loopback() && !insecure;
    if must_be_guarded && tls.is_none() {
        return Err(InvalidConfig(format!(
            "{listen} can be reached from other machines, and tokens would cross the network in the clear: \
             give --tls-cert and --tls-key, listen on 127.0.0.1, or say --insecure"
        )));
    }
    let own = OwnSite {
        name: args.site.or(file.site),
        intensity_zone: args.intensity_zone.or(file.intensity_zone),
        pue: args.pue.or(file.pue),
    };
    let provider = IntensityArgs {
        intensity: args.provider.intensity.or(file.intensity),
        intensity_url: args.provider.intensity_url.or(file.intensity_url),
        intensity_key_file: args.provider.intensity_key_file.or(file.intensity_key_file),
        ..args.provider
    };
    let mut intensity = intensity::resolve(provider, file.providers)?;
    let sites = site_map(own, &file.sites, &mut intensity)?;
    let fed = intensity.feeds(sites.sites())?;
    let run_metrics_ttl = match args.run_metrics_ttl.or(file.run_metrics_ttl) {
        Some(text) => parse_duration("run-metrics-ttl", &text)?,
        None => DEFAULT_RUN_METRICS_TTL,
    };
    let keep = |key, text: Option<String>, default| match text {
        Some(text) => parse_kept(key, &text),
        None => Ok(default),
    };
    let retention = Retention {
        raw: keep(
            "keep-raw",
            args.keep_raw.or(file.keep_raw),
            DEFAULT_RETENTION.raw,
        )?,
        minutes: keep(
            "keep-minutes",
            args.keep_minutes.or(file.keep_minutes),
            DEFAULT_RETENTION.minutes,
        )?,
    };
    Ok(ServeConfig {
        listen,
        data_dir: match args.data_dir.or(file.data_dir) {
            Some(directory) => directory,
            None => default_data_dir()?,
        },
        token_files: TokenFiles {
            admin: args.token_file.or(file.token_file),
            ingest: args.ingest_token_file.or(file.ingest_token_file),
            read: args.read_token_file.or(file.read_token_file),
        },
        tls,
        must_be_guarded,
        sites,
        fed,
        run_metrics_ttl,
        retention,
    })
}

fn tls_files(
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    client_ca: Option<PathBuf>,
) -> Result<Option<TlsFiles>, InvalidConfig> {
    match (cert, key) {
        (Some(cert), Some(key)) => Ok(Some(TlsFiles {
            cert,
            key,
            client_ca,
        })),
        (None, None) if client_ca.is_none() => Ok(None),
        _ => Err(InvalidConfig(
            "--tls-cert and --tls-key go together, and --client-ca with them".into(),
        )),
    }
}

/// Where a ledger is unless told otherwise: `$XDG_DATA_HOME/hxmlops`, else `~/.local/share/hxmlops`.
///
/// # Errors
/// Where neither variable says.
pub fn default_data_dir() -> Result<PathBuf, InvalidConfig> {
    let directory = |variable| {
        let path = std::env::var_os(variable).map(PathBuf::from)?;
        path.is_absolute().then_some(path)
    };
    directory("XDG_DATA_HOME")
        .or_else(|| Some(directory("HOME")?.join(".local/share")))
        .map(|data| data.join("hxmlops"))
        .ok_or_else(|| {
            InvalidConfig("neither XDG_DATA_HOME nor HOME is set: say --data-dir".into())
        })
}

fn parse_duration(key: &str, text: &str) -> Result<Duration, InvalidConfig> {
    let span: Result<Span, _> = text.parse();
    span.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()))
        .ok()
        .and_then(|duration| Duration::try_from(duration).ok())
        .ok_or_else(|| {
            InvalidConfig(format!(
                "--{key} '{text}' is no time such as 90s, 10m, 1h or 2d"
            ))
        })
}

fn parse_kept(key: &str, text: &str) -> Result<Duration, InvalidConfig> {
    let kept = parse_duration(key, text)?;
    if kept < HOUR {
        return Err(InvalidConfig(format!("--{key} {text} is less than 1h")));
    }
    Ok(kept)
}

#[cfg(test)]
mod tests;
