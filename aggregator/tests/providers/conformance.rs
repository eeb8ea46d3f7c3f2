//! What every provider must do, whatever its shapes are.

use std::time::Duration;

use aggregator::intensity::{IntensityBasis, Slot};
use aggregator::provider::{Coverage, ProviderError, Settings};
use jiff::{SignedDuration, Timestamp};

use crate::fake::{KEY, Mode, points};
use crate::subject::{Running, SUBJECTS, Subject, over_http};

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

fn noon() -> Timestamp {
    at("2026-01-05T12:00:00Z")
}

/// Figures 1, 2, 3 and so on, and again.
fn counted(many: usize) -> Vec<Option<f64>> {
    (0..many)
        .map(|number| Some((number % 1000 + 1) as f64))
        .collect()
}

/// The history of a time, which must be slots of the provider's own kind and length.
async fn history(
    subject: Subject,
    running: &Running,
    from: Timestamp,
    to: Timestamp,
) -> Vec<(Timestamp, f64)> {
    let slots = running
        .provider
        .history(subject.zone, from, to)
        .await
        .unwrap();
    slots.iter().for_each(|slot| check(subject, running, slot));
    let told = slots.into_iter();
    told.map(|slot| (slot.from, rounded(slot.g_per_kwh)))
        .collect()
}

fn check(subject: Subject, running: &Running, slot: &Slot) {
    assert_eq!(slot.validate(), Ok(()));
    assert_eq!(slot.intensity_zone, subject.zone);
    assert_eq!(slot.from.duration_until(slot.to), subject.slot, "{slot:?}");
    assert!(
        running
            .provider
            .signal()
            .is_none_or(|signal| signal == slot.kind)
    );
    assert!(slot.basis < IntensityBasis::Annual);
}

/// Pounds and back leave some digits.
fn rounded(figure: f64) -> f64 {
    (figure * 1e6).round() / 1e6
}

/// Why a question is not answered; no text of it has the key.
async fn error(subject: Subject, running: &Running) -> ProviderError {
    let told = running
        .provider
        .history(subject.zone, noon(), noon() + hours(1));
    let error = told.await.unwrap_err();
    assert_hidden(&format!("{error} {error:?} {:?}", running.provider));
    error
}

