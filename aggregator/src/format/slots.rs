//! Carbon intensities for a terminal.

use super::grid::{Align, table};
use super::units::{figure, time};
use crate::intensity::{Slot, YearlyIntensity};

/// One line per slot.
#[must_use]
pub fn slots_table(slots: &[Slot], width: Option<u16>) -> String {
    let columns = [
        ("ZONE", Align::Left),
        ("FROM", Align::Whole),
        ("TO", Align::Whole),
        ("G/KWH", Align::Right),
        ("BASIS", Align::Left),
        ("SOURCE", Align::Left),
    ];
    let rows = slots.iter().map(|slot| {
        vec![
            slot.intensity_zone.clone(),
            time(slot.from),
            time(slot.to),
            figure(slot.g_per_kwh),
            slot.basis.to_string(),
            slot.source.clone(),
        ]
    });
    table(&columns, rows.collect(), width)
}

/// One line per country.
#[must_use]
pub fn yearly_table(rows: &[YearlyIntensity], width: Option<u16>) -> String {
    let columns = [
        ("ZONE", Align::Left),
        ("COUNTRY", Align::Left),
        ("YEAR", Align::Right),
        ("G/KWH", Align::Right),
    ];
    let rows = rows.iter().map(|row| {
        vec![
            row.zone.to_owned(),
            row.country.to_owned(),
            row.year.to_string(),
            format!("{:.1}", row.g_per_kwh),
        ]
    });
    table(&columns, rows.collect(), width)
}
