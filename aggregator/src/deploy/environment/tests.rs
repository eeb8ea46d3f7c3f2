use proptest::prelude::*;

use super::super::catalogue::tests::fixture;
use super::*;

/// The one that README shows.
const EXAMPLE: &str = include_str!("../../../../docs/environment.yaml");

/// Entries of a file, all domains and namespaces being places of their own.
fn placed<'c>(text: &str, catalogue: &'c Catalogue) -> Result<Vec<Placed<'c>>, String> {
    let environment = Environment::parse(text)?;
    let mut places = Vec::new();
    let placed = environment.modules.iter().map(|entry| {
        let place = (&entry.domain, &entry.namespace);
        if !places.contains(&place) {
            places.push(place);
        }
        let (module, release) = entry.find(catalogue)?;
        let set_paths = entry
            .values
            .iter()
            .flat_map(|values| values.keys().cloned());
        Ok(Placed {
            place: places.iter().position(|one| *one == place).unwrap(),
            line: entry.line(),
            wanted: Wanted {
                module,
                release,
                using: entry.using.clone(),
                set_paths: set_paths.collect(),
                current: BTreeMap::new(),
            },
        })
    });
    placed.collect()
}

/// (need, release).
type Bound = Vec<(String, String)>;

/// Releases in their order, and what the needs of all are bound to.
fn ordered(text: &str, catalogue: &Catalogue) -> Result<(Vec<String>, Bound), String> {
    let mut entries = placed(text, catalogue)?;
    bind(&mut entries, catalogue)?;
    let order = order(&entries)?;
    let releases = order
        .iter()
        .map(|index| entries[*index].wanted.release.clone());
    let bound = entries.iter().flat_map(|entry| entry.wanted.using.clone());
    Ok((releases.collect(), bound.collect()))
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    let catalogue = fixture();
    let check = |text: &str, expected: &str| {
        let error = ordered(text, &catalogue).unwrap_err();
        assert!(error.contains(expected) && !error.contains('\n'), "{error}");
    };
    let entry = |rest: &str| format!("modules:\n  - module: storage/minio\n{rest}");
    check("", "line 1");
    check("modules: 1", "line 1");
    check("module: []", "line 1");
    check(&entry("    nmae: x\n"), "line 3");
    check(&entry("    values: []\n"), "line 3");
    check(
        &entry("    namespace: A\n"),
        "line 2: 'A' is no name of a namespace",
    );
    check(
        "namespace: a_b\nmodules: []\n",
        "'a_b' is no name of a namespace",
    );
    check(
        &entry("    name: a_b\n"),
        "line 2: 'a_b' is no name of a release",
    );
    check(
        &entry("  - module: minio\n"),
        "line 3: 'minio' is no GROUP/NAME",
    );
    check(
        &entry("  - module: storage/mysql\n"),
        "line 3: the group storage has no module 'mysql'; it has: minio, postgres, seaweedfs",
    );
    check(
        &entry("  - module: store/minio\n"),
        "line 3: there is no group 'store'; there are: api, ml_toolkit, storage",
    );
    check(
        &entry("  - module: storage/MinIO\n"),
        "line 3: minio is the release of line 2, too",
    );
    let two = "  - {module: storage/minio, name: a}\n  - {module: storage/minio, name: b}\n";
    check(
        &format!("modules:\n{two}  - module: api/modelsharing\n"),
        "line 4: api/modelsharing needs s3 (blobs), which several releases offer: say which with use: {blobs: RELEASE} (a, b)",
    );
    check(
        "modules:\n  - {module: api/modelsharing, use: {blobs: modelsharing}}\n",
        "line 2: api/modelsharing needs itself",
    );
}

