//! A report as `co2_eq_emissions` of a Hugging Face model card: its front matter, or merged into that of a README.
//!
//! The keys are those of <https://huggingface.co/docs/hub/model-cards-co2>. What the report does not tell (the type of
//! the training, the hardware) is there only when somebody said it.

mod merge;

use std::collections::BTreeSet;
use std::fmt::Write;

use super::place::place;
use super::units::{figure, percent, time};
use crate::report::{Report, Revision};

pub use merge::{MergeError, merge};

/// The one key that this program writes.
const KEY: &str = "co2_eq_emissions";

/// What a model card says that no ledger knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CardFacts {
    /// Which kind of training the run was.
    pub training_type: Option<TrainingType>,
    /// What it ran on.
    pub hardware: Option<String>,
}

/// Kinds of training that the Hub tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum TrainingType {
    /// From scratch
    PreTraining,
    /// Of a model that was there
    FineTuning,
}

impl TrainingType {
    /// As the Hub spells it.
    const fn as_str(self) -> &'static str {
        match self {
            Self::PreTraining => "pre-training",
            Self::FineTuning => "fine-tuning",
        }
    }
}

/// A model card states grams, and the report has none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a model card states grams, and those of run '{0}' are not known; the table says why")]
pub struct NoGrams(String);

/// The front matter of a model card, from the first `---` to the last.
///
/// # Errors
/// Where the report has no grams.
pub fn model_card(report: &Report, facts: &CardFacts) -> Result<String, NoGrams> {
    Ok(format!("---\n{}---\n", entry(report, facts)?))
}

/// The key and what belongs to it, as lines of YAML.
///
/// # Errors
/// Where the report has no grams.
pub fn entry(report: &Report, facts: &CardFacts) -> Result<String, NoGrams> {
    let grams = report
        .carbon_grams
        .ok_or_else(|| NoGrams(report.run.clone()))?;
    let texts = [
        ("source", Some(source(report))),
        (
            "training_type",
            facts.training_type.map(|kind| kind.as_str().to_owned()),
        ),
        ("geographical_location", location(report)),
        ("hardware_used", facts.hardware.clone()),
    ];
    // Without an exponent or a separator, whatever the size: the Hub reads `1e-05` and `1,234` as 1.
    let mut lines = format!("{KEY}:\n  emissions: {grams}\n");
    for (key, text) in texts {
        if let Some(text) = text {
            let _ = writeln!(lines, "  {key}: {}", quoted(&text));
        }
    }
    Ok(lines)
}

/// What the grams are, and how well they are known.
fn source(report: &Report) -> String {
    let signals: BTreeSet<&str> = report
        .intensity
        .iter()
        .map(|used| used.kind.as_str())
        .collect();
    let signals: Vec<&str> = signals.into_iter().collect();
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "hxmlops {version}: operational, {}, PUE {}; energy {} measured, intensity {} measured; {}",
        signals.join(" and "),
        figure(report.pue),
        percent(report.energy_basis.measured),
        percent(report.intensity_basis.measured),
        revision(&report.revision),
    )
}

fn revision(revision: &Revision) -> String {
    match revision.recorded {
        Some(recorded) => format!("revision {} of {}", revision.number, time(recorded)),
        None => format!("revision {}", revision.number),
    }
}

fn location(report: &Report) -> Option<String> {
    let zones = report.intensity.iter();
    let places: BTreeSet<String> = zones.map(|used| place(&used.intensity_zone)).collect();
    let places: Vec<String> = places.into_iter().collect();
    (!places.is_empty()).then(|| places.join(", "))
}

/// A double-quoted scalar of YAML, on one line, in which every character is one that YAML can print.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for char in text.chars() {
        match char {
            '"' | '\\' => quoted.extend(['\\', char]),
            char if is_plain(char) => quoted.push(char),
            char => {
                let _ = write!(quoted, "\\U{:08X}", u32::from(char));
            }
        }
    }
    quoted.push('"');
    quoted
}

fn is_plain(char: char) -> bool {
    let is_invisible =
        super::escape::terminal(char.encode_utf8(&mut [0; 4])).len() > char.len_utf8();
    !is_invisible && !matches!(char, '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::fixture::{rich, without_grams};

    fn facts(hardware: &str) -> CardFacts {
        CardFacts {
            training_type: Some(TrainingType::FineTuning),
            hardware: Some(hardware.to_owned()),
        }
    }

    #[test]
    fn a_card_has_what_is_known_and_nothing_else() {
        insta::assert_snapshot!(
            "model_card",
            model_card(&rich(), &facts("2 x H100")).unwrap()
        );
        let plain = model_card(&rich(), &CardFacts::default()).unwrap();
        assert!(
            !plain.contains("training_type") && !plain.contains("hardware"),
            "{plain}"
        );
    }

    #[test]
    fn grams_are_plain_decimals_of_full_precision() {
        let check = |grams: f64, expected: &str| {
            let report = Report {
                carbon_grams: Some(grams),
                ..rich()
            };
            let card = model_card(&report, &CardFacts::default()).unwrap();
            let line = card.lines().nth(2).unwrap();
            assert_eq!(line, format!("  emissions: {expected}"));
            assert_eq!(expected.parse::<f64>().unwrap().to_bits(), grams.to_bits());
        };
        check(0.0, "0");
        check(1e-5, "0.00001");
        check(1_234_567.0, "1234567");
        check(1e21, "1000000000000000000000");
        check(13.600_016_666_666_656, "13.600016666666656");
    }

    #[test]
    fn without_grams_there_is_no_card() {
        let error = model_card(&without_grams(), &CardFacts::default()).unwrap_err();
        assert!(error.to_string().contains("are not known"), "{error}");
    }

    #[test]
    fn what_a_user_says_is_one_string_of_yaml() {
        for hardware in [
            "a\"b\\c",
            "- x: #",
            "line\nbreak\r\u{85}\u{2028}",
            "\u{feff}\u{202e}\0",
            "火 é 🖥",
        ] {
            let card = entry(&rich(), &facts(hardware)).unwrap();
            let read: serde_json::Value = serde_saphyr::from_str(&card).unwrap();
            assert_eq!(read[KEY]["hardware_used"], hardware, "{card}");
            assert!(card.is_ascii() || hardware.starts_with('火'), "{card}");
        }
    }
}
