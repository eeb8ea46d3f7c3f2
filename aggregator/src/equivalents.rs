//! What grams compare to, by published factors: for those who ask for it. Pure.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Rows of published factors, each with its source.
const TABLE: &str = include_str!("../data/equivalents.csv");

/// Something that emits as much.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Equivalent {
    /// How much of it.
    pub count: f64,
    /// What is counted, such as `miles in an average US passenger vehicle`.
    pub what: String,
    /// Grams of one.
    pub g_per_unit: f64,
    /// Who published that, and when.
    pub source: String,
}

/// A row of the table.
#[derive(Debug, Deserialize)]
struct Row {
    one: String,
    many: String,
    g_per_unit: f64,
    source: String,
}

/// What some grams compare to.
#[must_use]
pub fn equivalents(grams: f64) -> Vec<Equivalent> {
    let equivalent = |row: Row| {
        let count = grams / row.g_per_unit;
        let is_one = (count - 1.0).abs() < f64::EPSILON;
        Equivalent {
            count,
            what: if is_one { row.one } else { row.many },
            g_per_unit: row.g_per_unit,
            source: row.source,
        }
    };
    rows().map(equivalent).collect()
}

fn rows() -> impl Iterator<Item = Row> {
    let reader = csv::ReaderBuilder::new()
        .comment(Some(b'#'))
        .from_reader(TABLE.as_bytes());
    reader
        .into_deserialize()
        .map(|row| row.expect("each row of the embedded table is whole (tested)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_factor_is_whole_and_cited() {
        assert_eq!(rows().count(), 2);
        for row in rows() {
            assert!(
                row.g_per_unit > 0.0 && row.g_per_unit.is_finite(),
                "{row:?}"
            );
            let year = row.source.rsplit_once('(').unwrap().1.trim_end_matches(')');
            assert!((2000..2100).contains(&year.parse().unwrap()), "{row:?}");
        }
    }

    #[test]
    fn grams_are_divided_by_the_factor() {
        let told: Vec<(f64, String)> = equivalents(400.0)
            .into_iter()
            .map(|equivalent| (equivalent.count, equivalent.what))
            .collect();
        assert_eq!(
            told[0],
            (1.0, "mile in an average US passenger vehicle".to_owned())
        );
        assert_eq!(
            told[1],
            (400.0 / 8887.0, "US gallons of petrol burnt".to_owned())
        );
    }
}
