//! What every report keeps, on ledgers made by hand.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use wire::Energy;

use super::{IdlePolicy, Report};
use crate::intensity::{Grid, Grids, IntensityBasis, Signal, Slot};
use crate::ledger::ReportQuery;
use crate::site::Site;
use crate::store::{Cell, NodeKey, RunKey, RunLedger, RunSummary, Share, WorkloadLabels};

const START: &str = "2026-01-05T10:00:00Z";

fn start() -> Timestamp {
    START.parse().unwrap()
}

fn minute(number: i64) -> Timestamp {
    start() + SignedDuration::from_mins(number)
}

fn uj(microjoules: u64) -> Energy {
    Energy::from_microjoules(microjoules)
}

fn labels(workflow: &str, run: &str, stage: &str) -> WorkloadLabels {
    WorkloadLabels {
        workflow: workflow.to_owned(),
        run: run.to_owned(),
        stage: stage.to_owned(),
        ..WorkloadLabels::default()
    }
}

/// Two stages of the run, another run of the same workflow, and a run of the same id elsewhere.
fn workloads() -> Vec<WorkloadLabels> {
    vec![
        labels("churn", "r1", "clean"),
        labels("churn", "r1", "train"),
        labels("churn", "r2", "train"),
        labels("other", "r1", "train"),
    ]
}

fn cell(number: i64, node: &str, site: &str, shares: &[(usize, u64, u64)]) -> Cell {
    let active: u64 = shares.iter().map(|&(_, active, _)| active).sum();
    Cell {
        start: minute(number),
        length_ms: 60_000,
        node: NodeKey {
            cluster: "default".to_owned(),
            node: node.to_owned(),
        },
        site: site.to_owned(),
        zone: "package-0".to_owned(),
        modelled: false,
        range_percent: None,
        measured: uj(active + 1_000 + 500),
        idle: uj(1_000),
        system: uj(500),
        system_usage_ns: 10,
        covered_ms: 60_000,
        idle_seeded: false,
        shares: shares
            .iter()
            .map(|&(workload, active, usage_ns)| Share {
                workload,
                active: uj(active),
                usage_ns,
                request_us: 0,
            })
            .collect(),
    }
}

fn ledger(minutes: i64, cells: Vec<Cell>) -> RunLedger {
    RunLedger {
        summary: RunSummary {
            key: RunKey {
                cluster: "default".to_owned(),
                workflow: "churn".to_owned(),
                run: "r1".to_owned(),
            },
            start: start(),
            end: minute(minutes),
            stages: vec!["train".to_owned(), "clean".to_owned()],
            active_joules: 0.0,
        },
        workloads: workloads(),
        cells,
        losses: Vec::new(),
    }
}

fn site(name: &str, intensity_zone: Option<&str>, pue: f64) -> Site {
    Site {
        intensity_zone: intensity_zone.map(str::to_owned),
        pue,
        ..Site::named(name)
    }
}

/// Grids of which these slots are known.
fn grids(slots: &BTreeMap<String, Vec<Slot>>) -> Grids {
    let grid = |(zone, slots): (&String, &Vec<Slot>)| {
        let grid = Grid::new(slots.clone(), zone, start(), minute(100));
        (zone.clone(), grid)
    };
    slots.iter().map(grid).collect()
}

fn build(
    ledger: &RunLedger,
    idle: IdlePolicy,
    sites: &[Site],
    slots: &BTreeMap<String, Vec<Slot>>,
) -> Report {
    let query = ReportQuery {
        idle,
        ..ReportQuery::default()
    };
    super::build(ledger, &query, sites, &grids(slots))
}

fn slot(from: i64, to: i64, g_per_kwh: f64, basis: IntensityBasis) -> Slot {
    Slot {
        intensity_zone: "X".to_owned(),
        from: minute(from),
        to: minute(to),
        g_per_kwh,
        kind: Signal::default(),
        basis,
        source: "meter".to_owned(),
    }
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * (1.0 + a.abs())
}

