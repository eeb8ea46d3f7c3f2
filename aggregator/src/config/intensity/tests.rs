//! Which providers there are, and what is refused.

use super::*;
use crate::config::{ServeArgs, ServeConfig, parse, resolve as resolve_all};

fn read(yaml: &str, args: IntensityArgs) -> Result<ServeConfig, InvalidConfig> {
    let args = ServeArgs {
        data_dir: Some("/data".into()),
        provider: args,
        ..ServeArgs::default()
    };
    resolve_all(args, parse(yaml).map_err(InvalidConfig)?)
}

fn open(yaml: &str, args: IntensityArgs) -> Result<Vec<String>, InvalidConfig> {
    let config = read(yaml, args)?;
    let fed = config.fed.into_iter();
    Ok(fed
        .map(|fed| format!("{} {} {:?}", fed.provider.name(), fed.zone, fed.provider))
        .collect())
}

fn key(text: &str) -> IntensityArgs {
    IntensityArgs {
        intensity_key: Some(Secret::new(text).unwrap()),
        ..IntensityArgs::default()
    }
}

#[test]
fn without_a_word_nobody_is_asked() {
    assert_eq!(
        open("intensity_zone: FR", IntensityArgs::default()).unwrap(),
        [""; 0]
    );
    let idle = "{intensity: static, intensity_zone: FR, providers: {neso: {}}}";
    assert_eq!(open(idle, key("k")).unwrap(), [""; 0]);
}

#[test]
fn each_zone_is_asked_about_once() {
    let yaml = "{intensity: neso, sites: [{name: a, intensity_zone: gb}, {name: b, intensity_zone: GB}, {name: c, intensity_zone: GB-7}]}";
    let fed = open(yaml, IntensityArgs::default()).unwrap();
    assert_eq!(fed.len(), 2);
    assert!(
        fed[0].starts_with("neso GB ") && fed[1].starts_with("neso GB-7 "),
        "{fed:?}"
    );
}

#[test]
fn a_site_may_have_a_provider_of_its_own_and_counts_what_it_tells() {
    let yaml = "{site: a, sites: [
        {name: a, intensity_zone: GB, intensity: neso, nodes: ['a-*']},
        {name: b, intensity_zone: FR, intensity: rte, nodes: ['b-*']},
        {name: c, intensity_zone: FR, nodes: ['c-*']},
        {name: d, intensity_zone: FR, intensity: rte, signal: average-lifecycle, nodes: ['d-*']}]}";
    let config = read(yaml, IntensityArgs::default()).unwrap();
    let fed: Vec<_> = config
        .fed
        .iter()
        .map(|fed| (fed.provider.name(), fed.zone.as_str()))
        .collect();
    assert_eq!(fed, [("neso", "GB"), ("rte", "FR")]);
    let check = |node: &str, signal: &str| {
        assert_eq!(config.sites.of_node(node).signal.as_str(), signal, "{node}");
    };
    check("a-1", "average-direct-consumption");
    check("b-1", "average-direct-production");
    check("c-1", "average-lifecycle-production");
    check("d-1", "average-lifecycle-production");
    let wrong = "{sites: [{name: a, intensity_zone: FR, intensity: neso}]}";
    let error = read(wrong, IntensityArgs::default())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("neso never has the intensity zone 'FR'"),
        "{error}"
    );
    let wrong = "{sites: [{name: a, intensity_zone: FR, intensity: nesoo}]}";
    let error = read(wrong, IntensityArgs::default())
        .unwrap_err()
        .to_string();
    assert!(error.contains("'nesoo' is none of"), "{error}");
}

#[test]
fn flags_win_over_the_file_and_keys_are_not_shown() {
    let yaml =
        "{intensity_zone: DE, intensity: electricitymaps, intensity-url: 'https://file.example',
        providers: {electricitymaps: {emissions: direct, version: v4, zones: {DE: DE-LU}}}}";
    let args = IntensityArgs {
        intensity_url: Some("https://flag.example/em".to_owned()),
        ..key("s3cret")
    };
    let [fed] = &open(yaml, args).unwrap()[..] else {
        panic!("one zone");
    };
    for part in ["https://flag.example/em", "Direct", "v4", "DE-LU", "***"] {
        assert!(fed.contains(part), "{part} in {fed}");
    }
    assert!(!fed.contains("s3cret"), "{fed}");
    let config = read(yaml, key("s3cret")).unwrap();
    assert!(!format!("{config:?} {:?}", key("s3cret")).contains("s3cret"));
}

#[test]
fn what_cannot_be_is_named_in_one_line() {
    let check = |yaml: &str, expected: &str| {
        let error = open(yaml, key("no-password")).unwrap_err().to_string();
        assert!(
            error.contains(expected) && !error.contains('\n'),
            "{yaml}: {error}"
        );
    };
    check(
        "intensity: solar",
        "--intensity 'solar' is none of static, electricitymaps, watttime, neso, rte, file:PATH",
    );
    check("intensity: 'file:'", "is none of");
    check(
        "{intensity: 'file:/nowhere/i.csv', intensity_zone: FR}",
        "/nowhere/i.csv",
    );
    check(
        "{intensity: rte, intensity_zone: DE}",
        "rte never has the intensity zone 'DE' of site 'default'",
    );
    check("{intensity: neso, intensity_zone: GB-18}", "never has");
    check("intensity_url: https://x", "choose one with --intensity");
    check("{intensity: rte, intensity_key_file: f}", "asks for no key");
    check(
        "{intensity: rte, intensity_url: 'ftp://x', intensity_zone: FR}",
        "does not begin with http",
    );
    check(
        "{intensity: rte, intensity_url: 'https://u:p@x', intensity_zone: FR}",
        "give a key file",
    );
    check(
        "{intensity: watttime, intensity_zone: FR}",
        "no USER:PASSWORD",
    );
    check(
        "{intensity: electricitymaps, intensity_url: 'http://em.example', intensity_zone: FR}",
        "in the clear",
    );
    check(
        "{intensity: electricitymaps, intensity_key_file: /nowhere/key, intensity_zone: FR}",
        "/nowhere/key",
    );
    let em = |entry: &str| {
        format!(
            "{{intensity: electricitymaps, intensity_zone: FR, providers: {{electricitymaps: {entry}}}}}"
        )
    };
    check(
        &em("{emissions: all}"),
        "emissions 'all' is none of lifecycle, direct",
    );
    check(&em("{version: '../v3'}"), "version");
    check(
        &em("{signal: co2_moer}"),
        "electricitymaps has no setting 'signal'",
    );
    check(
        "providers: {neso: {key_file: f}}",
        "neso has no setting 'key_file'",
    );
    check("providers: {file: {}}", "'file' is none of");
    let unknown = parse("providers: {neso: {uri: x}}").unwrap_err();
    assert!(unknown.contains("uri"), "{unknown}");
    let error = open(
        "{intensity: electricitymaps, intensity_zone: FR}",
        IntensityArgs::default(),
    );
    assert!(error.unwrap_err().to_string().contains("it needs a key"));
}

#[test]
fn a_provider_of_the_file_has_its_own_key() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    std::fs::write(&path, "user:password\n").unwrap();
    let yaml = format!(
        "{{intensity: watttime, intensity_zone: CAISO_NORTH, providers: {{watttime: {{key-file: {}, signal: co2_aoer}}}}}}",
        path.display()
    );
    let fed = open(&yaml, IntensityArgs::default()).unwrap();
    assert!(fed[0].contains("signal_type: Average"), "{fed:?}");
}
