//! What an auditor asks: a report as it was, other signals apart, embodied carbon, Scope 2 and a year of a site.

use std::collections::BTreeMap;
use std::fs;

use aggregator::site::{MarketFactor, NodeType, Site};
use aggregator::site_map::NodePattern;
use aggregator::store::{SqliteStore, Store};
use serde_json::Value;
use tempfile::TempDir;

use crate::ledger::ENERGY;
use crate::program::{Ended, run};

const HEADER: &str = "intensity_zone,from,to,g_per_kwh,kind,source,basis";
/// Joules of run r1.
const R1: f64 = 408_000.5;

/// A ledger with the energy of some runs, at a site of which everything is known.
struct Ledger(TempDir);

impl Ledger {
    fn new(site: Site) -> Self {
        let dir = TempDir::new().unwrap();
        let store = SqliteStore::open(dir.path()).unwrap();
        store
            .put_sites(&[site], jiff::Timestamp::UNIX_EPOCH)
            .unwrap();
        drop(store);
        let ledger = Self(dir);
        ledger.import("energy", ENERGY);
        ledger
    }

    fn import(&self, what: &str, content: &str) {
        let file = self.0.path().join("file.csv");
        fs::write(&file, content).unwrap();
        self.run(&["import", what, file.to_str().unwrap()])
            .assert_done();
    }

    fn intensity(&self, rows: &str) {
        self.import("intensity", &format!("{HEADER}\n{rows}"));
    }

    fn run(&self, args: &[&str]) -> Ended {
        let dir = ["--data-dir", self.0.path().to_str().unwrap()];
        run(args.iter().chain(&dir))
    }

    fn report(&self, args: &[&str]) -> Value {
        let args = [&["report", "r1", "--format", "json"], args].concat();
        serde_json::from_str(self.run(&args).assert_done()).unwrap()
    }
}

fn lab() -> Site {
    Site {
        intensity_zone: Some("FR".to_owned()),
        pue: 1.2,
        market: Some(MarketFactor {
            g_per_kwh: 20.0,
            by_year: BTreeMap::from([(2025, 500.0)]),
            source: "wind, by contract".to_owned(),
        }),
        embodied: vec![NodeType {
            nodes: vec![NodePattern::new("*")],
            total_kg: 1000.0,
            life_years: 4.0,
            cpus: 8,
            gpu_kg: 0.0,
            gpu_watts: 0.0,
            source: "its maker".to_owned(),
        }],
        ..Site::named("lab")
    }
}

#[track_caller]
fn near(found: &Value, expected: f64) {
    let found = found.as_f64().unwrap_or(f64::NAN);
    assert!(
        (found - expected).abs() < 1e-9 * (1.0 + expected),
        "{found}, not {expected}"
    );
}

#[test]
fn a_report_is_restated_and_can_be_had_as_it_was() {
    let ledger = Ledger::new(lab());
    let annual = ledger.report(&[]);
    assert_eq!(annual["revision"]["number"], 1, "the site's settings");
    near(&annual["intensity_basis"]["annual"], 1.0);

    ledger.intensity("FR,2026-01-05T10:00Z,2026-01-05T11:00Z,100,,meter,measured\n");
    let first = ledger.report(&[]);
    near(&first["carbon_grams"], R1 / 3.6e6 * 1.2 * 100.0);
    assert_eq!(first["revision"]["number"], 2);
    let then = first["revision"]["recorded"].as_str().unwrap().to_owned();

    ledger.intensity("FR,2026-01-05T10:00Z,2026-01-05T11:00Z,110,,meter,measured\n");
    let second = ledger.report(&[]);
    near(&second["carbon_grams"], R1 / 3.6e6 * 1.2 * 110.0);
    assert_eq!(second["revision"]["number"], 3);

    let mut again = ledger.report(&["--as-of", &then]);
    assert_eq!(again["revision"]["as_of"], then.as_str());
    again["revision"]["as_of"] = Value::Null;
    assert_eq!(again, first, "all of it is as it was");
    let before = ledger.report(&["--as-of", "2026-01-01T00:00:00Z"]);
    assert_eq!(before["carbon_grams"], annual["carbon_grams"]);
}