/// 3.6 MJ in each of two minutes; 100 g/kWh in the first, 300 in the second; PUE 1.5.
fn two_minutes() -> Report {
    let joules = 3_600_000_000_000;
    let cells = vec![
        cell(0, "n1", "lab", &[(1, joules, 5), (2, 7, 5)]),
        cell(1, "n1", "lab", &[(0, joules, 5)]),
    ];
    let slots = vec![
        slot(0, 1, 100.0, IntensityBasis::Measured),
        slot(1, 2, 300.0, IntensityBasis::Forecast),
    ];
    let timelines = BTreeMap::from([("X".to_owned(), slots)]);
    let sites = [site("lab", Some("x"), 1.5)];
    build(&ledger(2, cells), IdlePolicy::None, &sites, &timelines)
}

#[test]
fn grams_follow_the_intensity_of_their_minute() {
    let report = two_minutes();
    assert!(
        near(report.carbon_grams.unwrap(), 150.0 + 450.0),
        "{report:?}"
    );
    let stages: Vec<_> = report
        .stages
        .iter()
        .map(|s| (s.stage.as_str(), s.carbon_grams))
        .collect();
    assert_eq!(stages, [("train", Some(150.0)), ("clean", Some(450.0))]);
    assert!(
        near(report.intensity_basis.measured, 0.25) && near(report.intensity_basis.forecast, 0.75)
    );
    assert_eq!(report.intensity.len(), 1);
    assert!(near(report.intensity[0].g_per_kwh, 200.0));
    assert!(near(report.pue, 1.5) && near(report.coverage_ratio, 1.0));
    assert!(near(report.energy_basis.measured, 1.0));
    let [note] = &report.notes[..] else {
        panic!("one note, not {:?}", report.notes);
    };
    assert!(note.contains("errors of forecasts"), "{note}");
}

fn check_refused(sites: &[Site], slots: Vec<Slot>, uncovered_joules: f64, note: &str) {
    let cells = vec![
        cell(0, "n1", "lab", &[(1, 4_000_000, 5)]),
        cell(1, "n1", "lab", &[(1, 4_000_000, 5)]),
    ];
    let timelines = BTreeMap::from([("X".to_owned(), slots)]);
    let report = build(&ledger(2, cells), IdlePolicy::None, sites, &timelines);
    assert_eq!(report.carbon_grams, None);
    assert!(
        report
            .stages
            .iter()
            .all(|stage| stage.carbon_grams.is_none())
    );
    assert!(
        near(report.uncovered_joules, uncovered_joules),
        "{report:?}"
    );
    assert!(report.notes[0].contains(note), "{:?}", report.notes);
}

#[test]
fn without_an_intensity_there_are_no_grams_and_a_note_says_what_to_do() {
    let half = || vec![slot(0, 1, 100.0, IntensityBasis::Measured)];
    check_refused(
        &[site("lab", None, 1.0)],
        half(),
        8.0,
        "site 'lab'; set its intensity zone",
    );
    check_refused(&[], half(), 8.0, "site 'lab'; set its intensity zone");
    check_refused(
        &[site("lab", Some("Y"), 1.0)],
        half(),
        8.0,
        "intensity zone 'Y'",
    );
    check_refused(
        &[site("lab", Some("X"), 1.0)],
        half(),
        4.0,
        "hxmlops import intensity FILE",
    );
}

#[test]
fn coverage_counts_known_time_within_the_run_only() {
    let check = |covered: &[(i64, u32)], minutes, expected| {
        let cells = covered.iter().map(|&(number, covered_ms)| Cell {
            covered_ms,
            ..cell(number, "n1", "lab", &[(1, 1, 1)])
        });
        let report = build(
            &ledger(minutes, cells.collect()),
            IdlePolicy::None,
            &[],
            &BTreeMap::new(),
        );
        assert!(
            near(report.coverage_ratio, expected),
            "{covered:?}: {}",
            report.coverage_ratio
        );
    };
    check(&[(0, 60_000), (1, 60_000)], 2, 1.0);
    check(&[(0, 60_000), (1, 30_000)], 2, 0.75);
    // A minute without a cell is not known.
    check(&[(0, 60_000), (2, 60_000)], 3, 2.0 / 3.0);
    check(&[], 3, 0.0);
}

