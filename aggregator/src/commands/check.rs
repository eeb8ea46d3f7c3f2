//! `hxmlops check`: whether domains are there, and can be deployed to.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::init::read_domains;
use super::interrupt;
use super::output::{print, width};
use crate::deploy::check::{self, Checked};
use crate::deploy::domains::file::{self, DomainsFile};
use crate::deploy::domains::{Domain, DomainError};
use crate::deploy::kubeconfig;
use crate::format;

/// Something is not as create needs it.
const NOT_OK: u8 = 3;

/// Arguments of `hxmlops check`.
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub struct CheckArgs {
    #[command(subcommand)]
    command: CheckCommand,
}

#[derive(Subcommand, Debug)]
enum CheckCommand {
    /// Ask every domain for all that create needs; exit code 3 where something is missing
    Connection(ConnectionArgs),
}

#[derive(Args, Debug)]
struct ConnectionArgs {
    /// Ask this domain alone; may be given several times [default: all]
    #[arg(long = "domain", value_name = "NAME")]
    domains: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Does it.
///
/// # Errors
/// Where there are no such domains, or no kubeconfig.
pub async fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let CheckCommand::Connection(args) = &args.command;
    let all = read_domains(&DomainsFile::new(&file::directory()?))?;
    let domains: Vec<(&str, &Domain)> = if args.domains.is_empty() {
        let all = all.domains.iter();
        all.map(|(name, domain)| (name.as_str(), domain)).collect()
    } else {
        let named = args.domains.iter().map(|name| all.find(Some(name)));
        named.collect::<Result<_, _>>()?
    };
    if domains.is_empty() {
        return Err(DomainError::None.into());
    }
    let end = interrupt::token();
    let kubeconfig = kubeconfig::read()?;
    let checked = check::check(&kubeconfig, &domains, &end);
    let checked = interrupt::unless(&end, checked).await?;
    show(&checked, args.json)?;
    Ok(if checked.ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(NOT_OK)
    })
}

fn show(checked: &Checked, json: bool) -> anyhow::Result<()> {
    if json {
        return print(&format::json(checked)?);
    }
    print(&format::checks::table(checked, width()))
}
