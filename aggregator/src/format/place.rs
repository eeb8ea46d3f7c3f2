//! Where a grid's electricity is used, as people name it.

use super::escape::terminal;
use crate::intensity::yearly;

/// The country of an intensity zone, by the yearly table; a part of a country has its zone beside it, and a zone
/// that is no country's is named as it is.
#[must_use]
pub fn place(intensity_zone: &str) -> String {
    let zone = terminal(intensity_zone);
    if let Some(row) = yearly(intensity_zone) {
        return row.country.to_owned();
    }
    let country = intensity_zone
        .split_once('-')
        .and_then(|(country, _)| yearly(country));
    match country {
        Some(row) => format!("{} ({zone})", row.country),
        None => zone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_named_by_its_country() {
        assert_eq!(place("FR"), "France");
        assert_eq!(place("US-MIDA-PJM"), "United States (US-MIDA-PJM)");
        assert_eq!(place("CAISO_NORTH"), "CAISO_NORTH");
        assert_eq!(place("\u{202e}-x"), "\\u{202e}-x");
    }
}