/// What is sent for the key: itself, in Base64, and the token that it brings.
fn assert_hidden(text: &str) {
    for secret in [KEY, "s3cret", "c29tZW9uZTpzM2NyZXQtazN5", "t0ken"] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[tokio::test]
async fn history_is_whole_slots_in_utc() {
    for subject in SUBJECTS {
        let running = subject.start().await;
        running.set(points(noon(), subject.slot, counted(6)));
        let slot = |number: i32| noon() + subject.slot * number;
        let all: Vec<_> = (0..6)
            .map(|number| (slot(number), f64::from(number + 1)))
            .collect();
        assert_eq!(
            history(subject, &running, noon(), slot(6)).await,
            all,
            "{}",
            subject.name
        );
        // What begins before the asked time is told as it is, and what begins at its end is not of it.
        let within = history(subject, &running, slot(1) + subject.slot / 3, slot(4)).await;
        assert_eq!(within, all[1..4], "{}", subject.name);
        assert_eq!(running.provider.coverage(subject.zone), Coverage::Has);
    }
}

#[tokio::test]
async fn a_revision_brings_the_new_figure() {
    for subject in SUBJECTS {
        let running = subject.start().await;
        for figure in [100.0, 90.0] {
            running.set(points(noon(), subject.slot, [Some(figure)]));
            let told = history(subject, &running, noon(), noon() + subject.slot).await;
            assert_eq!(told, [(noon(), figure)], "{}", subject.name);
        }
    }
}

#[tokio::test]
async fn what_is_no_figure_is_a_gap() {
    for subject in SUBJECTS {
        let running = subject.start().await;
        let figures = [Some(0.0), None, Some(-1.0), Some(1e9), Some(5.0)];
        running.set(points(noon(), subject.slot, figures));
        let told = history(subject, &running, noon(), noon() + subject.slot * 5).await;
        let last = noon() + subject.slot * 4;
        assert_eq!(told, [(noon(), 0.0), (last, 5.0)], "{}", subject.name);
    }
}

#[tokio::test]
async fn order_and_repetition_say_nothing() {
    for subject in over_http() {
        let running = subject.start().await;
        running.set(points(noon(), subject.slot, counted(4)));
        running.fake().world().mode = Mode::Disordered;
        let told = history(subject, &running, noon(), noon() + subject.slot * 4).await;
        let figures: Vec<f64> = told.iter().map(|(_, figure)| *figure).collect();
        assert_eq!(figures, [1.0, 2.0, 3.0, 4.0], "{}", subject.name);
    }
}

#[tokio::test]
async fn clocks_that_change_and_years_that_end_leave_no_mark() {
    for (from, to) in [
        // Paris' day of 23 hours, and that of 25.
        ("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
        ("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
        ("2025-12-31T20:00:00Z", "2026-01-01T04:00:00Z"),
        ("2028-02-28T12:00:00Z", "2028-03-01T12:00:00Z"),
    ] {
        let (from, to) = (at(from), at(to));
        for subject in SUBJECTS {
            let running = subject.start().await;
            let many = from.duration_until(to).as_secs() / subject.slot.as_secs();
            running.set(points(from, subject.slot, counted(many as usize)));
            let told = history(subject, &running, from, to).await;
            let is_next = |pair: &[(Timestamp, f64)]| pair[0].0 + subject.slot == pair[1].0;
            assert_eq!(told.len(), many as usize, "{} {from}", subject.name);
            assert!(told.windows(2).all(is_next), "{} {from}", subject.name);
        }
    }
}

#[tokio::test]
async fn a_long_time_is_asked_for_in_pages() {
    for subject in over_http() {
        let running = subject.start().await;
        let window = running.provider.rhythm().window;
        let many = 2 + window.as_secs() / subject.slot.as_secs();
        running.set(points(noon(), subject.slot, counted(many as usize)));
        let to = noon() + subject.slot * many as i32;
        let told = history(subject, &running, noon(), to).await;
        assert_eq!(told.len(), many as usize, "{}", subject.name);
        let asked = running.fake().asked(subject.history.unwrap());
        assert_eq!(asked.len(), 2, "{}", subject.name);
    }
}

#[tokio::test]
async fn forecasts_are_forecasts() {
    for subject in SUBJECTS {
        let running = subject.start().await;
        running.set(points(noon(), subject.slot, counted(4)));
        let slots = running
            .provider
            .forecast(subject.zone, noon())
            .await
            .unwrap();
        slots.iter().for_each(|slot| check(subject, &running, slot));
        assert!(
            slots
                .iter()
                .all(|slot| slot.basis == IntensityBasis::Forecast)
        );
        let expected = if subject.forecasts { 4 } else { 0 };
        assert_eq!(slots.len(), expected, "{}", subject.name);
    }
}

#[tokio::test]
async fn another_zone_s_figures_are_not_taken() {
    for subject in over_http().filter(|subject| subject.echoes) {
        let running = subject.start().await;
        running.set(points(noon(), subject.slot, counted(4)));
        running.fake().world().mode = Mode::OtherZone;
        assert_eq!(
            error(subject, &running).await.name(),
            "unknown_zone",
            "{}",
            subject.name
        );
        if subject.forecasts {
            let told = running.provider.forecast(subject.zone, noon()).await;
            assert_eq!(told.unwrap_err().name(), "unknown_zone", "{}", subject.name);
        }
    }
}

#[tokio::test]
async fn throttling_is_told_and_kept_to() {
    for subject in over_http() {
        let running = subject.start().await;
        running.fake().world().mode = Mode::Status(429, Some(3600));
        let ProviderError::Throttled(Some(first)) = error(subject, &running).await else {
            panic!("{} is not throttled", subject.name);
        };
        assert_eq!(first, Duration::from_secs(3600));
        let asked = running.fake().asked("").len();
        assert_eq!(asked, 1, "{}", subject.name);
        running.fake().world().mode = Mode::Right;
        assert_eq!(
            error(subject, &running).await.name(),
            "throttled",
            "{}",
            subject.name
        );
        assert_eq!(running.fake().asked("").len(), asked, "{}", subject.name);
    }
}

#[tokio::test]
async fn a_key_that_was_good_is_one_that_is_asked_too_often_with() {
    for subject in over_http() {
        let running = subject.start().await;
        running.fake().world().mode = Mode::Status(401, None);
        assert_eq!(
            error(subject, &running).await.name(),
            "unauthorized",
            "{}",
            subject.name
        );
        running.fake().world().mode = Mode::Right;
        history(subject, &running, noon(), noon() + hours(1)).await;
        running.fake().world().mode = Mode::Status(401, None);
        assert_eq!(
            error(subject, &running).await.name(),
            "throttled",
            "{}",
            subject.name
        );
    }
}

#[tokio::test]
async fn each_fault_has_its_name() {
    for subject in over_http() {
        for (mode, name) in [
            (Mode::Status(400, None), "bad_window"),
            (Mode::Status(403, None), "refused"),
            (Mode::Status(429, None), "throttled"),
            (Mode::Status(500, None), "unreachable"),
            (Mode::Status(503, None), "unreachable"),
            (Mode::Repeating, "refused"),
            (Mode::Html, "malformed"),
            (Mode::Cut, "unreachable"),
            (Mode::Elsewhere, "unreachable"),
        ] {
            let running = subject.start().await;
            running.set(points(noon(), subject.slot, counted(1)));
            running.fake().world().mode = mode;
            let error = error(subject, &running).await;
            assert_eq!(error.name(), name, "{} {mode:?}", subject.name);
            // It is not remembered.
            running.fake().world().mode = Mode::Right;
            let told = history(subject, &running, noon(), noon() + hours(1)).await;
            assert_eq!(told.len(), 1, "{} {mode:?}", subject.name);
        }
    }
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_not_waited_for() {
    for subject in over_http() {
        let settings = Settings {
            answer_within: Duration::from_millis(200),
            ..Settings::default()
        };
        let running = subject.start_with(settings).await;
        running.fake().world().mode = Mode::Silent;
        let error = error(subject, &running).await.to_string();
        assert_eq!(error, "it cannot be reached: it did not answer in time");
    }
}

#[tokio::test]
async fn a_provider_that_repeats_the_key_does_not_have_it_shown() {
    for subject in over_http() {
        let running = subject.start().await;
        history(subject, &running, noon(), noon() + hours(1)).await;
        running.fake().world().mode = Mode::Repeating;
        let error = error(subject, &running).await;
        assert!(error.to_string().starts_with("it refuses: no "), "{error}");
    }
}

#[tokio::test]
async fn a_port_on_which_nobody_listens_is_named() {
    let subject = SUBJECTS[2];
    let kind = aggregator::provider::kind_named(subject.name).unwrap();
    let settings = Settings {
        url: Some("http://127.0.0.1:1".to_owned()),
        ..Settings::default()
    };
    let provider = (kind.open)(&settings).unwrap();
    let told = provider
        .history(subject.zone, noon(), noon() + hours(1))
        .await;
    let error = told.unwrap_err().to_string();
    assert_eq!(
        error,
        "it cannot be reached: Connection refused (os error 111)"
    );
}
