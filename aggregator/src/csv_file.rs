//! Reading a CSV file that a person or a script wrote: a strict header, and line numbers for every error.

use csv::{ReaderBuilder, StringRecord};
use jiff::Timestamp;

/// What is wrong with a file, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: line {line}: {message}")]
pub struct CsvError {
    /// The file, as its reader was given its name.
    pub file: String,
    /// Its line, from 1.
    pub line: u64,
    /// What is wrong there.
    pub message: String,
}

/// The columns that a file must have, in this order.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// Those that must be there.
    pub required: &'static [&'static str],
    /// One more that may follow them.
    pub optional: Option<&'static str>,
}

impl Header {
    fn accepts(self, found: &[&str]) -> bool {
        let whole = [self.required, self.optional.as_slice()].concat();
        found == self.required || found == whole
    }

    fn to_text(self) -> String {
        let optional = self.optional.map(|column| format!("[,{column}]"));
        self.required.join(",") + &optional.unwrap_or_default()
    }
}

/// Reads every row with `parse`, which says in words what is wrong with one.
///
/// Lines that begin with `#` are comments. Spaces around a field are no part of it.
///
/// # Errors
/// The first line that is wrong: then nothing of the file counts.
pub fn read<T>(
    file: &str,
    content: &[u8],
    header: Header,
    mut parse: impl FnMut(&StringRecord) -> Result<T, String>,
) -> Result<Vec<T>, CsvError> {
    let fail = |line, message: String| CsvError {
        file: file.to_owned(),
        line,
        message,
    };
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .comment(Some(b'#'))
        .trim(csv::Trim::All)
        .from_reader(content);

    let mut rows = Vec::new();
    let mut columns = None;
    for record in reader.records() {
        let record = record.map_err(|error| fail(error_line(&error), reason(&error)))?;
        let line = record.position().map_or(0, csv::Position::line);
        let Some(columns) = columns else {
            let found: Vec<&str> = record.iter().collect();
            if !header.accepts(&found) {
                let wanted = header.to_text();
                return Err(fail(line, format!("the header must be {wanted}")));
            }
            columns = Some(record.len());
            continue;
        };
        if record.len() != columns {
            let message = format!("{} fields, the header has {columns}", record.len());
            return Err(fail(line, message));
        }
        rows.push(parse(&record).map_err(|message| fail(line, message))?);
    }
    if columns.is_none() {
        let wanted = header.to_text();
        return Err(fail(
            1,
            format!("the file is empty; it must begin with {wanted}"),
        ));
    }
    Ok(rows)
}

/// A time with its offset from UTC.
///
/// # Errors
/// In words, with the column's name.
pub fn time(column: &str, text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| {
        format!(
            "{column} '{text}' is not an RFC 3339 time with an offset, such as 2026-01-05T10:00:00Z"
        )
    })
}

/// A number; whether it is in range is the caller's to say.
///
/// # Errors
/// In words, with the column's name.
pub fn number(column: &str, text: &str) -> Result<f64, String> {
    text.parse()
        .map_err(|_| format!("{column} '{text}' is not a number"))
}

/// Text that can be kept as a name.
///
/// # Errors
/// Where it is too long or has control characters.
pub fn name(column: &str, text: &str) -> Result<String, String> {
    let max = wire::limits::MAX_NAME_BYTES;
    if text.len() > max {
        return Err(format!("{column} is longer than {max} bytes"));
    }
    if text.chars().any(char::is_control) {
        return Err(format!("{column} has control characters"));
    }
    Ok(text.to_owned())
}

fn error_line(error: &csv::Error) -> u64 {
    error.position().map_or(1, csv::Position::line)
}

fn reason(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::Utf8 { .. } => "not UTF-8 text".to_owned(),
        _ => error.to_string(),
    }
}
