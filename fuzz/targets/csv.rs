//! Files of energy and of intensities: as they are, and after a header that is right.

#![no_main]

use aggregator::commands::import::{batches, energy_csv};
use aggregator::intensity::{self, Slot};
use libfuzzer_sys::fuzz_target;

const ENERGY_HEADER: &[u8] = b"start,end,site,workflow,run,stage,zone,joules,basis\n";
const INTENSITY_HEADER: &[u8] = b"intensity_zone,from,to,g_per_kwh,kind,source,basis\n";

fuzz_target!(|data: &[u8]| fuzz::one_of(
    data,
    &[
        check_energy,
        check_energy_rows,
        check_intensity,
        check_intensity_rows
    ]
));

fn check_energy_rows(rows: &[u8]) {
    check_energy(&[ENERGY_HEADER, rows].concat());
}

fn check_intensity_rows(rows: &[u8]) {
    check_intensity(&[INTENSITY_HEADER, rows].concat());
}

/// Batches of a file hold its energy, can be sent, and are the same when it is imported again.
fn check_energy(content: &[u8]) {
    let Ok(rows) = energy_csv::parse("e.csv", content) else {
        return;
    };
    let Ok(batches) = batches::from_rows(&rows, content) else {
        return;
    };
    let read: u128 = rows
        .iter()
        .map(|row| u128::from(row.energy.microjoules()))
        .sum();
    let samples = batches.iter().flat_map(|batch| &batch.intervals);
    let samples = samples.flat_map(|interval| &interval.zones);
    let sent: u128 = samples.map(|sample| u128::from(sample.measured_uj)).sum();
    assert_eq!(read, sent);
    for batch in &batches {
        assert_eq!(
            wire::decode(&wire::encode(batch)).as_ref().ok(),
            Some(batch)
        );
    }
    assert_eq!(batches::from_rows(&rows, content), Ok(batches));
}

fn check_intensity(content: &[u8]) {
    for slot in intensity::csv::parse("i.csv", content).unwrap_or_default() {
        assert_eq!(slot.validate(), Ok(()));
        let json = serde_json::to_string(&slot).expect("it has a form in JSON");
        let again: Slot = serde_json::from_str(&json).expect("it can be sent to a server");
        assert_eq!(slot, again, "{json}");
    }
}
