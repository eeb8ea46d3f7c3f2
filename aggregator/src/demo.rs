//! A small real ML workflow to measure: who of a telephone company's customers will leave?
//!
//! Four stages, each a process of its own that reads what the one before it wrote: generate a table, clean
//! it, train a network on it, test the network. All random numbers come from fixed seeds, so that every run
//! does the same work.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use anyhow::Context;
use clap::ValueEnum;

mod clean;
mod generate;
mod network;
mod test;
mod train;

/// Name of the workflow on the ledger.
pub const WORKFLOW: &str = "churn";

/// One stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Stage {
    /// Make a table of customers, with the faults that tables have.
    Generate,
    /// Drop and mend bad rows, bring columns to one scale.
    Clean,
    /// Fit a small neural network to four fifths of it.
    Train,
    /// Try the network on the rest, with a confidence interval.
    Test,
}

impl Stage {
    /// In the order in which they run.
    pub const ALL: [Self; 4] = [Self::Generate, Self::Clean, Self::Train, Self::Test];

    /// Name of the stage on the ledger.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Generate => "generate",
            Self::Clean => "clean",
            Self::Train => "train",
            Self::Test => "test",
        }
    }

    /// Does the stage's work on the files in `directory`; returns what it has to say, in one line.
    ///
    /// # Errors
    /// Where a file that an earlier stage should have written cannot be read, or one cannot be written.
    pub fn run(self, directory: &Path) -> anyhow::Result<String> {
        match self {
            Self::Generate => generate::run(directory),
            Self::Clean => clean::run(directory),
            Self::Train => train::run(directory),
            Self::Test => test::run(directory),
        }
    }
}

/// Columns of the table, beside the label.
const COLUMNS: [&str; FEATURES] = [
    "tenure_months",
    "monthly_charge",
    "calls",
    "complaints",
    "data_gigabytes",
    "age",
    "late_payments",
    "contract_months",
];
const FEATURES: usize = 8;

/// A customer: the columns, and whether they left.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Customer {
    features: [f32; FEATURES],
    left: bool,
}

fn write_table(path: &Path, customers: &[Customer]) -> anyhow::Result<()> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut writer = csv::Writer::from_writer(BufWriter::new(file));
    writer.write_record(COLUMNS.iter().chain(&["left"]))?;
    for customer in customers {
        let features = customer.features.iter().map(ToString::to_string);
        writer.write_record(features.chain([u8::from(customer.left).to_string()]))?;
    }
    Ok(writer.flush()?)
}

/// Each row as a customer, or `None` where it is none: a raw table may hold anything.
fn read_rows(path: &Path) -> anyhow::Result<Vec<Option<Customer>>> {
    let mut reader =
        csv::Reader::from_path(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut row = csv::StringRecord::new();
    let mut customers = Vec::new();
    while reader.read_record(&mut row)? {
        customers.push(parse_row(&row));
    }
    Ok(customers)
}

fn read_table(path: &Path) -> anyhow::Result<Vec<Customer>> {
    let customers: Option<Vec<Customer>> = read_rows(path)?.into_iter().collect();
    customers.with_context(|| format!("{} has a row that is no customer", path.display()))
}

/// `None` where a field is missing or no finite number.
fn parse_row(row: &csv::StringRecord) -> Option<Customer> {
    let mut features = [0.0; FEATURES];
    for (feature, field) in features.iter_mut().zip(row) {
        *feature = field.parse().ok().filter(|value: &f32| value.is_finite())?;
    }
    let left = match row.get(FEATURES)? {
        "0" => false,
        "1" => true,
        _ => return None,
    };
    Some(Customer { features, left })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_a_customer_or_nothing() {
        let row = |fields: &[&str]| parse_row(&csv::StringRecord::from(fields.to_vec()));
        let good = row(&["1", "2", "3", "4", "5", "6", "7", "8", "1"]);
        assert_eq!(
            good,
            Some(Customer {
                features: [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0],
                left: true
            })
        );
        assert_eq!(row(&["", "2", "3", "4", "5", "6", "7", "8", "1"]), None);
        assert_eq!(row(&["inf", "2", "3", "4", "5", "6", "7", "8", "1"]), None);
        assert_eq!(row(&["1", "2", "3", "4", "5", "6", "7", "8", "yes"]), None);
        assert_eq!(row(&["1"]), None);
    }
}
