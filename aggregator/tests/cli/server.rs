//! Commands against a server: the real one, one that is not there, one that is something else.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::thread::JoinHandle;

use aggregator::store::{SqliteStore, Store};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::ledger::{ENERGY, INTENSITY};
use crate::program::{Ended, hxmlops, run};

/// `hxmlops serve` on a port and a ledger of its own.
pub(crate) struct Serving {
    pub(crate) child: Child,
    pub(crate) url: String,
    pub(crate) dir: TempDir,
}

impl Serving {
    pub(crate) fn start() -> Self {
        let dir = TempDir::new().unwrap();
        let mut child = hxmlops(["serve", "--listen", "127.0.0.1:0", "--site", "lab"])
            .args(["--intensity-zone", "FR", "--pue", "1.2", "--data-dir"])
            .arg(dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
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
        Self { child, url, dir }
    }

    fn import(&self, what: &str, content: &str) -> String {
        let file = self.dir.path().join("file.csv");
        std::fs::write(&file, content).unwrap();
        let args = [
            "import",
            what,
            file.to_str().unwrap(),
            "--server",
            &self.url,
        ];
        run(args).assert_done().to_owned()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
            let _ = self.child.wait();
        }
    }
}

#[test]
fn a_data_directory_has_one_server() {
    let serving = Serving::start();
    let dir = serving.dir.path().to_str().unwrap();
    let sites = || {
        SqliteStore::open_existing(serving.dir.path())
            .unwrap()
            .sites(None)
    };
    let before = sites().unwrap();
    // On the same port, so that it ends even where nothing else stops it.
    let address = serving.url.trim_start_matches("http://");
    let args = [
        "serve",
        "--listen",
        address,
        "--site",
        "lab",
        "--data-dir",
        dir,
    ];
    run(args).assert_failed(&format!("the data directory {dir} is already served"));
    assert_eq!(sites().unwrap(), before);
}

#[test]
fn a_server_that_cannot_listen_leaves_the_sites_as_they_are() {
    let dir = TempDir::new().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let args = ["serve", "--listen", &address, "--site", "lab", "--data-dir"];
    let dir_arg = dir.path().to_str().unwrap();
    let refused = hxmlops(args.iter().chain(&[dir_arg]))
        .env("RUST_LOG", "error")
        .output()
        .unwrap();
    Ended::from(refused).assert_failed("cannot listen on");
    let store = SqliteStore::open_existing(dir.path()).unwrap();
    assert_eq!(store.sites(None).unwrap(), []);
}

#[test]
fn a_second_signal_ends_a_server_that_waits_for_a_request() {
    let mut serving = Serving::start();
    let mut log = BufReader::new(serving.child.stderr.take().unwrap()).lines();
    let mut stream = TcpStream::connect(serving.url.trim_start_matches("http://")).unwrap();
    let request = "POST /v1/batches HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\
                   Content-Type: application/x-protobuf\r\nContent-Encoding: zstd\r\n\
                   Expect: 100-continue\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    // The server says so when it waits for the body, which never comes.
    assert!(head(&mut stream).starts_with("HTTP/1.1 100"));

    let server = Pid::from_child(&serving.child);
    kill_process(server, Signal::TERM).unwrap();
    assert!(log.any(|line| line.unwrap().contains("stopping")));
    kill_process(server, Signal::INT).unwrap();
    assert_eq!(serving.child.wait().unwrap().code(), Some(128 + 2));
}

