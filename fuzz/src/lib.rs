//! What the targets share: the choice of one of several parsers, and text.

/// Gives the bytes after the first to the parser that the first one names: `0` the first of the list, `1` the second,
/// and so on round. So small parsers share a target, and a seed says in its first character whose it is.
pub fn one_of(data: &[u8], parsers: &[fn(&[u8])]) {
    if let Some((first, rest)) = data.split_first() {
        parsers[usize::from(first.wrapping_sub(b'0')) % parsers.len()](rest);
    }
}

/// The same for parsers of text. What is no UTF-8 is left out: whoever calls them has refused it.
pub fn one_of_text(data: &[u8], parsers: &[fn(&str)]) {
    if let Some((first, rest)) = data.split_first()
        && let Ok(text) = str::from_utf8(rest)
    {
        parsers[usize::from(first.wrapping_sub(b'0')) % parsers.len()](text);
    }
}
