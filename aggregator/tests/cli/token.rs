//! Tokens by the command line: beside a running server, and by it.

use crate::program::{hxmlops, run};
use crate::server::Serving;

#[test]
fn the_first_token_closes_the_door_and_opens_it_for_its_bearer() {
    let serving = Serving::start();
    let (dir, url) = (serving.dir.path().to_str().unwrap(), serving.url.as_str());
    run(["runs", "--server", url]).assert_done();

    // Beside the server, as whoever has the machine can.
    let made = run([
        "token",
        "create",
        "--role",
        "admin",
        "--expires",
        "never",
        "--data-dir",
        dir,
    ]);
    let token = made.assert_done().trim().to_owned();
    assert!(made.stderr.contains("not shown again"), "{made:?}");
    let file = serving.dir.path().join("token");
    std::fs::write(&file, &token).unwrap();
    let file = file.to_str().unwrap();
    // The server looks for new tokens every few seconds, and at once when it is shown one that it does not know.
    run(["runs", "--server", url, "--token-file", file]).assert_done();
    run(["runs", "--server", url]).assert_failed("asks for a token");

    // By the server, as whoever has a token can.
    let with_token = |args: &[&str]| {
        let mut command = hxmlops(args);
        command
            .args(["--server", url])
            .env("HXMLOPS_TOKEN_FILE", file);
        crate::program::Ended::from(command.output().unwrap())
    };
    let made = with_token(&[
        "token", "create", "--role", "ingest", "--node", "n1", "--note", "rack 7",
    ]);
    let ingest = made.assert_done().trim().to_owned();
    let list = with_token(&["token", "list"]);
    let list = list.assert_done();
    assert!(
        list.contains("default/n1") && list.contains("rack 7") && list.contains("never"),
        "{list}"
    );
    let json = with_token(&["token", "list", "--json"]);
    let json: serde_json::Value = serde_json::from_str(json.assert_done()).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 2, "{json}");

    let id = &ingest[4..12];
    with_token(&["token", "revoke", id]).assert_done();
    with_token(&["token", "revoke", "00000000"]).assert_failed("there is no token 00000000");
    let list = with_token(&["token", "list"]);
    assert!(list.assert_done().contains("revoked"), "{list:?}");
}

#[test]
fn what_is_no_token_is_said() {
    run(["token", "create", "--role", "ingest"]).assert_usage("--node");
    run(["token", "create", "--role", "read", "--node", "n1"]).assert_usage("--role ingest alone");
    run(["token", "create", "--role", "root"]).assert_usage("invalid value 'root'");
    run(["token", "create", "--role", "read", "--expires", "soon"])
        .assert_usage("'soon' is no time");
    let missing = run(["runs", "--token-file", "/nonexistent/token"]);
    missing.assert_failed("the token file /nonexistent/token cannot be read");
    run([
        "runs",
        "--server",
        "https://127.0.0.1:1",
        "--ca-file",
        "/dev/null",
    ])
    .assert_failed("no certificate");
}
