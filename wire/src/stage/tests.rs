use proptest::prelude::*;

use super::*;

/// Fixtures: one pod of each system, as its project makes it, and where it belongs.
const PODS: &str = include_str!("../../fixtures/pods.yaml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fixture {
    system: String,
    rule: Option<String>,
    metadata: PodMeta,
    /// workflow, run, stage, component.
    place: [String; 4],
    /// Components of containers.
    #[serde(default)]
    containers: BTreeMap<String, String>,
}

fn fixtures() -> Vec<Fixture> {
    serde_saphyr::from_str(PODS).unwrap()
}

#[test]
fn every_system_s_pods_are_placed() {
    let rules = Rules::built_in();
    for fixture in fixtures() {
        let system = &fixture.system;
        let placed = rules.place(&fixture.metadata);
        let Placement {
            workflow,
            run,
            stage,
            component,
        } = &placed.placement;
        let found = [workflow, run, stage, component].map(String::as_str);
        assert_eq!(
            found,
            fixture.place.each_ref().map(String::as_str),
            "{system}"
        );
        let decided = placed.rules.last().filter(|rule| !rule.also);
        assert_eq!(
            decided.map(|rule| &rule.name),
            fixture.rule.as_ref(),
            "{system}"
        );
        for (container, component) in &fixture.containers {
            assert_eq!(
                placed.component_of(container),
                component,
                "{system} {container}"
            );
        }
    }
}

#[test]
fn every_rule_has_a_pod_among_the_fixtures() {
    let fixtures = fixtures();
    for rule in Rules::built_in().rules().iter().filter(|rule| !rule.also) {
        let is_its = |fixture: &Fixture| fixture.rule.as_ref() == Some(&rule.name);
        assert!(fixtures.iter().any(is_its), "{}", rule.name);
    }
}

#[test]
fn an_explanation_says_what_is_so_and_why() {
    let rules = Rules::built_in();
    for fixture in fixtures() {
        let explanation = rules.explain(&fixture.metadata);
        let placed = rules.place(&fixture.metadata);
        assert_eq!(
            explanation.placement, placed.placement,
            "{}",
            fixture.system
        );
        assert_eq!(explanation.verdicts.len(), rules.rules().len());
        let decided = |verdict: &&Verdict| verdict.why == Why::Decided;
        let decided = explanation.verdicts.iter().find(decided);
        assert_eq!(decided.map(|verdict| &verdict.rule), fixture.rule.as_ref());
    }
    let mut pod = PodMeta::default();
    pod.labels.insert("pipeline/runid".into(), "7".into());
    pod.labels.insert(
        "pipelines.kubeflow.org/v2_component".into(),
        "no\u{1b}".into(),
    );
    let explanation = rules.explain(&pod);
    assert_eq!(
        explanation.verdicts[1].why,
        Why::IsOther {
            key: Key::Label("pipelines.kubeflow.org/v2_component".into()),
            value: "no_".into(),
            wanted: vec!["true".into()],
        }
    );
}

#[test]
fn rules_of_users_come_after_explicit_labels_and_before_all_others() {
    let yaml = "- name: ours
  when: [{label: app, is: [churn]}]
  run: [{annotation: build, take: whole}]
  stage: [{text: serve}]
";
    let rules = Rules::with(serde_saphyr::from_str(yaml).unwrap()).unwrap();
    let mut pod = PodMeta::default();
    for (key, value) in [
        ("app", "churn"),
        ("pipeline/runid", "7"),
        ("hxmlops.io/stage", "own"),
    ] {
        pod.labels.insert(key.into(), value.into());
    }
    pod.annotations.insert("build".into(), " 42\u{7}é ".into());
    let placed = rules.place(&pod);
    assert_eq!(
        (&*placed.placement.run, &*placed.placement.stage),
        ("42_é", "own")
    );
    let names: Vec<&str> = placed.rules.iter().map(|rule| &*rule.name).collect();
    assert_eq!(names, ["hxmlops", "ours"]);
}

#[test]
fn what_is_no_rule_is_told() {
    for (yaml, expected) in [
        ("- {name: job, when: [{label: a}]}", "comes twice"),
        ("- {name: '', when: [{label: a}]}", "is empty"),
        (
            "- {name: a, when: [{label: a}], names: {b: \"c\\u0007\"}}",
            "is no component",
        ),
        (
            "- {name: all, run: [{label: a}]}",
            "hide all rules after it",
        ),
    ] {
        let rules: Vec<Rule> = serde_saphyr::from_str(yaml).unwrap();
        let error = Rules::with(rules).unwrap_err().to_string();
        assert!(error.contains(expected), "{yaml}: {error}");
    }
    for (yaml, expected) in [
        ("- {name: a, when: [{text: a}]}", "a condition is one of"),
        (
            "- {name: a, when: [{label: a, take: whole}], run: [{label: a, owner: Job}]}",
            "a source is one of",
        ),
        (
            "- {name: a, when: [{label: a, take: kfp-task}]}",
            "takes the whole value",
        ),
        ("- {name: a, stages: [{label: a}]}", "stages"),
        ("- {name: a, run: [{label: a, take: all}]}", "all"),
    ] {
        let error = serde_saphyr::from_str::<Vec<Rule>>(yaml)
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{yaml}: {error}");
    }
}

proptest! {
    #[test]
    fn no_value_is_too_long_or_has_what_a_terminal_obeys(value in any::<String>(), key in 0..7_usize) {
        let keys = [
            "hxmlops.io/run", "hxmlops.io/workflow", "hxmlops.io/stage", "pipeline/runid",
            "workflows.argoproj.io/workflow", "workflows.argoproj.io/node-name", "job-name",
        ];
        let mut pod = PodMeta::default();
        for key in &keys[key..] {
            pod.labels.insert((*key).into(), value.clone());
            pod.annotations.insert((*key).into(), value.clone());
        }
        let rules = Rules::built_in();
        let Placement { workflow, run, stage, component } = rules.place(&pod).placement;
        for value in [workflow, run, stage, component] {
            prop_assert!(crate::is_name(&value) && value.len() <= MAX_VALUE_BYTES, "{value:?}");
        }
    }
}
