//! `hxmlops ledger export`: a year of every site by the hour.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, ensure};
use clap::Args;
use jiff::civil::date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use crate::commands::output::{Progress, print, tell};
use crate::commands::when::When;
use crate::format::escape;
use crate::ledger::Ledger;
use crate::scope2::SiteHour;
use crate::store::SqliteStore;

const MONTHS: i8 = 12;

/// What to export.
#[derive(Args, Clone, Debug)]
pub struct ExportArgs {
    /// Year (UTC)
    #[arg(long, value_name = "YEAR", value_parser = clap::value_parser!(i16).range(1970..9998))]
    year: i16,
    /// Only this site
    #[arg(long, value_name = "NAME")]
    site: Option<String>,
    /// With the intensities and settings that were known then: a time (RFC 3339) or how long ago
    #[arg(long, value_name = "TIME")]
    as_of: Option<When>,
}

/// Writes CSV to standard output, a row for each site and hour of which something is known, and the year's sums to
/// standard error.
///
/// # Errors
/// Where there is no ledger, it knows no such site, or it cannot be read.
pub(super) fn run(data_dir: &Path, args: &ExportArgs) -> anyhow::Result<ExitCode> {
    let as_of = args.as_of.map(|when| when.resolve(Timestamp::now()));
    let as_of = as_of.transpose().context("--as-of")?;
    let ledger = Ledger::new(Arc::new(SqliteStore::open_existing(data_dir)?));
    if let Some(site) = &args.site {
        let known = ledger.sites(as_of)?;
        let is_known = known.iter().any(|other| other.name == *site);
        ensure!(is_known, "the ledger knows no site '{site}'");
    }
    let progress = Progress::new(MONTHS.unsigned_abs().into(), "months");
    let mut years = Years::default();
    for month in 1..=MONTHS {
        let (from, to) = bounds(args.year, month)?;
        let mut hours = ledger.site_hours(from, to, as_of)?;
        hours.retain(|hour| args.site.as_ref().is_none_or(|site| *site == hour.site));
        print(&table(&hours, month == 1)?)?;
        years.add(&hours);
        progress.set(month.unsigned_abs().into());
    }
    // Off the screen, before there are lines on it.
    drop(progress);
    for line in years.told(args.year) {
        tell(&line);
    }
    Ok(ExitCode::SUCCESS)
}

fn table(hours: &[SiteHour], with_header: bool) -> anyhow::Result<String> {
    let mut writer = csv::WriterBuilder::new()
        .has_headers(false)
        .from_writer(Vec::new());
    if with_header {
        writer.write_record(SiteHour::FIELDS)?;
    }
    for hour in hours {
        writer.serialize(SiteHour {
            site: escape::csv(&hour.site),
            market_source: escape::csv(&hour.market_source),
            ..hour.clone()
        })?;
    }
    let bytes = writer
        .into_inner()
        .map_err(csv::IntoInnerError::into_error)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Sums of a year by site.
#[derive(Default)]
struct Years(BTreeMap<String, Year>);

#[derive(Default)]
struct Year {
    facility_kwh: f64,
    location_g: f64,
    market_g: f64,
    /// Hours without the one, and the other figure.
    without_location: u64,
    without_market: u64,
}

impl Years {
    fn add(&mut self, hours: &[SiteHour]) {
        for hour in hours {
            let year = self.0.entry(hour.site.clone()).or_default();
            year.facility_kwh += hour.facility_kwh;
            year.location_g += hour.location_g.unwrap_or_default();
            year.market_g += hour.market_g.unwrap_or_default();
            year.without_location += u64::from(hour.location_g.is_none());
            year.without_market += u64::from(hour.market_g.is_none());
        }
    }

    fn told(&self, year: i16) -> Vec<String> {
        let figure = |grams: f64, without: u64| match without {
            0 => format!("{:.3} kg", grams / 1e3),
            hours => format!("not known (hours without a figure: {hours})"),
        };
        let line = |(site, sums): (&String, &Year)| {
            format!(
                "{site} {year}: {:.3} kWh bought; location-based {}; market-based {}",
                sums.facility_kwh,
                figure(sums.location_g, sums.without_location),
                figure(sums.market_g, sums.without_market),
            )
        };
        if self.0.is_empty() {
            return vec![format!("nothing is known of {year}")];
        }
        self.0.iter().map(line).collect()
    }
}

/// First moment of a month, and of the next.
fn bounds(year: i16, month: i8) -> anyhow::Result<(Timestamp, Timestamp)> {
    let first = date(year, month, 1);
    let moment = |day: jiff::civil::Date| Ok(day.to_zoned(TimeZone::UTC)?.timestamp());
    let next = first.checked_add(1.month())?;
    moment(first).and_then(|from| Ok((from, moment(next)?)))
}
