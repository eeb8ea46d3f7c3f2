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
    matches!(char, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
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
    let mut kept = kept.peekable();

    let mut escaped = String::with_capacity(text.len());
    while let Some(char) = kept.next() {
        match char {
            // An address becomes a link by its scheme's colon, never the last of a word, or the dot of `www.`.
            ':' if kept.peek().is_some_and(|next| *next != ' ') => escaped.push_str("&#58;"),
            '.' if ends_with_www(&escaped) => escaped.push_str("&#46;"),
            '<' => escaped.push_str("&lt;"),
            '&' => escaped.push_str("&amp;"),
            // An empty comment parts the sign from the name, so that nobody is notified.
            '@' => escaped.push_str("@<!-- -->"),
            '\\' | '|' | '`' | '*' | '_' | '[' | ']' | '~' | '#' | '$' => {
                escaped.extend(['\\', char]);
            }
            char => escaped.push(char),
        }
    }
    if cut {
        escaped.push('…');
    }
    escaped
}

fn ends_with_www(text: &str) -> bool {
    let start = text.len().checked_sub(3);
    let last = start.and_then(|start| text.get(start..));
    last.is_some_and(|last| last.eq_ignore_ascii_case("www"))
}

/// For a name in CSV: a spreadsheet reads what begins with `=`, `+`, `-` or `@` as a formula, so that such a
/// name gets an apostrophe in front.
#[must_use]
pub fn csv(name: &str) -> String {
    if name.starts_with(['=', '+', '-', '@']) {
        format!("'{name}")
    } else {
        name.to_owned()
    }
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
        assert_eq!(terminal("a\u{61c}b"), "a\\u{61c}b");
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

    #[test]
    fn a_name_in_markdown_is_no_link_and_no_formula() {
        assert_eq!(markdown("https://a.b/v1.2"), "https&#58;//a.b/v1.2");
        assert_eq!(markdown("www.a.b"), "www&#46;a.b");
        assert_eq!(markdown("xWwW.a"), "xWwW&#46;a");
        assert_eq!(markdown("train-v1.2.onnx"), "train-v1.2.onnx");
        assert_eq!(markdown("éww.x"), "éww.x");
        assert_eq!(markdown(":tada:"), "&#58;tada:");
        assert_eq!(markdown("not measured: 3 %"), "not measured: 3 %");
        assert_eq!(markdown("$x$"), "\\$x\\$");
    }

    #[test]
    fn a_name_in_csv_is_no_formula() {
        for name in ["=1+1", "+1", "-1", "@SUM(A1)"] {
            assert_eq!(csv(name), format!("'{name}"));
        }
        assert_eq!(csv("a=b"), "a=b");
        assert_eq!(csv(""), "");
    }
}
