//! Untrusted text made harmless for where it is shown.

/// For a terminal: control characters, and those that turn the direction of writing, become `\u{…}`.
#[must_use]
pub fn terminal(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_control() || is_invisible(char) {
            escaped.extend(char.escape_unicode());
        } else {
            escaped.push(char);
        }
    }
    escaped
}

/// Characters without a shape of their own that can make text read as other text.
fn is_invisible(char: char) -> bool {
    matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Characters of a name that Markdown shows; the rest is cut.
const MARKDOWN_NAME_CHARS: usize = 80;
/// Characters of a sentence that Markdown shows.
const MARKDOWN_SENTENCE_CHARS: usize = 500;

/// For a name in Markdown: it stays in its cell, formats nothing, links nothing and calls nobody.
#[must_use]
pub fn markdown(name: &str) -> String {
    markdown_within(name, MARKDOWN_NAME_CHARS)
}

/// For a sentence of this program in Markdown, which may quote names.
#[must_use]
pub fn markdown_sentence(sentence: &str) -> String {
    markdown_within(sentence, MARKDOWN_SENTENCE_CHARS)
}

fn markdown_within(text: &str, max_chars: usize) -> String {
    let text = terminal(text);
    let cut = text.chars().count() > max_chars;
    let kept = text
        .chars()
        .take(if cut { max_chars - 1 } else { max_chars });

    let mut escaped = String::with_capacity(text.len());
    for char in kept {
        match char {
            '<' => escaped.push_str("&lt;"),
            '&' => escaped.push_str("&amp;"),
            // An empty comment parts the sign from the name, so that nobody is notified.
            '@' => escaped.push_str("@<!-- -->"),
            '\\' | '|' | '`' | '*' | '_' | '[' | ']' | '~' | '#' => escaped.extend(['\\', char]),
            char => escaped.push(char),
        }
    }
    if cut {
        escaped.push('…');
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_but_text() {
        assert_eq!(terminal("plain é 火"), "plain é 火");
        assert_eq!(
            terminal("a\x1b[31mb\n\u{202e}"),
            "a\\u{1b}[31mb\\u{a}\\u{202e}"
        );
        assert_eq!(terminal("\u{9b}2J"), "\\u{9b}2J");
    }

    #[test]
    fn a_markdown_cell_stays_one_cell() {
        assert_eq!(markdown("a|b\nc"), "a\\|b\\\\u{a}c");
        assert_eq!(
            markdown("<b> @you *x* [l](u)"),
            "&lt;b> @<!-- -->you \\*x\\* \\[l\\](u)"
        );
        assert_eq!(markdown(&"x".repeat(300)).chars().count(), 80);
    }
}
