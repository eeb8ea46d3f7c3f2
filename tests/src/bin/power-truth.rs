//! `power-truth DIRECTORY [SCRIPT]`: serves, below DIRECTORY as /sys, a powercap tree whose energy is a known function of
//! what the cgroups really used; see `e2e::truth`. Lines come from SCRIPT, then from the standard input.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, stdin, stdout};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use e2e::truth::serve::serve;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (directory, script) = match &args[..] {
        [directory] => (directory, None),
        [directory, script] => (directory, Some(script)),
        _ => bail!("usage: power-truth DIRECTORY [SCRIPT]"),
    };
    let open = |path: &String| File::open(path).with_context(|| format!("cannot open {path}"));
    let script: Box<dyn BufRead + Send> = match script.map(open).transpose()? {
        Some(file) => Box::new(BufReader::new(file.chain(stdin()))),
        None => Box::new(BufReader::new(stdin())),
    };
    serve(Path::new(directory), script, stdout().lock())
}