/// A minute in which `zone` could not be read while stage `train` of the run ran.
fn unknown(zone: &str) -> Cell {
    Cell {
        zone: zone.to_owned(),
        measured: uj(0),
        idle: uj(0),
        system: uj(0),
        covered_ms: 0,
        ..cell(0, "n1", "lab", &[(1, 0, 0)])
    }
}

fn in_france(cells: Vec<Cell>) -> Report {
    let timelines = BTreeMap::from([("FR".to_owned(), Vec::new())]);
    let sites = [site("lab", Some("FR"), 1.2)];
    build(&ledger(1, cells), IdlePolicy::Usage, &sites, &timelines)
}

#[test]
fn a_zone_that_could_not_be_read_is_missing_not_zero() {
    let report = in_france(vec![
        cell(0, "n1", "lab", &[(1, 4_000_000, 5)]),
        unknown("dram-0"),
    ]);
    assert!(near(report.coverage_ratio, 0.5));
    let note = "Energy is known for 50 % of the run's time only";
    assert!(report.notes[0].contains(note), "{:?}", report.notes);
    assert!(report.carbon_grams.is_some());
    let zones: Vec<_> = report.balance.iter().map(|row| row.zone.as_str()).collect();
    assert_eq!(zones, ["package-0"], "no row of zeros");
    assert_eq!(report.stages[0].components.len(), 1);
}

#[test]
fn a_run_of_which_no_energy_is_known_has_no_grams() {
    let report = in_france(vec![unknown("package-0"), unknown("dram-0")]);
    assert_eq!((report.coverage_ratio, report.carbon_grams), (0.0, None));
    assert!(
        report
            .stages
            .iter()
            .all(|stage| stage.carbon_grams.is_none())
    );
    let [note] = &report.notes[..] else {
        panic!("one note, not {:?}", report.notes);
    };
    assert!(note.contains("no energy is known"), "{note}");
}

#[test]
fn coverage_of_a_node_begins_when_the_run_comes_to_it() {
    let mut ended = ledger(
        4,
        vec![
            cell(0, "n1", "lab", &[(0, 1, 1)]),
            cell(0, "n2", "lab", &[(2, 1, 1)]),
            cell(3, "n2", "lab", &[(1, 1, 1)]),
        ],
    );
    ended.summary.end = minute(3) + SignedDuration::from_secs(30);
    let report = build(&ended, IdlePolicy::None, &[], &BTreeMap::new());
    assert!(
        near(report.coverage_ratio, 1.0),
        "{}",
        report.coverage_ratio
    );
}

#[test]
fn notes_name_what_is_weak() {
    let weak = Cell {
        modelled: true,
        idle_seeded: true,
        covered_ms: 6_000,
        ..cell(0, "n1", "lab", &[(1, 1_000_000, 1)])
    };
    let timelines = BTreeMap::from([("FR".to_owned(), Vec::new())]);
    let sites = [site("lab", Some("FR"), 1.0)];
    let report = build(
        &ledger(1, vec![weak]),
        IdlePolicy::Usage,
        &sites,
        &timelines,
    );
    let words = [
        "Modelled",
        "first guess",
        "10 % of the run's time",
        "yearly average",
        "How far the grams may be off is not known",
        "PUE is 1",
    ];
    assert_eq!(report.notes.len(), words.len(), "{:?}", report.notes);
    for (note, word) in report.notes.iter().zip(words) {
        assert!(note.contains(word), "{note}");
    }
    assert!(report.idle_seeded && near(report.intensity_basis.annual, 1.0));
    assert_eq!(report.stages[0].components[0].basis, "modelled");
}

