//! Counters that turn, start again, or tell a range that is not theirs.

use std::fs;

use crate::site::{Site, measured, outcomes, truth};

const ZONE: &str = "intel-rapl:0";

/// What a counter shows; it must stand still.
fn shown_uj(site: &Site) -> u64 {
    let path = format!("class/powercap/{ZONE}/energy_uj");
    let text = fs::read_to_string(site.truth.sys_root().join(path)).unwrap();
    text.trim().parse().unwrap()
}

fn microjoules(text: &str) -> u64 {
    (measured(text, "package-0") * 1e6).round() as u64
}

/// An agent that begins when the counter stands still at `from_uj`.
fn standing_at(zone: &str, from_uj: u64) -> Site {
    let mut truth = truth(&[zone]);
    truth.tell(&format!("stop {ZONE}")).unwrap();
    truth.tell(&format!("jump {ZONE} {from_uj}")).unwrap();
    let site = Site::of(truth, &["--usage", "accounting"]);
    assert_eq!(shown_uj(&site), from_uj);
    site
}

#[test]
fn fault_16_every_turn_counts_by_the_range_that_the_zone_tells() {
    // 700 W turn 3,000 J in little more than four seconds.
    const RANGE: u64 = 3_000_000_000;
    let from = RANGE - 500_000_000;
    let mut site = standing_at(&format!("zone {ZONE} package-0 700 1 {RANGE}"), from);
    site.truth.tell(&format!("continue {ZONE}")).unwrap();
    site.until("two turns", |text| outcomes(text, "wrapped") >= 2.0);
    let (text, _) = site.settled(&[ZONE]);
    let turns = outcomes(&text, "wrapped") as u64;
    assert_eq!(outcomes(&text, "reset"), 0.0, "{text}");
    assert_eq!(
        microjoules(&text),
        turns * RANGE - from + shown_uj(&site),
        "{turns} turns"
    );
}

#[test]
fn fault_17_a_reset_is_no_wrap() {
    // To go on to the end of the range and from there to 0 would be 62 kJ in an interval.
    let mut site = standing_at(&format!("zone {ZONE} package-0 10 1"), 200_000_000_000);
    let before = microjoules(&site.metrics());
    site.truth.tell(&format!("jump {ZONE}")).unwrap();
    site.truth.tell(&format!("continue {ZONE}")).unwrap();
    site.until("the reset", |text| outcomes(text, "reset") >= 1.0);
    let (text, truth) = site.settled(&[ZONE]);
    assert_eq!(outcomes(&text, "wrapped"), 0.0, "{text}");
    let counted = microjoules(&text) - before;
    assert!(
        counted as f64 / 1e6 <= truth.total("package-0"),
        "{counted}"
    );
}

#[test]
fn fault_17_a_counter_beyond_its_range_gives_no_giant_delta() {
    // The file tells a range that the counter is beyond: no way leads from there over the end.
    let mut truth = truth(&[&format!("zone {ZONE} package-0 10 1")]);
    for line in [
        "stop ZONE",
        "jump ZONE 5000000000",
        "wrong-range ZONE 1000000000",
    ] {
        truth.tell(&line.replace("ZONE", ZONE)).unwrap();
    }
    let mut site = Site::of(truth, &["--usage", "accounting"]);
    site.truth.tell(&format!("jump {ZONE} 2000000000")).unwrap();
    site.truth.tell(&format!("continue {ZONE}")).unwrap();
    site.until("the reset", |text| outcomes(text, "reset") >= 1.0);
    let (text, truth) = site.settled(&[ZONE]);
    assert_eq!(outcomes(&text, "wrapped"), 0.0, "{text}");
    let counted = microjoules(&text) as f64 / 1e6;
    assert!(counted <= truth.total("package-0"), "{counted} J");
}

#[test]
fn fault_17_a_zone_that_goes_away_and_comes_back_loses_nothing() {
    let from = 1_000_000;
    let mut site = standing_at(&format!("zone {ZONE} package-0 10 1"), from);
    site.truth.tell(&format!("continue {ZONE}")).unwrap();
    for (line, outcome) in [("vanish", "absent"), ("unreadable", "failed")] {
        site.truth.tell(&format!("{line} {ZONE}")).unwrap();
        site.until(line, |text| outcomes(text, outcome) >= 1.0);
        let before = outcomes(&site.metrics(), "sampled");
        site.truth.tell(&format!("return {ZONE}")).unwrap();
        site.until("its return", |text| outcomes(text, "sampled") > before);
    }
    let (text, _) = site.settled(&[ZONE]);
    assert_eq!(microjoules(&text), shown_uj(&site) - from);
}
