use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const SECOND_NS: u64 = 1_000_000_000;

/// Keys that are there, by their instance.
type There = BTreeMap<u8, u64>;

fn energy(microjoules: u64) -> Energy {
    Energy::from_microjoules(microjoules)
}

fn sum(energies: &[Energy]) -> u64 {
    energies.iter().map(|energy| energy.microjoules()).sum()
}

/// Books one second; gives the energy that was left.
fn book(top: &mut Top<u8>, there: &There, used: &[(u8, u64)], now_ns: u64) -> u64 {
    let used = used
        .iter()
        .map(|&(key, microjoules)| (key, vec![energy(microjoules)]));
    let instance = |key: &u8| there.get(key).copied();
    let left = top.book(used.collect(), SECOND_NS, now_ns, &instance);
    left.iter().map(|(_, energies)| sum(energies)).sum()
}

fn shown(top: &Top<u8>) -> BTreeMap<u8, u64> {
    let shown = top.iter();
    shown
        .map(|(key, entry)| (*key, sum(&entry.zones)))
        .collect()
}

fn all_there() -> There {
    (0..=u8::MAX).map(|key| (key, 1)).collect()
}

#[test]
fn free_places_go_to_the_strongest_that_live() {
    let mut top = Top::new(2);
    let there = There::from([(1, 1), (2, 1), (3, 1)]);
    let left = book(&mut top, &there, &[(1, 5), (2, 9), (3, 7), (4, 100)], 1);
    assert_eq!(shown(&top), BTreeMap::from([(2, 9), (3, 7)]));
    assert_eq!(left, 105);
    assert_eq!(top.cut(), 2);
}

#[test]
fn a_newcomer_must_be_clearly_stronger_for_a_while() {
    let there = all_there();
    for (newcomer, intervals, wins) in [
        (19, 50, false),
        (20, 2, false),
        (20, 3, true),
        (1000, 2, false),
    ] {
        let mut top = Top::new(2);
        book(&mut top, &there, &[(1, 10), (2, 30)], 1);
        for _ in 0..intervals {
            book(&mut top, &there, &[(1, 10), (2, 30), (3, newcomer)], 1);
        }
        let is_shown = shown(&top).contains_key(&3);
        assert_eq!(is_shown, wins, "{newcomer} in {intervals}");
        assert!(shown(&top).contains_key(&2));
    }
}

#[test]
fn a_pause_starts_the_count_again() {
    let there = all_there();
    let mut top = Top::new(1);
    book(&mut top, &there, &[(1, 10)], 1);
    for newcomer in [50, 50, 0, 50, 50] {
        book(&mut top, &there, &[(1, 10), (2, newcomer)], 1);
    }
    assert_eq!(shown(&top).into_keys().collect::<Vec<_>>(), [1]);
}

#[test]
fn who_comes_back_goes_on_where_it_was() {
    let there = all_there();
    let mut top = Top::new(1);
    let mut left = 0;
    let phases = [(1, 10), (2, 100), (1, 1000)];
    for (key, energy) in phases {
        for _ in 0..20 {
            left += book(&mut top, &there, &[(key, energy)], 1);
        }
        assert!(shown(&top).contains_key(&key));
    }
    // 20 x 10, then the third phase but for the intervals in which the place was not yet won.
    let lost_in_third = left - 100 * 2;
    assert_eq!(
        shown(&top),
        BTreeMap::from([(1, 200 + 20_000 - lost_in_third)])
    );
}

#[test]
fn the_ended_stay_for_a_while_unless_their_place_is_needed() {
    let mut top = Top::new(2);
    let there = There::from([(1, 1), (2, 1)]);
    book(&mut top, &there, &[(1, 10), (2, 10)], 10);
    let there = There::from([(2, 1), (3, 1)]);
    let same = |key: &u8, instance| there.get(key).copied().filter(|now| *now == instance);
    top.expire(10, 15, &same);
    assert_eq!(shown(&top).len(), 2, "not yet");
    let mut needed = Top::new(1);
    book(&mut needed, &There::from([(1, 1)]), &[(1, 10)], 10);
    for now in 11..=16 {
        book(&mut needed, &there, &[(3, 10)], now);
    }
    assert!(shown(&needed).contains_key(&3));
    assert!(top.has_expired(11));
    top.expire(11, 20, &same);
    assert_eq!(shown(&top).into_keys().collect::<Vec<_>>(), [2], "asleep");
}

