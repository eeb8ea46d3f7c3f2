//! What a program said when it failed, as one line. Pure.

/// Characters of a reason that are shown: as much as reads in one go.
const MAX_CHARS: usize = 600;
/// How helm and kubectl begin the line that tells why they failed.
const BEGINNINGS: [&str; 4] = [
    "Error: ",
    "error: ",
    "Error from server",
    "Unable to connect",
];
/// What helm puts before its reason, and what is known here already.
const KNOWN: [&str; 3] = ["INSTALLATION FAILED: ", "UPGRADE FAILED: ", "uninstall: "];

/// The reason in what was written to standard error, in one line; `None` where nothing was.
pub(super) fn reason(said: &str) -> Option<String> {
    let lines: Vec<&str> = said.lines().map(str::trim).collect();
    let begins = |line: &&str| {
        BEGINNINGS
            .iter()
            .any(|beginning| line.starts_with(beginning))
    };
    let start = lines.iter().position(begins);
    // What follows belongs to it: a schema's complaints come one a line.
    let told = match start {
        Some(start) => lines[start..].join(" "),
        None => (*lines.iter().rfind(|line| !line.is_empty())?).to_owned(),
    };
    let mut words = told.split_whitespace().collect::<Vec<_>>().join(" ");
    for prefix in ["Error: ", "error: "].iter().chain(&KNOWN) {
        if let Some(rest) = words.strip_prefix(prefix) {
            words = rest.to_owned();
        }
    }
    if words.chars().count() > MAX_CHARS {
        words = words.chars().take(MAX_CHARS - 1).collect::<String>() + "…";
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_one_line() {
        let check = |said: &str, expected: Option<&str>| {
            assert_eq!(reason(said).as_deref(), expected, "{said}");
        };
        check("", None);
        check("\n \n", None);
        check(
            "WARNING: kubeconfig is group-readable\nError: INSTALLATION FAILED: cannot re-use a name\n",
            Some("cannot re-use a name"),
        );
        check(
            "Error: values don't meet the schema:\nmodule:\n- at '/probes': missing property 'liveness'\n\n",
            Some(
                "values don't meet the schema: module: - at '/probes': missing property 'liveness'",
            ),
        );
        check(
            "Error from server (Forbidden): pods is forbidden\n",
            Some("Error from server (Forbidden): pods is forbidden"),
        );
        check("something\nodd\n", Some("odd"));
        let long = reason(&"x".repeat(5000)).unwrap();
        assert!(long.chars().count() == MAX_CHARS && long.ends_with('…'));
    }
}
