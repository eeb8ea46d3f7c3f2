//! The list of domains for a terminal.

use super::grid::{Align, table as grid};
use crate::deploy::domains::{Domain, Domains};

/// What a domain may have.
type Setting = fn(&Domain) -> &Option<String>;

/// One line per domain, by name; a star marks the default. What no domain has, has no column.
#[must_use]
pub fn table(domains: &Domains, width: Option<u16>) -> String {
    let mut columns = vec![
        ("DOMAIN", Align::Left),
        ("DEFAULT", Align::Whole),
        ("CONTEXT", Align::Left),
        ("NAMESPACE", Align::Left),
        ("SITE", Align::Left),
        ("ROLE", Align::Whole),
    ];
    let optional: [(&str, Setting); 2] = [
        ("CLUSTER", |domain| &domain.cluster),
        ("AGGREGATOR", |domain| &domain.aggregator),
    ];
    let is_told = |of: Setting| {
        let mut all = domains.domains.values();
        all.any(|domain| of(domain).is_some())
    };
    let told = optional.into_iter().filter(|(_, of)| is_told(*of));
    let told: Vec<(&str, Setting)> = told.collect();
    columns.extend(told.iter().map(|(name, _)| (*name, Align::Left)));
    let default = domains.default_domain.as_deref();
    let row = |(name, domain): (&String, &Domain)| {
        let or_none =
            |text: &Option<String>, none: &str| text.as_deref().unwrap_or(none).to_owned();
        let mut row = vec![
            name.clone(),
            if default == Some(name) { "*" } else { "" }.to_owned(),
            domain.context.clone(),
            or_none(&domain.namespace, "the context's"),
            or_none(&domain.site, "-"),
            domain.role.to_string(),
        ];
        row.extend(told.iter().map(|(_, of)| or_none(of(domain), "-")));
        row
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

    #[test]
    fn an_aggregator_has_a_column_where_there_is_one() {
        let text = "domains:\n  a: {context: kind-a}\n  b: {context: kind-b, aggregator: 'http://l:8642'}\n";
        let found = table(&Domains::parse(text).unwrap(), None);
        let expected = "\
DOMAIN  DEFAULT  CONTEXT  NAMESPACE      SITE  ROLE     AGGREGATOR
a                kind-a   the context's  -     staging  -
b                kind-b   the context's  -     staging  http://l:8642
";
        assert_eq!(found, expected);
    }
}
