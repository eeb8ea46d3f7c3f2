//! Budgets of a store, of the API, and in /metrics.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use aggregator::access::{Access, TokenFiles};
use aggregator::amounts::Amounts;
use aggregator::app::App;
use aggregator::budget::{Budget, BudgetRule, MAX_BUDGETS, Period, Scope, Standing, Unit};
use aggregator::config::ServeConfig;
use aggregator::intensity::{IntensityBasis, Signal, Slot};
use aggregator::ledger::{BudgetQuery, Ledger, RunById};
use aggregator::serve::show_budgets;
use aggregator::site::Site;
use aggregator::store::{RunFilter, SqliteStore, Store};
use jiff::Timestamp;
use reqwest::Response;
use serde_json::{Value, json};

use crate::batches::{batch, received, time};
use crate::conformance::{on_each_store, run_key};
use crate::metrics::assert_promtool_is_silent;
use crate::running::{Running, args, error_line};

fn budget(name: &str, scope: Scope, unit: Unit, limit: f64) -> Budget {
    let monthly = matches!(scope, Scope::All | Scope::Cluster(_));
    Budget {
        name: name.to_owned(),
        rule: BudgetRule {
            scope,
            monthly,
            unit,
            limit,
        },
    }
}

fn slot(from_ms: i64, g_per_kwh: f64) -> Slot {
    Slot {
        intensity_zone: "FR".to_owned(),
        from: time(from_ms),
        to: time(from_ms + 3_600_000),
        g_per_kwh,
        kind: Signal::default(),
        basis: IntensityBasis::Measured,
        source: "a test".to_owned(),
    }
}

#[test]
fn budgets_are_kept_replaced_and_removed() {
    on_each_store(|store| {
        let run = budget("b", Scope::Run("r".to_owned()), Unit::Grams, 5.5);
        let all = budget("a", Scope::All, Unit::Joules, 7.0);
        store.put_budget(&run).unwrap();
        store.put_budget(&all).unwrap();
        assert_eq!(store.budgets().unwrap(), [all.clone(), run]);
        let other = budget("b", Scope::Cluster("c".to_owned()), Unit::Joules, 1.0);
        store.put_budget(&other).unwrap();
        assert_eq!(store.budgets().unwrap(), [all.clone(), other]);
        assert!(store.remove_budget("b").unwrap());
        assert!(!store.remove_budget("b").unwrap());
        assert_eq!(store.budgets().unwrap(), [all]);
    });
}

#[test]
fn changed_slots_tell_of_their_time() {
    on_each_store(|store| {
        let put = |slots: &[Slot]| store.put_slots(slots, time(0)).unwrap();
        assert_eq!(store.slot_changes(0).unwrap().last, 0);
        put(&[slot(0, 40.0), slot(7_200_000, 50.0)]);
        put(&[slot(0, 40.0)]);
        put(&[slot(0, 41.0), slot(7_200_000, 50.0)]);
        let changes = store.slot_changes(0).unwrap();
        let whole = (time(0), time(10_800_000));
        let first = (time(0), time(3_600_000));
        assert_eq!(changes.times, Some(vec![whole, first]));
        let later = store.slot_changes(changes.last - 1).unwrap();
        assert_eq!((later.last, later.times), (changes.last, Some(vec![first])));
        assert_eq!(
            store.slot_changes(changes.last).unwrap().times,
            Some(vec![])
        );

        // Only so many are kept; who has missed some is told so.
        for index in 0..1_001 {
            put(&[slot(0, f64::from(index))]);
        }
        assert_eq!(store.slot_changes(changes.last).unwrap().times, None);
        assert_eq!(
            store
                .slot_changes(changes.last + 1)
                .unwrap()
                .times
                .unwrap()
                .len(),
            1_000
        );
    });
}

/// A store with the run r1 of the workflow churn in the grid of France, at a PUE of 1.2.
fn with_one_run(data_dir: &Path) -> Arc<SqliteStore> {
    let store = SqliteStore::open(data_dir).unwrap();
    put_site(&store, 1.2);
    store
        .write_batch(&received(batch("n1", 1, "r1")), "paris")
        .unwrap();
    Arc::new(store)
}

fn put_site(store: &SqliteStore, pue: f64) {
    let site = Site {
        intensity_zone: Some("FR".to_owned()),
        pue,
        ..Site::named("paris")
    };
    store.put_sites(&[site], Timestamp::now()).unwrap();
}

