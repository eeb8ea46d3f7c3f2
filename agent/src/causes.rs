//! An error with its causes, in one line.

use std::error::Error;

/// An error and what caused it. A cause that only repeats what was said is left out.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.ends_with(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text.replace('\n', " ")
}
