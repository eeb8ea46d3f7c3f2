//! Commands against a server that is not there, or is something else.

use std::io::{Read, Write};
use std::net::TcpListener;

use crate::program::{hxmlops, run};

/// A port on which nobody listens.
fn free_port() -> u16 {
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

/// Answers one request with the given status and body.
fn answer(status: &str, body: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let response = head + body;
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).unwrap();
        stream.write_all(response.as_bytes()).unwrap();
    });
    url
}

#[test]
fn what_is_no_such_server_is_said_to_be_none() {
    let url = answer("200 OK", "<html>");
    run(["runs", "--server", &url]).assert_failed("is it another server, or of another version?");
    let url = answer("502 Bad Gateway", "<html>");
    run(["runs", "--server", &url]).assert_failed("answered 502 Bad Gateway");
    let url = answer(
        "404 Not Found",
        r#"{"error":"no run 'x\u001b[2J' in the ledger"}"#,
    );
    run(["report", "x", "--server", &url])
        .assert_failed("error: no run 'x\\u{1b}[2J' in the ledger");
}
