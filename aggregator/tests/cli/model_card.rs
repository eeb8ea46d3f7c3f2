//! `hxmlops report --format modelcard`, printed and merged, and as the Hub's own reader reads it.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::ledger::Fixture;

const README: &str =
    "---\r\nlicense: mit # ours\r\nco2_eq_emissions: 7\r\ntags: [a,  b]\r\n---\r\n# Model\r\n";

/// The metadata that `huggingface_hub` finds in a model card.
fn as_the_hub_reads_it(card: &Path) -> Value {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/huggingface_hub");
    let script = "import json, sys\n\
                  from huggingface_hub import ModelCard\n\
                  print(json.dumps(ModelCard.load(sys.argv[1]).data.to_dict()))";
    let output = Command::new("python3")
        .args(["-c", script])
        .arg(card)
        .env("PYTHONPATH", place)
        .env("HF_HUB_OFFLINE", "1")
        .output()
        .expect("this test needs python3");
    let said = String::from_utf8_lossy(&output.stderr);
    let needs = "this test needs huggingface_hub: `cargo xtask test` installs it";
    assert!(output.status.success(), "{needs}: {said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn huggingface_reads_the_grams_of_the_report() {
    let ledger = Fixture::imported();
    let report = ledger.json(&["report", "r1", "--format", "json"]);
    let card = ledger.file(
        ledger
            .report(&["--format", "modelcard"])
            .assert_done()
            .as_bytes(),
    );
    let emissions = as_the_hub_reads_it(&card)["co2_eq_emissions"].take();
    assert_eq!(emissions["emissions"], report["carbon_grams"]);
    assert_eq!(emissions["geographical_location"], "France");
    let source = emissions["source"].as_str().unwrap();
    assert!(
        source.starts_with("hxmlops ") && source.contains("PUE 1.200"),
        "{source}"
    );
    assert_eq!(
        emissions.as_object().unwrap().len(),
        3,
        "nothing is invented: {emissions}"
    );
}

#[test]
fn huggingface_reads_a_readme_with_the_grams_merged_in() {
    let ledger = Fixture::imported();
    let readme = ledger.file(README.as_bytes());
    let merge = ["--format", "modelcard", "--merge", readme.to_str().unwrap()];
    let told = [
        "--training-type",
        "fine-tuning",
        "--hardware",
        "1 x \"H100\": é",
    ];
    let ended = ledger.report(&[&merge[..], &told].concat());
    assert!(
        ended.assert_done().ends_with("states 13.60 g CO2e now\n"),
        "{ended:?}"
    );

    let report = ledger.json(&["report", "r1", "--format", "json"]);
    let metadata = as_the_hub_reads_it(&readme);
    let emissions = &metadata["co2_eq_emissions"];
    assert_eq!(emissions["emissions"], report["carbon_grams"]);
    assert_eq!(emissions["training_type"], "fine-tuning");
    assert_eq!(emissions["hardware_used"], "1 x \"H100\": é");
    assert_eq!(
        (&metadata["license"], &metadata["tags"][1]),
        (&"mit".into(), &"b".into())
    );

    let text = fs::read_to_string(&readme).unwrap();
    assert!(
        text.starts_with("---\r\nlicense: mit # ours\r\nco2_eq_emissions:\r\n  emissions: 13.6000"),
        "{text}"
    );
    assert!(
        text.ends_with("\r\ntags: [a,  b]\r\n---\r\n# Model\r\n"),
        "{text}"
    );
    assert_eq!(
        text.matches('\n').count(),
        text.matches("\r\n").count(),
        "{text}"
    );
}

#[test]
fn a_card_without_grams_is_refused_and_a_readme_left_as_it_is() {
    let ledger = Fixture::new();
    let abroad = crate::ledger::ENERGY.replace(",lab,", ",abroad,");
    ledger.import("energy", &abroad).assert_done();
    let card = ["--format", "modelcard"];
    ledger
        .report(&card)
        .assert_failed("those of run 'r1' are not known");

    let readme = ledger.file(README.as_bytes());
    let merge = [&card[..], &["--merge", readme.to_str().unwrap()]].concat();
    ledger
        .report(&merge)
        .assert_failed("those of run 'r1' are not known");
    assert_eq!(fs::read_to_string(&readme).unwrap(), README);
}

#[test]
fn a_readme_that_is_not_understood_is_left_as_it_is() {
    let ledger = Fixture::imported();
    let check = |content: &[u8], message: &str| {
        let readme = ledger.file(content);
        let args = ["--format", "modelcard", "--merge", readme.to_str().unwrap()];
        ledger.report(&args).assert_failed(message);
        assert_eq!(fs::read(&readme).unwrap(), content);
    };
    check(
        b"---\n- a\n---\n",
        "is left as it is: its front matter is not a mapping in YAML",
    );
    check(b"---\na: \xff\n---\n", "cannot read ");
    ledger
        .report(&["--format", "modelcard", "--merge", "/no/such/README.md"])
        .assert_failed("cannot read /no/such/README.md: No such file");
}

#[test]
fn what_only_a_card_has_goes_with_a_card() {
    let ledger = Fixture::imported();
    for args in [
        ["--merge", "README.md"],
        ["--training-type", "fine-tuning"],
        ["--hardware", "x"],
    ] {
        let expected = format!("{} goes with --format modelcard", args[0]);
        ledger.report(&args).assert_usage(&expected);
    }
}
