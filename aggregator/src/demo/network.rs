//! A network with one hidden layer: eight columns in, the chance of leaving out.

use fastrand::Rng;
use serde::{Deserialize, Serialize};

use super::{Customer, FEATURES};

const HIDDEN: usize = 32;

/// Weights, and in the same shape their gradients.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Network {
    input: Vec<[f32; FEATURES]>,
    input_bias: Vec<f32>,
    output: Vec<f32>,
    output_bias: f32,
}

impl Network {
    pub(super) fn random(random: &mut Rng) -> Self {
        let mut weight = || random.f32() - 0.5;
        Self {
            input: (0..HIDDEN)
                .map(|_| std::array::from_fn(|_| weight()))
                .collect(),
            input_bias: vec![0.0; HIDDEN],
            output: (0..HIDDEN).map(|_| weight() / 4.0).collect(),
            output_bias: 0.0,
        }
    }

    fn zero() -> Self {
        Self {
            input: vec![[0.0; FEATURES]; HIDDEN],
            input_bias: vec![0.0; HIDDEN],
            output: vec![0.0; HIDDEN],
            output_bias: 0.0,
        }
    }

    /// Chance that the customer leaves, 0 to 1.
    pub(super) fn predict(&self, customer: &Customer) -> f32 {
        self.forward(customer).1
    }

    fn forward(&self, customer: &Customer) -> ([f32; HIDDEN], f32) {
        let hidden: [f32; HIDDEN] = std::array::from_fn(|unit| {
            let weighted = self.input[unit]
                .iter()
                .zip(&customer.features)
                .map(|(weight, value)| weight * value);
            (weighted.sum::<f32>() + self.input_bias[unit]).tanh()
        });
        let score: f32 = self
            .output
            .iter()
            .zip(&hidden)
            .map(|(weight, value)| weight * value)
            .sum();
        (hidden, 1.0 / (1.0 + (-score - self.output_bias).exp()))
    }

    /// Sum of the gradients of the log loss over `customers`.
    pub(super) fn gradient(&self, customers: &[Customer]) -> Self {
        let mut gradient = Self::zero();
        for customer in customers {
            let (hidden, chance) = self.forward(customer);
            let error = chance - f32::from(u8::from(customer.left));
            gradient.output_bias += error;
            for (unit, value) in hidden.into_iter().enumerate() {
                gradient.output[unit] += error * value;
                let back = error * self.output[unit] * (1.0 - value * value);
                gradient.input_bias[unit] += back;
                for (sum, value) in gradient.input[unit].iter_mut().zip(&customer.features) {
                    *sum += back * value;
                }
            }
        }
        gradient
    }

    /// Steps against a gradient.
    pub(super) fn descend(&mut self, gradient: &Self, rate: f32) {
        self.output_bias -= rate * gradient.output_bias;
        let vectors = [
            (&mut self.output, &gradient.output),
            (&mut self.input_bias, &gradient.input_bias),
        ];
        for (weights, gradients) in vectors {
            weights
                .iter_mut()
                .zip(gradients)
                .for_each(|(weight, gradient)| *weight -= rate * gradient);
        }
        for (weights, gradients) in self.input.iter_mut().zip(&gradient.input) {
            weights
                .iter_mut()
                .zip(gradients)
                .for_each(|(weight, gradient)| *weight -= rate * gradient);
        }
    }
}

/// The part to learn from, and the part to test with: every fifth customer.
pub(super) fn split(customers: Vec<Customer>) -> (Vec<Customer>, Vec<Customer>) {
    let (test, train): (Vec<_>, Vec<_>) = customers
        .into_iter()
        .enumerate()
        .partition(|(index, _)| index % 5 == 0);
    let customers =
        |part: Vec<(usize, Customer)>| part.into_iter().map(|(_, customer)| customer).collect();
    (customers(train), customers(test))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descending_the_gradient_learns() {
        let customers: Vec<Customer> = (0..200)
            .map(|index| {
                let value = index as f32 / 100.0 - 1.0;
                Customer {
                    features: [value; FEATURES],
                    left: value > 0.0,
                }
            })
            .collect();
        let mut network = Network::random(&mut Rng::with_seed(1));
        for _ in 0..200 {
            let gradient = network.gradient(&customers);
            network.descend(&gradient, 0.5 / 200.0);
        }
        let right = customers
            .iter()
            .filter(|customer| (network.predict(customer) > 0.5) == customer.left)
            .count();
        assert!(right > 190, "{right} of 200");
    }
}
