//! The yearly averages that come with the program, for times of which nothing better is known.

use std::sync::LazyLock;

use serde::Serialize;

use super::regions::country_of;

/// One line of citation, then a header and a row per country.
const TABLE: &str = include_str!("../../data/ember-yearly.csv");

/// The average intensity of one country's electricity in one year.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct YearlyIntensity {
    /// Two letters, upper case (ISO 3166-1 alpha-2).
    pub zone: &'static str,
    /// Three letters (ISO 3166-1 alpha-3).
    pub iso3: &'static str,
    /// Name in English.
    pub country: &'static str,
    /// Year that is averaged: the newest that was published.
    pub year: u16,
    /// gCO2e per kWh generated, upstream included.
    pub g_per_kwh: f64,
}

impl YearlyIntensity {
    /// As a slot's source.
    #[must_use]
    pub fn source(&self) -> String {
        format!("Ember {}", self.year)
    }
}

/// The yearly average of a zone, in whatever case it is written; `None` where the table has none.
#[must_use]
pub fn yearly(zone: &str) -> Option<&'static YearlyIntensity> {
    yearly_all()
        .iter()
        .find(|row| row.zone.eq_ignore_ascii_case(zone))
}

/// The same, else that of the country that the zone is a part of, where the table of cloud regions knows it.
#[must_use]
pub fn yearly_nearest(zone: &str) -> Option<&'static YearlyIntensity> {
    yearly(zone).or_else(|| yearly(country_of(zone)?))
}

/// All rows, by zone.
#[must_use]
pub fn yearly_all() -> &'static [YearlyIntensity] {
    static ROWS: LazyLock<Vec<YearlyIntensity>> = LazyLock::new(|| {
        rows()
            .map(|row| parse(row).expect("each row of the embedded table is whole (tested)"))
            .collect()
    });
    &ROWS
}

/// Whose figures they are, and under which licence.
#[must_use]
pub fn citation() -> &'static str {
    let first = TABLE.lines().next().unwrap_or_default();
    first.trim_start_matches('#').trim()
}

fn rows() -> impl Iterator<Item = &'static str> {
    TABLE.lines().filter(|line| !line.starts_with('#')).skip(1)
}

/// No name in the table has a comma in it, so that no quotes need be read.
fn parse(row: &'static str) -> Option<YearlyIntensity> {
    let fields: Vec<&str> = row.split(',').collect();
    let [zone, iso3, country, year, g_per_kwh] = fields[..] else {
        return None;
    };
    Some(YearlyIntensity {
        zone,
        iso3,
        country,
        year: year.parse().ok()?,
        g_per_kwh: g_per_kwh.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intensity::MAX_G_PER_KWH;

    #[test]
    fn every_row_is_whole_and_comes_once() {
        let mut zones = Vec::new();
        for row in rows() {
            let row = parse(row).unwrap_or_else(|| panic!("not a whole row: {row}"));
            assert!(row.zone.len() == 2 && row.iso3.len() == 3, "{row:?}");
            assert!(
                row.zone.bytes().all(|byte| byte.is_ascii_uppercase()),
                "{row:?}"
            );
            assert!((0.0..=MAX_G_PER_KWH).contains(&row.g_per_kwh), "{row:?}");
            assert!((2000..2100).contains(&row.year), "{row:?}");
            zones.push(row.zone);
        }
        assert_eq!(zones.len(), 213);
        zones.sort_unstable();
        zones.dedup();
        assert_eq!(zones.len(), 213);
    }

    #[test]
    fn figures_are_those_published() {
        let published = [
            ("FR", 44),
            ("DE", 344),
            ("PL", 615),
            ("ES", 146),
            ("SE", 36),
            ("GB", 211),
            ("US", 384),
            ("IN", 708),
            ("AU", 552),
            ("CN", 560),
            ("BR", 103),
            ("ZA", 709),
            ("JP", 482),
            ("NO", 31),
        ];
        for (zone, g_per_kwh) in published {
            let row = yearly(&zone.to_lowercase()).expect(zone);
            assert!(
                (row.g_per_kwh - f64::from(g_per_kwh)).abs() <= 1.0,
                "{row:?}"
            );
        }
        assert_eq!(yearly("US-MIDA-PJM"), None);
        assert_eq!(yearly_nearest("us-mida-pjm"), yearly("US"));
        assert_eq!(yearly_nearest("US-TYPO"), None);
        assert_eq!(yearly("WORLD"), None);
        assert!(citation().contains("Ember") && citation().contains("CC BY 4.0"));
    }
}
