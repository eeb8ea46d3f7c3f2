//! Stage 2: a table that can be learned from. Rows with a missing or unreadable field go; values that cannot
//! be (negative ones) become the column's median; each column is brought to mean 0 and deviation 1.

use std::path::Path;

use super::{Customer, FEATURES, read_rows, write_table};

pub(super) fn run(directory: &Path) -> anyhow::Result<String> {
    let rows = read_rows(&directory.join("raw.csv"))?;
    let mut customers: Vec<Customer> = rows.iter().flatten().copied().collect();
    anyhow::ensure!(!customers.is_empty(), "raw.csv has no usable row");
    let mut mended = 0;
    for column in 0..FEATURES {
        mended += mend(&mut customers, column);
        standardise(&mut customers, column);
    }
    write_table(&directory.join("clean.csv"), &customers)?;
    Ok(format!(
        "{} rows kept of {}, {mended} values mended",
        customers.len(),
        rows.len()
    ))
}

fn mend(customers: &mut [Customer], column: usize) -> usize {
    let is_bad = |customer: &Customer| customer.features[column].is_sign_negative();
    let mut good: Vec<f32> = customers
        .iter()
        .filter(|customer| !is_bad(customer))
        .map(|customer| customer.features[column])
        .collect();
    good.sort_by(f32::total_cmp);
    let Some(&median) = good.get(good.len() / 2) else {
        return 0;
    };
    let mut mended = 0;
    for customer in customers.iter_mut().filter(|customer| is_bad(customer)) {
        customer.features[column] = median;
        mended += 1;
    }
    mended
}

fn standardise(customers: &mut [Customer], column: usize) {
    let count = customers.len() as f64;
    let values = || {
        customers
            .iter()
            .map(|customer| f64::from(customer.features[column]))
    };
    let mean = values().sum::<f64>() / count;
    let variance = values().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    let deviation = variance.sqrt().max(f64::MIN_POSITIVE);
    for customer in customers {
        let value = f64::from(customer.features[column]);
        customer.features[column] = ((value - mean) / deviation) as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_mended_and_brought_to_one_scale() {
        let customer = |value: f32| Customer {
            features: [value; FEATURES],
            left: false,
        };
        let mut customers: Vec<Customer> = [1.0, 2.0, 3.0, -9.0, 2.0].map(customer).into();
        assert_eq!(mend(&mut customers, 0), 1);
        assert!((customers[3].features[0] - 2.0).abs() < 1e-6);
        standardise(&mut customers, 0);
        let values: Vec<f32> = customers
            .iter()
            .map(|customer| customer.features[0])
            .collect();
        let sum: f32 = values.iter().sum();
        let squares: f32 = values.iter().map(|value| value * value).sum();
        assert!(
            sum.abs() < 1e-5 && (squares / 5.0 - 1.0).abs() < 1e-5,
            "{values:?}"
        );
    }
}
