//! A secret that the operator keeps in a file, such as a mounted Kubernetes secret.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::token::digest;

/// A shorter one could be guessed.
pub const MIN_SECRET_BYTES: usize = 32;
/// Nobody means a larger file.
const MAX_FILE_BYTES: u64 = 4096;
/// Read or write by others than the owner and its group.
const BY_OTHERS: u32 = 0o006;

/// Why a secret cannot be had from its file. No message has any of it.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// The file cannot be read.
    #[error("the token file {0} cannot be read: {1}")]
    Unreadable(String, std::io::Error),
    /// What is in it is no secret.
    #[error(
        "the token file {0} holds no token: one line of {MIN_SECRET_BYTES} or more characters, such as `hxmlops token create` prints"
    )]
    NoSecret(String),
}

/// Where the secret is.
#[derive(Debug)]
pub(crate) struct SecretFile {
    path: PathBuf,
    has_warned: AtomicBool,
}

impl SecretFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            has_warned: AtomicBool::new(false),
        }
    }

    /// The secret itself.
    ///
    /// # Errors
    /// Where the file has none.
    pub(crate) fn read(&self) -> Result<String, SecretFileError> {
        let name = || self.path.display().to_string();
        let unreadable = |error| SecretFileError::Unreadable(name(), error);
        let metadata = fs::metadata(&self.path).map_err(unreadable)?;
        if metadata.len() > MAX_FILE_BYTES {
            return Err(SecretFileError::NoSecret(name()));
        }
        if metadata.mode() & BY_OTHERS != 0 && !self.has_warned.swap(true, Relaxed) {
            tracing::warn!(
                "the token file {} is open to every user of this machine",
                name()
            );
        }
        let text = fs::read_to_string(&self.path).map_err(unreadable)?;
        let secret = text.trim();
        let is_one =
            secret.len() >= MIN_SECRET_BYTES && secret.bytes().all(|byte| byte.is_ascii_graphic());
        if is_one {
            Ok(secret.to_owned())
        } else {
            Err(SecretFileError::NoSecret(name()))
        }
    }

    /// What is compared.
    ///
    /// # Errors
    /// As [`SecretFile::read`].
    pub(crate) fn sha256(&self) -> Result<[u8; 32], SecretFileError> {
        self.read().map(|secret| digest(&secret))
    }
}
