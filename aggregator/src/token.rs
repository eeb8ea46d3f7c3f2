//! Tokens: what they may do, how they look, and how they are told from others. Pure.
//!
//! A token is `hxm_ID_SECRET`. The id names it in lists and logs; of the secret only a digest is kept. It has 256
//! random bits, so that a fast digest is as good as a slow one: there is nothing to guess.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::site_map::NodePattern;
use crate::store::NodeKey;

/// What every token begins with, so that scanners for secrets can know one.
const PREFIX: &str = "hxm_";
const ID_BYTES: usize = 4;
const SECRET_BYTES: usize = 32;
/// Random bytes that a token is made of.
pub const RANDOM_BYTES: usize = ID_BYTES + SECRET_BYTES;

/// What the bearer of a token may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "role", rename_all = "lowercase")]
pub enum Role {
    /// Write batches of its nodes, and nothing else.
    Ingest {
        /// Their cluster, in the same way.
        cluster: String,
        /// The node's name; `*` and `?` stand for others, as in `gpu-*`.
        node: String,
    },
    /// Ask everything.
    Read,
    /// Everything.
    Admin,
}

impl Role {
    /// As it is typed.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ingest { .. } => "ingest",
            Self::Read => "read",
            Self::Admin => "admin",
        }
    }

    /// Whether it may do what is needed.
    #[must_use]
    pub fn allows(&self, need: Need) -> bool {
        match need {
            Need::Nothing => true,
            Need::Ingest => matches!(self, Self::Ingest { .. } | Self::Admin),
            Need::Read => matches!(self, Self::Read | Self::Admin),
            Need::Admin => matches!(self, Self::Admin),
        }
    }

    /// Whether it may write batches of this node.
    #[must_use]
    pub fn may_write(&self, of: &NodeKey) -> bool {
        match self {
            Self::Ingest { cluster, node } => {
                NodePattern::new(cluster).fits(&of.cluster) && NodePattern::new(node).fits(&of.node)
            }
            Self::Read => false,
            Self::Admin => true,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ingest { cluster, node } => write!(f, "ingest for {cluster}/{node}"),
            other => f.write_str(other.name()),
        }
    }
}

/// What a route asks of whoever calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Anybody may: probes.
    Nothing,
    /// To write batches.
    Ingest,
    /// To ask.
    Read,
    /// To change what is not a batch.
    Admin,
}

/// What is kept of a token: all but its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenRecord {
    /// Eight hexadecimal digits; part of the token.
    pub id: String,
    /// Digest of the whole token.
    #[serde(skip)]
    pub sha256: [u8; 32],
    /// What it is good for.
    #[serde(flatten)]
    pub role: Role,
    /// What its maker wrote down about it.
    pub note: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    /// From when on it is no good any more; never where there is none.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires: Option<Timestamp>,
    /// When it was revoked.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revoked: Option<Timestamp>,
}

impl TokenRecord {
    /// Whether it is good at a time.
    #[must_use]
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.revoked.is_none() && self.expires.is_none_or(|expires| now < expires)
    }

    /// `good`, `expired` or `revoked`.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> &'static str {
        match (self.revoked, self.is_good(now)) {
            (Some(_), _) => "revoked",
            (None, true) => "good",
            (None, false) => "expired",
        }
    }
}

/// A token itself. It is shown once, when it is made, and in no log: it has no `Debug` that tells.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// Text that is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("that is no token of hxmlops, which looks like hxm_01234567_...")]
pub struct NotAToken;

impl Token {
    /// Of random bytes.
    #[must_use]
    pub fn new(random: [u8; RANDOM_BYTES]) -> Self {
        let (id, secret) = random.split_at(ID_BYTES);
        Self(format!("{PREFIX}{}_{}", hex(id), hex(secret)))
    }

    /// The part that names it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0[PREFIX.len()..][..2 * ID_BYTES]
    }

    /// What is kept of it.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        digest(&self.0)
    }

    /// The text, for whoever it was made for.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl FromStr for Token {
    type Err = NotAToken;

    fn from_str(text: &str) -> Result<Self, NotAToken> {
        let is_hex = |text: &str, bytes: usize| {
            text.len() == 2 * bytes && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        let parts = text
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split_once('_'));
        match parts {
            Some((id, secret)) if is_hex(id, ID_BYTES) && is_hex(secret, SECRET_BYTES) => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(NotAToken),
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}...)", self.id())
    }
}

/// Digest of a secret's text.
#[must_use]
pub fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_round_trips_and_hides_its_secret() {
        let token = Token::new(std::array::from_fn(|index| index as u8));
        assert_eq!(token.id(), "00010203");
        let text = token.reveal();
        assert_eq!(text.len(), 77);
        assert_eq!(text.parse::<Token>().unwrap(), token);
        assert_eq!(format!("{token:?}"), "Token(00010203...)");
        for text in [
            "",
            "hxm_",
            "hxm_00010203_",
            "hxm_0001020x_ab",
            &text[..76],
            &format!("{text}0"),
        ] {
            assert_eq!(text.parse::<Token>(), Err(NotAToken), "{text}");
        }
        assert!("hxm_é0010203_00".parse::<Token>().is_err());
    }

    #[test]
    fn a_role_allows_what_it_is_for() {
        let ingest = Role::Ingest {
            cluster: "c1".into(),
            node: "gpu-?".into(),
        };
        let needs = [Need::Nothing, Need::Ingest, Need::Read, Need::Admin];
        let allowed = |role: &Role| needs.map(|need| role.allows(need));
        assert_eq!(allowed(&ingest), [true, true, false, false]);
        assert_eq!(allowed(&Role::Read), [true, false, true, false]);
        assert_eq!(allowed(&Role::Admin), [true, true, true, true]);

        let may = |role: &Role, cluster: &str, node: &str| {
            role.may_write(&NodeKey {
                cluster: cluster.into(),
                node: node.into(),
            })
        };
        assert!(may(&ingest, "c1", "gpu-1"));
        assert!(!may(&ingest, "c1", "gpu-11"));
        assert!(!may(&ingest, "c2", "gpu-1"));
        assert!(may(&Role::Admin, "c2", "x"));
        assert!(!may(&Role::Read, "c1", "gpu-1"));
    }

    #[test]
    fn a_token_is_good_until_it_expires_or_is_revoked() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut record = TokenRecord {
            id: "00010203".into(),
            sha256: [0; 32],
            role: Role::Read,
            note: String::new(),
            created: at(0),
            expires: Some(at(10)),
            revoked: None,
        };
        assert_eq!(record.state(at(9)), "good");
        assert_eq!(record.state(at(10)), "expired");
        record.revoked = Some(at(5));
        assert_eq!(record.state(at(5)), "revoked");
        record.expires = None;
        assert!(!record.is_good(at(5)));
    }
}