#[test]
fn a_budget_counts_what_the_report_shows() {
    let directory = tempfile::tempdir().unwrap();
    let store = with_one_run(directory.path());
    let ledger = Ledger::new(store.clone());
    let run = RunById {
        run: "r1".to_owned(),
        ..RunById::default()
    };
    let report = ledger.report(&run.query()).unwrap();
    for (name, scope) in [
        ("run", Scope::Run("r1".to_owned())),
        ("workflow", Scope::Workflow("churn".to_owned())),
        ("month", Scope::All),
    ] {
        ledger
            .put_budget(&budget(name, scope.clone(), Unit::Joules, 1e3))
            .unwrap();
        ledger
            .put_budget(&budget(&format!("{name}-grams"), scope, Unit::Grams, 1e-6))
            .unwrap();
    }
    ledger
        .put_budget(&budget(
            "other",
            Scope::Run("r2".to_owned()),
            Unit::Grams,
            1.0,
        ))
        .unwrap();
    let meter = |run: &aggregator::store::RunSummary, period| ledger.amount(&run.key, period);
    let query = BudgetQuery {
        name: None,
        run: Some(run),
    };
    let states = ledger
        .budget_states(&query, Timestamp::now(), &meter)
        .unwrap();
    assert_eq!(states.len(), 6, "not the one of another run: {states:?}");
    for state in &states {
        let (used, standing) = match state.budget.rule.unit {
            Unit::Joules => (report.energy_joules, Standing::Kept),
            Unit::Grams => (report.carbon_grams.unwrap(), Standing::Over),
        };
        assert_eq!(
            (state.used.to_bits(), state.standing),
            (used.to_bits(), standing),
            "{state:?}"
        );
    }
    // Without the run: it is not of this month, nor of the last day; a budget of its own finds it.
    let states = ledger
        .budget_states(&BudgetQuery::default(), Timestamp::now(), &meter)
        .unwrap();
    let runs: Vec<u64> = states.iter().map(|state| state.runs).collect();
    assert_eq!(runs, [0, 0, 0, 1, 1, 0, 0], "{states:?}");
}

#[test]
fn figures_are_remembered_until_something_changes() {
    let directory = tempfile::tempdir().unwrap();
    let store = with_one_run(directory.path());
    let ledger = Ledger::new(store.clone());
    let amounts = Amounts::default();
    let summary = || store.runs(&RunFilter::default()).unwrap().remove(0);
    let grams = || {
        amounts
            .of(&ledger, &summary(), None, Timestamp::now())
            .unwrap()
            .grams
            .unwrap()
    };
    let fresh = || ledger.amount(&run_key("r1"), None).unwrap().grams.unwrap();
    let first = grams();
    assert_eq!(first.to_bits(), fresh().to_bits());

    // Settings are those of a server's start, so that a new one shows what is remembered and what is not.
    put_site(&store, 2.4);
    assert_eq!(grams().to_bits(), first.to_bits());
    // Slots of another time are none of its business.
    store
        .put_slots(&[slot(36_000_000, 900.0)], Timestamp::now())
        .unwrap();
    amounts.catch_up(&ledger).unwrap();
    assert_eq!(grams().to_bits(), first.to_bits());
    store
        .put_slots(&[slot(0, 900.0)], Timestamp::now())
        .unwrap();
    amounts.catch_up(&ledger).unwrap();
    assert_eq!(grams().to_bits(), fresh().to_bits());
    assert!(grams() > 2.0 * first);

    // More energy of the run makes it another.
    store
        .write_batch(&received(batch("n1", 2, "r1")), "paris")
        .unwrap();
    let second = grams();
    assert_eq!(second.to_bits(), fresh().to_bits());
    // What nobody asks for is forgotten, what somebody does is kept.
    put_site(&store, 1.2);
    amounts.forget_unused();
    assert_eq!(grams().to_bits(), second.to_bits());
    amounts.forget_unused();
    amounts.forget_unused();
    assert_eq!(grams().to_bits(), fresh().to_bits());
}

#[test]
fn a_month_has_its_part_of_a_run() {
    let directory = tempfile::tempdir().unwrap();
    let store = with_one_run(directory.path());
    let ledger = Ledger::new(store);
    let whole = ledger.amount(&run_key("r1"), None).unwrap();
    // The batch is of 10:00:50 to 10:01:10: half of it lies on each side.
    let halves = [(0, 60_000), (60_000, 120_000)].map(|(from, to)| {
        let period = Period {
            from: time(from),
            to: time(to),
        };
        ledger.amount(&run_key("r1"), Some(period)).unwrap()
    });
    let joules: f64 = halves.iter().map(|half| half.joules.unwrap()).sum();
    let grams: f64 = halves.iter().map(|half| half.grams.unwrap()).sum();
    assert!((joules - whole.joules.unwrap()).abs() < 1e-6, "{halves:?}");
    assert!(
        (grams / whole.grams.unwrap() - 1.0).abs() < 1e-6,
        "{halves:?}"
    );
    assert!(halves[0].joules.unwrap() > 0.4 * joules && halves[1].joules.unwrap() > 0.4 * joules);
    let never = Period::month("2020-01-01T00:00:00Z".parse().unwrap());
    let none = ledger.amount(&run_key("r1"), Some(never)).unwrap();
    assert_eq!((none.joules, none.grams), (Some(0.0), Some(0.0)));
}

