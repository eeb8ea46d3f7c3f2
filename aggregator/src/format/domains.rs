//! The list of domains for a terminal.

use super::grid::{Align, table as grid};
use crate::deploy::domains::Domains;

/// One line per domain, by name; a star marks the default.
#[must_use]
pub fn table(domains: &Domains, width: Option<u16>) -> String {
    let columns = [
        ("DOMAIN", Align::Left),
        ("DEFAULT", Align::Whole),
        ("CONTEXT", Align::Left),
        ("NAMESPACE", Align::Left),
        ("SITE", Align::Left),
        ("ROLE", Align::Whole),
    ];
    let default = domains.default_domain.as_deref();
    let row = |(name, domain): (&String, &crate::deploy::domains::Domain)| {
        let or_none =
            |text: &Option<String>, none: &str| text.as_deref().unwrap_or(none).to_owned();
        vec![
            name.clone(),
            if default == Some(name) { "*" } else { "" }.to_owned(),
            domain.context.clone(),
            or_none(&domain.namespace, "the context's"),
            or_none(&domain.site, "-"),
            domain.role.to_string(),
        ]
    };
    grid(&columns, domains.domains.iter().map(row).collect(), width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_has_a_star() {
        let text = "default-domain: b\ndomains:\n  a: {context: kind-a}\n  \
                    b: {context: kind-b, namespace: work, site: paris, role: production}\n";
        let found = table(&Domains::parse(text).unwrap(), None);
        let expected = "\
DOMAIN  DEFAULT  CONTEXT  NAMESPACE      SITE   ROLE
a                kind-a   the context's  -      staging
b       *        kind-b   work           paris  production
";
        assert_eq!(found, expected);
    }
}
