//! Commands over a data directory: import, then ask.

use std::fs;
use std::path::{Path, PathBuf};

use aggregator::site::Site;
use aggregator::store::{SqliteStore, Store};
use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Ended, run};

pub(crate) const ENERGY: &str = "\
start,end,site,workflow,run,stage,zone,joules,basis
2026-01-05T10:00:00Z,2026-01-05T10:10:00Z,lab,churn,r1,clean,package-0,36000,measured
2026-01-05T10:10:00Z,2026-01-05T10:30:00Z,lab,churn,r1,train,package-0,360000,measured
2026-01-05T10:10:00Z,2026-01-05T10:30:00Z,lab,churn,r1,train,dram-0,12000.5,modelled
2026-01-05T12:00:00Z,2026-01-05T12:20:00Z,lab,churn,r2,train,package-0,180000,measured
2026-01-05T12:00:00Z,2026-01-05T12:20:00Z,lab,fraud,r2,train,package-0,1000,measured
";

pub(crate) const INTENSITY: &str = "\
intensity_zone,from,to,g_per_kwh,kind,source,basis
FR,2026-01-05T10:00:00Z,2026-01-05T11:00:00Z,100,,meter,measured
FR,2026-01-05T12:00:00Z,2026-01-05T13:00:00Z,50,,forecaster,forecast
";

/// A ledger of its own, with one site.
pub(crate) struct Fixture {
    pub(crate) dir: TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let store = SqliteStore::open(dir.path()).unwrap();
        let lab = Site {
            intensity_zone: Some("FR".to_owned()),
            pue: 1.2,
            ..Site::named("lab")
        };
        store
            .put_sites(&[lab], jiff::Timestamp::UNIX_EPOCH)
            .unwrap();
        Self { dir }
    }

    pub(crate) fn imported() -> Self {
        let fixture = Self::new();
        fixture.import("energy", ENERGY).assert_done();
        fixture.import("intensity", INTENSITY).assert_done();
        fixture
    }

    pub(crate) fn file(&self, content: &[u8]) -> PathBuf {
        let path = self.dir.path().join("file.csv");
        fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn import(&self, what: &str, content: &str) -> Ended {
        let file = self.file(content.as_bytes());
        self.run(&["import", what, file.to_str().unwrap()])
    }

    /// `hxmlops report r1` with these arguments.
    pub(crate) fn report(&self, args: &[&str]) -> Ended {
        self.run(&[&["report", "r1"], args].concat())
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        let dir = ["--data-dir", self.dir.path().to_str().unwrap()];
        run(args.iter().chain(&dir))
    }

    pub(crate) fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(self.run(args).assert_done()).unwrap()
    }
}

#[test]
fn runs_are_listed_and_filtered() {
    let ledger = Fixture::imported();
    insta::assert_snapshot!("runs", ledger.run(&["runs"]).assert_done());
    let count = |args: &[&str]| {
        let runs = ledger.json(&[&["runs", "--json"], args].concat());
        runs.as_array().unwrap().len()
    };
    assert_eq!(count(&[]), 3);
    assert_eq!(count(&["--workflow", "fraud"]), 1);
    assert_eq!(count(&["--stage", "clean"]), 1);
    assert_eq!(count(&["--cluster", "nowhere"]), 0);
    assert_eq!(count(&["--since", "2026-01-05T11:00:00Z"]), 2);
}

#[test]
fn a_report_has_its_forms() {
    let ledger = Fixture::imported();
    let report = ledger.json(&["report", "r1", "--format", "json"]);
    let recorded = report["revision"]["recorded"].as_str().unwrap();
    for format in ["table", "json", "csv", "markdown"] {
        let ended = ledger.run(&["report", "r1", "--format", format]);
        let told = without_time_of_recording(ended.assert_done(), recorded);
        insta::assert_snapshot!(format!("report_{format}"), told);
    }
}

/// When the intensities were recorded is the time of the test.
fn without_time_of_recording(report: &str, recorded: &str) -> String {
    let for_people = format!("{} {}Z", &recorded[..10], &recorded[11..19]);
    let in_markdown = for_people.replace(':', "&#58;");
    [recorded, &for_people, &in_markdown]
        .iter()
        .fold(report.to_owned(), |report, time| report.replace(time, "…"))
}

