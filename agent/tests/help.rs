//! What the program says of itself.
#![allow(clippy::unwrap_used)]

use std::process::Command;

#[test]
fn help() {
    let output = Command::new(env!("CARGO_BIN_EXE_hxmlops-agent"))
        .arg("--help")
        .env_clear()
        .output()
        .unwrap();
    assert!(output.status.success());
    insta::assert_snapshot!(String::from_utf8(output.stdout).unwrap());
}
