//! What wins over what, and what is refused.

use super::*;

fn args() -> ServeArgs {
    ServeArgs {
        data_dir: Some("/data".into()),
        ..ServeArgs::default()
    }
}

fn read(args: ServeArgs, yaml: &str) -> Result<ServeConfig, InvalidConfig> {
    resolve(args, parse(yaml).map_err(InvalidConfig)?)
}

#[test]
fn without_a_word_it_listens_on_loopback_and_knows_no_grid() {
    let config = read(args(), "").unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8642");
    assert_eq!(config.run_metrics_ttl, Duration::from_secs(3600));
    assert_eq!(config.retention.raw, 48 * HOUR);
    assert_eq!(config.retention.minutes, 90 * 24 * HOUR);
    let [site] = config.sites.sites() else {
        panic!("one site, not {:?}", config.sites);
    };
    assert_eq!((site.name.as_str(), site.pue), ("default", 1.0));
    assert_eq!(site.intensity_zone, None);
}

#[test]
fn flags_win_over_the_file() {
    let yaml = "
        listen: 127.0.0.1:1
        data-dir: /file
        intensity_zone: DE
        pue: 1.5
        run-metrics-ttl: 2m
        keep-raw: 2h
        keep_minutes: 7d
        site: paris
        sites:
          - { name: paris, intensity_zone: FR, pue: 1.3, nodes: ['p-*'] }
          - { name: oslo, intensity_zone: NO, nodes: ['o-*', 'gpu?'] }
        ";
    let flags = ServeArgs {
        pue: Some(1.1),
        keep_raw: Some("1d 2h".to_owned()),
        ..args()
    };
    let config = read(flags, yaml).unwrap();
    assert_eq!(config.data_dir, Path::new("/data"));
    assert_eq!(config.listen.port(), 1);
    assert_eq!(config.run_metrics_ttl, Duration::from_secs(120));
    assert_eq!(config.retention.raw, 26 * HOUR);
    assert_eq!(config.retention.minutes, 7 * 24 * HOUR);
    let site = |node| {
        let site = config.sites.of_node(node);
        let zone = site.intensity_zone.as_deref().unwrap();
        (site.name.as_str(), zone, site.pue)
    };
    assert_eq!(site("p-1"), ("paris", "DE", 1.1));
    assert_eq!(site("x"), ("paris", "DE", 1.1));
    assert_eq!(site("o-1"), ("oslo", "NO", 1.0));
    assert_eq!(site("gpu7"), ("oslo", "NO", 1.0));
}

#[test]
fn a_site_has_a_grid_a_building_contracts_and_hardware() {
    let yaml = "
        sites:
          - { name: a, intensity-zone: 'aws:us-east-1', nodes: ['a-*'] }
          - name: b
            intensity_zone: FR
            signal: average-direct-production
            pue: 1.3
            pue-by-year: { '2025': 1.4 }
            market: { g-per-kwh: 12.5, by-year: { 2025: 30 }, source: wind }
            embodied:
              - { nodes: ['b-gpu-*'], total-kg: 1500, life-years: 4, cpus: 64, gpu-kg: 150, gpu-watts: 700, source: maker }
              - { nodes: ['*'], total_kg: 1000, life_years: 5, cpus: 32 }
            nodes: ['b-*']
        ";
    let config = read(args(), yaml).unwrap();
    let cloud = config.sites.of_node("a-1");
    assert_eq!(cloud.intensity_zone.as_deref(), Some("US-MIDA-PJM"));
    assert_eq!(cloud.pue, 1.135);
    assert!(cloud.pue_source.as_ref().unwrap().contains("aws"));
    let own = config.sites.of_node("b-gpu-1");
    assert_eq!(own.signal.as_str(), "average-direct-production");
    assert_eq!((own.pue, own.pue_by_year[&2025]), (1.3, 1.4));
    assert_eq!(own.pue_source, None);
    assert_eq!(own.market.as_ref().unwrap().by_year[&2025], 30.0);
    assert_eq!(own.node_type("b-gpu-1").unwrap().gpu_kg, 150.0);
    assert_eq!(own.node_type("b-1").unwrap().cpus, 32);
    let with_pue = read(args(), "{intensity_zone: 'gcp:europe-west1', pue: 1.2}").unwrap();
    let [site] = with_pue.sites.sites() else {
        panic!("one site");
    };
    assert_eq!((site.pue, &site.pue_source), (1.2, &None));
}

#[test]
fn what_cannot_be_is_named_in_one_line() {
    let check = |yaml: &str, expected: &str| {
        let error = read(args(), yaml).unwrap_err().to_string();
        assert!(error.contains(expected), "{yaml}: {error}");
    };
    check("listen: 0.0.0.0:8642", "--insecure");
    check("tls_cert: c", "go together");
    check("tls-key: k", "go together");
    check("client_ca: a", "with them");
    check("pue: 0.9", "1 or more");
    check("pue: .nan", "1 or more");
    check("site: ''", "no usable name");
    check("run_metrics_ttl: soon", "'soon' is no time");
    check("run_metrics_ttl: -1h", "'-1h' is no time");
    check("keep_raw: 59m", "--keep-raw 59m is less than 1h");
    check("keep-minutes: 3 moons", "'3 moons' is no time");
    check("sites: [{name: a}, {name: a}]", "listed twice");
    check("sites: [{name: a, grid: FR}]", "grid");
    check("intensity_zone: 'aws:eu-west-33'", "aws:eu-west-3;");
    check("sites: [{name: a, signal: marginal}]", "unknown kind");
    check("sites: [{name: a, pue_by_year: {2025: 0.5}}]", "PUE of 0.5");
    check(
        "sites: [{name: a, market: {g_per_kwh: -1, source: x}}]",
        "factor of -1",
    );
    check(
        "sites: [{name: a, market: {g_per_kwh: 1, source: ''}}]",
        "without a source",
    );
    let node = "{nodes: ['*'], total_kg: 1, life_years: 0, cpus: 1}";
    check(
        &format!("sites: [{{name: a, embodied: [{node}]}}]"),
        "last no time",
    );
    let node = "{nodes: ['*'], total_kg: -1, life_years: 1, cpus: 1}";
    check(
        &format!("sites: [{{name: a, embodied: [{node}]}}]"),
        "0 or more",
    );
    check("tokens: x", "tokens");
    check("- 1", "");
    assert!(read(args(), "{listen: '0.0.0.0:1', insecure: true}").is_ok());
    assert!(read(args(), "listen: '[::1]:1'").is_ok());
    let tls = read(args(), "{listen: '0.0.0.0:1', tls_cert: c, tls_key: k}").unwrap();
    assert!(tls.must_be_guarded);
    assert!(
        !read(args(), "{tls_cert: c, tls_key: k}")
            .unwrap()
            .must_be_guarded
    );
    let careful = ServeArgs {
        insecure: Some(false),
        ..args()
    };
    assert!(read(careful, "{listen: '0.0.0.0:1', insecure: true}").is_err());
}
