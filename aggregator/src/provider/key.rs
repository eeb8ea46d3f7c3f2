//! The key of a provider: where it is, and that nobody sees it.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use reqwest::header::HeaderValue;

use super::ProviderError;

/// Nobody means a larger file.
const MAX_KEY_BYTES: usize = 4096;

/// Text that is shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// From one line, without what is around it.
    ///
    /// # Errors
    /// In words, where it is none; they have nothing of it.
    pub fn new(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let is_line = text
            .bytes()
            .all(|byte| byte == b' ' || byte.is_ascii_graphic());
        if text.is_empty() || text.len() > MAX_KEY_BYTES || !is_line {
            return Err("it is not one line of plain characters".to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    pub(super) fn expose(&self) -> &str {
        &self.0
    }

    /// As a header that no log shows.
    pub(super) fn header(text: &str) -> Result<HeaderValue, ProviderError> {
        let mut value = HeaderValue::from_str(text)
            .map_err(|_| ProviderError::Unauthorized("the key is no text for a header".into()))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Where a key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// Here.
    Given(Secret),
    /// In a file, which is read each time, so that it can be renewed.
    File(PathBuf),
}

impl Key {
    /// The key as it is now.
    ///
    /// # Errors
    /// In words, where there is none.
    pub fn read(&self) -> Result<Secret, String> {
        match self {
            Self::Given(secret) => Ok(secret.clone()),
            Self::File(path) => read_file(path),
        }
    }

    pub(super) async fn secret(&self) -> Result<Secret, ProviderError> {
        let key = self.clone();
        let read = match self {
            Self::Given(_) => self.read(),
            Self::File(_) => tokio::task::spawn_blocking(move || key.read())
                .await
                .unwrap_or_else(|error| Err(error.to_string())),
        };
        read.map_err(ProviderError::Unauthorized)
    }
}

fn read_file(path: &Path) -> Result<Secret, String> {
    let fault = |fault: String| format!("the key file {}: {fault}", path.display());
    let size = fs::metadata(path)
        .map_err(|error| fault(error.to_string()))?
        .len();
    if size > MAX_KEY_BYTES as u64 {
        return Err(fault(format!("{size} bytes are no key")));
    }
    let text = fs::read_to_string(path).map_err(|error| fault(error.to_string()))?;
    Secret::new(&text).map_err(fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_one_line_and_is_shown_nowhere() {
        let secret = Secret::new(" user:pass word\n").unwrap();
        assert_eq!(secret.expose(), "user:pass word");
        assert_eq!(
            format!("{secret:?} {:?}", Key::Given(secret.clone())),
            "*** Given(***)"
        );
        for bad in ["", " \n", "a\nb", "a\u{7f}", "clé", &"x".repeat(4097)] {
            let fault = Secret::new(bad).unwrap_err();
            assert!(bad.trim().is_empty() || !fault.contains(bad), "{fault}");
        }
    }

    #[test]
    fn a_file_is_read_each_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let key = Key::File(path.clone());
        assert!(key.read().unwrap_err().contains(path.to_str().unwrap()));
        for secret in ["one", "two"] {
            fs::write(&path, secret).unwrap();
            assert_eq!(key.read().unwrap().expose(), secret);
        }
        fs::write(&path, "x".repeat(5000)).unwrap();
        assert!(key.read().unwrap_err().contains("5000 bytes are no key"));
    }
}