#[test]
fn what_a_model_may_be_wrong_by_reaches_the_report() {
    let measured = || cell(0, "n1", "lab", &[(0, 1_000_000, 1)]);
    let modelled = |range_percent| Cell {
        zone: "dram-0".to_owned(),
        modelled: true,
        range_percent,
        ..measured()
    };
    let report = |cells| build(&ledger(1, cells), IdlePolicy::None, &[], &BTreeMap::new());
    let range = |cells| {
        let range = report(cells).energy_range?;
        Some((range.low_joules, range.high_joules))
    };
    assert_eq!(range(vec![measured()]), None, "nothing is modelled");
    let both = || vec![measured(), modelled(Some((50, 250)))];
    assert_eq!(range(both()), Some((1.5, 3.5)));
    let unknown = Cell {
        zone: "package-1".to_owned(),
        ..modelled(None)
    };
    assert_eq!(
        range([both(), vec![unknown]].concat()),
        None,
        "nobody says of some of it"
    );
    let note = &report(both()).notes[1];
    assert!(
        note.contains("50 %") && note.contains("1.500 J to 3.500 J"),
        "{note}"
    );
}

fn any_cells() -> impl Strategy<Value = Vec<Cell>> {
    let share = (0_u64..1_000_000_000_000, any::<u64>());
    let one = (
        0_i64..5,
        prop::sample::select(vec!["n1", "n2"]),
        prop::sample::select(vec!["lab", "elsewhere"]),
        any::<bool>(),
        0_u64..1_000_000_000_000,
        prop::collection::btree_map(0_usize..4, share, 0..4),
    );
    let cells = prop::collection::vec(one, 0..12);
    cells.prop_map(|cells| {
        let made = |(number, node, site, modelled, idle, shares): (
            _,
            _,
            _,
            _,
            u64,
            BTreeMap<_, (u64, u64)>,
        )| {
            let shares: Vec<_> = shares
                .into_iter()
                .map(|(w, (active, usage))| (w, active, usage))
                .collect();
            let cell = cell(number, node, site, &shares);
            Cell {
                modelled,
                measured: uj(cell.measured.microjoules() - 1_000 + idle),
                idle: uj(idle),
                ..cell
            }
        };
        cells.into_iter().map(made).collect()
    })
}

fn microjoules(joules: f64) -> u64 {
    Energy::from_joules(joules).unwrap().microjoules()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn every_report_adds_up_to_the_microjoule(cells in any_cells(), policy in 0_usize..3) {
        let policy = [IdlePolicy::None, IdlePolicy::Usage, IdlePolicy::Equal][policy];
        let measured: u64 = cells.iter().map(|cell| cell.measured.microjoules()).sum();
        let slots = vec![slot(0, 5, 250.0, IntensityBasis::Estimated)];
        let timelines = BTreeMap::from([("X".to_owned(), slots)]);
        let sites = [site("lab", Some("X"), 1.2), site("elsewhere", Some("X"), 1.0)];
        let report = build(&ledger(5, cells), policy, &sites, &timelines);

        for row in &report.balance {
            let parts = row.run_microjoules + row.other_microjoules + row.system_microjoules + row.idle_microjoules;
            prop_assert_eq!(parts, row.measured_microjoules);
        }
        let balanced: u64 = report.balance.iter().map(|row| row.measured_microjoules).sum();
        prop_assert_eq!(balanced, measured);

        let of_run: u64 = report.balance.iter().map(|row| row.run_microjoules).sum();
        let of_stages: u64 = report.stages.iter().map(|stage| microjoules(stage.energy_joules)).sum();
        let components = report.stages.iter().flat_map(|stage| &stage.components);
        let of_components: u64 = components
            .map(|part| microjoules(part.active_joules) + microjoules(part.idle_joules))
            .sum();
        prop_assert_eq!(microjoules(report.energy_joules), of_run);
        prop_assert_eq!(of_stages, of_run);
        prop_assert_eq!(of_components, of_run);

        let grams: f64 = report.stages.iter().filter_map(|stage| stage.carbon_grams).sum();
        prop_assert_eq!(report.carbon_grams.is_some(), report.coverage_ratio > 0.0);
        prop_assert!(near(grams, report.carbon_grams.unwrap_or(0.0)));
        let by_pue = report.energy_joules / 3.6e6 * report.pue * 250.0;
        prop_assert!(near(by_pue, grams));
        prop_assert!((0.0..=1.0).contains(&report.coverage_ratio));
    }
}
