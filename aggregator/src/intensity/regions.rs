//! Cloud regions by name: the grid that feeds each, the country to fall back to, and what the clouds say of their PUE.
//!
//! A table of facts that comes with the program. What a site makes of them is its configuration's to say.

use std::sync::LazyLock;

/// A line that says whence the rows are, then a header and a row per region.
const TABLE: &str = include_str!("../../data/cloud-regions.csv");

/// Average power usage effectiveness of each cloud's data centres: the figures in common use for carbon accounting,
/// from what the operators publish of whole fleets. A single region's may be better or worse.
const AVERAGE_PUE: [(&str, f64); 3] = [("aws", 1.135), ("azure", 1.185), ("gcp", 1.1)];

/// Average power usage effectiveness of data centres by the Uptime Institute's global survey: for a site of one's own
/// of which nothing is known.
pub const OWN_SITE_PUE: f64 = 1.58;

/// One public region of a cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// `aws`, `azure` or `gcp`.
    pub cloud: &'static str,
    /// As the provider writes it, such as `eu-west-3`.
    pub region: &'static str,
    /// The grid that feeds it, such as `US-MIDA-PJM`; the country where no one grid is sure.
    pub intensity_zone: &'static str,
    /// Two letters (ISO 3166-1 alpha-2); it stands in the yearly table.
    pub country: &'static str,
}

/// A name that is no region's; it never becomes a country.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown cloud region '{name}', which is nearest to {nearest}; a region is written cloud:region"
)]
pub struct UnknownRegion {
    /// As it was written.
    pub name: String,
    /// The region whose name is most like it.
    pub nearest: String,
}

/// The region that is meant by `aws:eu-west-3`, in whatever case it is written.
///
/// # Errors
/// [`UnknownRegion`] for any other text, with the nearest name.
pub fn resolve(name: &str) -> Result<&'static Region, UnknownRegion> {
    let wanted = name.trim().to_ascii_lowercase();
    let named = wanted.split_once(':');
    let found = named.and_then(|(cloud, region)| {
        let mut all = all().iter();
        all.find(|row| row.cloud == cloud && row.region == region)
    });
    found.ok_or_else(|| UnknownRegion {
        name: name.to_owned(),
        nearest: nearest(&wanted),
    })
}

/// The country whose yearly average stands in for an intensity zone. Only for zones of the table, so that a mistyped
/// one has none.
#[must_use]
pub fn country_of(intensity_zone: &str) -> Option<&'static str> {
    let zone = intensity_zone.trim();
    all()
        .iter()
        .find(|row| row.intensity_zone.eq_ignore_ascii_case(zone))
        .map(|row| row.country)
}

/// Average power usage effectiveness of a cloud (`aws`, `azure`, `gcp`); `None` for another name.
#[must_use]
pub fn average_pue(cloud: &str) -> Option<f64> {
    let known = AVERAGE_PUE.iter().find(|(name, _)| *name == cloud);
    known.map(|(_, pue)| *pue)
}

/// All regions, by cloud and name.
#[must_use]
pub fn all() -> &'static [Region] {
    static ROWS: LazyLock<Vec<Region>> = LazyLock::new(|| {
        rows()
            .map(|row| parse(row).expect("each row of the embedded table is whole (tested)"))
            .collect()
    });
    &ROWS
}

fn rows() -> impl Iterator<Item = &'static str> {
    TABLE.lines().filter(|line| !line.starts_with('#')).skip(1)
}

fn parse(row: &'static str) -> Option<Region> {
    let fields: Vec<&str> = row.split(',').collect();
    let [cloud, region, intensity_zone, country] = fields[..] else {
        return None;
    };
    Some(Region {
        cloud,
        region,
        intensity_zone,
        country,
    })
}

/// By the edits that it takes, of swapped letters too; of equal ones the first. A bare region is one without its cloud.
fn nearest(wanted: &str) -> String {
    let distance = |row: &Region| {
        let whole = format!("{}:{}", row.cloud, row.region);
        let other = if wanted.contains(':') {
            &whole
        } else {
            row.region
        };
        (strsim::damerau_levenshtein(wanted, other), whole)
    };
    let nearest = all().iter().map(distance).min();
    nearest
        .map(|(_, name)| name)
        .expect("the embedded table has rows (tested)")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::intensity::{normalized_zone, yearly};

    #[test]
    fn every_row_is_whole_and_comes_once() {
        let mut names = BTreeSet::new();
        for row in rows() {
            let region = parse(row).unwrap_or_else(|| panic!("not a whole row: {row}"));
            assert!(average_pue(region.cloud).is_some(), "{row}");
            assert!(yearly(region.country).is_some(), "{row}");
            assert_eq!(
                normalized_zone(region.intensity_zone),
                region.intensity_zone
            );
            let parts = region.intensity_zone.split('-').next();
            assert_eq!(parts, Some(region.country), "{row}");
            assert_eq!(region.region, region.region.trim().to_lowercase());
            assert!(names.insert((region.cloud, region.region)), "twice: {row}");
        }
        assert_eq!(names.len(), all().len());
        assert!(names.len() > 140, "{}", names.len());
    }

    #[test]
    fn a_zone_has_one_country() {
        for row in all() {
            assert_eq!(country_of(row.intensity_zone), Some(row.country), "{row:?}");
        }
    }

    fn check(name: &str, zone: &str, country: &str) {
        let region = resolve(name).unwrap();
        assert_eq!(
            (region.intensity_zone, region.country),
            (zone, country),
            "{name}"
        );
    }

    #[test]
    fn regions_have_the_grid_that_feeds_them() {
        check("aws:eu-west-3", "FR", "FR");
        check("aws:us-east-1", "US-MIDA-PJM", "US");
        check("aws:eu-north-1", "SE", "SE");
        check("gcp:europe-west1", "BE", "BE");
        check("gcp:asia-northeast1", "JP-TK", "JP");
        check("azure:northeurope", "IE", "IE");
        check(" AWS:EU-West-3 ", "FR", "FR");
    }

    #[test]
    fn a_mistyped_region_is_an_error_with_the_nearest_name() {
        let check = |name: &str, nearest: &str| {
            let error = resolve(name).unwrap_err();
            assert_eq!(error.nearest, nearest, "{name}");
            assert!(error.to_string().contains(&format!("'{name}'")), "{error}");
        };
        check("aws:eu-wets-3", "aws:eu-west-3");
        check("aws:eu-west-33", "aws:eu-west-3");
        check("asw:eu-west-3", "aws:eu-west-3");
        check("gcp:europe-west-1", "gcp:europe-west1");
        check("azure:North Europe", "azure:northeurope");
        check("eu-west-3", "aws:eu-west-3");
        for other in ["", "FR", "aws:", ":", "aws:FR", "aws:eu-west-3:a"] {
            assert!(resolve(other).is_err(), "{other}");
        }
    }

    #[test]
    fn only_zones_of_the_table_fall_back_to_a_country() {
        assert_eq!(country_of("us-mida-pjm"), Some("US"));
        assert_eq!(country_of("FR"), Some("FR"));
        for zone in ["FR-TYPO", "US-MIDA-PJN", "", "XX"] {
            assert_eq!(country_of(zone), None, "{zone}");
        }
    }

    #[test]
    fn clouds_have_the_pue_that_they_publish() {
        let found = ["aws", "azure", "gcp", "own"].map(average_pue);
        assert_eq!(found, [Some(1.135), Some(1.185), Some(1.1), None]);
        assert!(
            all()
                .iter()
                .all(|row| average_pue(row.cloud) < Some(OWN_SITE_PUE))
        );
    }
}