#[test]
fn grams_are_energy_times_pue_times_intensity() {
    let ledger = Fixture::imported();
    let report = ledger.json(&["report", "r1", "--format", "json"]);
    let joules = 36_000.0 + 360_000.0 + 12_000.5;
    assert_eq!(report["energy_joules"], joules);
    let grams = report["carbon_grams"].as_f64().unwrap();
    assert!(
        (grams - joules / 3.6e6 * 1.2 * 100.0).abs() < 1e-9,
        "{grams}"
    );
    // package-0 is known for all of the 30 minutes, dram-0 for 20 of them.
    assert_eq!(report["coverage_ratio"], 50.0 / 60.0);
}

#[test]
fn two_runs_are_compared_by_stage() {
    let ledger = Fixture::imported();
    let args = ["compare", "r1", "r2", "--workflow", "churn"];
    insta::assert_snapshot!("compare", ledger.run(&args).assert_done());
    let comparison = ledger.json(&[&args[..], &["--json"]].concat());
    let total = &comparison["total"];
    let why = &total["difference_grams"];
    let number = |value: &Value| value.as_f64().unwrap();
    let parts = number(&why["energy"]) + number(&why["intensity"]) + number(&why["pue"]);
    let difference = number(&total["run_grams"]) - number(&total["baseline_grams"]);
    assert!((parts - difference).abs() < 1e-9, "{total}");
}

#[test]
fn a_run_that_is_not_there_or_in_two_places_is_named() {
    let ledger = Fixture::imported();
    ledger
        .run(&["report", "r9"])
        .assert_failed("no run 'r9' in the ledger; `hxmlops runs` lists them");
    ledger
        .run(&["report", "r2"])
        .assert_failed("(import/churn, import/fraud); say which with --workflow");
    ledger
        .run(&["report", "r2", "--workflow", "fraud"])
        .assert_done();
    ledger
        .run(&["report", "\x1b[31m"])
        .assert_failed("no run '\\u{1b}[31m'");
}

#[test]
fn intensity_is_the_ledger_s_and_else_the_year_s() {
    let ledger = Fixture::imported();
    let args = [
        "--from",
        "2026-01-05T09:00:00Z",
        "--to",
        "2026-01-05T12:30:00Z",
    ];
    let of = |zone| [&["intensity", "--zone", zone], &args[..]].concat();
    insta::assert_snapshot!("intensity", ledger.run(&of("fr")).assert_done());
    ledger
        .run(&of("ATLANTIS"))
        .assert_failed("unknown intensity zone 'ATLANTIS'; `hxmlops intensity --list`");
}

#[test]
fn importing_twice_changes_nothing_and_says_so() {
    let ledger = Fixture::imported();
    let before = ledger.json(&["runs", "--json"]);
    for (what, content) in [("energy", ENERGY), ("intensity", INTENSITY)] {
        let ended = ledger.import(what, content);
        assert!(
            ended
                .assert_done()
                .contains("already imported, nothing changed"),
            "{ended:?}"
        );
    }
    assert_eq!(ledger.json(&["runs", "--json"]), before);
    let corrected = INTENSITY.replace(",100,", ",200,");
    let ended = ledger.import("intensity", &corrected);
    assert!(
        ended
            .assert_done()
            .contains("1 of 2 slots are new or changed"),
        "{ended:?}"
    );
    assert_eq!(
        ledger.json(&["report", "r1", "--format", "json"])["intensity"][0]["g_per_kwh"],
        200.0
    );
}

#[test]
fn a_bad_row_is_named_and_nothing_is_imported() {
    let ledger = Fixture::new();
    let bad = ENERGY.replace("12000.5,modelled", "12000.5,guessed");
    ledger
        .import("energy", &bad)
        .assert_failed("file.csv: line 4: basis 'guessed' is neither");
    let bad = INTENSITY.replace("T13:", "T12:");
    ledger
        .import("intensity", &bad)
        .assert_failed("file.csv: line 3: to is not after from");
    ledger
        .import("energy", "")
        .assert_failed("file.csv: line 1: the file is empty");
    ledger
        .import("intensity", ENERGY)
        .assert_failed("line 1: the header must be intensity_zone,");
    assert_eq!(ledger.json(&["runs", "--json"]), Value::Array(Vec::new()));
    let missing = ledger.run(&["import", "energy", "/no/such/file.csv"]);
    missing.assert_failed("cannot open /no/such/file.csv: No such file");
}

