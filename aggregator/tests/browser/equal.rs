//! One run's figures: the same in the API, on the command line, in the HTML report and on the page.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::chromium::open;
use crate::program::{hxmlops, run};

const ENERGY: &str = "\
start,end,site,workflow,run,stage,zone,joules,basis
2026-01-05T10:00:00Z,2026-01-05T10:10:00Z,lab,churn,r 1/<b>,clean,package-0,36000.125,measured
2026-01-05T10:10:00Z,2026-01-05T10:30:00Z,lab,churn,r 1/<b>,train,package-0,360000,measured
2026-01-05T10:10:00Z,2026-01-05T10:30:00Z,lab,churn,r 1/<b>,train,dram-0,12000.5,modelled
";
const RUN: &str = "r 1/<b>";
const REPORT: &str = "api/v1/runs/r%201%2F%3Cb%3E/report";

/// `hxmlops serve` with that run.
struct Serving {
    child: Child,
    url: String,
    _dir: TempDir,
}

impl Serving {
    fn start() -> Self {
        let dir = TempDir::new().unwrap();
        let mut child = hxmlops(["serve", "--listen", "127.0.0.1:0", "--site", "lab"])
            .args(["--intensity-zone", "FR", "--pue", "1.2", "--data-dir"])
            .arg(dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let url = line
            .trim()
            .strip_prefix("listening on ")
            .unwrap()
            .to_owned();
        let file = dir.path().join("energy.csv");
        std::fs::write(&file, ENERGY).unwrap();
        let import = ["import", "energy", file.to_str().unwrap(), "--server", &url];
        run(import).assert_done();
        Self {
            child,
            url,
            _dir: dir,
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

/// What stands between two texts, each time.
fn between<'a>(text: &'a str, before: &'a str, after: &'a str) -> Vec<&'a str> {
    let rests = text.split(before).skip(1);
    rests
        .filter_map(|rest| Some(rest.split_once(after)?.0))
        .collect()
}

#[test]
fn every_view_has_the_figures_of_the_api() {
    let serving = Serving::start();
    let cli = |format| run(["report", RUN, "--server", &serving.url, "--format", format]);
    let report: Value = serde_json::from_str(cli("json").assert_done()).unwrap();
    let of_api = open(&format!("{}/{REPORT}", serving.url), &["--dump-dom"]);
    let of_api = between(&of_api.stdout, "<pre>", "</pre>")[0]
        .replace("&lt;", "<")
        .replace("&gt;", ">");
    assert_eq!(serde_json::from_str::<Value>(&of_api).unwrap(), report);

    let seen = open(
        &format!("{}/{REPORT}?format=html", serving.url),
        &["--dump-dom"],
    );
    assert_eq!(seen.console, Vec::<String>::new());
    assert!(
        seen.requests
            .iter()
            .all(|url| url.starts_with(&serving.url)),
        "{:?}",
        seen.requests
    );
    let figures = between(&seen.stdout, "<data value=\"", "\">");
    assert_eq!(
        figures,
        between(cli("html").assert_done(), "<data value=\"", "\">")
    );
    assert!(figures.len() > 30, "{figures:?}");
    for figure in figures {
        let (value, pointer) = figure.split_once("\" data-of=\"").unwrap();
        let expected = report
            .pointer(pointer)
            .unwrap_or_else(|| panic!("there is no {pointer}"));
        assert_eq!(value.parse::<f64>().ok(), expected.as_f64(), "{pointer}");
    }

    let page = open(&serving.url, &["--dump-dom", "--virtual-time-budget=5000"]);
    assert_eq!(page.console, Vec::<String>::new());
    assert!(
        page.requests
            .iter()
            .all(|url| url.starts_with(&serving.url)),
        "{:?}",
        page.requests
    );
    let shown = between(&page.stdout, "data-value=\"", "\"");
    let shown: Vec<f64> = shown.iter().map(|text| text.parse().unwrap()).collect();
    let expected = ["energy_joules", "carbon_grams"].map(|name| report[name].as_f64().unwrap());
    assert_eq!(shown, expected, "{}", page.stdout);
}
