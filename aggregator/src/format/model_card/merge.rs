//! The emissions put into the front matter of a README: nothing else of it changes, to the byte.
//!
//! What counts as front matter is what the Hub takes for it (`REGEX_YAML_BLOCK` of `huggingface_hub`): a line `---`
//! after nothing but white space, up to the next line `---`.

use std::ops::Range;

use serde_json::{Map, Value};

use super::KEY;

/// Why a README is left as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// Its front matter is no mapping in YAML.
    #[error("its front matter is not a mapping in YAML: {0}")]
    NotYaml(String),
    /// The key stands there in a way in which it cannot be replaced alone.
    #[error(
        "its co2_eq_emissions cannot be replaced without changing other keys; remove it there first"
    )]
    Entangled,
}

/// The README with `entry` (lines of YAML, see [`super::entry`]) in place of the emissions that it states, else at the
/// end of its front matter, which is made where there is none. `entry` takes over the README's line ends.
///
/// # Errors
/// Where the front matter is not understood, or would not be the same but for the emissions.
pub fn merge(readme: &str, entry: &str) -> Result<String, MergeError> {
    let end_of_line = end_of_line(readme);
    let entry = entry.replace('\n', end_of_line);
    let Some(front) = front_matter(readme) else {
        return Ok(format!("---{end_of_line}{entry}---{end_of_line}{readme}"));
    };
    let before = mapping(&readme[front.clone()])?;
    let place = place(readme, &front);
    let (kept, rest) = (&readme[..place.start], &readme[place.end..]);
    let merged = format!("{kept}{entry}{rest}");

    let end = front.end - place.len() + entry.len();
    let after = mapping(&merged[front.start..end]).map_err(|_| MergeError::Entangled)?;
    if without_key(before) == without_key(after) {
        Ok(merged)
    } else {
        Err(MergeError::Entangled)
    }
}

/// The line end of the first line.
fn end_of_line(text: &str) -> &'static str {
    let first = text.trim_start().lines_with_ends().next();
    let is_crlf = first.is_some_and(|line| line.ends_with("\r\n"));
    if is_crlf { "\r\n" } else { "\n" }
}

/// Where the lines between the two `---` stand.
fn front_matter(readme: &str) -> Option<Range<usize>> {
    let trimmed = readme.trim_start();
    let first = trimmed.lines_with_ends().next()?;
    if without_end(first) != "---" || first.len() == 3 {
        return None;
    }
    let start = readme.len() - trimmed.len() + first.len();
    let mut end = start;
    for line in readme[start..].lines_with_ends() {
        let closes = without_end(line).strip_prefix("---");
        if closes.is_some_and(|rest| rest.trim_matches([' ', '\t']).is_empty()) {
            return Some(start..end);
        }
        end += line.len();
    }
    None
}

/// What the entry takes the place of: the key's lines, or nothing at the end of the front matter. Lines of its value
/// are indented, or the items or the end of a collection; blank lines and comments are its own only in between.
fn place(readme: &str, front: &Range<usize>) -> Range<usize> {
    let mut found: Option<Range<usize>> = None;
    let mut at = front.start;
    for line in readme[front.clone()].lines_with_ends() {
        let end = at + line.len();
        match &mut found {
            None if is_key(line) => found = Some(at..end),
            None => {}
            Some(_) if line.trim().is_empty() || line.starts_with('#') => {}
            Some(found) if line.starts_with([' ', '\t', '-', ']', '}']) => found.end = end,
            Some(_) => break,
        }
        at = end;
    }
    found.unwrap_or(front.end..front.end)
}

fn is_key(line: &str) -> bool {
    let bare = [line.strip_prefix(KEY)];
    let quoted = ['"', '\''].map(|quote| {
        let rest = line.strip_prefix(quote)?.strip_prefix(KEY)?;
        rest.strip_prefix(quote)
    });
    let mut rests = bare.into_iter().chain(quoted).flatten();
    rests.any(|rest| {
        let value = rest.trim_start_matches([' ', '\t']).strip_prefix(':');
        value.is_some_and(|value| value.is_empty() || value.starts_with([' ', '\t', '\r', '\n']))
    })
}

fn mapping(yaml: &str) -> Result<Map<String, Value>, MergeError> {
    let is_bare = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    if yaml.lines().all(is_bare) {
        return Ok(Map::new());
    }
    serde_saphyr::from_str(yaml).map_err(|error| {
        let error = error.to_string();
        let first = error.lines().next().unwrap_or_default();
        MergeError::NotYaml(first.strip_prefix("error: ").unwrap_or(first).to_owned())
    })
}

fn without_key(mut mapping: Map<String, Value>) -> Map<String, Value> {
    mapping.remove(KEY);
    mapping
}

fn without_end(line: &str) -> &str {
    let line = line.strip_suffix('\n').unwrap_or(line);
    line.strip_suffix('\r').unwrap_or(line)
}

