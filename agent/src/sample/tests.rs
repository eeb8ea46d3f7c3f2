//! What readings come to.

use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;
const RANGE: u64 = 262_143_328_850;

fn reading(counter_uj: u64, boottime_ns: u64) -> Reading {
    Reading {
        counter_uj,
        boottime_ns,
        awake_ns: boottime_ns,
    }
}

fn check(
    previous: u64,
    current: u64,
    seconds: u64,
    range_uj: Option<u64>,
    expected: (Outcome, u64),
) {
    let mut sampler = Sampler::default();
    assert_eq!(
        sampler.sample(&Ok(reading(previous, 0)), range_uj).outcome,
        Outcome::First
    );
    let sample = sampler.sample(&Ok(reading(current, seconds * SECOND)), range_uj);
    assert_eq!(
        (sample.outcome, sample.energy.microjoules()),
        expected,
        "{previous} to {current}"
    );
}

#[test]
fn what_was_noted_and_not_told_is_after_the_last_reading() {
    let mut sampler = Sampler::default();
    sampler.sample(&Ok(reading(10, SECOND)), None);
    sampler.note(&Ok(reading(20, 2 * SECOND)), None);
    sampler.sample(&Err(SensorError::Failed("hangs".into())), None);
    assert_eq!(sampler.last(), Some(reading(10, SECOND)));
    sampler.sample(&Ok(reading(30, 3 * SECOND)), None);
    assert_eq!(sampler.last(), Some(reading(30, 3 * SECOND)));
}

#[test]
fn a_counter_that_stands_lower_has_wrapped_or_started_again() {
    let range = Some(RANGE);
    check(
        1_000,
        501_000_000,
        5,
        range,
        (Outcome::Sampled, 500_999_000),
    );
    check(7, 7, 5, range, (Outcome::Sampled, 0));
    check(RANGE - 100, 400, 5, range, (Outcome::Wrapped, 500));
    // 200 W x 5 s behind it: no zone turns 160 kJ in 5 s.
    check(100_000_000_000, 0, 5, range, (Outcome::Reset, 0));
    check(500, 400, 5, None, (Outcome::Reset, 0));
    // A range that is wrong, smaller than what the counter shows.
    check(500, 400, 5, Some(450), (Outcome::Reset, 0));
    // Longer than a whole turn may take.
    check(100, 200, 600, range, (Outcome::Reset, 0));
    // A counter that jumps ahead.
    check(0, u64::MAX / 2, 5, None, (Outcome::Reset, 0));
}

#[test]
fn a_counter_that_starts_again_while_the_machine_sleeps_has_not_wrapped() {
    for asleep_s in [0, 120, 100_000] {
        let before = Ok(reading(100_000_000_000, 0));
        let after = Ok(Reading {
            counter_uj: 50_000_000,
            boottime_ns: (asleep_s + 5) * SECOND,
            awake_ns: 5 * SECOND,
        });
        let mut sampler = Sampler::default();
        sampler.sample(&before, Some(RANGE));
        let sample = sampler.sample(&after, Some(RANGE));
        assert_eq!(sample.outcome, Outcome::Reset, "{asleep_s} s");
        // One that stood still goes on, however long that was.
        let mut sampler = Sampler::default();
        sampler.sample(&before, Some(RANGE));
        let goes_on = after.map(|reading| Reading {
            counter_uj: 100_000_700_000,
            ..reading
        });
        let sample = sampler.sample(&goes_on, Some(RANGE));
        let expected = (Outcome::Sampled, 700_000);
        assert_eq!((sample.outcome, sample.energy.microjoules()), expected);
    }
}

#[test]
fn a_counter_that_starts_again_while_it_is_not_read_has_not_wrapped() {
    // 100 kJ, then 0 after 160 s: 800 W are not what that would take to turn.
    check(100_000_000_000, 0, 160, Some(RANGE), (Outcome::Reset, 0));
}

#[test]
fn a_step_of_a_coarse_counter_right_after_a_reading_is_no_reset() {
    let mut sampler = Sampler::default();
    sampler.sample(&Ok(reading(RANGE - 3, 0)), Some(RANGE));
    let sample = sampler.sample(&Ok(reading(40_000_000, 1_000_000)), Some(RANGE));
    let expected = (Outcome::Wrapped, 40_000_003);
    assert_eq!((sample.outcome, sample.energy.microjoules()), expected);
}

