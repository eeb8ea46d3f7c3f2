//! A platform meter behind Redfish: the real agent, and a controller with its faults.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::time::Duration;

use e2e::authority::Authority;
use e2e::powercap::Tree;
use e2e::redfish::{Controller, Mood};
use e2e::{Running, get, metric_sum, output, poll, text};

const JOULE: u64 = 1_000_000;
const RANGE: u64 = 262_143_328_850;

struct Site {
    directory: tempfile::TempDir,
    powercap: Tree,
    controller: Controller,
}

impl Site {
    fn new(mood: Mood) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let authority = Authority::new(&path("ca.pem")).unwrap();
        Authority::new(&path("other-ca.pem")).unwrap();
        let (cert, key) = (path("cert.pem"), path("key.pem"));
        authority.sign(&cert, &key, &[]).unwrap();
        fs::write(path("good"), "root:calvin\n").unwrap();
        fs::write(path("wrong"), "root:hobbes").unwrap();
        Self {
            controller: Controller::start(&cert, &key, mood).unwrap(),
            powercap: Tree::new(&[("intel-rapl:0", "package-0", 0, RANGE)]).unwrap(),
            directory,
        }
    }

    fn agent(&self, ca: &str, credentials: &str) -> Running {
        let path = |name: &str| text(&self.directory.path().join(name)).to_owned();
        let args = [
            ["--power", "rapl,redfish"],
            ["--redfish-url", self.controller.url()],
            ["--redfish-ca-file", &path(ca)],
            ["--redfish-credentials-file", &path(credentials)],
            ["--sys-root", text(self.powercap.root())],
            ["--usage", "accounting"],
            ["--interval", "1s"],
            ["--listen", "127.0.0.1:0"],
        ];
        Running::start("hxmlops-agent", args.as_flattened()).unwrap()
    }
}

fn metrics(agent: &Running) -> String {
    get(&format!("{}/metrics", agent.url())).unwrap().1
}

fn nested(text: &str) -> f64 {
    let labels = ["zone=\"platform\"", "basis=\"measured\""];
    metric_sum(text, "hxmlops_node_nested_energy_joules_total", &labels)
}

fn additive(text: &str, zone: &str) -> f64 {
    let zone = format!("zone=\"{zone}\"");
    metric_sum(text, "hxmlops_node_energy_joules_total", &[&zone])
}

/// The metrics once they are so.
fn until(agent: &Running, what: &str, is_so: impl Fn(&str) -> bool) -> String {
    poll(what, || Ok(Some(metrics(agent)).filter(|text| is_so(text)))).unwrap()
}

#[test]
fn the_rest_of_the_platform_is_a_zone_of_its_own_that_adds_up() {
    for (mood, fault) in [
        (Mood::Newer(300.0), Mood::Garbage),
        (Mood::Older(300.0), Mood::Stranger(9_000.0)),
    ] {
        let site = Site::new(mood);
        let agent = site.agent("ca.pem", "good");
        until(&agent, "the meter", |text| nested(text) > 0.0);
        site.powercap.set("intel-rapl:0", 40 * JOULE).unwrap();
        let text = until(&agent, "the rest of it", |text| {
            additive(text, "package-0") == 40.0 && additive(text, "other") > 0.0
        });
        // Both began with the agent, and the parts may be ahead of the meter.
        let (platform, other) = (nested(&text), additive(&text, "other"));
        assert!(other <= platform, "{platform} J: {other} J + 40 J");
        assert!(text.contains("source=\"redfish\""), "{text}");
        let labels = ["zone=\"other\"", "basis=\"measured\""];
        assert!(metric_sum(&text, "hxmlops_node_energy_joules_total", &labels) > 0.0);
        let asked = site.controller.paths().len();
        site.controller.set(fault);
        let up = |text: &str| metric_sum(text, "hxmlops_agent_source_up", &["zone=\"platform\""]);
        until(&agent, "the fault", |text| up(text) == 0.0);
        let asked = &site.controller.paths()[asked..];
        let is_its_own = |path: &String| path.starts_with("/redfish/v1/Chassis/Self/");
        assert!(asked.iter().all(is_its_own), "{asked:?}");
        agent.stop().unwrap();
    }
}

/// Fault 14 of the peers, and the promise that one bad thing spoils only itself.
#[test]
fn fault_14_a_controller_that_hangs_keeps_no_scrape_and_no_other_zone_waiting() {
    let site = Site::new(Mood::Hanging(Duration::from_secs(3_600)));
    let agent = site.agent("ca.pem", "good");
    poll("a request", || {
        Ok((!site.controller.paths().is_empty()).then_some(()))
    })
    .unwrap();
    site.powercap.set("intel-rapl:0", 7 * JOULE).unwrap();
    let text = until(&agent, "the package", |text| {
        additive(text, "package-0") == 7.0
    });
    let up = |text: &str, zone: &str| metric_sum(text, "hxmlops_agent_source_up", &[zone]);
    assert_eq!(up(&text, "zone=\"platform\""), 0.0);
    assert_eq!(up(&text, "zone=\"package-0\""), 1.0);
    let requests = site.controller.paths().len();
    for _ in 0..50 {
        metrics(&agent);
    }
    assert!(
        site.controller.paths().len() <= requests + 1,
        "a scrape asks the controller"
    );
    agent.stop().unwrap();
}

/// Fault 13 of the peers: what failed often enough was never tried again.
#[test]
fn fault_13_a_controller_that_comes_back_is_asked_again() {
    let site = Site::new(Mood::Restarting);
    let agent = site.agent("ca.pem", "good");
    poll("a request", || {
        Ok((!site.controller.paths().is_empty()).then_some(()))
    })
    .unwrap();
    site.controller.set(Mood::Newer(250.0));
    until(&agent, "the meter", |text| nested(text) > 0.0);
    agent.stop().unwrap();
}

#[test]
fn nothing_is_asked_of_who_is_not_verified_and_nothing_told_to_who_has_no_password() {
    let site = Site::new(Mood::Newer(300.0));
    for (ca, credentials) in [("other-ca.pem", "good"), ("ca.pem", "wrong")] {
        let agent = site.agent(ca, credentials);
        site.powercap.set("intel-rapl:0", 9 * JOULE).unwrap();
        until(&agent, "the package", |text| {
            additive(text, "package-0") > 0.0
        });
        assert_eq!(nested(&metrics(&agent)), 0.0);
        agent.stop().unwrap();
        site.powercap.set("intel-rapl:0", 0).unwrap();
    }
    assert_eq!(site.controller.paths(), Vec::<String>::new());
}

#[test]
fn bad_flags_are_named() {
    let check = |flags: &[&str], code: i32, expected: &str| {
        let output = output("hxmlops-agent", flags).unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{flags:?}: {said}");
        assert!(said.contains(expected), "{flags:?}: {said}");
    };
    check(&["--redfish-url", "http://10.0.0.7"], 2, "https://");
    check(
        &["--redfish-url", "https://root:calvin@10.0.0.7"],
        2,
        "must not hold a password",
    );
    check(&["--redfish-ca-file", "ca.pem"], 2, "--redfish-url");
    check(
        &["--power", "redfish"],
        1,
        "a management controller (--redfish-url) is not there",
    );
    let nowhere = [
        "--power",
        "redfish,model",
        "--redfish-url",
        "https://10.0.0.7",
    ];
    let flags = [&nowhere[..], &["--redfish-credentials-file", "/nowhere"]].concat();
    check(&flags, 2, "--redfish-credentials-file /nowhere");
}
