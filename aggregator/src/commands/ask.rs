//! Questions to whoever sits at the terminal.

use std::io::{BufRead, IsTerminal as _, Write, stderr, stdin};

use anyhow::Context as _;

use super::output::shown;
use crate::format::escape;

/// Whether somebody can be asked: both what is read and what is shown is a terminal.
#[must_use]
pub fn is_possible() -> bool {
    stdin().is_terminal() && stderr().is_terminal()
}

/// Asks on standard error, so that an answer can be piped on; reads standard input.
pub(crate) struct Asker<R, W> {
    input: R,
    output: W,
}

impl Asker<std::io::StdinLock<'static>, std::io::Stderr> {
    pub(crate) fn terminal() -> Self {
        Self {
            input: stdin().lock(),
            output: stderr(),
        }
    }
}

impl<R: BufRead, W: Write> Asker<R, W> {
    /// A text; an empty answer is `default`. Asks again until `check` has nothing to say against it.
    pub(crate) fn text(
        &mut self,
        question: &str,
        default: Option<&str>,
        check: impl Fn(&str) -> Result<(), String>,
    ) -> anyhow::Result<String> {
        loop {
            let hint = default.map_or(String::new(), |default| format!(" [{default}]"));
            let line = self.line(&format!("{question}{hint}: "))?;
            let answer = if line.is_empty() {
                default.unwrap_or_default().to_owned()
            } else {
                line
            };
            match check(&answer) {
                Ok(()) => return Ok(answer),
                Err(why) => self.say(&why)?,
            }
        }
    }

    /// One of several, by its number or its name; returns its index.
    pub(crate) fn choice(
        &mut self,
        question: &str,
        names: &[String],
        default: usize,
    ) -> anyhow::Result<usize> {
        for (number, name) in (1..).zip(names) {
            self.say(&format!("  {number}) {name}"))?;
        }
        let index = |answer: &str| {
            let by_name = names.iter().position(|name| name == answer);
            let number = answer.parse::<usize>().ok();
            let by_number = number.and_then(|number| number.checked_sub(1));
            by_name.or(by_number.filter(|index| *index < names.len()))
        };
        let default = (default + 1).to_string();
        let answer = self.text(question, Some(&default), |answer| match index(answer) {
            Some(_) => Ok(()),
            None => Err(format!("say a number from 1 to {}", names.len())),
        })?;
        index(&answer).context("it was checked")
    }

    /// Yes or no.
    pub(crate) fn yes(&mut self, question: &str, default: bool) -> anyhow::Result<bool> {
        let hint = if default { "Y/n" } else { "y/N" };
        loop {
            let answer = self.line(&format!("{question} [{hint}] "))?;
            match &*answer.to_lowercase() {
                "" => return Ok(default),
                "y" | "yes" => return Ok(true),
                "n" | "no" => return Ok(false),
                _ => self.say("say y or n")?,
            }
        }
    }

    fn line(&mut self, prompt: &str) -> anyhow::Result<String> {
        write!(self.output, "{}", escape::terminal(prompt))?;
        self.output.flush()?;
        let mut line = String::new();
        let read = self.input.read_line(&mut line);
        let read = read.context("cannot read the answer")?;
        anyhow::ensure!(read > 0, "no answer; nothing is changed");
        Ok(line.trim().to_owned())
    }

    fn say(&mut self, line: &str) -> anyhow::Result<()> {
        Ok(writeln!(self.output, "{}", shown(line))?)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Answers, one a line, and what was shown.
    pub(crate) fn asker(answers: &str) -> Asker<&[u8], Vec<u8>> {
        Asker {
            input: answers.as_bytes(),
            output: Vec::new(),
        }
    }

    impl Asker<&[u8], Vec<u8>> {
        pub(crate) fn shown(self) -> String {
            String::from_utf8(self.output).unwrap()
        }
    }

    #[test]
    fn an_answer_that_will_not_do_is_asked_for_again() {
        let mut one = asker("\n\nb\n");
        let not_empty = |text: &str| match text {
            "" => Err("say something".to_owned()),
            _ => Ok(()),
        };
        assert_eq!(one.text("Name", None, not_empty).unwrap(), "b");
        assert_eq!(
            one.shown(),
            "Name: say something\nName: say something\nName: "
        );
        assert_eq!(asker("\n").text("Name", Some("a"), not_empty).unwrap(), "a");
    }

    #[test]
    fn a_choice_is_a_number_or_a_name() {
        let names = ["one".to_owned(), "two".to_owned()];
        let check = |answers: &str, expected: usize| {
            assert_eq!(asker(answers).choice("Which", &names, 1).unwrap(), expected);
        };
        check("\n", 1);
        check("1\n", 0);
        check("two\n", 1);
        check("0\n3\nthree\n1\n", 0);
    }

    #[test]
    fn yes_and_no() {
        let check = |answers: &str, default: bool, expected: bool| {
            assert_eq!(asker(answers).yes("Sure?", default).unwrap(), expected);
        };
        check("\n", true, true);
        check("\n", false, false);
        check("maybe\nYES\n", false, true);
        check("n\n", true, false);
    }

    #[test]
    fn the_end_of_the_input_is_no_answer() {
        let error = asker("").yes("Sure?", true).unwrap_err();
        assert_eq!(error.to_string(), "no answer; nothing is changed");
    }
}