/// Lines with what ends them.
trait LinesWithEnds {
    fn lines_with_ends(&self) -> std::str::SplitInclusive<'_, char>;
}

impl LinesWithEnds for str {
    fn lines_with_ends(&self) -> std::str::SplitInclusive<'_, char> {
        self.split_inclusive('\n')
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ENTRY: &str = "co2_eq_emissions:\n  emissions: 2.5\n";

    fn check(readme: &str, expected: &str) {
        assert_eq!(merge(readme, ENTRY).as_deref(), Ok(expected), "{readme:?}");
        // And a second time nothing changes.
        assert_eq!(
            merge(expected, ENTRY).as_deref(),
            Ok(expected),
            "{expected:?}"
        );
    }

    #[test]
    fn front_matter_is_made_where_there_is_none() {
        check("", &format!("---\n{ENTRY}---\n"));
        check("# Model\n", &format!("---\n{ENTRY}---\n# Model\n"));
        check(
            "# Model\r\n",
            "---\r\nco2_eq_emissions:\r\n  emissions: 2.5\r\n---\r\n# Model\r\n",
        );
        // A rule, which nothing closes.
        check(
            "---\n# Model\n",
            &format!("---\n{ENTRY}---\n---\n# Model\n"),
        );
        check(
            "----\na: 1\n---\n",
            &format!("---\n{ENTRY}---\n----\na: 1\n---\n"),
        );
        check("---", &format!("---\n{ENTRY}---\n---"));
    }

    #[test]
    fn other_keys_keep_their_place_and_their_bytes() {
        check("---\n---\n", &format!("---\n{ENTRY}---\n"));
        check(
            "---\n# none yet\n--- \n",
            &format!("---\n# none yet\n{ENTRY}--- \n"),
        );
        check(
            "\n---\nlicense:   mit # spaces\n\ntags: [a,  b]\n---\n# Model\n---\n",
            &format!("\n---\nlicense:   mit # spaces\n\ntags: [a,  b]\n{ENTRY}---\n# Model\n---\n"),
        );
        check(
            "---\r\nlicense: mit\r\n---\r\nText\n",
            "---\r\nlicense: mit\r\nco2_eq_emissions:\r\n  emissions: 2.5\r\n---\r\nText\n",
        );
        check("---\na: 1\n---", &format!("---\na: 1\n{ENTRY}---"));
    }

    #[test]
    fn emissions_that_are_there_are_replaced_in_their_place() {
        let values = [
            "co2_eq_emissions: 7\n",
            "co2_eq_emissions: # by hand\n  emissions: 7\n\n  # more\n  source: x\n",
            "\"co2_eq_emissions\":\n  emissions: 7\n",
            "'co2_eq_emissions' : {emissions: 7,\n source: x\n}\n",
            "co2_eq_emissions:\n- 7\n- 8\n",
            "co2_eq_emissions:\n  source: |\n    co2_eq_emissions: 1\n\n    b: 2\n",
        ];
        for value in values {
            let before = "a: |\n  co2_eq_emissions: 1\n";
            let after = "\n# of b\nb: 2\nco2_eq_emissions_note: x\n";
            check(
                &format!("---\n{before}{value}{after}---\nco2_eq_emissions: 7\n"),
                &format!("---\n{before}{ENTRY}{after}---\nco2_eq_emissions: 7\n"),
            );
        }
    }

    #[test]
    fn what_is_not_understood_is_left_alone() {
        let check = |readme: &str, expected: &str| {
            let error = merge(readme, ENTRY).unwrap_err().to_string();
            assert!(error.contains(expected), "{readme:?}: {error}");
        };
        check("---\n- a\n- b\n---\n", "not a mapping");
        check("---\na: [1\n---\n", "not a mapping");
        check("---\n? co2_eq_emissions\n: 7\n---\n", "cannot be replaced");
        check("---\n{co2_eq_emissions: 7}\n---\n", "cannot be replaced");
        check(
            "---\nco2_eq_emissions: &a {x: 1}\nb: *a\n---\n",
            "cannot be replaced",
        );
        check("---\nb: 1\n...\n---\n", "cannot be replaced");
    }

    proptest! {
        #[test]
        fn only_the_emissions_ever_change(readme in "(---\r?\n)?([ac]o?: ?[-#a|>\"{]*\r?\n|  b: 1\n|co2_eq_emissions: ?[{7]\n|---\n|\n){0,8}") {
            if let Ok(merged) = merge(&readme, ENTRY) {
                let again = merge(&merged, ENTRY);
                prop_assert_eq!(again.as_deref(), Ok(merged.as_str()));
                let front = front_matter(&merged).expect("there is one now");
                let read = mapping(&merged[front]).unwrap();
                prop_assert_eq!(&read[KEY]["emissions"], 2.5);
            }
        }
    }
}
