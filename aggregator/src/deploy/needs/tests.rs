use super::super::catalogue::module::Kind;
use super::super::catalogue::tests::fixture;
use super::*;

fn deployed(all: &[(&str, &str)]) -> Vec<Deployed> {
    let one = |(label, release): &(&str, &str)| Deployed {
        label: (*label).to_owned(),
        release: (*release).to_owned(),
    };
    all.iter().map(one).collect()
}

fn sharing(catalogue: &Catalogue) -> Wanted<'_> {
    Wanted {
        module: catalogue.find(Kind::Link, "api", "modelsharing").unwrap(),
        release: "share".to_owned(),
        using: BTreeMap::new(),
        set_paths: Vec::new(),
        current: BTreeMap::new(),
    }
}

/// Releases of the plan, in order, and the last one's wires.
fn plan(
    wanted: &Wanted<'_>,
    catalogue: &Catalogue,
    there: &[(&str, &str)],
    with_dependencies: bool,
) -> Result<(Vec<String>, BTreeMap<String, String>), NeedError> {
    let mut planner = Planner::new(catalogue, "work", deployed(there), with_dependencies);
    // As a plan for one name and lifetime asks for.
    let wanted = Wanted {
        module: catalogue.by_label(&wanted.module.label()).unwrap(),
        ..wanted.clone()
    };
    planner.add(&wanted)?;
    let plan = planner.plan();
    let wires = plan.last().unwrap().wires.iter().cloned().collect();
    Ok((plan.into_iter().map(|step| step.release).collect(), wires))
}

#[test]
fn what_is_deployed_is_wired() {
    let catalogue = fixture();
    let there = [("storage.postgres", "db"), ("storage.minio", "minio")];
    let (order, wires) = plan(&sharing(&catalogue), &catalogue, &there, false).unwrap();
    assert_eq!(order, ["share"]);
    let expected = [
        ("env.HOST", "db.work.svc"),
        ("env.PORT", "5432"),
        ("env.S3", "http://minio.work.svc:9000"),
        ("secretEnv.PW.key", "pw"),
        ("secretEnv.PW.secret", "db-auth"),
    ];
    let expected = expected.map(|(path, text)| (path.to_owned(), text.to_owned()));
    assert_eq!(wires, BTreeMap::from(expected));
}

#[test]
fn what_lacks_is_named_or_planned_before() {
    let catalogue = fixture();
    let wanted = sharing(&catalogue);
    let error = plan(&wanted, &catalogue, &[], false)
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "api/modelsharing needs postgres (database), which nothing in the namespace offers: \
         create one of storage/postgres first, or add --with-dependencies"
    );
    let (order, wires) = plan(&wanted, &catalogue, &[], true).unwrap();
    assert_eq!(order, ["postgres", "seaweedfs", "share"]);
    assert_eq!(wires["env.S3"], "http://seaweedfs.work.svc:8333");
    let (order, _) = plan(&wanted, &catalogue, &[("storage.postgres", "db")], true).unwrap();
    assert_eq!(order, ["seaweedfs", "share"]);
}

#[test]
fn of_several_the_default_counts_or_the_one_that_is_named() {
    let catalogue = fixture();
    let mut wanted = sharing(&catalogue);
    let there = [
        ("storage.postgres", "a"),
        ("storage.postgres", "b"),
        ("storage.minio", "m"),
        ("storage.seaweedfs", "s"),
    ];
    let error = plan(&wanted, &catalogue, &there, false)
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with("say which with --use database=RELEASE (a, b)"),
        "{error}"
    );
    wanted.using.insert("database".to_owned(), "b".to_owned());
    let (_, wires) = plan(&wanted, &catalogue, &there, false).unwrap();
    assert_eq!(wires["env.HOST"], "b.work.svc");
    assert_eq!(
        wires["env.S3"], "http://s.work.svc:8333",
        "the default provider"
    );
    wanted.using.insert("blobs".to_owned(), "m".to_owned());
    let (_, wires) = plan(&wanted, &catalogue, &there, false).unwrap();
    assert_eq!(wires["env.S3"], "http://m.work.svc:9000");
    wanted.using.insert("blobs".to_owned(), "a".to_owned());
    let error = plan(&wanted, &catalogue, &there, false)
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "--use blobs=a: there is no release 'a' in the namespace that offers s3"
    );
    wanted.using = BTreeMap::from([("x".to_owned(), "a".to_owned())]);
    let error = plan(&wanted, &catalogue, &there, false)
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with("it has: database, blobs, metrics"),
        "{error}"
    );
}

