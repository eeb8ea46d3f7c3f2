//! Budgets, their months, and how they stand.

use proptest::prelude::*;

use super::*;
use crate::intensity::Signal;

fn budget(scope: Scope, monthly: bool, unit: Unit, limit: f64) -> Budget {
    Budget {
        name: "b".to_owned(),
        rule: BudgetRule {
            scope,
            monthly,
            unit,
            limit,
        },
    }
}

fn workflow() -> Scope {
    Scope::Workflow("churn".to_owned())
}

fn run(cluster: &str, workflow: &str, run: &str) -> RunKey {
    RunKey {
        cluster: cluster.to_owned(),
        workflow: workflow.to_owned(),
        run: run.to_owned(),
    }
}

fn counted(id: &str, joules: Option<f64>, grams: Option<f64>) -> Counted {
    Counted {
        run: run("c", "churn", id),
        amount: Amount {
            joules,
            grams,
            signal: grams.map(|_| Signal::default()),
        },
    }
}

#[test]
fn only_a_whole_budget_is_one() {
    let check = |budget: &Budget, expected: Option<&str>| {
        let refused = budget.validate().err().map(|error| error.to_string());
        match (&refused, expected) {
            (Some(refused), Some(expected)) => assert!(refused.contains(expected), "{refused}"),
            (refused, expected) => assert_eq!(refused.as_deref(), expected, "{budget:?}"),
        }
    };
    let run = || Scope::Run("r1".to_owned());
    check(&budget(run(), false, Unit::Grams, 1.0), None);
    check(&budget(workflow(), false, Unit::Joules, 1.0), None);
    check(&budget(workflow(), true, Unit::Joules, 1.0), None);
    check(&budget(Scope::All, true, Unit::Grams, 1e-6), None);
    check(
        &budget(run(), true, Unit::Grams, 1.0),
        Some("for one run is not one of a month"),
    );
    check(
        &budget(Scope::All, false, Unit::Grams, 1.0),
        Some("is one of a month"),
    );
    check(
        &budget(Scope::Cluster("c".to_owned()), false, Unit::Grams, 1.0),
        Some("is one of a month"),
    );
    for limit in [0.0, -1.0, 1e-9, 1e19, f64::NAN, f64::INFINITY] {
        check(
            &budget(run(), false, Unit::Grams, limit),
            Some("it must be within"),
        );
    }
    for of in ["", "a\nb", &"x".repeat(254)] {
        check(
            &budget(Scope::Run(of.to_owned()), false, Unit::Grams, 1.0),
            Some("needs a name"),
        );
    }
    let named = |name: String| Budget {
        name,
        ..budget(run(), false, Unit::Grams, 1.0)
    };
    check(&named(String::new()), Some("needs a name"));
    check(&named("x".repeat(101)), Some("1 to 100 bytes"));
    check(&named("x".repeat(100)), None);
}

#[test]
fn a_scope_says_whose_use_counts() {
    let check = |scope: Scope, expected: [bool; 3]| {
        let budget = budget(scope, true, Unit::Grams, 1.0);
        let runs = [
            run("c1", "churn", "r1"),
            run("c1", "fraud", "r1"),
            run("c2", "churn", "r2"),
        ];
        assert_eq!(runs.map(|run| budget.fits(&run)), expected, "{budget:?}");
        let scope = &budget.rule.scope;
        let again = Scope::from_parts(scope.kind(), scope.of().unwrap_or_default().to_owned());
        assert_eq!(again.as_ref(), Some(scope));
    };
    check(Scope::Run("r1".to_owned()), [true, true, false]);
    check(workflow(), [true, false, true]);
    check(Scope::Cluster("c2".to_owned()), [false, false, true]);
    check(Scope::All, [true; 3]);
    assert_eq!(Scope::from_parts("team", String::new()), None);
}

#[test]
fn a_budget_reads_in_json_as_it_is_written() {
    let budget = budget(workflow(), true, Unit::Grams, 500.0);
    let json = serde_json::json!({
        "name": "b", "scope": "workflow", "of": "churn", "monthly": true, "unit": "grams", "limit": 500.0,
    });
    assert_eq!(serde_json::to_value(&budget).unwrap(), json);
    assert_eq!(serde_json::from_value::<Budget>(json).unwrap(), budget);
    let rule = serde_json::json!({"scope": "run", "of": "r1", "unit": "joules", "limit": 5});
    let rule: BudgetRule = serde_json::from_value(rule).unwrap();
    assert!(!rule.monthly);
}

