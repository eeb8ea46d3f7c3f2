//! `hxmlops man`: the grammar as manual pages.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Command};
use clap_mangen::Man;

use super::output::{print, tell};

/// Arguments of `hxmlops man`.
#[derive(Args, Debug)]
pub struct ManArgs {
    /// Directory that all pages are written to, made where it is not there [default: print the main page]
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
}

/// Writes a page for each command, or prints the main one.
///
/// # Errors
/// Where they cannot be written.
pub fn run(args: &ManArgs, grammar: Command) -> anyhow::Result<ExitCode> {
    let grammar = grammar.disable_help_subcommand(true);
    let Some(directory) = &args.directory else {
        let mut page = Vec::new();
        Man::new(grammar).render(&mut page)?;
        print(&String::from_utf8(page)?)?;
        return Ok(ExitCode::SUCCESS);
    };
    let cannot = || format!("cannot write manual pages to {}", directory.display());
    fs::create_dir_all(directory).with_context(cannot)?;
    clap_mangen::generate_to(grammar, directory).with_context(cannot)?;
    tell(&format!("the manual pages are in {}", directory.display()));
    Ok(ExitCode::SUCCESS)
}
