//! Who calls, what they may do, and how often.
//!
//! Without any token, client certificate or `--…token-file` a server is open to whoever reaches it; with the first
//! of these it asks everybody, and goes on asking when the last token is revoked. What is known of tokens is kept
//! in memory and read anew every few seconds, since the command line writes them beside the server.

mod guard;
mod rates;
mod secret_file;

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::store::{Store, StoreError};
use crate::token::{Role, Token, TokenRecord, digest};

pub use guard::secret;
pub use rates::{EVERYBODY_PER_SECOND, SENDER_BURST, SENDER_PER_SECOND};
pub use secret_file::{MIN_SECRET_BYTES, SecretFileError};

pub(crate) use guard::{Guarded, authorize};
pub(crate) use rates::Rates;
pub(crate) use secret_file::SecretFile;

/// How long after it was revoked a token may still be good, where another process revoked it.
pub const REFRESH_EVERY: Duration = Duration::from_secs(5);
/// An unknown token may be one that was just made: the store is asked again, this often at most.
pub(crate) const ASK_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its address.
    pub address: IpAddr,
    /// What its certificate says that it may do; `None` without a certificate.
    pub role: Option<Role>,
}

/// Who makes a request.
#[derive(Clone, Debug)]
pub struct Caller {
    /// What it may do.
    pub role: Role,
    /// By what its requests are counted; `None` where everybody is let in.
    sender: Option<String>,
}

/// Why somebody is not let in: what is said to them, and no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Nothing was shown.
    #[error(
        "this server asks for a token: send 'Authorization: Bearer TOKEN' (`--token-file` of the programs)"
    )]
    Missing,
    /// What was shown is none of ours.
    #[error("the token is not known here")]
    Unknown,
    /// Its time is over.
    #[error("the token has expired; make another with `hxmlops token create`")]
    Expired,
    /// Somebody has ended it.
    #[error("the token was revoked")]
    Revoked,
}

/// Secrets that the operator keeps in files, each good for one role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenFiles {
    /// May do everything.
    pub admin: Option<PathBuf>,
    /// May write the batches of every node.
    pub ingest: Option<PathBuf>,
    /// May ask.
    pub read: Option<PathBuf>,
}

impl TokenFiles {
    fn secrets(self) -> Vec<(SecretFile, Role)> {
        let every = || "*".to_owned();
        let ingest = Role::Ingest {
            cluster: every(),
            node: every(),
        };
        let roles = [
            (self.admin, Role::Admin),
            (self.ingest, ingest),
            (self.read, Role::Read),
        ];
        let files = roles.into_iter();
        files
            .filter_map(|(path, role)| Some((SecretFile::new(path?), role)))
            .collect()
    }
}

/// The door.
pub struct Access {
    store: Arc<dyn Store>,
    operators: Vec<(SecretFile, Role)>,
    takes_certificates: bool,
    known: RwLock<Known>,
    pub(crate) rates: Rates,
}

struct Known {
    tokens: HashMap<String, TokenRecord>,
    /// Digests of the operator's secrets.
    operators: Vec<([u8; 32], Role)>,
    since: Instant,
}

impl Access {
    /// Reads what tokens there are, and the operator's files.
    ///
    /// # Errors
    /// Where one of them cannot be read: a server that does not know its tokens does not start.
    pub fn open(
        store: Arc<dyn Store>,
        token_files: TokenFiles,
        takes_certificates: bool,
    ) -> Result<Self, AccessError> {
        let operators = token_files.secrets();
        let known = read(&*store, &operators)?;
        Ok(Self {
            store,
            operators,
            takes_certificates,
            known: RwLock::new(known),
            rates: Rates::new(),
        })
    }

    /// Whether everybody is asked who they are.
    #[must_use]
    pub fn is_guarded(&self) -> bool {
        self.takes_certificates
            || !self.operators.is_empty()
            || self.with_known(|known| !known.tokens.is_empty())
    }

    /// Reads tokens anew. What was known of a file stays where that cannot be read, and of the store's where that fails.
    ///
    /// # Errors
    /// Where the store or the operator's file cannot be read.
    pub fn refresh(&self) -> Result<(), AccessError> {
        self.rates.forget_old();
        let mut known = read(&*self.store, &[])?;
        let before = self.with_known(|known| known.operators.clone());
        let mut unreadable = None;
        for ((file, role), (old, _)) in self.operators.iter().zip(before) {
            let sha256 = file.sha256().unwrap_or_else(|error| {
                unreadable = Some(error);
                old
            });
            known.operators.push((sha256, role.clone()));
        }
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
        unreadable.map_or(Ok(()), |error| Err(error.into()))
    }

    /// For how long the tokens have been known as they are.
    pub(crate) fn age(&self) -> Duration {
        self.with_known(|known| known.since.elapsed())
    }

    /// Who shows this secret, or this certificate.
    ///
    /// # Errors
    /// Why they are not let in.
    pub fn identify(
        &self,
        secret: Option<&str>,
        peer: Option<&Peer>,
        now: Timestamp,
    ) -> Result<Caller, Denied> {
        if let Some(secret) = secret {
            return self.by_secret(secret, peer, now);
        }
        if let Some(role) = peer.and_then(|peer| peer.role.clone()) {
            let sender = Some(format!("certificate for {role}"));
            return Ok(Caller { role, sender });
        }
        if self.is_guarded() {
            return Err(Denied::Missing);
        }
        Ok(Caller {
            role: Role::Admin,
            sender: None,
        })
    }

    fn by_secret(
        &self,
        secret: &str,
        peer: Option<&Peer>,
        now: Timestamp,
    ) -> Result<Caller, Denied> {
        // Digests, not secrets, are compared: how long that takes tells nothing of a secret.
        let sha256 = digest(secret);
        let (name, role) = self.with_known(|known| {
            let mut operators = known.operators.iter();
            if let Some((_, role)) = operators.find(|(one, _)| *one == sha256) {
                return Ok((format!("operator's for {role}"), role.clone()));
            }
            let token: Token = secret.parse().map_err(|_| Denied::Unknown)?;
            let record = known.tokens.get(token.id());
            let record = record.filter(|record| record.sha256 == sha256);
            let record = record.ok_or(Denied::Unknown)?;
            match record.state(now) {
                "revoked" => Err(Denied::Revoked),
                "expired" => Err(Denied::Expired),
                _ => Ok((record.id.clone(), record.role.clone())),
            }
        })?;
        // One token may serve a whole pool of nodes: each of them has a rate of its own.
        let address = peer.map(|peer| peer.address.to_string());
        let sender = Some(format!("{name} {}", address.unwrap_or_default()));
        Ok(Caller { role, sender })
    }

    fn with_known<T>(&self, ask: impl FnOnce(&Known) -> T) -> T {
        ask(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Why tokens could not be read.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The ledger's.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The operator's.
    #[error(transparent)]
    File(#[from] SecretFileError),
}

fn read(store: &dyn Store, operators: &[(SecretFile, Role)]) -> Result<Known, AccessError> {
    let tokens = store.tokens()?.into_iter();
    let operators = operators
        .iter()
        .map(|(file, role)| Ok((file.sha256()?, role.clone())));
    let operators: Result<_, AccessError> = operators.collect();
    Ok(Known {
        tokens: tokens.map(|token| (token.id.clone(), token)).collect(),
        operators: operators?,
        since: Instant::now(),
    })
}

#[cfg(test)]
mod tests;