#[test]
fn a_directory_without_a_ledger_is_named() {
    let empty = TempDir::new().unwrap();
    let dir = empty.path().to_str().unwrap();
    run(["runs", "--data-dir", dir]).assert_failed("there is no ledger in ");
    assert_eq!(
        fs::read_dir(empty.path()).unwrap().count(),
        0,
        "nothing was made there"
    );
    assert!(!Path::new("/no/such").exists());
    run(["runs", "--data-dir", "/no/such"]).assert_failed("/no/such");
}

#[test]
fn untrusted_labels_cannot_harm_a_terminal() {
    let ledger = Fixture::new();
    let energy = ENERGY.replace("churn", "=cmd|'a' \u{202e}@you <b>");
    ledger.import("energy", &energy).assert_done();
    for args in [
        &["runs"][..],
        &["report", "r1"],
        &["report", "r1", "--format", "markdown"],
    ] {
        let ended = ledger.run(args);
        assert!(!ended.assert_done().contains('\u{202e}'), "{ended:?}");
    }
    let csv = ledger.run(&["report", "r1", "--format", "csv"]);
    assert!(csv.assert_done().contains(",'=cmd|"), "{csv:?}");
}

#[test]
fn a_report_tells_the_difference_from_a_baseline() {
    let ledger = Fixture::imported();
    let of_churn = ["--workflow", "churn"];
    let asked = [&["--baseline", "r2"], &of_churn[..]].concat();
    let report: Value = {
        let ended = ledger.report(&[&asked[..], &["--format", "json"]].concat());
        serde_json::from_str(ended.assert_done()).unwrap()
    };
    let compared = ledger.json(&[&["compare", "r2", "r1", "--json"], &of_churn[..]].concat());
    for part in ["baseline", "run", "stages", "total"] {
        assert_eq!(report["baseline"][part], compared[part], "{part}");
    }
    for format in ["table", "markdown", "html"] {
        let ended = ledger.report(&[&asked[..], &["--format", format]].concat());
        assert!(ended.assert_done().contains("r2"), "{format}: {ended:?}");
    }
    ledger
        .report(&["--baseline", "r9"])
        .assert_failed("no run 'r9' in the ledger");
}

#[test]
fn runs_of_two_signals_have_no_difference() {
    let ledger = Fixture::new();
    let elsewhere = Site {
        intensity_zone: Some("FR".to_owned()),
        signal: "marginal-direct".parse().unwrap(),
        ..Site::named("elsewhere")
    };
    let store = SqliteStore::open(ledger.dir.path()).unwrap();
    let mut sites = store.sites(None).unwrap();
    sites.push(elsewhere);
    store
        .put_sites(&sites, jiff::Timestamp::UNIX_EPOCH)
        .unwrap();
    drop(store);
    let energy = ENERGY.replace("lab,churn,r2", "elsewhere,churn,r2");
    ledger.import("energy", &energy).assert_done();
    let other = INTENSITY.replace("50,,", "50,marginal-direct,");
    ledger.import("intensity", &other).assert_done();
    ledger
        .report(&["--baseline", "r2", "--workflow", "churn"])
        .assert_failed("were counted with different carbon signals, which are never compared");
}

#[test]
fn what_grams_compare_to_is_told_to_who_asks() {
    let ledger = Fixture::imported();
    let asked = ledger.json(&["report", "r1", "--equivalents", "--format", "json"]);
    let miles = &asked["equivalents"][0];
    let count = asked["carbon_grams"].as_f64().unwrap() / 400.0;
    assert_eq!(miles["count"].as_f64(), Some(count));
    assert!(miles["source"].as_str().unwrap().contains("EPA"), "{miles}");
    let unasked = ledger.json(&["report", "r1", "--format", "json"]);
    assert_eq!(unasked["equivalents"], Value::Array(Vec::new()));
    for format in ["table", "markdown", "html"] {
        let told = ledger.report(&["--equivalents", "--format", format]);
        assert!(
            told.assert_done().contains("miles in an average"),
            "{told:?}"
        );
        let told = ledger.report(&["--format", format]);
        assert!(
            !told.assert_done().contains("miles in an average"),
            "{told:?}"
        );
    }
}
