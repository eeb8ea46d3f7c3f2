//! `hxmlops token`: who may ask, and who may write.

use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use jiff::{Span, SpanRelativeTo, Timestamp};

use super::output::{print, tell, width};
use crate::api::tokens::NewToken;
use crate::cli::{LedgerArgs, Usage};
use crate::format;
use crate::source::Source;
use crate::token::Role;

/// Arguments of `hxmlops token`.
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Subcommand, Debug)]
enum TokenCommand {
    /// Make a token and print it; it is shown this once. With the first one, the server asks everybody for one
    Create(CreateArgs),
    /// List tokens, without their secrets
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// End a token, at once (within 5 s where it is done by --data-dir)
    Revoke {
        /// The eight digits after `hxm_`, as `token list` shows them
        #[arg(value_name = "ID")]
        id: String,
    },
}

#[derive(Args, Debug)]
struct CreateArgs {
    /// What it is good for: an agent's batches, asking, or everything
    #[arg(long, value_enum, value_name = "ROLE")]
    role: RoleName,
    /// For ingest: the node whose batches it may write; `gpu-*` for all whose names begin so
    #[arg(long, value_name = "NAME", required_if_eq("role", "ingest"))]
    node: Option<String>,
    /// For ingest: the node's cluster [default: default]
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// For how long it is good, such as 90d, or never
    #[arg(long, value_name = "TIME", default_value = "365d")]
    expires: String,
    /// Anything to know it by
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    note: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum RoleName {
    Ingest,
    Read,
    Admin,
}

/// Does it, on a server or in a data directory.
///
/// # Errors
/// Where the ledger cannot be reached, or does not take it.
pub async fn run(args: &TokenArgs, ledger: &LedgerArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        TokenCommand::Create(args) => create(args, ledger).await?,
        TokenCommand::List { json } => list(*json, ledger).await?,
        TokenCommand::Revoke { id } => {
            Source::open_for_writing(ledger)?.revoke_token(id).await?;
            tell(&format!("token {id} is revoked"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn create(args: &CreateArgs, ledger: &LedgerArgs) -> anyhow::Result<()> {
    let new = NewToken {
        role: role(args)?,
        note: args.note.clone(),
        expires: expires(&args.expires, Timestamp::now())?,
    };
    let made = Source::open_for_writing(ledger)?.make_token(&new).await?;
    let until = made.record.expires.map_or_else(
        || "for ever".to_owned(),
        |expires| format!("until {}", expires.strftime("%Y-%m-%d %H:%M UTC")),
    );
    tell(&format!(
        "token {}: {}, good {until}; it is not shown again",
        made.record.id, made.record.role
    ));
    print(&format!("{}\n", made.token))
}

async fn list(json: bool, ledger: &LedgerArgs) -> anyhow::Result<()> {
    let tokens = Source::open(ledger)?.tokens().await?;
    if json {
        return print(&format::json(&tokens)?);
    }
    if tokens.is_empty() {
        tell("no tokens: the server is open to whoever reaches it");
        return Ok(());
    }
    print(&format::tokens::table(&tokens, Timestamp::now(), width()))
}

fn role(args: &CreateArgs) -> Result<Role, Usage> {
    let is_bound = args.node.is_some() || args.cluster.is_some();
    match (args.role, &args.node) {
        (RoleName::Ingest, Some(node)) => Ok(Role::Ingest {
            cluster: args.cluster.clone().unwrap_or_else(|| "default".to_owned()),
            node: node.clone(),
        }),
        (RoleName::Ingest, None) => Err(Usage("--role ingest needs --node NAME".to_owned())),
        _ if is_bound => Err(Usage(
            "--node and --cluster are for --role ingest alone".to_owned(),
        )),
        (RoleName::Read, _) => Ok(Role::Read),
        (RoleName::Admin, _) => Ok(Role::Admin),
    }
}

/// The end of a life as it is typed, counted from `now`; `None` for `never`.
///
/// # Errors
/// Where it is no length of time, or lies after all times.
pub fn expires(text: &str, now: Timestamp) -> anyhow::Result<Option<Timestamp>> {
    if text == "never" {
        return Ok(None);
    }
    let invalid = || {
        Usage(format!(
            "--expires '{text}' is no time such as 12h, 90d or never"
        ))
    };
    let span: Span = text.parse().map_err(|_| invalid())?;
    let length = span.to_duration(SpanRelativeTo::days_are_24_hours());
    let length = length.map_err(|_| invalid())?;
    if !length.is_positive() {
        return Err(invalid().into());
    }
    let expires = now.checked_add(length);
    Ok(Some(expires.context("--expires lies after all times")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_is_a_length_or_never() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let check = |text: &str, expected: Option<Option<&str>>| {
            let found = expires(text, now).ok();
            let expected = expected.map(|time| time.map(|time| time.parse::<Timestamp>().unwrap()));
            assert_eq!(found, expected, "{text}");
        };
        check("90d", Some(Some("2026-04-01T00:00:00Z")));
        check("12h", Some(Some("2026-01-01T12:00:00Z")));
        check("never", Some(None));
        for text in ["", "0d", "-1d", "soon", "9999999d"] {
            check(text, None);
        }
    }
}