#[test]
fn metrics_show_how_budgets_stand() {
    let directory = tempfile::tempdir().unwrap();
    let store = with_one_run(directory.path());
    let config = ServeConfig::read(args(directory.path())).unwrap();
    let access = Access::open(store.clone(), TokenFiles::default(), false).unwrap();
    let app = App::new(store, access, &config);
    let metrics = || {
        show_budgets(&app, Timestamp::now(), &|| false).unwrap();
        let text = app.metrics.render(Instant::now()).unwrap();
        assert_promtool_is_silent(&text);
        let lines = text.lines().filter(|line| line.contains("_budget_"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(metrics(), Vec::<String>::new(), "no budget, no family");
    let run = |unit, limit| budget("one \"run\"", Scope::Run("r1".to_owned()), unit, limit);
    app.ledger.put_budget(&run(Unit::Joules, 2.0)).unwrap();
    app.ledger
        .put_budget(&budget("month", Scope::All, Unit::Grams, 5.0))
        .unwrap();
    insta::assert_snapshot!("budget_metrics", metrics().join("\n"));
    // Given up where the server stops.
    assert!(show_budgets(&app, Timestamp::now(), &|| true).is_err());
}

async fn put(server: &Running, name: &str, rule: &Value) -> Response {
    let url = format!("{}/api/v1/budgets/{name}", server.base);
    server.client.put(url).json(rule).send().await.unwrap()
}

#[tokio::test]
async fn the_api_sets_shows_and_removes_budgets() {
    let directory = tempfile::tempdir().unwrap();
    drop(with_one_run(directory.path()));
    let server = Running::start(directory.path()).await;
    let rule = json!({"scope": "workflow", "of": "churn", "unit": "joules", "limit": 1.0});
    assert_eq!(put(&server, "a%20b", &rule).await.status(), 200);
    let mut expected = rule.clone();
    expected["name"] = "a b".into();
    expected["monthly"] = false.into();
    assert_eq!(server.json("/api/v1/budgets").await, json!([expected]));

    let states = server.json("/api/v1/budget-states?run=r1").await;
    assert_eq!(
        (&states[0]["standing"], &states[0]["name"]),
        (&"over".into(), &"a b".into())
    );
    assert_eq!(states[0]["run"]["run"], "r1");
    let states = server.json("/api/v1/budget-states?name=a%20b").await;
    assert_eq!(
        (&states[0]["standing"], &states[0]["runs"]),
        (&"kept".into(), &0.into())
    );

    let bad = json!({"scope": "all", "unit": "grams", "limit": 1.0});
    let line = error_line(put(&server, "x", &bad).await, 400).await;
    assert!(line.contains("is one of a month"), "{line}");
    let unknown = json!({"scope": "team", "of": "x", "unit": "grams", "limit": 1.0});
    error_line(put(&server, "x", &unknown).await, 400).await;
    for (path, status, expected) in [
        ("?name=x", 404, "no budget 'x'"),
        ("?run=r9", 404, "no run 'r9'"),
        ("?colour=red", 400, "colour"),
    ] {
        let answer = server.get(&format!("/api/v1/budget-states{path}")).await;
        let line = error_line(answer, status).await;
        assert!(line.contains(expected), "{path}: {line}");
    }
    let other = json!({"scope": "run", "of": "r2", "unit": "grams", "limit": 1.0});
    assert_eq!(put(&server, "other", &other).await.status(), 200);
    let line = error_line(
        server.get("/api/v1/budget-states?name=other&run=r1").await,
        409,
    )
    .await;
    assert_eq!(line, "budget 'other' is not for run 'r1'");

    let url = format!("{}/api/v1/budgets/a%20b", server.base);
    assert_eq!(
        server.client.delete(&url).send().await.unwrap().status(),
        204
    );
    error_line(server.client.delete(&url).send().await.unwrap(), 404).await;
    server.stop().await;
}

#[test]
fn budgets_are_bounded_in_number() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::new(with_one_run(directory.path()));
    let put = |number: usize, limit| {
        ledger.put_budget(&budget(&number.to_string(), Scope::All, Unit::Grams, limit))
    };
    for number in 0..MAX_BUDGETS {
        put(number, 1.0).unwrap();
    }
    let refused = put(MAX_BUDGETS, 1.0).unwrap_err().to_string();
    assert!(
        refused.contains("there are 100 budgets already"),
        "{refused}"
    );
    put(0, 2.0).unwrap();
}
