//! `hxmlops completion`: the grammar as a script for a shell, with the names of the catalogue.

use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Arg, Args, Command};
use clap_complete::Shell;

use super::module::CatalogueArgs;
use super::output::print;
use crate::deploy::catalogue::Catalogue;
use crate::deploy::catalogue::module::Kind;

/// Arguments of `hxmlops completion`.
#[derive(Args, Debug)]
#[command(after_help = "For bash:  source <(hxmlops completion bash)
For zsh:   hxmlops completion zsh > \"${fpath[1]}/_hxmlops\"
For fish:  hxmlops completion fish > ~/.config/fish/completions/hxmlops.fish")]
pub struct CompletionArgs {
    /// Shell that the script is for
    #[arg(value_name = "SHELL")]
    shell: Shell,
    #[command(flatten)]
    catalogue: CatalogueArgs,
}

/// Prints the script.
///
/// # Errors
/// Where the catalogue cannot be read, or the script not be printed.
pub fn run(args: &CompletionArgs, grammar: Command) -> anyhow::Result<ExitCode> {
    let mut grammar = with_names(grammar, &args.catalogue.read()?);
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut grammar, "hxmlops", &mut script);
    print(&String::from_utf8(script)?)?;
    Ok(ExitCode::SUCCESS)
}

/// The commands that take the name of a module, after its group.
const WITH_NAMES: [&str; 5] = ["create", "delete", "status", "diff", "info"];

/// The grammar with groups and modules as the only values. Such a grammar is no good for parsing: catalogues differ.
fn with_names(grammar: Command, catalogue: &Catalogue) -> Command {
    let kinds = [Kind::Component, Kind::Link, Kind::Stage];
    kinds.into_iter().fold(grammar, |grammar, kind| {
        let modules = catalogue.modules();
        let (mut groups, names): (Vec<String>, Vec<String>) = modules
            .filter(|module| module.file.kind == kind)
            .map(|module| (module.group.clone(), module.name.clone()))
            .unzip();
        groups.dedup();
        grammar.mut_subcommand(kind.to_string(), |command| {
            let both = [&*groups, &names].concat();
            let command = command
                .mut_arg("group", one_of(groups))
                .mut_subcommand("list-values", |command| {
                    command.mut_arg("names", one_of(both))
                });
            WITH_NAMES.iter().fold(command, |command, name| {
                let names = names.clone();
                command.mut_subcommand(name, |command| command.mut_arg("module", one_of(names)))
            })
        })
    })
}

fn one_of(values: Vec<String>) -> impl FnOnce(Arg) -> Arg {
    |argument| argument.value_parser(PossibleValuesParser::new(values))
}
