//! `hxmlops init`: the domains that modules are deployed to.

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::ask::{self, Asker};
use super::output::{print, tell, width};
use crate::cli::Usage;
use crate::deploy::domains::file::{self, DomainsFile};
use crate::deploy::domains::{Domain, Domains, Role, check_aggregator, check_namespace};
use crate::deploy::kubeconfig::{self, KubeContext};
use crate::format;

/// Arguments of `hxmlops init`.
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub struct InitArgs {
    #[command(subcommand)]
    command: InitCommand,
}

#[derive(Subcommand, Debug)]
enum InitCommand {
    /// Add a domain, or change what is given of one of the same name; asks at a terminal for what is not given
    #[command(alias = "new_config")]
    NewConfig(NewArgs),
    /// Say which domain is meant where none is named
    #[command(alias = "set_default_domain")]
    SetDefaultDomain {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// List the domains
    #[command(alias = "show_config")]
    ShowConfig {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args, Clone, Debug, Default)]
#[command(
    after_help = "A domain that is there keeps what is not given; an empty text takes a setting away."
)]
struct NewArgs {
    /// Its name
    #[arg(long, value_name = "NAME")]
    domain: Option<String>,
    /// Context of the kubeconfig
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Namespace that modules go to [default: the context's]
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
    /// Where its nodes stand, as the ledger names that
    #[arg(long, value_name = "NAME")]
    site: Option<String>,
    /// Whose it is: the software vendor's, or an operator's [default: staging]
    #[arg(long, value_enum, value_name = "ROLE")]
    role: Option<Role>,
    /// Its cluster, as agents name it to the ledger; where the ledger knows several
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// Aggregator that has its energy, which `status` shows
    #[arg(long, value_name = "URL")]
    aggregator: Option<String>,
    /// File with the token that the aggregator asks for
    #[arg(long, value_name = "FILE")]
    aggregator_token_file: Option<PathBuf>,
    /// Roots that the aggregator's certificate is checked against (PEM) [default: the system's]
    #[arg(long, value_name = "FILE")]
    aggregator_ca_file: Option<PathBuf>,
    /// Make it the domain that is meant where none is named; the first one is
    #[arg(long)]
    default: bool,
}

/// Does it, in the file of the user.
///
/// # Errors
/// Where the file cannot be read or written, or a domain or context is not there.
pub fn run(args: &InitArgs) -> anyhow::Result<ExitCode> {
    let file = DomainsFile::new(&file::directory()?);
    let mut domains = read_domains(&file)?;
    match &args.command {
        InitCommand::NewConfig(args) => new_config(args, &file, &mut domains)?,
        InitCommand::SetDefaultDomain { name } => {
            domains.set_default(name)?;
            file.write(&domains)?;
            tell(&format!("the default domain is {name}"));
        }
        InitCommand::ShowConfig { json: true } => print(&format::json(&domains)?)?,
        InitCommand::ShowConfig { json: false } if domains.domains.is_empty() => {
            tell("there are no domains yet; `hxmlops init new-config` makes one");
        }
        InitCommand::ShowConfig { json: false } => {
            print(&format::domains::table(&domains, width()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The user's domains; says so where they were the first tool's until now.
pub(super) fn read_domains(file: &DomainsFile) -> anyhow::Result<Domains> {
    let read = file.read()?;
    if let Some(old) = read.migrated {
        tell(&format!(
            "the domains of {} are now in {}; the old file is left as it is",
            old.display(),
            file.path().display()
        ));
    }
    Ok(read.domains)
}

fn new_config(args: &NewArgs, file: &DomainsFile, domains: &mut Domains) -> anyhow::Result<()> {
    let known = args
        .domain
        .as_ref()
        .and_then(|name| domains.domains.get(name));
    let is_said = args.domain.is_some() && (args.context.is_some() || known.is_some());
    if !is_said && !ask::is_possible() {
        let usage =
            "--domain NAME, and --context NAME for a new one, are needed where nobody can be asked";
        return Err(Usage(usage.to_owned()).into());
    }
    let contexts = kubeconfig::contexts(&kubeconfig::read()?);
    let new = if is_said {
        args.clone()
    } else {
        asked(args, &contexts, domains, &mut Asker::terminal())?
    };
    let name = new.domain.clone().unwrap_or_default();
    let domain = changed(domains.domains.get(&name), &new)?;
    kubeconfig::context(&contexts, &domain.context)?;
    let before = domains.set(&name, domain, new.default);
    let before = before.map_err(|invalid| Usage(invalid.to_string()))?;
    file.write(domains)?;
    let done = if before.is_some() { "changed" } else { "added" };
    let default = domains.default_domain.as_deref() == Some(&*name);
    let default = if default { ", the default" } else { "" };
    tell(&format!(
        "domain {name} is {done}{default}, in {}",
        file.path().display()
    ));
    Ok(())
}

/// A domain with what is given; it keeps the rest of what it was.
fn changed(before: Option<&Domain>, new: &NewArgs) -> anyhow::Result<Domain> {
    let mut domain = before.cloned().unwrap_or_else(|| Domain::of_context(""));
    if let Some(context) = &new.context {
        domain.context.clone_from(context);
    }
    if let Some(role) = new.role {
        domain.role = role;
    }
    for (is, given) in [
        (&mut domain.namespace, &new.namespace),
        (&mut domain.site, &new.site),
        (&mut domain.cluster, &new.cluster),
        (&mut domain.aggregator, &new.aggregator),
    ] {
        if let Some(given) = given {
            *is = Some(given.clone()).filter(|text| !text.is_empty());
        }
    }
    for (is, given) in [
        (
            &mut domain.aggregator_token_file,
            &new.aggregator_token_file,
        ),
        (&mut domain.aggregator_ca_file, &new.aggregator_ca_file),
    ] {
        if let Some(given) = given {
            *is = absolute(given)?;
        }
        if domain.aggregator.is_none() && given.is_none() {
            *is = None;
        }
    }
    Ok(domain)
}

/// A file as it is found from anywhere; none of an empty name.
fn absolute(file: &Path) -> anyhow::Result<Option<PathBuf>> {
    if file.as_os_str().is_empty() {
        return Ok(None);
    }
    let absolute = std::path::absolute(file);
    let absolute = absolute.with_context(|| format!("the file {}", file.display()))?;
    Ok(Some(absolute))
}

/// The arguments, with answers for those that were not given.
fn asked<R: BufRead, W: Write>(
    args: &NewArgs,
    contexts: &[KubeContext],
    domains: &Domains,
    asker: &mut Asker<R, W>,
) -> anyhow::Result<NewArgs> {
    anyhow::ensure!(
        !contexts.is_empty(),
        "the kubeconfig has no contexts: there is no cluster to deploy to"
    );
    let mut new = args.clone();
    let context = match &args.context {
        Some(name) => kubeconfig::context(contexts, name)?,
        None => {
            let names: Vec<String> = contexts.iter().map(described).collect();
            let current = contexts.iter().position(|context| context.is_current);
            &contexts[asker.choice("Context", &names, current.unwrap_or(0))?]
        }
    };
    new.context = Some(context.name.clone());
    if new.domain.is_none() {
        let check = |name: &str| {
            let domain = Domain::of_context(&context.name);
            let set = Domains::default().set(name, domain, false);
            set.map(drop).map_err(|invalid| invalid.to_string())
        };
        new.domain = Some(asker.text("Name of the domain", Some(&context.name), check)?);
    }
    let before = new
        .domain
        .as_ref()
        .and_then(|name| domains.domains.get(name));
    if new.namespace.is_none() {
        let own = before.and_then(|before| before.namespace.as_deref());
        let default = own.or(context.namespace.as_deref()).unwrap_or("default");
        let check = |name: &str| check_namespace(name).map_err(|invalid| invalid.to_string());
        new.namespace = Some(asker.text("Namespace", Some(default), check)?);
    }
    if new.site.is_none() {
        let own = before.and_then(|before| before.site.as_deref());
        let question = "Site, as the ledger names it (empty: none)";
        let site = asker.text(question, own, |_| Ok(()))?;
        new.site = Some(site).filter(|site| !site.is_empty());
    }
    if new.role.is_none() {
        let roles = [Role::Vendor, Role::Staging, Role::Production];
        let names = roles.map(|role| role.to_string());
        let own = before.map_or(Role::default(), |before| before.role);
        let default = roles.iter().position(|role| *role == own);
        new.role = Some(roles[asker.choice("Role", &names, default.unwrap_or(1))?]);
    }
    if new.aggregator.is_none() {
        let check = |url: &str| match url {
            "" => Ok(()),
            url => check_aggregator(url).map_err(|invalid| invalid.to_string()),
        };
        let question = "URL of the aggregator that has its energy (empty: none)";
        let own = before.and_then(|before| before.aggregator.as_deref());
        let url = asker.text(question, own, check)?;
        new.aggregator = Some(url).filter(|url| !url.is_empty());
        if new.aggregator.is_some() && new.aggregator_token_file.is_none() {
            let question = "File with the token that it asks for (empty: none)";
            let own = before.and_then(|before| before.aggregator_token_file.as_deref());
            let own = own.and_then(Path::to_str);
            let file = asker.text(question, own, |_| Ok(()))?;
            new.aggregator_token_file = Some(file)
                .filter(|file| !file.is_empty())
                .map(PathBuf::from);
        }
    }
    let is_first = domains.domains.is_empty();
    let is_default = domains.default_domain == new.domain;
    if !new.default && !is_first && !is_default {
        new.default = asker.yes("Make it the default domain?", false)?;
    }
    Ok(new)
}

fn described(context: &KubeContext) -> String {
    match &*context.server {
        "" => context.name.clone(),
        server => format!("{} ({server})", context.name),
    }
}

#[cfg(test)]
mod tests {
    use super::super::ask::tests::asker;
    use super::*;

    fn contexts() -> Vec<KubeContext> {
        ["a", "b"]
            .map(|name| KubeContext {
                name: name.to_owned(),
                namespace: (name == "b").then(|| "work".to_owned()),
                server: String::new(),
                is_current: name == "b",
            })
            .to_vec()
    }

    #[test]
    fn answers_fill_what_was_not_given() {
        let mut first = asker("\nstaging\n\nparis\n3\nledger\nhttp://ledger\n\n");
        let new = asked(
            &NewArgs::default(),
            &contexts(),
            &Domains::default(),
            &mut first,
        )
        .unwrap();
        assert_eq!(new.context.as_deref(), Some("b"), "the current one");
        assert_eq!(new.domain.as_deref(), Some("staging"));
        assert_eq!(new.namespace.as_deref(), Some("work"));
        assert_eq!(new.site.as_deref(), Some("paris"));
        assert_eq!(new.role, Some(Role::Production));
        assert_eq!(new.aggregator.as_deref(), Some("http://ledger"));
        assert_eq!(new.aggregator_token_file, None);
        let shown = first.shown();
        assert!(
            shown.contains("1) a\n") && shown.contains("Context [2]: "),
            "{shown}"
        );
    }

    #[test]
    fn a_domain_keeps_what_is_not_given() {
        let domains = "default-domain: x\ndomains: {x: {context: a, namespace: n, site: s, role: production}}";
        let domains = Domains::parse(domains).unwrap();
        let before = domains.domains.get("x");
        let check = |new: &NewArgs, expected: &str| {
            let domain = changed(before, new).unwrap();
            let found =
                [domain.namespace, domain.site, domain.aggregator].map(Option::unwrap_or_default);
            assert_eq!(format!("{} {}", found.join(" "), domain.role), expected);
        };
        let given = |text: &str| Some(text.to_owned());
        check(&NewArgs::default(), "n s  production");
        let args = NewArgs {
            aggregator: given("http://l"),
            ..NewArgs::default()
        };
        check(&args, "n s http://l production");
        let args = NewArgs {
            site: given(""),
            role: Some(Role::Vendor),
            ..NewArgs::default()
        };
        check(&args, "n   vendor");

        // Asked, its own settings are what an empty answer means; nobody is asked whether the default is to be the default.
        let args = NewArgs {
            domain: given("x"),
            ..NewArgs::default()
        };
        let new = asked(&args, &contexts(), &domains, &mut asker("a\n\n\n\n\n")).unwrap();
        assert_eq!((new.namespace, new.site), (given("n"), given("s")));
        assert_eq!(new.role, Some(Role::Production));
    }

    #[test]
    fn the_answer_to_the_default_is_used() {
        let domains = Domains::parse("domains: {x: {context: a}}").unwrap();
        let args = NewArgs {
            domain: Some("y".to_owned()),
            namespace: Some("n".to_owned()),
            site: Some("s".to_owned()),
            role: Some(Role::Vendor),
            aggregator: Some("http://ledger".to_owned()),
            ..NewArgs::default()
        };
        for (answer, expected) in [("y", true), ("n", false), ("", false)] {
            let answers = format!("a\n{answer}\n");
            let new = asked(&args, &contexts(), &domains, &mut asker(&answers)).unwrap();
            assert_eq!(new.default, expected, "{answer}");
        }
    }
}
