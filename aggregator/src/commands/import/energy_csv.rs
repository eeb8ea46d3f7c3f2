//! A file of energy: `start,end,site,workflow,run,stage,zone,joules,basis`.

use csv::StringRecord;
use jiff::Timestamp;
use wire::Energy;
use wire::limits::{MAX_INTERVAL_NS, MAX_SAMPLE_UJ};

use crate::csv_file::{self, CsvError, Header, name, number, time};

const HEADER: Header = Header {
    required: &[
        "start", "end", "site", "workflow", "run", "stage", "zone", "joules", "basis",
    ],
    optional: None,
};

/// Bytes of a site's name: it becomes part of a node's.
const MAX_SITE_BYTES: usize = 200;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnergyRow {
    /// Start, inclusive; not before 1970.
    pub(super) start: Timestamp,
    /// End, exclusive; after the start, and at most 31 days.
    pub(super) end: Timestamp,
    /// Empty for the server's own.
    pub(super) site: String,
    pub(super) workflow: String,
    pub(super) run: String,
    pub(super) stage: String,
    /// Power zone; not empty.
    pub(super) zone: String,
    /// What was used.
    pub energy: Energy,
    pub(super) modelled: bool,
}

/// Reads all rows of a file; `file` is its name in errors.
///
/// # Errors
/// The first line that is wrong; then none of the file's rows counts.
pub fn parse(file: &str, content: &[u8]) -> Result<Vec<EnergyRow>, CsvError> {
    let rows = csv_file::read(file, content, HEADER, parse_row)?;
    if rows.is_empty() {
        return Err(CsvError {
            file: file.to_owned(),
            line: 1,
            message: "a header and no rows: nothing to import".to_owned(),
        });
    }
    Ok(rows)
}

fn parse_row(row: &StringRecord) -> Result<EnergyRow, String> {
    let (start, end) = (time("start", &row[0])?, time("end", &row[1])?);
    check_times(start, end)?;
    let site = name("site", &row[2])?;
    if site.len() > MAX_SITE_BYTES {
        return Err(format!("site is longer than {MAX_SITE_BYTES} bytes"));
    }
    let zone = name("zone", &row[6])?;
    if zone.is_empty() {
        return Err("zone is empty".to_owned());
    }
    Ok(EnergyRow {
        start,
        end,
        site,
        workflow: name("workflow", &row[3])?,
        run: name("run", &row[4])?,
        stage: name("stage", &row[5])?,
        zone,
        energy: energy(&row[7])?,
        modelled: is_modelled(&row[8])?,
    })
}

fn check_times(start: Timestamp, end: Timestamp) -> Result<(), String> {
    if start < Timestamp::UNIX_EPOCH {
        return Err("start is before 1970".to_owned());
    }
    if end <= start {
        return Err("end is not after start".to_owned());
    }
    if start.duration_until(end).as_nanos() > i128::from(MAX_INTERVAL_NS) {
        return Err("end is more than 31 days after start".to_owned());
    }
    Ok(())
}

fn energy(text: &str) -> Result<Energy, String> {
    let joules = number("joules", text)?;
    let max = Energy::from_microjoules(MAX_SAMPLE_UJ);
    match Energy::from_joules(joules) {
        None => Err(format!("joules '{text}' is not a finite number from 0 up")),
        Some(energy) if energy > max => {
            let max = max.joules();
            Err(format!("joules is more than {max}: split the row in time"))
        }
        Some(energy) => Ok(energy),
    }
}

fn is_modelled(text: &str) -> Result<bool, String> {
    match text {
        "measured" => Ok(false),
        "modelled" => Ok(true),
        _ => Err(format!("basis '{text}' is neither measured nor modelled")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEADER: &str = "start,end,site,workflow,run,stage,zone,joules,basis\n";
    const GOOD: &str =
        "2026-01-05T10:00:00Z,2026-01-05T10:01:00Z,lyon,churn,r1,train,package-0,12.5,measured\n";

    #[test]
    fn a_good_row_is_read() {
        let rows = parse("e.csv", format!("{HEADER}{GOOD}").as_bytes()).unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].energy.microjoules(), 12_500_000);
        assert_eq!(
            (rows[0].site.as_str(), rows[0].stage.as_str()),
            ("lyon", "train")
        );
        assert!(!rows[0].modelled);
    }

    fn check(column: usize, value: &str, message: &str) {
        let mut fields: Vec<&str> = GOOD.trim().split(',').collect();
        fields[column] = value;
        let text = format!("{HEADER}{GOOD}{}\n", fields.join(","));
        let error = parse("e.csv", text.as_bytes()).unwrap_err().to_string();
        assert_eq!(error, format!("e.csv: line 3: {message}"));
    }

    #[test]
    fn a_bad_row_is_named_by_its_line() {
        check(0, "1969-12-31T23:59:59Z", "start is before 1970");
        check(1, "2026-01-05T10:00:00Z", "end is not after start");
        check(
            1,
            "2026-02-05T10:00:01Z",
            "end is more than 31 days after start",
        );
        check(6, "", "zone is empty");
        check(5, "a\x01", "stage has control characters");
        check(3, &"x".repeat(254), "workflow is longer than 253 bytes");
        check(2, &"x".repeat(201), "site is longer than 200 bytes");
        check(7, "-1", "joules '-1' is not a finite number from 0 up");
        check(7, "inf", "joules 'inf' is not a finite number from 0 up");
        check(7, "NaN", "joules 'NaN' is not a finite number from 0 up");
        check(
            7,
            "1e10",
            "joules is more than 1000000000: split the row in time",
        );
        check(7, "12,5", "10 fields, the header has 9");
        check(
            8,
            "guessed",
            "basis 'guessed' is neither measured nor modelled",
        );
    }

    #[test]
    fn a_megabyte_of_label_is_one_short_error() {
        let text = format!("{HEADER}{}", GOOD.replace("churn", &"x".repeat(1 << 20)));
        let error = parse("e.csv", text.as_bytes()).unwrap_err().to_string();
        assert_eq!(error, "e.csv: line 2: workflow is longer than 253 bytes");
    }

    proptest! {
        #[test]
        fn no_file_makes_the_reader_panic(mut content in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse("e.csv", &content);
            content.splice(0..0, format!("{HEADER}{GOOD}").bytes());
            let _ = parse("e.csv", &content);
        }
    }

    #[test]
    fn a_file_with_no_rows_is_refused() {
        let error = parse("e.csv", HEADER.as_bytes()).unwrap_err().to_string();
        assert_eq!(
            error,
            "e.csv: line 1: a header and no rows: nothing to import"
        );
    }
}