#[test]
fn a_server_and_its_data_directory_give_the_same_answers() {
    let serving = Serving::start();
    assert!(
        serving
            .import("energy", ENERGY)
            .contains("imported 163.6 Wh (rows: 5, runs: 3)")
    );
    assert!(
        serving
            .import("energy", ENERGY)
            .contains("already imported, nothing changed")
    );
    assert!(
        serving
            .import("intensity", INTENSITY)
            .contains("2 of 2 slots are new or changed")
    );
    assert!(
        serving
            .import("intensity", INTENSITY)
            .contains("already imported, nothing changed")
    );

    let dir = serving.dir.path().to_str().unwrap();
    let questions: [&[&str]; 7] = [
        &["runs", "--json"],
        &[
            "runs",
            "--json",
            "--workflow",
            "fraud",
            "--since",
            "2026-01-05T00:00:00Z",
        ],
        &["report", "r1", "--format", "json"],
        &[
            "report",
            "r2",
            "--workflow",
            "churn",
            "--idle",
            "equal",
            "--format",
            "json",
        ],
        &["compare", "r1", "r2", "--workflow", "churn", "--json"],
        &[
            "intensity",
            "--zone",
            "fr",
            "--from",
            "2026-01-05T09:00:00Z",
            "--to",
            "2026-01-05T13:00:00Z",
            "--json",
        ],
        &[
            "intensity",
            "--zone",
            "SE",
            "--from",
            "2026-01-05T09:00:00Z",
            "--to",
            "2026-01-05T13:00:00Z",
            "--json",
        ],
    ];
    for question in questions {
        let served = run(question.iter().chain(&["--server", &serving.url]));
        let read = run(question.iter().chain(&["--data-dir", dir]));
        let answer: Value = serde_json::from_str(served.assert_done()).unwrap();
        assert!(
            answer.as_array().is_none_or(|answers| !answers.is_empty()),
            "{question:?}"
        );
        assert_eq!(served.stdout, read.assert_done(), "{question:?}");
    }
    for (question, refusal) in [
        (&["report", "r9"][..], "no run 'r9' in the ledger"),
        (
            &["report", "r2"],
            "(import/churn, import/fraud); say which with --workflow",
        ),
        (
            &["intensity", "--zone", "ATLANTIS"],
            "unknown intensity zone 'ATLANTIS'",
        ),
    ] {
        run(question.iter().chain(&["--server", &serving.url])).assert_failed(refusal);
    }
    let check = run(["ledger", "check", "--data-dir", dir]);
    assert!(
        check
            .assert_done()
            .contains("workloads + system + idle = measured"),
        "{check:?}"
    );
}

/// A port on which nobody listens.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[test]
fn an_unreachable_server_is_named() {
    let url = format!("http://127.0.0.1:{}", free_port());
    let expected = format!(
        "cannot reach the server at {url}/: Connection refused (os error 111); is `hxmlops serve` running?"
    );
    run(["runs", "--server", &url]).assert_failed(&expected);
    run(["report", "r", "--server", &url]).assert_failed(&expected);
    let by_variable = hxmlops(["runs"])
        .env("HXMLOPS_SERVER", &url)
        .output()
        .unwrap();
    assert!(
        String::from_utf8(by_variable.stderr)
            .unwrap()
            .contains(&expected)
    );
}

/// Answers one request with the given status and body; returns its URL and what it was asked.
fn answer(status: &str, body: &str) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let length = body.len();
    let response =
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let asked = head(&mut stream);
        stream.write_all(response.as_bytes()).unwrap();
        // To the end, so that what was not read of the body does not reset the connection.
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
        asked
    });
    (url, asked)
}

/// The request line and the headers.
fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        assert_eq!(
            stream.read(&mut byte).unwrap(),
            1,
            "the request ends within its headers"
        );
        head.extend(byte);
    }
    String::from_utf8(head).unwrap()
}

#[test]
fn what_is_no_such_server_is_said_to_be_none() {
    let (url, _) = answer("200 OK", "<html>");
    run(["runs", "--server", &url]).assert_failed("is it another server, or of another version?");
    let (url, _) = answer("502 Bad Gateway", "<html>");
    run(["runs", "--server", &url]).assert_failed("answered 502 Bad Gateway");
    let (url, _) = answer(
        "404 Not Found",
        r#"{"error":"no run 'x\u001b[2J' in the ledger"}"#,
    );
    run(["report", "x", "--server", &url])
        .assert_failed("error: no run 'x\\u{1b}[2J' in the ledger");
}