#[test]
fn what_only_another_signal_tells_is_a_subtotal_apart() {
    let direct = Site {
        signal: "average-direct-consumption".parse().unwrap(),
        ..lab()
    };
    let ledger = Ledger::new(direct);
    // The first half of the run has a figure of the site's signal, and the whole of it one of another.
    ledger.intensity(
        "FR,2026-01-05T10:00Z,2026-01-05T10:15Z,90,average-direct-consumption,meter,measured\n\
         FR,2026-01-05T10:00Z,2026-01-05T11:00Z,400,marginal-direct,meter,measured\n",
    );
    let report = ledger.report(&[]);
    assert_eq!(report["carbon_grams"], Value::Null);
    let uncovered = report["uncovered_joules"].as_f64().unwrap();
    near(&report["uncovered_joules"], (360_000.0 + 12_000.5) * 0.75);
    let subtotals = report["subtotals"].as_array().unwrap();
    let kinds: Vec<&str> = subtotals
        .iter()
        .map(|subtotal| subtotal["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["average-lifecycle-production", "marginal-direct"]);
    for subtotal in subtotals {
        near(&subtotal["energy_joules"], uncovered);
    }
    near(
        &subtotals[1]["carbon_grams"],
        uncovered / 3.6e6 * 1.2 * 400.0,
    );
    let notes = report["notes"].to_string();
    assert!(notes.contains("are never added"), "{notes}");
    assert!(notes.contains("average-direct-consumption"), "{notes}");
}

#[test]
fn both_scope_2_figures_and_embodied_carbon_stand_beside_the_grams() {
    let ledger = Ledger::new(lab());
    ledger.intensity("FR,2026-01-05T10:00Z,2026-01-05T11:00Z,100,,meter,measured\n");
    let report = ledger.report(&["--unit", "1000 inferences", "--count", "4"]);
    let grams = R1 / 3.6e6 * 1.2 * 100.0;
    near(&report["scope2"]["location_grams"], grams);
    near(&report["scope2"]["market_grams"], R1 / 3.6e6 * 1.2 * 20.0);
    // What was imported has no CPU time: none of the node's making is its own.
    near(&report["embodied_grams"], 0.0);
    near(&report["sci"]["grams_per_unit"], grams / 4.0);
    assert_eq!(report["sci"]["unit"], "1000 inferences");

    let report = ["report", "r1", "--unit", "x"];
    ledger.run(&report).assert_usage("--count");
    let zero = [&report[..], &["--count", "0"]].concat();
    ledger.run(&zero).assert_usage("--count");

    let unknown = Ledger::new(Site {
        embodied: Vec::new(),
        market: None,
        ..lab()
    });
    let report = unknown.report(&["--unit", "x", "--count", "1"]);
    assert_eq!(report["embodied_grams"], Value::Null);
    assert_eq!(report["scope2"]["market_grams"], Value::Null);
    assert_eq!(report["sci"]["grams_per_unit"], Value::Null);
    assert!(report["sci"]["operational_grams_per_unit"].is_number());
}

#[test]
fn a_year_of_a_site_is_exported_by_the_hour() {
    let ledger = Ledger::new(lab());
    ledger.intensity(
        "FR,2026-01-05T10:00Z,2026-01-05T10:15Z,100,,meter,measured\n\
         FR,2026-01-05T10:15Z,2026-01-05T11:00Z,300,,meter,measured\n",
    );
    let ended = ledger.run(&["ledger", "export", "--year", "2026"]);
    let mut reader = csv::Reader::from_reader(ended.assert_done().as_bytes());
    let rows: Vec<BTreeMap<String, String>> = reader.deserialize().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 2, "{rows:?}");
    let number = |row: usize, field: &str| rows[row][field].parse::<f64>().unwrap();
    let check = |found: f64, expected: f64| {
        assert!(
            (found - expected).abs() < 1e-9 * expected,
            "{found}, not {expected}"
        );
    };
    assert_eq!(rows[0]["hour"], "2026-01-05T10:00:00Z");
    check(number(0, "facility_kwh"), R1 / 3.6e6 * 1.2);
    check(number(0, "modelled_kwh"), 12_000.5 / 3.6e6);
    let early = 36_000.0 + 372_000.5 / 4.0;
    let grams = 1.2 / 3.6e6 * (early * 100.0 + (R1 - early) * 300.0);
    check(number(0, "location_g"), grams);
    check(number(0, "hourly_g"), grams);
    check(number(0, "market_g"), R1 / 3.6e6 * 1.2 * 20.0);
    // Of the other hour only the year is known.
    check(number(1, "facility_kwh"), 181_000.0 / 3.6e6 * 1.2);
    assert_eq!(rows[1]["hourly_g"], "0.0", "all of it is the year's");
    assert!(
        ended.stderr.contains("lab 2026: 0.196 kWh bought"),
        "{ended:?}"
    );

    let other = ledger.run(&["ledger", "export", "--year", "2025"]);
    assert_eq!(other.assert_done().lines().count(), 1, "the header");
    assert!(
        other.stderr.contains("nothing is known of 2025"),
        "{other:?}"
    );
    ledger
        .run(&["ledger", "export", "--year", "2026", "--site", "moon"])
        .assert_failed("the ledger knows no site 'moon'");
}

#[test]
fn sites_that_count_different_things_have_no_figure_together() {
    let ledger = Ledger::new(lab());
    let store = SqliteStore::open(ledger.0.path()).unwrap();
    let marginal = Site {
        intensity_zone: Some("DE".to_owned()),
        signal: "marginal-direct".parse().unwrap(),
        ..Site::named("other")
    };
    store
        .put_sites(&[marginal], jiff::Timestamp::UNIX_EPOCH)
        .unwrap();
    drop(store);
    ledger.intensity(
        "FR,2026-01-05T10:00Z,2026-01-05T11:00Z,100,,meter,measured\n\
         DE,2026-01-05T10:00Z,2026-01-05T11:00Z,600,marginal-direct,meter,measured\n",
    );
    ledger.import(
        "energy",
        "start,end,site,workflow,run,stage,zone,joules,basis\n\
         2026-01-05T10:40:00Z,2026-01-05T10:50:00Z,other,churn,r1,train,package-0,3600000,measured\n",
    );
    let report = ledger.report(&["--unit", "x", "--count", "1"]);
    assert_eq!(report["carbon_grams"], Value::Null);
    assert_eq!(report["scope2"]["location_grams"], Value::Null);
    assert_eq!(report["sci"]["grams_per_unit"], Value::Null);
    assert_eq!(report["uncovered_joules"], 0.0);
    let subtotals = report["subtotals"].as_array().unwrap();
    assert_eq!(subtotals.len(), 2, "{subtotals:?}");
    near(&subtotals[0]["carbon_grams"], R1 / 3.6e6 * 1.2 * 100.0);
    near(&subtotals[1]["carbon_grams"], 600.0);
    let notes = report["notes"].to_string();
    assert!(
        notes.contains("its sites count different things"),
        "{notes}"
    );
    ledger
        .run(&["report", "r1", "--format", "modelcard"])
        .assert_failed("grams");
    ledger
        .run(&[
            "budget",
            "set",
            "b",
            "--workflow",
            "churn",
            "--month",
            "--grams",
            "1e9",
        ])
        .assert_done();
    let check = ["budget", "check", "--run", "r1", "--workflow", "churn"];
    assert_eq!(ledger.run(&check).code, Some(1), "not known");
}

#[test]
fn a_stage_is_compared_at_its_own_sites_pue() {
    let ledger = Ledger::new(lab());
    let store = SqliteStore::open(ledger.0.path()).unwrap();
    let hot = Site {
        pue: 2.0,
        ..Site {
            name: "hot".to_owned(),
            ..lab()
        }
    };
    store
        .put_sites(&[hot], jiff::Timestamp::UNIX_EPOCH)
        .unwrap();
    drop(store);
    // The second run uses ten times as much for its training, and nothing else differs.
    let row = |run: &str, site: &str, stage: &str, joules: u32| {
        format!(
            "2026-01-05T10:00:00Z,2026-01-05T10:10:00Z,{site},c,{run},{stage},package-0,{joules},measured\n"
        )
    };
    let rows = [
        row("x1", "lab", "prep", 36_000),
        row("x1", "hot", "train", 36_000),
        row("x2", "lab", "prep", 36_000),
        row("x2", "hot", "train", 360_000),
    ];
    let header = "start,end,site,workflow,run,stage,zone,joules,basis\n";
    ledger.import("energy", &format!("{header}{}", rows.concat()));
    let compared = ledger.run(&["compare", "x1", "x2", "--json"]);
    let compared: Value = serde_json::from_str(compared.assert_done()).unwrap();
    for stage in compared["stages"].as_array().unwrap() {
        let why = &stage["difference_grams"];
        near(&why["intensity"], 0.0);
        near(&why["pue"], 0.0);
    }
    assert!(
        compared["total"]["difference_grams"]["energy"]
            .as_f64()
            .unwrap()
            > 0.0
    );
}

#[test]
fn nobody_has_measured_what_is_to_come() {
    let ledger = Ledger::new(lab());
    let file = ledger.0.path().join("file.csv");
    let import = |row: &str| {
        fs::write(&file, format!("{HEADER}\n{row}\n")).unwrap();
        ledger.run(&["import", "intensity", file.to_str().unwrap()])
    };
    import("FR,2026-01-05T10:00Z,2226-01-05T11:00Z,100,,a guess,").assert_failed("row 1");
    import("FR,2226-01-05T10:00Z,2226-01-05T11:00Z,100,,a guess,estimated")
        .assert_failed("forecast");
    import("FR,2226-01-05T10:00Z,2226-01-05T11:00Z,100,,a guess,forecast").assert_done();
    import("FR,2026-01-05T10:00:00.1Z,2026-01-05T10:00:00.2Z,100,,x,").assert_failed("shorter");
}
