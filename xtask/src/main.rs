//! `cargo xtask`: what builds, tests, shows and measures the project.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod bench;
mod charts;
mod cluster;
mod demo;
mod ebpf;
mod fuzz;
mod guest;
mod image;
mod install;
mod run;
mod test;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Builds, tests, shows and measures the project.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Ebpf(ebpf::Args),
    Test(test::Args),
    Demo(demo::Args),
    Bench(bench::Args),
    Image(image::Args),
    Cluster(cluster::Args),
    Charts(charts::Args),
    #[command(hide = true)]
    PingPong(bench::ping_pong::Args),
}

fn main() -> ExitCode {
    if let Some(code) = fuzz::compile() {
        return code;
    }
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Ebpf(args) => ebpf::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Image(args) => image::run(&args),
        Command::Cluster(args) => cluster::run(&args),
        Command::Charts(args) => charts::run(&args),
        Command::PingPong(args) => bench::ping_pong::run(&args),
    }
}
