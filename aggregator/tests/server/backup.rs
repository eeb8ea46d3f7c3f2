//! A copy of a ledger that is being written.

use aggregator::intensity::{IntensityBasis, Signal, Slot};
use aggregator::store::{SqliteStore, Store};

use crate::batches::{batch, received, time};

#[test]
fn a_backup_is_the_ledger_as_it_was_when_it_began() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(directory.path()).unwrap();
    // Some megabytes, so that it is copied in several steps.
    let slot = |number: i64| Slot {
        intensity_zone: "FR".to_owned(),
        from: time(number * 3_600_000),
        to: time((number + 1) * 3_600_000),
        g_per_kwh: 40.0,
        kind: Signal::default(),
        basis: IntensityBasis::Measured,
        source: "a test that wants some bytes ".repeat(40),
    };
    let slots: Vec<Slot> = (0..6_000).map(slot).collect();
    store.put_slots(&slots, time(0)).unwrap();
    store
        .write_batch(&received(batch("n1", 1, "r1")), "s")
        .unwrap();

    let copies = tempfile::tempdir().unwrap();
    let mut steps = Vec::new();
    let mut progress = |done, total| {
        let sequence = 2 + steps.len() as u64;
        store
            .write_batch(&received(batch("n1", sequence, "r1")), "s")
            .unwrap();
        steps.push((done, total));
    };
    store
        .backup(&copies.path().join("ledger.db"), &mut progress)
        .unwrap();
    assert!(steps.len() > 1, "{steps:?}");
    assert_eq!(steps.last().map(|(done, total)| done == total), Some(true));

    let copy = SqliteStore::open_existing(copies.path()).unwrap();
    let report = copy.check(&mut |_, _| {}).unwrap();
    assert_eq!((report.batches, report.faults), (1, Vec::new()));
    let written = store.check(&mut |_, _| {}).unwrap().batches;
    assert_eq!(written, 1 + steps.len() as u64);
}
