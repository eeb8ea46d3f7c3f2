//! Runs Chromium without a screen, once for each thing that is wanted of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

const FLAGS: [&str; 11] = [
    "--headless",
    // The tests may run as root, where its sandbox does not start.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    // As on a telephone: they take no room.
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
];

/// What Chromium did with a page.
#[derive(Debug)]
pub(crate) struct Seen {
    /// What it printed: the document, with `--dump-dom`.
    pub(crate) stdout: String,
    /// What the page said on its console.
    pub(crate) console: Vec<String>,
    /// The URLs that the page asked for.
    pub(crate) requests: Vec<String>,
}

/// Opens a URL with more flags.
pub(crate) fn open(url: &str, flags: &[&str]) -> Seen {
    let dir = TempDir::new().unwrap();
    let net_log = dir.path().join("net.json");
    let output = Command::new("chromium")
        .args(FLAGS)
        .arg(format!("--user-data-dir={}", dir.path().display()))
        .arg(format!("--log-net-log={}", net_log.display()))
        .args(flags)
        .arg(url)
        .env("HOME", dir.path())
        .output()
        .expect("this test needs chromium: apt-get install chromium (Debian)");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
    let said = log.lines().filter(|line| line.contains("CONSOLE"));
    Seen {
        stdout: String::from_utf8(output.stdout).unwrap(),
        console: said.map(str::to_owned).collect(),
        requests: requests(&net_log),
    }
}

/// The URLs of all requests of a network log that a page made, each once: Chromium's own, for updates of itself, have
/// no origin.
fn requests(net_log: &Path) -> Vec<String> {
    let log: Value = serde_json::from_slice(&fs::read(net_log).unwrap()).unwrap();
    let events = log["events"].as_array().unwrap().iter();
    let requests = events.map(|event| &event["params"]);
    let of_pages = requests.filter(|request| {
        let initiator = request["initiator"].as_str();
        initiator.is_some_and(|initiator| initiator != "not an origin")
    });
    let urls = of_pages.filter_map(|request| request["url"].as_str());
    let mut urls: Vec<String> = urls.map(str::to_owned).collect();
    urls.sort();
    urls.dedup();
    urls
}

/// A file that stays for those who want to look at it.
pub(crate) fn kept(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_file(&path);
    path
}
