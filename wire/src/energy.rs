//! Energy as an integer count of microjoules, and how a whole is split without losing one.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

use serde::{Deserialize, Serialize};

/// An amount of energy, in whole microjoules, from 0 to 1.8e13 J.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Energy(u64);

impl Energy {
    /// No energy.
    pub const ZERO: Self = Self(0);

    /// From microjoules.
    #[must_use]
    pub const fn from_microjoules(microjoules: u64) -> Self {
        Self(microjoules)
    }

    /// From joules, rounded to the nearest microjoule; `None` when negative, not finite or too large.
    #[must_use]
    pub fn from_joules(joules: f64) -> Option<Self> {
        let microjoules = (joules * 1e6).round();
        (microjoules >= 0.0 && microjoules < u64::MAX as f64).then_some(Self(microjoules as u64))
    }

    /// In microjoules.
    #[must_use]
    pub const fn microjoules(self) -> u64 {
        self.0
    }

    /// In joules. Exact to the microjoule up to 9e9 J (2^53 microjoules).
    #[must_use]
    pub fn joules(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// The difference, or `None` where it would be negative.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }
}

impl Add for Energy {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Energy {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Energy {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for Energy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06} J", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// Splits `total` in proportion to `weights` by the method of the largest remainder (Hamilton's): each
/// share is its exact quota rounded down, and the microjoules left over go one each to the largest
/// fractions, to the earlier one among equals.
///
/// The shares sum to `total` exactly, and each is within one microjoule of its quota. `None` when every
/// weight is 0 (or there is none), since nothing then says whose the energy is.
#[must_use]
pub fn apportion(total: Energy, weights: &[u64]) -> Option<Vec<Energy>> {
    let weight_sum: u128 = weights.iter().map(|&weight| u128::from(weight)).sum();
    if weight_sum == 0 {
        return None;
    }
    // (share, fraction): total x weight < 2^128, so the product cannot overflow.
    let quotas = weights.iter().map(|&weight| {
        let product = u128::from(total.0) * u128::from(weight);
        ((product / weight_sum) as u64, product % weight_sum)
    });
    let (mut shares, fractions): (Vec<u64>, Vec<u128>) = quotas.unzip();
    let left_over = total.0 - shares.iter().sum::<u64>();

    let mut by_fraction: Vec<usize> = (0..weights.len()).collect();
    by_fraction.sort_by(|&a, &b| fractions[b].cmp(&fractions[a]).then(a.cmp(&b)));
    for &index in by_fraction.iter().take(left_over as usize) {
        shares[index] += 1;
    }
    Some(shares.into_iter().map(Energy).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(total: u64, weights: &[u64], expected: Option<&[u64]>) {
        let shares = apportion(Energy(total), weights);
        let shares = shares.map(|shares| {
            shares
                .into_iter()
                .map(Energy::microjoules)
                .collect::<Vec<_>>()
        });
        assert_eq!(shares.as_deref(), expected, "{total} by {weights:?}");
    }

    #[test]
    fn left_over_microjoules_go_to_the_largest_fractions() {
        check(10, &[1, 1, 1], Some(&[4, 3, 3]));
        check(100, &[1, 2, 3], Some(&[17, 33, 50]));
        check(1, &[1, 2], Some(&[0, 1]));
        check(7, &[0, 5], Some(&[0, 7]));
        check(0, &[3, 4], Some(&[0, 0]));
        check(5, &[0, 0], None);
        check(5, &[], None);
        check(
            u64::MAX,
            &[u64::MAX, u64::MAX],
            Some(&[u64::MAX / 2 + 1, u64::MAX / 2]),
        );
    }

    #[test]
    fn joules_round_to_the_microjoule() {
        assert_eq!(Energy::from_joules(1.234_567_8), Some(Energy(1_234_568)));
        assert_eq!(Energy::from_joules(-1.0), None);
        assert_eq!(Energy::from_joules(f64::NAN), None);
        assert_eq!(Energy(1_500_000).to_string(), "1.500000 J");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]
        #[test]
        fn shares_sum_to_the_total_and_keep_their_quota(
            total in any::<u64>(),
            weights in prop::collection::vec(any::<u64>(), 1..20),
        ) {
            let weight_sum: u128 = weights.iter().map(|&w| u128::from(w)).sum();
            prop_assume!(weight_sum > 0);
            let shares = apportion(Energy(total), &weights).expect("a weight is positive");
            let sum: u128 = shares.iter().map(|share| u128::from(share.0)).sum();
            prop_assert_eq!(sum, u128::from(total));
            for (share, &weight) in shares.iter().zip(&weights) {
                let floor = u128::from(total) * u128::from(weight) / weight_sum;
                prop_assert!((floor..=floor + 1).contains(&u128::from(share.0)));
                prop_assert!(weight > 0 || share.0 == 0);
            }
        }
    }
}