#[test]
fn a_month_is_one_of_the_calendar_in_utc() {
    let check = |time: &str, from: &str, to: &str| {
        let month = Period::month(time.parse().unwrap());
        let expected = Period {
            from: format!("{from}T00:00:00Z").parse().unwrap(),
            to: format!("{to}T00:00:00Z").parse().unwrap(),
        };
        assert_eq!(month, expected, "{time}");
    };
    check("2026-01-01T00:00:00Z", "2026-01-01", "2026-02-01");
    check("2025-12-31T23:59:59.999Z", "2025-12-01", "2026-01-01");
    check("2028-02-29T12:00:00Z", "2028-02-01", "2028-03-01");
    check("2026-03-31T23:30:00-02:00", "2026-04-01", "2026-05-01");
}

fn check(
    budget: &Budget,
    counted: &[Counted],
    cut: bool,
    standing: Standing,
    used: f64,
    unknown: u64,
) {
    let state = state(budget, None, counted, cut);
    assert_eq!(state.standing, standing, "{state:?}");
    assert!((state.used - used).abs() < 1e-9, "{state:?}");
    assert!(
        (state.used_ratio - used / budget.rule.limit).abs() < 1e-9,
        "{state:?}"
    );
    assert_eq!(
        (state.runs, state.unknown_runs),
        (counted.len() as u64, unknown),
        "{state:?}"
    );
}

#[test]
fn a_month_sums_up_and_a_run_stands_alone() {
    let runs = [
        counted("r1", Some(30.0), Some(3.0)),
        counted("r2", Some(50.0), Some(4.0)),
    ];
    let monthly = |unit, limit| budget(workflow(), true, unit, limit);
    check(
        &monthly(Unit::Joules, 80.0),
        &runs,
        false,
        Standing::Kept,
        80.0,
        0,
    );
    check(
        &monthly(Unit::Joules, 79.9),
        &runs,
        false,
        Standing::Over,
        80.0,
        0,
    );
    check(
        &monthly(Unit::Grams, 7.0),
        &runs,
        false,
        Standing::Kept,
        7.0,
        0,
    );
    let each = |limit| budget(workflow(), false, Unit::Joules, limit);
    check(&each(50.0), &runs, false, Standing::Kept, 50.0, 0);
    check(&each(49.0), &runs, false, Standing::Over, 50.0, 0);
    assert_eq!(
        state(&each(49.0), None, &runs, false).run,
        Some(run("c", "churn", "r2"))
    );
    check(&each(49.0), &[], false, Standing::Kept, 0.0, 0);
    assert_eq!(state(&each(49.0), None, &[], false).run, None);
}

#[test]
fn what_is_not_known_is_not_kept() {
    let runs = [
        counted("r1", Some(30.0), Some(3.0)),
        counted("r2", Some(50.0), None),
        counted("r3", None, None),
    ];
    let monthly = |unit, limit| budget(workflow(), true, unit, limit);
    check(
        &monthly(Unit::Grams, 100.0),
        &runs,
        false,
        Standing::Unknown,
        3.0,
        2,
    );
    check(
        &monthly(Unit::Joules, 100.0),
        &runs,
        false,
        Standing::Unknown,
        80.0,
        1,
    );
    // What is known is too much already.
    check(
        &monthly(Unit::Grams, 2.0),
        &runs,
        false,
        Standing::Over,
        3.0,
        2,
    );
    check(
        &monthly(Unit::Grams, 100.0),
        &runs[..1],
        true,
        Standing::Unknown,
        3.0,
        0,
    );
    check(
        &monthly(Unit::Grams, 2.0),
        &runs[..1],
        true,
        Standing::Over,
        3.0,
        0,
    );
}

proptest! {
    #[test]
    fn months_follow_each_other_without_a_gap(seconds in -60_000_000_000_i64..200_000_000_000) {
        let time = Timestamp::from_second(seconds).unwrap();
        let month = Period::month(time);
        prop_assert!(month.from <= time && time < month.to);
        prop_assert_eq!(Period::month(month.from), month);
        prop_assert_eq!(Period::month(month.to).from, month.to);
        let hours = month.from.duration_until(month.to).as_hours();
        prop_assert!((28 * 24..=31 * 24).contains(&hours));
    }

    #[test]
    fn a_month_uses_what_its_runs_use(grams in prop::collection::vec(0.0_f64..100.0, 0..20), limit in 1.0_f64..1e3) {
        let runs: Vec<Counted> = grams.iter().map(|grams| counted("r", Some(0.0), Some(*grams))).collect();
        let state = state(&budget(Scope::All, true, Unit::Grams, limit), None, &runs, false);
        let sum: f64 = grams.iter().sum();
        prop_assert!((state.used - sum).abs() < 1e-9);
        prop_assert_eq!(state.standing == Standing::Over, state.used > limit);
    }
}