#[test]
fn after_failures_the_next_reading_covers_the_time_between() {
    let mut sampler = Sampler::default();
    sampler.sample(&Ok(reading(0, 0)), None);
    let failed = Err(SensorError::Failed("no".into()));
    assert_eq!(
        sampler.sample(&failed, None),
        Sample::without_energy(Outcome::Failed)
    );
    let sample = sampler.sample(&Ok(reading(9_000, 2 * SECOND)), None);
    assert_eq!(
        (sample.outcome, sample.energy.microjoules()),
        (Outcome::Sampled, 9_000)
    );
}

#[test]
fn what_a_late_sample_reaches_back_to_is_told_apart() {
    let energy = Energy::from_microjoules;
    let sample = |elapsed_ns| Sample {
        outcome: Outcome::Sampled,
        energy: energy(700),
        elapsed_ns,
    };
    let (recent, earlier) = sample(5 * SECOND + 9).split_at(5 * SECOND);
    assert_eq!(
        (recent, earlier.energy),
        (sample(5 * SECOND + 9), Energy::ZERO)
    );
    let (recent, earlier) = sample(35 * SECOND).split_at(5 * SECOND);
    assert_eq!((recent.energy, earlier.energy), (energy(100), energy(600)));
    assert_eq!(
        (recent.elapsed_ns, earlier.elapsed_ns),
        (5 * SECOND, 30 * SECOND)
    );
}

#[test]
fn readings_within_an_interval_add_up_to_its_sample() {
    // 65 kJ: a whole turn in 82 s; the interval is of 5 minutes, read every 40 s at 700 W.
    let range = Some(65_712_999_613);
    let at = |step: u64| {
        Ok(reading(
            step * 28_000_000_000 % 65_712_999_613,
            step * 40 * SECOND,
        ))
    };
    let mut sampler = Sampler::default();
    sampler.sample(&at(0), range);
    (1..7).for_each(|step| sampler.note(&at(step), range));
    let failed = Err(SensorError::Failed("no".into()));
    sampler.note(&failed, range);
    let sample = sampler.sample(&at(7), range);
    let expected = Sample {
        outcome: Outcome::Wrapped,
        energy: Energy::from_microjoules(7 * 28_000_000_000),
        elapsed_ns: 280 * SECOND,
    };
    assert_eq!(sample, expected);

    // A reading that is missing at the end leaves all to the next interval.
    sampler.note(&at(8), range);
    assert_eq!(sampler.sample(&failed, range).outcome, Outcome::Failed);
    let late = sampler.sample(&at(9), range);
    assert_eq!(late.energy.microjoules(), 2 * 28_000_000_000);

    // Where a part is not known, the whole is not.
    sampler.note(&Ok(reading(0, 361 * SECOND)), range);
    sampler.note(&Ok(reading(1, 362 * SECOND)), range);
    let reset = sampler.sample(&Ok(reading(2, 363 * SECOND)), range);
    assert_eq!(
        (reset.outcome, reset.energy),
        (Outcome::Reset, Energy::ZERO)
    );
    let next = sampler.sample(&Ok(reading(5, 364 * SECOND)), range);
    assert_eq!(next.energy.microjoules(), 3);
}

/// What a counter may show at most after this time awake.
fn plausible_uj(awake_ns: u64, range_uj: Option<u64>) -> u128 {
    let uj = |watts: u128, ns: u64| watts * u128::from(ns) / 1000;
    match range_uj {
        None => uj(100_000, awake_ns),
        Some(_) if awake_ns <= SECOND => uj(4_000, SECOND),
        Some(_) if awake_ns <= 5 * SECOND => uj(4_000, awake_ns),
        Some(_) => uj(4_000, 5 * SECOND) + uj(800, awake_ns - 5 * SECOND),
    }
}

/// Ranges as they are found, from 1 J up.
fn any_range() -> impl Strategy<Value = u64> {
    prop::sample::select(vec![1_000_000, 262_000_000, 65_712_999_613, RANGE])
}

