use proptest::prelude::*;

use super::*;

fn domain(context: &str) -> Domain {
    Domain::of_context(context)
}

#[test]
fn a_file_is_read_strictly() {
    let check = |text: &str, expected: Result<usize, &str>| match (Domains::parse(text), expected) {
        (Ok(domains), Ok(count)) => assert_eq!(domains.domains.len(), count, "{text}"),
        (Err(error), Err(part)) => {
            assert!(error.contains(part) && !error.contains('\n'), "{error}");
        }
        (found, _) => panic!("{text}: {found:?}"),
    };
    check("", Ok(0));
    check("domains: {}", Ok(0));
    check("domains: {a: {context: c}}", Ok(1));
    check(
        "default_domain: a\ndomains: {a: {context: c, role: vendor}}",
        Ok(1),
    );
    check("domains:\n  a: {contxt: c}", Err("line 2"));
    check("domains: {a: {context: c, role: king}}", Err("king"));
    check(
        "domains: {a: {context: c}, a: {context: d}}",
        Err("duplicate"),
    );
    check(
        "default-domain: b\ndomains: {a: {context: c}}",
        Err("no domain 'b'"),
    );
    check("domains: {'a b': {context: c}}", Err("no name of a domain"));
    check(
        "domains: {a: {context: ''}}",
        Err("context of domain 'a' is empty"),
    );
    check(
        "domains: {a: {context: c, namespace: A_b}}",
        Err("no name of a namespace"),
    );
    check(
        "domains: {a: {context: c, aggregator: 'https://l:8642/x', aggregator-token-file: t, cluster: lab}}",
        Ok(1),
    );
    check(
        "domains: {a: {context: c, aggregator: 'ledger:8642'}}",
        Err("the aggregator 'ledger:8642' is not a URL"),
    );
    check(
        "domains: {a: {context: c, aggregator-ca-file: f}}",
        Err("aggregator-ca-file of domain 'a' is for an aggregator"),
    );
    check(
        "domains: {a: {context: c, cluster: ' '}}",
        Err("cluster of domain 'a' is empty"),
    );
    check("hello", Err("line 1"));
}

#[test]
fn the_domain_that_is_meant() {
    let mut domains = Domains::default();
    let found =
        |domains: &Domains, name: Option<&str>| domains.find(name).map(|(name, _)| name.to_owned());
    assert_eq!(found(&domains, None), Err(DomainError::None));
    domains.domains.insert("a".to_owned(), domain("c"));
    assert_eq!(found(&domains, None), Ok("a".to_owned()), "the only one");
    domains.domains.insert("b".to_owned(), domain("d"));
    let none = DomainError::NoDefault("a, b".to_owned());
    assert_eq!(found(&domains, None), Err(none));
    domains.set_default("b").unwrap();
    assert_eq!(found(&domains, None), Ok("b".to_owned()));
    assert_eq!(found(&domains, Some("a")), Ok("a".to_owned()));
    let unknown = DomainError::Unknown("x".to_owned(), "a, b".to_owned());
    assert_eq!(domains.set_default("x"), Err(unknown));
    assert_eq!(found(&domains, None), Ok("b".to_owned()));
}

#[test]
fn the_first_domain_is_the_default_and_the_answer_counts() {
    let mut domains = Domains::default();
    assert_eq!(domains.set("a", domain("c"), false), Ok(None));
    assert_eq!(domains.default_domain.as_deref(), Some("a"));
    domains.set("b", domain("d"), false).unwrap();
    assert_eq!(domains.default_domain.as_deref(), Some("a"));
    domains.set("b", domain("e"), true).unwrap();
    assert_eq!(domains.default_domain.as_deref(), Some("b"));
    assert_eq!(domains.domains["b"].context, "e");
    assert!(domains.set("-b", domain("d"), true).is_err());
    assert_eq!(domains.domains.len(), 2);
}

#[test]
fn the_first_tool_s_file_becomes_domains() {
    let text = "version: 1\ndefault_domain: mno_staging\ndomains:\n  swv: {context_name: kind-swv}\n  \
                mno_staging: {context_name: kind-staging, x: 1}\n  mno_production: {context_name: }\n";
    let domains = from_old(text).unwrap();
    assert_eq!(domains.default_domain.as_deref(), Some("mno_staging"));
    let found = domains.domains.iter();
    let found: Vec<_> = found
        .map(|(name, one)| (&**name, &*one.context, one.role))
        .collect();
    let expected = [
        ("mno_staging", "kind-staging", Role::Staging),
        ("swv", "kind-swv", Role::Vendor),
    ];
    assert_eq!(found, expected);

    let no_default = from_old("default_domain: mno_production\ndomains: {swv: {context_name: a}}");
    assert_eq!(no_default.unwrap().default_domain, None);
    assert!(from_old("domains: []").is_err());
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        names in proptest::collection::btree_map("[a-z0-9][a-zA-Z0-9_.-]{0,20}", "[ -~]{0,20}[!-~]", 0..5),
        namespace in proptest::option::of("[a-z]([a-z0-9-]{0,8}[a-z0-9])?"),
        role in prop_oneof![Just(Role::Vendor), Just(Role::Staging), Just(Role::Production)],
    ) {
        let mut domains = Domains::default();
        for (name, context) in &names {
            let domain = Domain {
                namespace: namespace.clone(),
                role,
                site: Some(context.clone()),
                cluster: namespace.clone(),
                aggregator: namespace.as_ref().map(|_| "http://ledger:8642".to_owned()),
                aggregator_token_file: namespace.as_ref().map(|_| context.into()),
                ..domain(context)
            };
            domains.set(name, domain, false).unwrap();
        }
        let text = serde_saphyr::to_string(&domains).unwrap();
        prop_assert_eq!(Domains::parse(&text), Ok(domains), "{}", text);
    }
}