#[test]
fn what_a_release_uses_it_keeps() {
    let catalogue = fixture();
    let check = |host: &str, using: &str, databases: &[&str], expected: Result<&str, &str>| {
        let mut wanted = sharing(&catalogue);
        wanted.current = BTreeMap::from([("env.HOST".to_owned(), host.to_owned())]);
        if !using.is_empty() {
            wanted.using.insert("database".to_owned(), using.to_owned());
        }
        let databases = databases.iter().map(|name| ("storage.postgres", *name));
        let there: Vec<_> = databases.chain([("storage.minio", "m")]).collect();
        match (plan(&wanted, &catalogue, &there, false), expected) {
            (Ok((_, wires)), Ok(expected)) => assert_eq!(wires["env.HOST"], expected),
            (Err(error), Err(expected)) => assert_eq!(error.to_string(), expected),
            (found, expected) => panic!("{found:?}, not {expected:?}"),
        }
    };
    let (old, new) = ("old.work.svc", "new.work.svc");
    check(old, "", &["new", "old"], Ok(old));
    check(old, "", &["old", "postgres"], Ok(old));
    check(old, "new", &["new", "old"], Ok(new));
    let gone = "api/modelsharing uses old.work.svc (database), which is not there any more: create that again, or say \
                which release takes its place with --use database=RELEASE";
    check(old, "", &["new"], Err(&format!("{gone} (new)")));
    check(old, "", &[], Err(&format!("{gone} (none offers it)")));
    check(old, "new", &["new"], Ok(new));
    check("db.example", "", &["new"], Ok(new));
}

#[test]
fn what_is_gone_is_made_again_only_where_it_was() {
    let catalogue = fixture();
    let mut wanted = sharing(&catalogue);
    let text = |text: &str| text.to_owned();
    wanted.current = BTreeMap::from([(text("env.HOST"), text("postgres.work.svc"))]);
    let there = [("storage.minio", "m")];
    let (order, _) = plan(&wanted, &catalogue, &there, true).unwrap();
    assert_eq!(order, ["postgres", "share"]);
    wanted.current.insert(text("env.HOST"), text("db.work.svc"));
    let error = plan(&wanted, &catalogue, &there, true).unwrap_err();
    assert!(matches!(error, NeedError::Gone { .. }), "{error}");
    // What works without, goes without.
    wanted.current = BTreeMap::from([(text("env.PROM"), text("http://p.work.svc:9090"))]);
    let (_, wires) = plan(&wanted, &catalogue, &there, true).unwrap();
    assert_eq!(wires.get("env.PROM"), None);
}

#[test]
fn what_the_user_sets_is_the_user_s() {
    let catalogue = fixture();
    let mut wanted = sharing(&catalogue);
    wanted.set_paths = vec!["env.HOST".to_owned(), "env.S3".to_owned()];
    let (order, wires) = plan(&wanted, &catalogue, &[("storage.postgres", "db")], false).unwrap();
    assert_eq!((order.len(), wires.len()), (1, 0));
}

#[test]
fn placeholders_are_filled_or_named() {
    let facts = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
    let check = |text: &str, expected: Result<&str, &str>| {
        let expected = expected.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(filled(text, &facts), expected, "{text}");
    };
    check("", Ok(""));
    check("x{{a}}y{{ a }}", Ok("x1y1"));
    check("{{b}}", Err("b"));
    check("{{a", Err("a"));
    check("}}{a}", Ok("}}{a}"));
}
