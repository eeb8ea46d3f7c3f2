//! What `hxmlops serve` makes of its flags, its environment and its file.

use tempfile::TempDir;

use crate::program::{Ended, hxmlops};

/// A server that its file lets listen everywhere, and that starts in no case: it knows no such grid.
fn serve(flags: &[&str], variable: Option<&str>) -> Ended {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("config.yaml");
    std::fs::write(
        &file,
        "{listen: '0.0.0.0:0', insecure: true, intensity_zone: ATLANTIS}",
    )
    .unwrap();
    let mut command = hxmlops(["serve", "--config", file.to_str().unwrap()]);
    command.args(flags).arg("--data-dir").arg(dir.path());
    if let Some(variable) = variable {
        command.env("HXMLOPS_INSECURE", variable);
    }
    command.output().unwrap().into()
}

#[test]
fn a_provider_that_cannot_be_is_one_line_without_its_key() {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    let check = |flags: &[&str], expected: &str| {
        let mut command = hxmlops(["serve", "--listen", "127.0.0.1:0", "--data-dir"]);
        command
            .arg(&data)
            .args(flags)
            .env("HXMLOPS_INTENSITY_KEY", "s3cret");
        let ended: Ended = command.output().unwrap().into();
        ended.assert_usage(expected);
        assert_eq!(ended.stderr.trim_end().lines().count(), 1, "{ended:?}");
        assert!(
            !ended.stderr.contains("s3cret") && !data.exists(),
            "{ended:?}"
        );
    };
    check(
        &["--intensity", "solar"],
        "--intensity 'solar' is none of static",
    );
    check(
        &["--intensity", "rte", "--intensity-zone", "DE"],
        "rte never has the intensity zone 'DE'",
    );
    check(
        &["--intensity", "watttime", "--intensity-zone", "PJM_DC"],
        "its key is no USER:PASSWORD",
    );
    check(
        &["--intensity", "file:/nowhere", "--intensity-zone", "FR"],
        "/nowhere: No such file",
    );
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let refused = "in the clear";
    let allowed = "unknown intensity zone 'ATLANTIS'";
    for (flags, variable, expected) in [
        (&[][..], None, allowed),
        (&[], Some("false"), refused),
        (&[], Some("1"), allowed),
        (&["--insecure"], Some("false"), allowed),
        (&["--insecure=false"], Some("true"), refused),
        (&["--insecure=false"], None, refused),
    ] {
        serve(flags, variable).assert_usage(expected);
    }
}