proptest! {
    #![proptest_config(crate::cases())]

    #[test]
    fn samples_follow_a_wrapping_counter_exactly(
        range in any_range(),
        start in any::<prop::sample::Index>(),
        steps in prop::collection::vec((0.0..1.0, 0.3..1.0), 1..50),
    ) {
        // Intervals up to the longest that the counter allows, at any power up to the highest sustained.
        let longest_ns = longest_interval(range).as_nanos() as f64;
        let start = start.index(range as usize) as u64;
        let mut sampler = Sampler::default();
        sampler.sample(&Ok(reading(start, 0)), Some(range));
        let (mut truth, mut total, mut now_ns) = (start, 0, 0);
        for (power, length) in steps {
            let elapsed_ns = longest_ns * length;
            now_ns += elapsed_ns as u64;
            truth += (elapsed_ns * power * MAX_SUSTAINED_WATTS as f64 / 1000.0) as u64;
            let sample = sampler.sample(&Ok(reading(truth % range, now_ns)), Some(range));
            prop_assert!(sample.is_known());
            total += sample.energy.microjoules();
        }
        prop_assert_eq!(total, truth - start);
    }

    #[test]
    fn a_reset_is_a_wrap_only_where_that_is_plausible(
        range in any_range(),
        before in any::<prop::sample::Index>(),
        after in any::<prop::sample::Index>(),
        length in 0.0..1.2,
    ) {
        let before = 1 + before.index(range as usize - 1) as u64;
        let after = after.index(before as usize) as u64;
        let longest_ns = longest_interval(range).as_nanos() as u64;
        let elapsed_ns = (longest_ns as f64 * length) as u64;
        let mut sampler = Sampler::default();
        sampler.sample(&Ok(reading(before, 0)), Some(range));
        let sample = sampler.sample(&Ok(reading(after, elapsed_ns)), Some(range));
        let across = range - before + after;
        let may_have_wrapped = u128::from(across) <= plausible_uj(elapsed_ns, Some(range))
            && elapsed_ns <= longest_ns;
        if may_have_wrapped {
            prop_assert_eq!((sample.outcome, sample.energy.microjoules()), (Outcome::Wrapped, across));
        } else {
            prop_assert_eq!((sample.outcome, sample.energy), (Outcome::Reset, Energy::ZERO));
        }
    }

    #[test]
    fn a_suspended_machine_makes_no_energy(
        asleep_s in 0_u64..100_000,
        awake_s in 1_u64..100,
        watts in 0_u64..800,
        restarts in any::<bool>(),
        before in 0..RANGE,
        range in prop::sample::select(vec![None, Some(RANGE)]),
    ) {
        let used = awake_s * watts * 1_000_000;
        let truth = if restarts { used } else { before + used };
        let shown = range.map_or(truth, |range| truth % range);
        let after = Reading {
            counter_uj: shown,
            boottime_ns: (asleep_s + awake_s) * SECOND,
            awake_ns: awake_s * SECOND,
        };
        let mut sampler = Sampler::default();
        sampler.sample(&Ok(reading(before, 0)), range);
        let sample = sampler.sample(&Ok(after), range);
        let energy = sample.energy.microjoules();
        prop_assert!(u128::from(energy) <= plausible_uj(after.awake_ns, range));
        if !restarts {
            prop_assert_eq!(energy, used);
        }
    }

    #[test]
    fn no_numbers_make_a_giant_delta(
        range in prop_oneof![Just(None), Just(Some(0)), any::<Option<u64>>()],
        readings in prop::collection::vec((any::<u64>(), any::<u64>(), any::<bool>()), 1..10),
    ) {
        let mut sampler = Sampler::default();
        let mut last_ns = None;
        let mut most_uj = 0;
        for (counter_uj, boottime_ns, is_noted) in readings {
            let now = Ok(reading(counter_uj, boottime_ns));
            let part_ns = last_ns.map_or(0, |last| boottime_ns.saturating_sub(last));
            most_uj += plausible_uj(part_ns, range);
            last_ns = Some(boottime_ns);
            if is_noted {
                sampler.note(&now, range);
                continue;
            }
            let sample = sampler.sample(&now, range);
            prop_assert!(sample.is_known() || sample.energy == Energy::ZERO);
            prop_assert!(u128::from(sample.energy.microjoules()) <= most_uj);
            most_uj = 0;
        }
    }
}

#[test]
fn what_no_interval_may_hold_is_not_known() {
    let most_uj = 5 * SECOND * MAX_UJ_PER_NS;
    for (energy_uj, outcome) in [(most_uj, Outcome::Sampled), (most_uj + 1, Outcome::Failed)] {
        let sample = Sample {
            outcome: Outcome::Sampled,
            energy: Energy::from_microjoules(energy_uj),
            elapsed_ns: 72_000 * SECOND,
        };
        let told = sample.within(5 * SECOND);
        assert_eq!(told.outcome, outcome);
        assert_eq!(told.energy == sample.energy, told.is_known());
    }
}
