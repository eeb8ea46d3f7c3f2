//! Counters that fall, freeze, are eaten by whoever scrapes first, or never end.

use e2e::cgroups::Cgroup;
use e2e::get;

use crate::site::{
    PACKAGE, SPIN, Site, assert_only_up, counters, measured, named, outcomes, pod_joules, ticks,
    truth,
};

#[test]
fn fault_01_a_counter_does_not_fall_when_a_zone_had_no_active_energy() {
    let mut site = Site::new("accounting");
    let run = named("f1");
    let group = site.group(&run);
    group.shell(SPIN).unwrap().run().unwrap();
    let before = site.until("the group's energy", |text| {
        pod_joules(text, &run, "package-0") > 0.0
    });
    // Intervals without any energy, then such with it.
    let (still, _) = site.settled(&["intel-rapl:0"]);
    assert_only_up(&before, &still, "energy_joules");
    let samples = outcomes(&still, "sampled");
    let quiet = site.after_ticks(2);
    assert!(outcomes(&quiet, "sampled") > samples);
    assert_eq!(
        measured(&quiet, "package-0"),
        measured(&still, "package-0"),
        "the zone used nothing"
    );
    assert_only_up(&still, &quiet, &run);
    site.truth.tell("continue intel-rapl:0").unwrap();
    let after = site.until("energy again", |text| {
        measured(text, "package-0") > measured(&quiet, "package-0")
    });
    assert_only_up(&quiet, &after, &run);
}

#[test]
fn fault_03_energy_of_what_has_ended_is_shown_to_every_scraper_and_stays() {
    let mut site = Site::new("accounting");
    let run = named("f3");
    let group = site.group(&run);
    group.shell(SPIN).unwrap().run().unwrap();
    let joules = |text: &str| pod_joules(text, &run, "package-0");
    site.until("the group's energy", |text| joules(text) > 0.0);
    drop(group);
    let (first, _) = site.settled(&["intel-rapl:0"]);
    let second = site.metrics();
    for probe in ["healthz", "readyz", "metrics"] {
        get(&format!("{}/{probe}", site.agent.url())).unwrap();
    }
    let later = site.after_ticks(2);
    let shown = [&first, &second, &later].map(|text| joules(text));
    assert!(shown[0] > 0.0, "{first}");
    assert_eq!(shown, [shown[0]; 3]);
}

#[test]
fn fault_07_the_exported_counter_does_not_wrap() {
    let mut truth = truth(&[PACKAGE]);
    truth.tell("stop intel-rapl:0").unwrap();
    truth.tell("jump intel-rapl:0 262143300000").unwrap();
    let mut site = Site::of(truth, &["--usage", "accounting"]);
    let mut before = site.metrics();
    site.truth.tell("continue intel-rapl:0").unwrap();
    for _ in 0..4 {
        let after = site.after_ticks(1);
        assert_only_up(&before, &after, "node_energy_joules");
        before = after;
    }
    assert_eq!(outcomes(&before, "wrapped"), 1.0, "{before}");
    assert!(measured(&before, "package-0") > 0.0);
}

#[test]
fn fault_18_scrapes_however_many_neither_freeze_nor_eat_energy() {
    let mut truth = truth(&[PACKAGE]);
    truth.tell("stop intel-rapl:0").unwrap();
    let start = truth.sync().unwrap().total("package-0");
    // What the counter shows once it stands still again is what was used since `begin`.
    truth.tell("jump intel-rapl:0").unwrap();
    let mut site = Site::of(truth, &["--usage", "accounting"]);
    let first = site.metrics();
    site.truth.tell("continue intel-rapl:0").unwrap();
    // Scraped without a pause: every interval's energy shows when the interval ends.
    let mut seen = vec![measured(&first, "package-0")];
    let end = ticks(&first) + 4.0;
    let mut text = first;
    while ticks(&text) < end {
        text = site.metrics();
        let joules = measured(&text, "package-0");
        if seen.last() != Some(&joules) {
            seen.push(joules);
        }
    }
    assert!(seen.is_sorted() && seen.len() >= 3, "{seen:?}");
    let (text, truth) = site.settled(&["intel-rapl:0"]);
    let path = "class/powercap/intel-rapl:0/energy_uj";
    let shown = std::fs::read_to_string(site.truth.sys_root().join(path)).unwrap();
    let used = shown.trim().parse::<u64>().unwrap() as f64 / 1e6;
    assert!(used <= truth.total("package-0") - start);
    let booked = measured(&text, "package-0");
    assert!((booked - used).abs() < 1e-5, "{booked} J of {used} J");
}

#[test]
fn fault_19_series_end_with_what_they_were_of() {
    let site = Site::with(
        &[PACKAGE],
        &["--usage", "accounting", "--metrics-linger", "1s"],
    );
    let run = named("f19");
    let of_run = |text: &str| counters(text, &run).len();
    let mut most = 0;
    for number in 0..150 {
        let group = Cgroup::exec("faults", &run, &format!("s{number}")).unwrap();
        let script = "/bin/true; /bin/true; /bin/true; /bin/true";
        group.shell(script).unwrap().run().unwrap();
        if number % 50 == 0 {
            site.after_ticks(1);
        }
        most = most.max(of_run(&site.metrics()));
    }
    assert!(most > 0, "none was ever shown");
    // Hundreds of processes and cgroups later: nothing of them.
    site.until("the end of their series", |text| of_run(text) == 0);
}
