//! `hxmlops intensity`

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use jiff::{SignedDuration, Timestamp};

use super::output::{print, tell, width};
use super::when::When;
use crate::cli::{LedgerArgs, Usage};
use crate::format;
use crate::intensity::{Signal, citation, yearly_all};
use crate::ledger::IntensityQuery;
use crate::source::Source;

/// Shown where no start is given.
const DEFAULT_PAST: SignedDuration = SignedDuration::from_hours(24);

/// Which intensities to show.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["zone", "list"]))]
pub struct IntensityArgs {
    /// Intensity zone, such as FR
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
    /// What the figures are to count, such as average-lifecycle-production or marginal-direct [default: what the sites of the zone use]
    #[arg(long, value_name = "KIND", requires = "zone")]
    signal: Option<Signal>,
    /// Start: a time (RFC 3339) or how long ago (24h, 7d); 24h if not given
    #[arg(long, value_name = "TIME", requires = "zone")]
    from: Option<When>,
    /// End: a time or how long ago; now if not given
    #[arg(long, value_name = "TIME", requires = "zone")]
    to: Option<When>,
    /// As it was known then: a time or how long ago; as it is known now if not given
    #[arg(long, value_name = "TIME", requires = "zone")]
    as_of: Option<When>,
    /// List the yearly averages that come with the program; asks no server
    #[arg(long)]
    list: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Shows intensities.
///
/// # Errors
/// Where the zone is unknown or the ledger cannot be asked.
pub async fn run(args: &IntensityArgs, ledger: &LedgerArgs) -> anyhow::Result<ExitCode> {
    let text = match &args.zone {
        Some(zone) => of_zone(zone, args, ledger).await?,
        None => yearly_list(args.json)?,
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

async fn of_zone(zone: &str, args: &IntensityArgs, ledger: &LedgerArgs) -> anyhow::Result<String> {
    let now = Timestamp::now();
    let from = args.from.unwrap_or(When::Ago(DEFAULT_PAST));
    let to = args.to.unwrap_or(When::At(now));
    let from = from.resolve(now).context("--from")?;
    let to = to.resolve(now).context("--to")?;
    if to <= from {
        return Err(Usage(format!("--to ({to}) is not after --from ({from})")).into());
    }
    let as_of = args.as_of.map(|when| when.resolve(now)).transpose();
    let query = IntensityQuery {
        intensity_zone: zone.to_owned(),
        signal: args.signal,
        from,
        to,
        as_of: as_of.context("--as-of")?,
    };
    let slots = Source::open(ledger)?.intensity(&query).await?;
    if args.json {
        return Ok(format::json(&slots)?);
    }
    if slots.is_empty() {
        tell(&format!(
            "no intensity is known for zone {zone} in that time; --signal KIND asks for another kind"
        ));
        return Ok(String::new());
    }
    Ok(format::slots::slots_table(&slots, width()))
}

fn yearly_list(json: bool) -> anyhow::Result<String> {
    if json {
        return Ok(format::json(&yearly_all())?);
    }
    let table = format::slots::yearly_table(yearly_all(), width());
    Ok(format!("{table}\n{}\n", citation()))
}
