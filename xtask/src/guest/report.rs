//! What a guest reports: sections between `### begin NAME` and `### end NAME CODE`, and `### over` at the end.

use anyhow::{Context as _, Result, ensure};

/// All sections that were ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Report {
    sections: Vec<Section>,
    /// The guest came to its end.
    pub(super) is_over: bool,
}

/// What one command did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Section {
    /// Its name in the round's script.
    pub(crate) name: String,
    /// Its exit code.
    pub(crate) code: i32,
    /// What it printed.
    pub(crate) text: String,
}

impl Report {
    /// Reads what came over the serial line. A section that was not ended is left out.
    pub(super) fn parse(text: &str) -> Self {
        let mut report = Self {
            sections: Vec::new(),
            is_over: false,
        };
        let mut open: Option<Section> = None;
        for line in text.lines() {
            let mut words = line.strip_prefix("### ").unwrap_or_default().split(' ');
            match (words.next(), words.next(), words.next()) {
                (Some("begin"), Some(name), None) => {
                    open = Some(Section {
                        name: name.to_owned(),
                        code: -1,
                        text: String::new(),
                    });
                }
                (Some("end"), Some(_), Some(code)) => {
                    let code = code.parse().unwrap_or(-1);
                    let ended = open.take().map(|section| Section { code, ..section });
                    report.sections.extend(ended);
                }
                (Some("over"), None, None) => report.is_over = true,
                _ => {
                    if let Some(section) = &mut open {
                        section.text.push_str(line);
                        section.text.push('\n');
                    }
                }
            }
        }
        report
    }

    /// The section of this name.
    ///
    /// # Errors
    /// Where the guest did not report it.
    pub(crate) fn section(&self, name: &str) -> Result<&Section> {
        let mut sections = self.sections.iter();
        sections
            .find(|section| section.name == name)
            .with_context(|| format!("the guest reported nothing of '{name}'"))
    }

    /// What a command printed that had to succeed.
    ///
    /// # Errors
    /// Where it did not, with what it printed.
    pub(crate) fn succeeded(&self, name: &str) -> Result<&str> {
        let section = self.section(name)?;
        ensure!(
            section.code == 0,
            "'{name}' ended with {}:\n{}",
            section.code,
            section.text
        );
        Ok(&section.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_what_lies_between_their_marks() {
        let report = Report::parse(
            "noise\n### begin a\none\n### two\n### end a 0\nnoise\n### begin b\n### end b 3\n### begin c\ncut",
        );
        assert_eq!(report.succeeded("a").unwrap(), "one\n### two\n");
        let b = report.section("b").unwrap();
        assert_eq!((b.code, b.text.as_str()), (3, ""));
        assert!(report.succeeded("b").is_err() && report.section("c").is_err());
        assert!(!report.is_over);
        assert!(Report::parse("### over\n").is_over);
    }
}