#[test]
fn who_offers_is_before_who_needs() {
    let catalogue = fixture();
    let check = |modules: &[&str], order: &[&str], bound: &[(&str, &str)]| {
        let modules = modules
            .iter()
            .map(|module| format!("  - {{module: {module}}}\n"));
        let text = format!("modules:\n{}", modules.collect::<String>());
        let (releases, uses) = ordered(&text, &catalogue).unwrap();
        assert_eq!(releases, order, "{text}");
        let uses: Vec<(&str, &str)> = uses
            .iter()
            .map(|(need, release)| (&**need, &**release))
            .collect();
        assert_eq!(uses, bound, "{text}");
    };
    let both = [("blobs", "seaweedfs"), ("database", "db")];
    check(
        &[
            "api/modelsharing",
            "ml-toolkit/kubeflow_pipeline",
            "storage/seaweedfs",
            "storage/postgresql, name: db",
        ],
        &["seaweedfs", "db", "modelsharing", "kubeflowpipeline"],
        &both,
    );
    // The one that is taken by default, of several; another by its name.
    let stores = ["storage/minio", "storage/seaweedfs"];
    check(
        &[stores[0], stores[1], "api/modelsharing"],
        &["minio", "seaweedfs", "modelsharing"],
        &both[..1],
    );
    check(
        &[
            "api/modelsharing, use: {blobs: minio}",
            stores[0],
            stores[1],
        ],
        &["minio", "modelsharing", "seaweedfs"],
        &[("blobs", "minio")],
    );
    // What is set is nobody's need; what is elsewhere is nobody's help; what is deployed already is for others to say.
    check(
        &["api/modelsharing, values: {env.S3: x}", stores[0]],
        &["modelsharing", "minio"],
        &[],
    );
    check(
        &["api/modelsharing", "storage/minio, namespace: other"],
        &["modelsharing", "minio"],
        &[],
    );
    check(
        &["api/modelsharing, use: {database: there}"],
        &["modelsharing"],
        &[("database", "there")],
    );
}

#[test]
fn the_example_is_in_order() {
    let catalogue = Catalogue::built_in().unwrap();
    let (releases, bound) = ordered(EXAMPLE, &catalogue).unwrap();
    let position = |name: &str| releases.iter().position(|one| one == name).unwrap();
    assert!(position("db") < position("modelsharing"), "{releases:?}");
    assert!(position("prometheus") < position("grafana"), "{releases:?}");
    assert!(bound.contains(&("database".to_owned(), "db".to_owned())));
}

#[test]
fn errors_speak_of_the_file() {
    let check = |error: NeedError, expected: &str| {
        assert!(in_file(&error).starts_with(expected), "{error}");
    };
    let texts = || ("a".to_owned(), "b".to_owned(), "c".to_owned());
    let (a, b, c) = texts();
    check(
        NeedError::NotOffered(a, b, c),
        "use: {a: b}: there is no release 'b'",
    );
    let (a, b, c) = texts();
    check(
        NeedError::NoSuchNeed(a, b, c),
        "use: {a: …}: b has no need of this name",
    );
    check(NeedError::Circular("a".to_owned()), "a needs itself");
}

/// For each number, which have to be before it.
fn graphs() -> impl Strategy<Value = Vec<BTreeSet<usize>>> {
    (0..12_usize).prop_flat_map(|count| {
        let before = prop::collection::btree_set(0..count.max(1), 0..3.min(count.max(1)));
        prop::collection::vec(before, count)
    })
}

fn holds(order: &[usize], before: &[BTreeSet<usize>]) -> bool {
    let position = |number: &usize| order.iter().position(|one| one == number);
    let is_after = |number: usize| {
        before[number]
            .iter()
            .all(|other| position(other) < position(&number))
    };
    (0..before.len()).all(is_after)
}

proptest! {
    #[test]
    fn an_order_has_all_in_their_order(before in graphs()) {
        match sorted(&before) {
            Ok(order) => {
                let all: BTreeSet<usize> = order.iter().copied().collect();
                prop_assert_eq!(all.len(), before.len());
                prop_assert_eq!(order.len(), before.len());
                prop_assert!(holds(&order, &before), "{:?}", order);
            }
            // It is reached from what is before it.
            Err(circular) => {
                let mut reached = before[circular].clone();
                for _ in 0..before.len() {
                    reached.extend(reached.clone().iter().flat_map(|one| before[*one].clone()));
                }
                prop_assert!(reached.contains(&circular));
            }
        }
    }

    #[test]
    fn what_is_in_order_stays_as_it_is(before in graphs()) {
        let earlier = |(number, others): (usize, BTreeSet<usize>)| others.into_iter().filter(|other| *other < number).collect();
        let before: Vec<BTreeSet<usize>> = before.into_iter().enumerate().map(earlier).collect();
        let order: Vec<usize> = (0..before.len()).collect();
        prop_assert_eq!(sorted(&before), Ok(order));
    }
}