#[test]
fn each_question_has_its_address() {
    let check = |args: &[&str], request: &str| {
        let (url, asked) = answer("404 Not Found", r#"{"error":"it was only a question"}"#);
        run(args.iter().chain(&["--server", &url])).assert_failed("it was only a question");
        assert_eq!(
            asked.join().unwrap().lines().next(),
            Some(&*format!("{request} HTTP/1.1"))
        );
    };
    check(&["runs"], "GET /api/v1/runs?limit=10000");
    check(
        &[
            "runs",
            "--since",
            "2026-01-05T10:00:00+00:00",
            "--workflow",
            "a&b",
            "--stage",
            "s",
            "--cluster",
            "c",
        ],
        "GET /api/v1/runs?since=2026-01-05T10%3A00%3A00Z&workflow=a%26b&stage=s&cluster=c&limit=10000",
    );
    check(
        &["report", "a/b ?é", "--idle", "equal"],
        "GET /api/v1/runs/a%2Fb%20%3F%C3%A9/report?idle=equal&embodied=use",
    );
    check(
        &[
            "intensity",
            "--zone",
            "FR",
            "--from",
            "2026-01-05T10:00:00Z",
            "--to",
            "2026-01-05T11:00:00Z",
        ],
        "GET /api/v1/intensity?zone=FR&from=2026-01-05T10%3A00%3A00Z&to=2026-01-05T11%3A00%3A00Z",
    );
    check(
        &[
            "plan",
            "--duration",
            "90m",
            "--intensity-zone",
            "FR",
            "--watts",
            "250.5",
        ],
        "GET /api/v1/plan?intensity_zone=FR&duration_s=5400&within_s=86400&watts=250.5",
    );
    check(
        &["budget", "check", "a b", "--run", "r1", "--workflow", "w"],
        "GET /api/v1/budget-states?name=a+b&run=r1&workflow=w",
    );
    check(
        &["budget", "set", "a/b", "--run", "r1", "--grams", "5"],
        "PUT /api/v1/budgets/a%2Fb",
    );
    check(&["budget", "list"], "GET /api/v1/budgets");
    check(&["budget", "remove", "x"], "DELETE /api/v1/budgets/x");
    check(
        &[
            "plan",
            "score",
            "--at",
            "2026-01-05T10:00:00Z",
            "--within",
            "3d",
            "--site",
            "lab",
            "--like",
            "r1",
            "--workflow",
            "churn",
            "--signal",
            "marginal-direct",
        ],
        "GET /api/v1/plan/score?site=lab&signal=marginal-direct&within_s=259200&run=r1&workflow=churn&at=2026-01-05T10%3A00%3A00Z",
    );
}

#[test]
fn a_batch_is_sent_as_what_it_is() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("e.csv");
    let row = "2026-01-05T10:00:00Z,2026-01-05T10:01:00Z,,w,r,s,package-0,1,measured";
    std::fs::write(
        &file,
        format!("start,end,site,workflow,run,stage,zone,joules,basis\n{row}\n"),
    )
    .unwrap();
    let args = ["import", "energy", file.to_str().unwrap(), "--server"];

    let (url, asked) = answer("200 OK", r#"{"written":"duplicate"}"#);
    let ended = run(args.iter().chain(&[&*url]));
    assert!(
        ended
            .assert_done()
            .contains("already imported, nothing changed"),
        "{ended:?}"
    );
    let asked = asked.join().unwrap().to_lowercase();
    for line in [
        "post /v1/batches http/1.1",
        "content-type: application/x-protobuf",
        "content-encoding: zstd",
    ] {
        assert!(asked.lines().any(|asked| asked == line), "{asked}");
    }

    let (url, _) = answer("503 Service Unavailable", r#"{"error":"the disk is full"}"#);
    let ended = run(args.iter().chain(&[&*url]));
    ended.assert_failed("0 of 1 batches are in; import it again to go on: the disk is full");
}
