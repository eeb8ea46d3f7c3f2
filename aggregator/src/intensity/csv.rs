//! A file of intensity slots: `intensity_zone,from,to,g_per_kwh,kind,source` and, if it likes, `basis`.

use csv::StringRecord;

use super::{IntensityBasis, Slot, normalized_zone};
use crate::csv_file::{self, CsvError, Header, name, number, time};

const HEADER: Header = Header {
    required: &[
        "intensity_zone",
        "from",
        "to",
        "g_per_kwh",
        "kind",
        "source",
    ],
    optional: Some("basis"),
};

/// Reads all slots of a file; `file` is its name in errors.
///
/// # Errors
/// The first line that is wrong; then none of the file's slots counts.
pub fn parse(file: &str, content: &[u8]) -> Result<Vec<Slot>, CsvError> {
    csv_file::read(file, content, HEADER, parse_row)
}

fn parse_row(row: &StringRecord) -> Result<Slot, String> {
    let basis = match row.get(6) {
        None | Some("") => IntensityBasis::Measured,
        Some(basis) => basis.parse().map_err(|error| format!("{error}"))?,
    };
    let slot = Slot {
        intensity_zone: normalized_zone(&name("intensity_zone", &row[0])?),
        from: time("from", &row[1])?,
        to: time("to", &row[2])?,
        g_per_kwh: number("g_per_kwh", &row[3])?,
        kind: row[4].parse().map_err(|error| format!("{error}"))?,
        basis,
        source: name("source", &row[5])?,
    };
    slot.validate().map_err(|error| error.to_string())?;
    Ok(slot)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "intensity_zone,from,to,g_per_kwh,kind,source
fr,2026-01-05T10:00:00Z,2026-01-05T11:00:00+00:00,44.5,,RTE
DE,2026-01-05T10:00:00+01:00,2026-01-05T11:00:00+01:00,0,average-direct,\"a, b\"
";

    #[test]
    fn a_good_file_is_read_whole() {
        let slots = parse("f.csv", GOOD.as_bytes()).unwrap();
        assert_eq!(slots.len(), 2);
        assert_eq!(slots[0].intensity_zone, "FR");
        assert_eq!(slots[0].kind.as_str(), "average-lifecycle-production");
        assert_eq!(slots[0].basis, IntensityBasis::Measured);
        assert_eq!(slots[1].source, "a, b");
        assert_eq!(slots[1].from, "2026-01-05T09:00:00Z".parse().unwrap());

        let with_basis = "\u{feff}intensity_zone,from,to,g_per_kwh,kind,source,basis\r\n\
            # a comment\r\nFR,2026-01-05T10:00Z,2026-01-05T11:00Z,5,,x,forecast\r\n";
        let slots = parse("f.csv", with_basis.as_bytes()).unwrap();
        assert_eq!(slots[0].basis, IntensityBasis::Forecast);
    }

    fn check(row: &str, message: &str) {
        let text = format!("{GOOD}{row}\n");
        let error = parse("i.csv", text.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("i.csv: line 4: "), "{error}");
        assert!(error.contains(message), "{error}");
    }

    #[test]
    fn a_bad_row_is_named_by_its_line() {
        let (from, to) = ("2026-01-05T10:00:00Z", "2026-01-05T11:00:00Z");
        check(&format!("FR,{to},{from},1,,x"), "to is not after from");
        check(&format!("FR,{from},{from},1,,x"), "to is not after from");
        check(
            &format!("FR,2026-01-05 10:00,{to},1,,x"),
            "from '2026-01-05 10:00' is not an RFC 3339",
        );
        check(
            &format!("FR,{from},{to},-1,,x"),
            "g_per_kwh -1 is not within 0 to 5000",
        );
        check(&format!("FR,{from},{to},NaN,,x"), "is not within");
        check(&format!("FR,{from},{to},1e9,,x"), "is not within");
        check(
            &format!("FR,{from},{to},many,,x"),
            "g_per_kwh 'many' is not a number",
        );
        check(&format!(",{from},{to},1,,x"), "intensity_zone is empty");
        check(&format!("FR,{from},{to},1,,"), "source is empty");
        check(&format!("FR,{from},{to},1,co2,x"), "unknown kind 'co2'");
        check(
            &format!("FR,{from},{to},1,,x,measured"),
            "7 fields, the header has 6",
        );
        check(&format!("FR,{from},{to},1"), "4 fields, the header has 6");
        check(
            &format!("FR,{from},{to},1,,\x07"),
            "source has control characters",
        );
    }

    #[test]
    fn a_file_without_its_header_is_refused() {
        let wanted = "intensity_zone,from,to,g_per_kwh,kind,source[,basis]";
        for text in [
            "",
            "zone,from\n",
            "FR,2026-01-05T10:00:00Z,2026-01-05T11:00:00Z,1,,x\n",
        ] {
            let error = parse("i.csv", text.as_bytes()).unwrap_err().to_string();
            assert!(
                error.starts_with("i.csv: line 1: ") && error.contains(wanted),
                "{error}"
            );
        }
        let error = parse("i.csv", b"\xff\xfe,a\n").unwrap_err().to_string();
        assert_eq!(error, "i.csv: line 1: not UTF-8 text");
    }
}
