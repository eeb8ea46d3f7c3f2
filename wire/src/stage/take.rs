//! The part of a value that counts.

use serde::{Deserialize, Serialize};

/// What Kubernetes makes random suffixes of: no vowels, and no digits that look like letters
/// (k8s.io/apimachinery/pkg/util/rand).
const RANDOM: &str = "bcdfghjklmnpqrstvwxz2456789";
/// Characters of such a suffix.
const RANDOM_LENGTH: usize = 5;

/// Which part of a value is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Take {
    /// All of it.
    #[default]
    Whole,
    /// Of an Argo node's name, `wf.train` or `wf[0].train(1:b)`, the last element without its number; nothing of one that
    /// is the workflow's own name.
    LastElement,
    /// The same of a Kubeflow Pipelines v2 node, `wf.root.train.executor` or `wf.root.train-driver`: the task; nothing of
    /// the root's own driver.
    KfpTask,
    /// `driver` of such a driver's node; nothing of any other.
    KfpRole,
    /// A name without the suffix of `generateName` (`-x7k2b`) or the time that a schedule adds (`-1732579200`).
    WithoutSuffix,
    /// A name without the time that a CronJob adds: `-28876543` (minutes), or `-1732579200` (seconds) of old ones; a date
    /// such as `-20261127` stays.
    WithoutTime,
}

impl Take {
    pub(super) fn of(self, value: &str) -> &str {
        match self {
            Self::Whole => value,
            Self::LastElement => last_element(value),
            Self::KfpTask => kfp_task(value),
            Self::KfpRole => {
                if driven(last_element(value)).is_some() {
                    "driver"
                } else {
                    ""
                }
            }
            Self::WithoutSuffix => without_random(value).unwrap_or_else(|| without_time(value)),
            Self::WithoutTime => without_time(value),
        }
    }
}

/// `train(0:lr=0.1)` is one element, whatever is in the brackets.
fn elements(value: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    let is_between = move |c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == '.' && depth == 0
    };
    value.split(is_between).collect()
}

fn without_number(element: &str) -> &str {
    let end = element.find(['(', '[']).unwrap_or(element.len());
    &element[..end]
}

fn last_element(value: &str) -> &str {
    match elements(value).as_slice() {
        [] | [_] => "",
        [.., last] => without_number(last),
    }
}

fn kfp_task(value: &str) -> &str {
    let elements = elements(value);
    let last = last_element(value);
    if let Some(driven) = driven(last) {
        return if driven == "root" { "" } else { driven };
    }
    if last == "executor" && elements.len() >= 3 {
        return without_number(elements[elements.len() - 2]);
    }
    last
}

/// What a driver's node drives.
fn driven(element: &str) -> Option<&str> {
    element
        .strip_suffix("-driver")
        .filter(|driven| !driven.is_empty())
}

fn without_random(name: &str) -> Option<&str> {
    let (base, suffix) = name.rsplit_once('-')?;
    let is_random =
        suffix.len() == RANDOM_LENGTH && suffix.chars().all(|letter| RANDOM.contains(letter));
    (is_random && !base.is_empty()).then_some(base)
}

fn without_time(name: &str) -> &str {
    match name.rsplit_once('-') {
        Some((base, time)) if is_time(time) && !base.is_empty() => base,
        _ => name,
    }
}

/// Minutes since 1970 from 2017 on, when they are greater than any date looks like, or seconds.
fn is_time(text: &str) -> bool {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    is_number
        && matches!(
            text.parse(),
            Ok(25_000_000..=99_999_999 | 1_000_000_000..=9_999_999_999_u64)
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(take: Take, value: &str, expected: &str) {
        assert_eq!(take.of(value), expected, "{take:?} of {value}");
    }

    #[test]
    fn parts_of_names() {
        for (value, expected) in [
            ("wf-x7k2b.train", "train"),
            ("wf[0].train(1:b)", "train"),
            ("wf.train(0:lr=0.1,path=a.b)", "train"),
            ("wf.outer.inner", "inner"),
            ("wf-x7k2b", ""),
            ("", ""),
        ] {
            check(Take::LastElement, value, expected);
        }
        for (value, task, role) in [
            ("wf.root.trainer.executor", "trainer", ""),
            ("wf.root.trainer-driver", "trainer", "driver"),
            ("wf.root.trainer-driver(0)", "trainer", "driver"),
            ("wf.root-driver", "", "driver"),
            (
                "wf.root.loop.iteration-2.trainer.executor(0)",
                "trainer",
                "",
            ),
            ("wf.root.trainer(0:x=1.5).executor", "trainer", ""),
            ("wf.root", "root", ""),
            ("wf", "", ""),
        ] {
            check(Take::KfpTask, value, task);
            check(Take::KfpRole, value, role);
        }
        for (value, expected) in [
            ("churn-x7k2b", "churn"),
            ("nightly-1732579200", "nightly"),
            ("train-model", "train-model"),
            ("churn-train", "churn-train"),
            ("x7k2b", "x7k2b"),
            ("-x7k2b", "-x7k2b"),
            ("", ""),
        ] {
            check(Take::WithoutSuffix, value, expected);
        }
        for (value, expected) in [
            ("report-28876543", "report"),
            ("report-1732579200", "report"),
            ("report-2024", "report-2024"),
            ("report-20261127", "report-20261127"),
            ("report-x7k2b", "report-x7k2b"),
            ("28876543", "28876543"),
        ] {
            check(Take::WithoutTime, value, expected);
        }
    }
}
