//! The forms of a report that are files: what a server hands out and the command line prints, the same text.

use serde::Deserialize;
use utoipa::ToSchema;

use super::model_card::{CardFacts, NoGrams, model_card};
use super::report_csv::report_csv;
use super::report_html::report_html;
use super::report_markdown::report_markdown;
use crate::report::Report;

/// Form of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReportForm {
    /// All figures, full precision.
    #[default]
    Json,
    /// A row per stage, full precision.
    Csv,
    /// For a comment on a pull request.
    Markdown,
    /// One file to read and to print, with charts.
    Html,
    /// Front matter of a Hugging Face model card.
    Modelcard,
}

/// Why a report cannot be had in a form.
#[derive(Debug, thiserror::Error)]
pub enum FormError {
    /// It states grams, and there are none.
    #[error(transparent)]
    NoGrams(#[from] NoGrams),
    /// None into memory; csv's interface allows for it.
    #[error("cannot write the report as CSV: {0}")]
    Csv(#[from] csv::Error),
    /// None for the types of this program; serde's interface allows for it.
    #[error("cannot write the report as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl ReportForm {
    /// Media type (RFC 6838).
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Markdown => "text/markdown; charset=utf-8",
            Self::Html => "text/html; charset=utf-8",
            Self::Modelcard => "application/yaml; charset=utf-8",
        }
    }

    /// Whether it shows the run's power over time.
    #[must_use]
    pub const fn shows_course(self) -> bool {
        matches!(self, Self::Html)
    }

    /// The report in this form; `card` is for a model card alone.
    ///
    /// # Errors
    /// Where a model card is asked for and there are no grams.
    pub fn render(self, report: &Report, card: &CardFacts) -> Result<String, FormError> {
        Ok(match self {
            Self::Json => super::json(report)?,
            Self::Csv => report_csv(report)?,
            Self::Markdown => report_markdown(report),
            Self::Html => report_html(report),
            Self::Modelcard => model_card(report, card)?,
        })
    }
}
