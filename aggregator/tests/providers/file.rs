//! A file that changes, and one that is gone.

use aggregator::intensity::IntensityBasis;
use aggregator::provider::file::FileProvider;
use aggregator::provider::{Coverage, IntensityProvider};

use crate::conformance::{at, hours};

const JSON: &str = r#"[{"intensity_zone":"NO","from":"2026-01-05T10:00:00Z","to":"2026-01-05T11:00:00Z","g_per_kwh":28,"source":"a meter"},
    {"intensity_zone":"NO","from":"2026-01-05T11:00:00Z","to":"2026-01-05T12:00:00Z","g_per_kwh":30,"source":"a meter",
     "kind":"average-direct-production","basis":"forecast"}]"#;

#[tokio::test]
async fn forecasts_and_kinds_are_as_the_file_says() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("i.json");
    std::fs::write(&path, JSON).unwrap();
    let file = FileProvider::open(path.clone()).unwrap();
    let (from, now) = (at("2026-01-05T00:00:00Z"), at("2026-01-05T11:30:00Z"));
    let history = file.history("no", from, from + hours(24)).await.unwrap();
    let forecast = file.forecast("NO", now).await.unwrap();
    assert_eq!(
        (history.len(), history[0].basis),
        (1, IntensityBasis::Measured)
    );
    assert_eq!(
        (forecast.len(), forecast[0].kind.as_str()),
        (1, "average-direct-production")
    );
    assert_eq!(file.forecast("NO", now + hours(1)).await, Ok(vec![]));
    assert_eq!(file.history("SE", from, now).await, Ok(vec![]));
    assert_eq!(file.coverage("SE"), Coverage::NotYet);

    std::fs::write(&path, "[{}]").unwrap();
    let error = file.history("NO", from, now).await.unwrap_err();
    assert!(
        error.name() == "malformed" && error.to_string().contains("i.json"),
        "{error}"
    );
    std::fs::remove_file(&path).unwrap();
    let error = file.history("NO", from, now).await.unwrap_err();
    assert_eq!(error.name(), "unreachable");
}
