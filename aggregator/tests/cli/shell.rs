//! What shells and readers of manuals get: completion in a real bash, and the pages.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::program::{Ended, run};

const SHELLS: [&str; 5] = ["bash", "elvish", "fish", "powershell", "zsh"];

/// What bash offers, with the script in a file, after some words, the last of which is to be completed.
fn offered(script: &Path, words: &[&str]) -> Vec<String> {
    let (last, before) = words.split_last().unwrap();
    let previous = before.last().unwrap();
    let call = format!(
        "source \"$0\"\ncomplete -p hxmlops >&2\nCOMP_WORDS=({} '{last}')\nCOMP_CWORD={}\n\
         _hxmlops hxmlops '{last}' '{previous}'\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"",
        before.join(" "),
        before.len(),
    );
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", &call]).arg(script);
    let ended = Ended::from(bash.output().expect("bash is there"));
    assert!(
        ended.stderr.starts_with("complete ") && ended.stderr.contains("-F _hxmlops"),
        "{ended:?}"
    );
    ended.assert_done().lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_flags_groups_and_modules() {
    let script = tempfile::NamedTempFile::new().unwrap();
    fs::write(&script, run(["completion", "bash"]).assert_done()).unwrap();
    let check = |words: &[&str], expected: &[&str]| {
        let offered = offered(script.path(), words);
        for one in expected {
            assert!(
                offered.iter().any(|candidate| candidate == one),
                "{words:?}: {one} in {offered:?}"
            );
        }
    };
    check(&["hxmlops", "com"], &["compare", "component", "completion"]);
    check(
        &["hxmlops", "component", ""],
        &["storage", "ml_toolkit", "list"],
    );
    check(
        &["hxmlops", "component", "storage", ""],
        &["create", "list-values"],
    );
    check(
        &["hxmlops", "component", "storage", "create", "post"],
        &["postgres"],
    );
    check(
        &["hxmlops", "link", "api", "delete", "m"],
        &["modelsharing"],
    );
    check(
        &["hxmlops", "component", "list-values", ""],
        &["storage", "postgres"],
    );
    check(
        &["hxmlops", "component", "storage", "create", "--no"],
        &["--no-wait"],
    );
    check(
        &["hxmlops", "component", "storage", "create", "--output", ""],
        &["table", "json"],
    );
    check(&["hxmlops", "report", "--ser"], &["--server"]);
    check(
        &["hxmlops", "component", "storage", "status", "--ser"],
        &["--server"],
    );
    assert_eq!(
        offered(script.path(), &["hxmlops", "component", "--ser"]),
        [""],
        "it asks no ledger"
    );
}

#[test]
fn every_shell_has_a_script_with_the_user_s_own_modules() {
    let catalogue = tempfile::tempdir().unwrap();
    let module = catalogue.path().join("own/thing.yaml");
    fs::create_dir_all(module.parent().unwrap()).unwrap();
    let text =
        "title: T\nkind: stage\nabout: T.\nversion: '1'\nchart: {}\nchecked: {real: [], not: []}\n";
    fs::write(module, text).unwrap();
    let path = catalogue.path().to_str().unwrap();
    for shell in SHELLS {
        let script = run(["completion", shell, "--catalogue", path]);
        assert!(script.assert_done().contains("hxmlops"), "{shell}");
    }
    let bash = run(["completion", "bash", "--catalogue", path]);
    assert!(bash.assert_done().contains("thing"), "{bash:?}");
    run(["completion", "tcsh"]).assert_usage("invalid value 'tcsh'");
    run(["completion"]).assert_usage("<SHELL>");
}

#[test]
fn every_command_has_a_page() {
    let directory = tempfile::tempdir().unwrap();
    let pages = directory.path().join("man/man1");
    let ended = run(["man", pages.to_str().unwrap()]);
    assert_eq!(ended.assert_done(), "");
    let read = |name: &str| fs::read_to_string(pages.join(name)).unwrap();
    for name in [
        "hxmlops.1",
        "hxmlops-report.1",
        "hxmlops-component-create.1",
        "hxmlops-init-new-config.1",
    ] {
        let page = read(name);
        assert!(page.contains(".TH hxmlops"), "{name}: {page}");
        for section in [".SH NAME", ".SH SYNOPSIS", ".SH DESCRIPTION"] {
            assert!(page.contains(section), "{name} has {section}");
        }
    }
    assert!(read("hxmlops-report.1").contains(r"\-\-server"));
    assert!(!read("hxmlops-component-create.1").contains(r"\-\-server"));
    assert!(!pages.join("hxmlops-help.1").exists());
    let main = run(["man"]);
    assert_eq!(main.assert_done(), read("hxmlops.1"));
    let file = pages.join("hxmlops.1");
    run(["man", file.to_str().unwrap()]).assert_failed("cannot write manual pages to");
}
