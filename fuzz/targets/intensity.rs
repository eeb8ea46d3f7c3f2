//! What providers of intensity answer, and files of slots: whatever comes of it are slots, and none of another zone.

#![no_main]

use std::path::Path;

use aggregator::intensity::{IntensityBasis, Slot};
use aggregator::provider::electricitymaps::{self, Emissions};
use aggregator::provider::neso::{self, Area};
use aggregator::provider::watttime::{self, SignalType};
use aggregator::provider::{file, rte, tidy};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz::one_of_text(
    data,
    &[
        check_electricitymaps,
        check_watttime,
        check_neso,
        check_neso_region,
        check_rte,
        check_file
    ]
));

fn check_electricitymaps(text: &str) {
    let told = electricitymaps::parse(text, "DE", "DE-LU", Emissions::Direct, "a fuzzer");
    check(told.unwrap_or_default(), "DE", "average-direct-consumption");
}

fn check_watttime(text: &str) {
    let (signal, basis) = (SignalType::Marginal, IntensityBasis::Estimated);
    let told = watttime::parse(text, "US-CAL", "CAISO_NORTH", signal, basis);
    check(told.unwrap_or_default(), "US-CAL", "marginal-direct");
}

fn check_neso(text: &str) {
    let past = "2026-01-05T10:00:00Z".parse().ok();
    for past in [past, None] {
        let told = neso::parse(text, Area::Country, past);
        check(told.unwrap_or_default(), "GB", "average-direct-consumption");
    }
}

fn check_neso_region(text: &str) {
    let past = "2026-01-05T10:00:00Z".parse().ok();
    let told = neso::parse(text, Area::Region(7), past);
    check(
        told.unwrap_or_default(),
        "GB-7",
        "average-direct-consumption",
    );
}

fn check_rte(text: &str) {
    check(
        rte::parse(text).unwrap_or_default(),
        "FR",
        "average-direct-production",
    );
}

fn check_file(text: &str) {
    for slot in file::parse(Path::new("i.json"), text.as_bytes()).unwrap_or_default() {
        assert_eq!(slot.validate(), Ok(()));
    }
}

/// All are slots of the zone and the kind, and in order once they are tidied up.
fn check(slots: Vec<Slot>, zone: &str, kind: &str) {
    for slot in &slots {
        assert_eq!(slot.validate(), Ok(()));
        assert_eq!(
            (slot.intensity_zone.as_str(), slot.kind.as_str()),
            (zone, kind)
        );
    }
    let count = slots.len();
    let tidied = tidy(slots);
    assert!(tidied.len() <= count);
    assert!(tidied.is_sorted_by_key(|slot| (slot.from, slot.to)));
}
