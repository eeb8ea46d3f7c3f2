//! YAML that people write, read strictly.

use serde::de::DeserializeOwned;

/// Reads a document, of YAML 1.2: `no` and `on` are texts. A type that denies unknown keys gets an error with the line of the key.
///
/// # Errors
/// One line with what is wrong, and where.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        // The parser goes on with an excerpt of the file.
        let text = error.to_string();
        let first = text.lines().next().unwrap_or_default();
        first.strip_prefix("error: ").unwrap_or(first).to_owned()
    })
}