#[test]
fn fault_05_a_reused_pid_does_not_keep_the_dead_alive() {
    let mut top = Top::new(2);
    book(&mut top, &There::from([(1, 100)]), &[(1, 10)], 10);
    // The pid lives again, as another process.
    let there = There::from([(1, 200)]);
    let same = |key: &u8, instance| there.get(key).copied().filter(|now| *now == instance);
    top.expire(11, 20, &same);
    assert_eq!(shown(&top), BTreeMap::new());
}

#[derive(Clone, Debug)]
struct Step {
    used: BTreeMap<u8, [u64; 2]>,
    end: Vec<u8>,
    begin: Vec<u8>,
    seconds: u64,
}

fn step() -> impl Strategy<Value = Step> {
    let power = prop_oneof![0..10_u64, 0..1000_u64, any::<u32>().prop_map(u64::from)];
    (
        prop::collection::btree_map(0..12_u8, [power.clone(), power], 0..8),
        prop::collection::vec(0..12_u8, 0..3),
        prop::collection::vec(0..12_u8, 0..6),
        1..4_u64,
    )
        .prop_map(|(used, end, begin, seconds)| Step {
            used,
            end,
            begin,
            seconds,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]
    /// What Prometheus would see: series by key, of which one may be away for a while.
    #[test]
    fn every_joule_is_in_one_series_and_no_series_of_the_living_falls(
        max in 1..5_usize,
        linger in 0..8_u64,
        steps in prop::collection::vec(step(), 1..12),
    ) {
        let mut top = Top::new(max);
        let mut there = There::new();
        // Value and instance when the key was last shown.
        let mut seen: BTreeMap<u8, (u64, u64)> = BTreeMap::new();
        let mut instances = 0;
        let mut now = 100;
        for step in steps {
            for key in &step.end {
                there.remove(key);
            }
            for key in &step.begin {
                instances += 1;
                there.entry(*key).or_insert(instances);
            }
            now += step.seconds;
            let used: HashMap<u8, Vec<Energy>> = step.used.iter()
                .map(|(key, zones)| (*key, zones.map(energy).to_vec()))
                .collect();
            let instance = |key: &u8| there.get(key).copied();
            let left = top.book(used, step.seconds * SECOND_NS, now, &instance);

            let left: BTreeMap<u8, u64> = left.iter()
                .map(|(key, energies)| (*key, sum(energies)))
                .collect();
            let now_shown = shown(&top);
            prop_assert!(now_shown.len() <= max);
            prop_assert!(top.aside.len() <= ASIDE_PER_PLACE * max);
            prop_assert!(top.challengers.len() <= max);
            for (key, zones) in &step.used {
                let used: u64 = zones.iter().sum();
                let is_shown = now_shown.contains_key(key);
                prop_assert_eq!(left.get(key).copied(), (!is_shown).then_some(used));
            }
            for (key, value) in &now_shown {
                let used: u64 = step.used.get(key).map_or(0, |zones| zones.iter().sum());
                let before = value - used;
                let (last, of) = seen.get(key).copied().unwrap_or((0, 0));
                // Only who is another than the one before may begin at 0.
                let begins = before == 0 && there.get(key) != Some(&of);
                prop_assert!(before == last || begins, "{} was {}, is {}", key, last, before);
                let of = there.get(key).copied().unwrap_or(of);
                seen.insert(*key, (*value, of));
            }
            let successor = |key: &u8, _| there.get(key).copied();
            top.expire(now.saturating_sub(linger), now, &successor);
        }
    }
}
