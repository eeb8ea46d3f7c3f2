//! The agent's own files: its configuration, and what it learned of idle power.

#![no_main]

use std::ffi::OsString;
use std::time::Duration;

use agent::config::file::merge_text;
use agent::config::{Args, Config};
use agent::idle::IdlePower;
use agent::idle::envelope::Envelope;
use agent::sensor::IdleSource;
use agent::state::file::{Kept, Machine};
use clap::Parser as _;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzz::one_of(data, &[check_config, check_idle]));

fn check_config(text: &[u8]) {
    let Ok(text) = str::from_utf8(text) else {
        return;
    };
    let flags = ["hxmlops-agent", "--node-name=n"].map(OsString::from);
    let merged = match merge_text(&flags, text) {
        Ok(merged) => merged,
        Err(error) => return assert!(!format!("{error:#}").contains('\n'), "{error:#}"),
    };
    let config = Args::try_parse_from(merged.arguments)
        .ok()
        .and_then(|args| Config::check(args).ok());
    if let Some(config) = config {
        assert!((Duration::from_secs(1)..=Duration::from_secs(300)).contains(&config.interval));
        assert!(wire::is_name(&config.cluster) && config.node_name == "n");
        assert!(config.idle_watts.iter().all(|(_, watts)| watts.is_finite()));
    }
}

/// What is taken from the file can be written again, and idle power stays a power whatever is seen next.
fn check_idle(json: &[u8]) {
    let machine = Machine {
        node: "n".to_owned(),
        cpu: "c".to_owned(),
        threads: 2,
    };
    let Ok(kept) = Kept::from_json(json, &machine) else {
        return;
    };
    let written = kept.to_json().expect("it came so");
    let again = Kept::from_json(&written, &machine).expect("it can be read again");
    assert_eq!(again.to_json().ok(), Some(written));
    for zone in kept.zones {
        check_learned(zone.envelope);
    }
}

fn check_learned(mut envelope: Envelope) {
    let mut idle = IdlePower::new(IdleSource::Seed(40.0));
    idle.restore(envelope.clone());
    assert!(idle.watts().is_finite() && idle.watts() >= 0.0, "{idle:?}");
    for hour in 0..200 {
        let utilisation = f64::from(hour % 20) / 20.0;
        envelope.observe(3_600_000_000_000, Some((f64::from(hour), utilisation)));
        assert!(envelope.is_sound());
    }
    assert!(envelope.idle_watts().is_some_and(f64::is_finite));
}
