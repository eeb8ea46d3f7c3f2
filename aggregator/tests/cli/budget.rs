//! `hxmlops budget` over a data directory.

use crate::ledger::Fixture;
use crate::program::{Ended, run};

/// r1 of churn uses 408,000.5 J at 100 g/kWh and a PUE of 1.2: 13.6 g.
fn with_budgets(budgets: &[&[&str]]) -> Fixture {
    let ledger = Fixture::imported();
    for budget in budgets {
        ledger
            .run(&[&["budget", "set"], *budget].concat())
            .assert_done();
    }
    ledger
}

#[track_caller]
fn assert_code(ended: &Ended, code: i32, said: &str) {
    assert_eq!(ended.code, Some(code), "{ended:?}");
    let all = format!("{}{}", ended.stdout, ended.stderr);
    assert!(all.contains(said), "{ended:?}");
}

#[test]
fn budgets_are_set_listed_and_removed() {
    let ledger = Fixture::new();
    let set = |args: &[&str]| {
        let ended = ledger.run(&[&["budget", "set"], args].concat());
        ended.assert_done();
        ended.stderr
    };
    assert_eq!(
        set(&["ci", "--workflow", "churn", "--grams", "500"]),
        "budget ci is set: 500.0 g for each run of churn\n"
    );
    assert_eq!(
        set(&["team", "--all", "--month", "--kwh", "20"]),
        "budget team is set: 20.00 kWh for all runs, a month\n"
    );
    set(&["ci", "--run", "r1", "--grams", "5"]);
    insta::assert_snapshot!("budgets", ledger.run(&["budget", "list"]).assert_done());
    let budgets = ledger.json(&["budget", "list", "--json"]);
    assert_eq!(
        (&budgets[1]["unit"], &budgets[1]["limit"]),
        (&"joules".into(), &7.2e7.into())
    );
    ledger.run(&["budget", "remove", "ci"]).assert_done();
    ledger
        .run(&["budget", "remove", "ci"])
        .assert_failed("no budget 'ci' in the ledger");
    ledger.run(&["budget", "remove", "team"]).assert_done();
    assert_code(&ledger.run(&["budget", "list"]), 0, "no budgets");
    assert_code(&ledger.run(&["budget", "check"]), 0, "no budgets");
}

#[test]
fn a_run_over_its_budget_is_a_check_that_says_no() {
    let ledger = with_budgets(&[
        &["kept", "--workflow", "churn", "--grams", "14"],
        &["over", "--workflow", "churn", "--kwh", "0.1"],
        &["month", "--cluster", "import", "--month", "--grams", "1000"],
        &["fraud", "--workflow", "fraud", "--grams", "0.001"],
    ]);
    let check = ledger.run(&["budget", "check", "--run", "r1"]);
    assert_code(&check, 3, "over");
    insta::assert_snapshot!("budget_states", check.stdout);
    assert_code(
        &ledger.run(&["budget", "check", "kept", "--run", "r1"]),
        0,
        "kept",
    );
    assert_code(
        &ledger.run(&["budget", "check", "kept", "over", "--run", "r1"]),
        3,
        "over",
    );
    let json = ledger.run(&["budget", "check", "over", "--run", "r1", "--json"]);
    assert_eq!(json.code, Some(3));
    let states: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    let ratio = states[0]["used_ratio"].as_f64().unwrap();
    assert!((ratio - 408_000.5 / 360_000.0).abs() < 1e-9, "{states}");

    ledger
        .run(&["budget", "check", "none"])
        .assert_failed("no budget 'none'");
    ledger
        .run(&["budget", "check", "fraud", "--run", "r1"])
        .assert_failed("budget 'fraud' is not for run 'r1'");
    ledger
        .run(&["budget", "check", "--run", "r2"])
        .assert_failed("say which with --workflow");
    assert_code(
        &ledger.run(&["budget", "check", "--run", "r2", "--workflow", "fraud"]),
        3,
        "over",
    );
    // No run is of this month, or of the last day.
    assert_code(&ledger.run(&["budget", "check"]), 0, "kept");
}

#[test]
fn a_month_counts_what_of_a_run_lies_in_it() {
    let ledger = Fixture::new();
    let energy = "start,end,site,workflow,run,stage,zone,joules,basis
2026-01-31T23:00:00Z,2026-02-01T03:00:00Z,lab,churn,r1,train,package-0,7200000,measured
2026-02-10T00:00:00Z,2026-02-10T01:00:00Z,lab,churn,r2,train,package-0,3600000,measured
2026-03-01T00:00:00Z,2026-03-01T01:00:00Z,lab,churn,r3,train,package-0,3600000,measured
";
    ledger.import("energy", energy).assert_done();
    ledger
        .run(&[
            "budget",
            "set",
            "m",
            "--workflow",
            "churn",
            "--month",
            "--kwh",
            "2",
        ])
        .assert_done();
    // r1 ended in February, which has three of its four hours.
    let states = |run: &str| {
        let ended = ledger.run(&["budget", "check", "m", "--run", run, "--json"]);
        serde_json::from_str::<serde_json::Value>(&ended.stdout).unwrap()
    };
    let february = states("r1");
    assert_eq!(
        (&february[0]["runs"], &february[0]["standing"]),
        (&2.into(), &"over".into())
    );
    let used = february[0]["used"].as_f64().unwrap();
    assert!((used - (5.4e6 + 3.6e6)).abs() < 1.0, "{february}");
    assert_eq!(february[0]["period"]["from"], "2026-02-01T00:00:00Z");
    assert_eq!(states("r2"), february);
    assert_eq!(states("r3")[0]["used"], 3.6e6);
}

#[test]
fn what_is_not_known_is_no_yes() {
    let ledger = with_budgets(&[
        &["grams", "--workflow", "lost", "--grams", "5"],
        &["energy", "--workflow", "lost", "--kwh", "5"],
    ]);
    let energy = "start,end,site,workflow,run,stage,zone,joules,basis
2026-01-05T10:00:00Z,2026-01-05T10:10:00Z,nowhere,lost,x,train,package-0,36000,measured
";
    ledger.import("energy", energy).assert_done();
    let check = ledger.run(&["budget", "check", "--run", "x"]);
    assert_code(
        &check,
        1,
        "error: budget grams: the grams of 1 of 1 runs are not known",
    );
    assert!(check.stdout.contains("unknown"), "{check:?}");
    assert_code(
        &ledger.run(&["budget", "check", "energy", "--run", "x"]),
        0,
        "kept",
    );
}

#[test]
fn a_budget_that_cannot_be_is_usage() {
    let usage = |args: &[&str], message: &str| {
        run([&["budget", "set"], args].concat()).assert_usage(message);
    };
    usage(
        &["b", "--grams", "5"],
        "--run <ID>|--workflow <NAME>|--cluster <NAME>|--all",
    );
    usage(&["b", "--all", "--month"], "--grams <G>|--kwh <K>");
    usage(
        &["b", "--all", "--run", "r", "--grams", "5"],
        "cannot be used with",
    );
    usage(&["b", "--all", "--grams", "5"], "is one of a month");
    usage(
        &["b", "--run", "r", "--month", "--grams", "5"],
        "for one run is not one of a month",
    );
    usage(
        &["b", "--run", "r", "--grams", "0"],
        "it must be within 0.000001 and 1e18",
    );
    for name in ["", ".", ".."] {
        usage(&[name, "--run", "r", "--grams", "5"], "needs a name");
    }
    run(["budget", "check", "--workflow", "w"]).assert_usage("--run <ID>");
}
