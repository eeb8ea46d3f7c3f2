//! The HTML report as a file.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;

use aggregator::format::report_html::report_html;
use aggregator::report::Report;
use tempfile::TempDir;

use crate::chromium::{kept, open};

fn rich() -> Report {
    serde_json::from_str(include_str!("../../fixtures/report.json")).unwrap()
}

/// The same, with names as long as they come and without a place to break them.
fn wordy() -> Report {
    let mut report = rich();
    let name = "W".repeat(253);
    report.run.clone_from(&name);
    report.workflow.clone_from(&name);
    report.sites = vec![name.clone()];
    report.stages[1].stage.clone_from(&name);
    report.stages[1].components[0].zone.clone_from(&name);
    report.stages[1].components[0].component.clone_from(&name);
    report.pods[0].pod.clone_from(&name);
    report.balance[0].node.clone_from(&name);
    report.intensity[0].provider.clone_from(&name);
    report.notes.push(name.clone());
    report.scope2.market_sources = vec![name];
    report
}

/// A report in a file of its own.
fn file(report: &Report) -> (TempDir, PathBuf) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("report.html");
    fs::write(&path, report_html(report)).unwrap();
    (dir, path)
}

#[test]
fn it_is_shown_without_an_error_and_asks_nobody() {
    let (_dir, path) = file(&rich());
    let url = format!("file://{}", path.display());
    for (name, flags) in [
        ("report-1280.png", &["--window-size=1280,3200"][..]),
        (
            "report-dark.png",
            &[
                "--window-size=1280,3200",
                "--blink-settings=preferredColorScheme=0",
            ],
        ),
    ] {
        let picture = kept(name);
        let screenshot = format!("--screenshot={}", picture.display());
        let seen = open(&url, &[flags, &[&screenshot]].concat());
        assert_eq!(seen.console, Vec::<String>::new());
        assert_eq!(seen.requests, Vec::<String>::new());
        assert!(fs::read(&picture).unwrap().starts_with(b"\x89PNG"));
    }
}

#[test]
fn a_page_that_asks_or_says_something_is_seen_to() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("asks.html");
    let page = "<img src='http://other.example/x.png'><script>console.error('an error')</script>";
    fs::write(&path, page).unwrap();
    let seen = open(&format!("file://{}", path.display()), &["--dump-dom"]);
    assert_eq!(seen.requests, ["http://other.example/x.png"]);
    assert!(
        seen.console.len() == 1 && seen.console[0].contains("an error"),
        "{seen:?}"
    );
}

#[test]
fn it_prints_on_a4() {
    let (_dir, path) = file(&rich());
    let pdf = kept("report.pdf");
    let print = format!("--print-to-pdf={}", pdf.display());
    open(
        &format!("file://{}", path.display()),
        &[&print, "--no-pdf-header-footer"],
    );
    let pdf = fs::read(&pdf).unwrap();
    let text = String::from_utf8_lossy(&pdf);
    let boxes: Vec<Vec<f64>> = text
        .split("/MediaBox [")
        .skip(1)
        .map(|rest| {
            let sides = rest.split_once(']').unwrap().0.split_whitespace();
            sides.map(|side| side.parse().unwrap()).collect()
        })
        .collect();
    assert!((2..=6).contains(&boxes.len()), "{} pages", boxes.len());
    for sides in boxes {
        // 210 mm x 297 mm in points.
        assert!(
            (sides[2] - 595.28).abs() < 1.0 && (sides[3] - 841.89).abs() < 1.0,
            "{sides:?}"
        );
    }
}

/// Answers each request with one of two pages until the test is over; returns its address.
fn serve(report: String, frame: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (report, frame) = (report.clone(), frame.clone());
            std::thread::spawn(move || answer(stream.unwrap(), &report, &frame));
        }
    });
    address
}

fn answer(mut stream: TcpStream, report: &str, frame: &str) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let Some(Ok(first)) = lines.next() else {
        return;
    };
    while lines
        .next()
        .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
    {}
    let body = if first.contains("/report.html") {
        report
    } else {
        frame
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    let _ = stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(body.as_bytes()));
}

/// Has the report in a frame of each width, and writes down how wide it is in truth, and how high its chart.
const FRAME: &str = r#"<!doctype html><link rel="icon" href="data:,"><body><script>
addEventListener("load", () => {
  for (const frame of document.querySelectorAll("iframe")) {
    const page = frame.contentDocument;
    const chart = page.querySelector(".plot svg").getBoundingClientRect();
    const told = document.createElement("p");
    told.textContent = `${frame.width}: ${page.documentElement.scrollWidth} wide, chart ${chart.height > 150}`;
    document.body.append(told);
  }
});
</script><iframe width="1280" src="report.html"></iframe><iframe width="360" src="report.html"></iframe>"#;

#[test]
fn it_fits_a_wide_window_and_a_telephone() {
    for report in [rich(), wordy()] {
        let address = serve(report_html(&report), FRAME.to_owned());
        let seen = open(
            &format!("http://{address}/"),
            &["--dump-dom", "--virtual-time-budget=10000"],
        );
        assert_eq!(seen.console, Vec::<String>::new());
        for width in ["1280", "360"] {
            let told = format!("<p>{width}: {width} wide, chart true</p>");
            assert!(seen.stdout.contains(&told), "no {told} in {}", seen.stdout);
        }
    }
}
