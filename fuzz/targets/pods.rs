//! What others write about pods: their objects, as the API tells them, and rules of stages.

#![no_main]

use agent::kube::pod::{ApiPod, Pod};
use libfuzzer_sys::fuzz_target;
use wire::stage::{MAX_VALUE_BYTES, Placement, PodMeta, Rule, Rules};

fuzz_target!(|data: &[u8]| fuzz::one_of(data, &[check_pod, check_rules]));

fn check_pod(json: &[u8]) {
    let Ok(object) = serde_json::from_slice::<ApiPod>(json) else {
        return;
    };
    if let Some(pod) = Pod::new(object, &Rules::built_in()) {
        check_placement(&pod.placement);
        assert!(pod.containers.iter().all(|one| !one.id.is_empty()));
    }
}

/// Whatever rules there are, what they make of a pod is short and plain, and explained as it is.
fn check_rules(text: &[u8]) {
    let Some((yaml, json)) = str::from_utf8(text)
        .ok()
        .and_then(|text| text.split_once('\0'))
    else {
        return;
    };
    let Ok(rules) = serde_saphyr::from_str::<Vec<Rule>>(yaml) else {
        return;
    };
    let (Ok(rules), Ok(pod)) = (Rules::with(rules), serde_json::from_str::<PodMeta>(json)) else {
        return;
    };
    let placed = rules.place(&pod);
    check_placement(&placed.placement);
    let explanation = rules.explain(&pod);
    assert_eq!(explanation.placement, placed.placement);
    assert_eq!(explanation.verdicts.len(), rules.rules().len());
}

fn check_placement(placement: &Placement) {
    let Placement {
        workflow,
        run,
        stage,
        component,
    } = placement;
    for value in [workflow, run, stage, component] {
        assert!(
            wire::is_name(value) && value.len() <= MAX_VALUE_BYTES,
            "{value:?}"
        );
    }
}
