use super::super::needs::{Planner, Wanted};
use super::super::values;
use super::*;

/// A catalogue of a database that one needs, a store that is offered twice, and steps.
pub(crate) const FIXTURE: [(&str, &str, &str); 5] = [
    (
        "storage",
        "postgres",
        "title: PostgreSQL\nkind: component\nabout: A database.\nversion: '18'\naliases: [postgresql]\nchart: {kind: statefulset}\n\
         offers:\n  - {capability: postgres, port: 5432, secret: {name: '{{release}}-auth', password: pw}, facts: {user: u}}\n\
         values:\n  - {path: persistence.size, default: 10Gi, about: Size of the volume}\n\
         checked: {real: [], not: []}\n",
    ),
    (
        "storage",
        "seaweedfs",
        "title: SeaweedFS\nkind: component\nabout: A store.\nversion: '4'\nchart: {}\n\
         offers:\n  - {capability: s3, port: 8333}\nchecked: {real: [], not: []}\n",
    ),
    (
        "storage",
        "minio",
        "title: MinIO\nkind: component\nabout: Archived in 2026.\ndeprecated: true\nversion: '1'\nchart: {}\n\
         offers:\n  - {capability: s3, port: 9000}\nchecked: {real: [], not: []}\n",
    ),
    (
        "api",
        "modelsharing",
        "title: Sharing\nkind: link\nabout: Shares.\nversion: '1'\nchart: {env: {A: b}}\nneeds:\n  \
         - {capability: postgres, as: database, wire: {env.HOST: '{{host}}', env.PORT: '{{port}}', secretEnv.PW.key: '{{secret.password}}', secretEnv.PW.secret: '{{secret}}'}}\n  \
         - {capability: s3, as: blobs, wire: {env.S3: '{{endpoint}}'}}\n  \
         - {capability: prometheus, as: metrics, optional: true, wire: {env.PROM: '{{endpoint}}'}}\n\
         checked: {real: [], not: []}\n",
    ),
    (
        "ml_toolkit",
        "kubeflowPipeline",
        "title: KFP\nkind: component\nabout: Pipelines.\nversion: '2'\nsteps:\n  \
         - {kustomize: first, wait: {for: condition=established, on: crd/a, timeout: 60s}}\n  \
         - {kustomize: second, namespace: kubeflow}\nchecked: {real: [], not: []}\n",
    ),
];

pub(crate) fn fixture() -> Catalogue {
    let mut catalogue = Catalogue::default();
    for (group, name, text) in FIXTURE {
        catalogue.add(group, name, text).unwrap();
    }
    catalogue
}

#[test]
fn modules_are_found_as_people_type_them() {
    let catalogue = fixture();
    let check = |kind: Kind, group: &str, name: &str, expected: Result<&str, &str>| {
        let found = catalogue.find(kind, group, name);
        match (&found, expected) {
            (Ok(module), Ok(name)) => assert_eq!(module.name, name),
            (Err(error), Err(text)) => assert_eq!(error.to_string(), text),
            _ => panic!("{group} {name}: {found:?}"),
        }
    };
    use Kind::{Component, Link};
    check(Component, "storage", "postgres", Ok("postgres"));
    check(Component, "storage", "PostgreSQL", Ok("postgres"));
    check(
        Component,
        "ml-toolkit",
        "kubeflow_pipeline",
        Ok("kubeflowPipeline"),
    );
    check(Link, "api", "modelsharing", Ok("modelsharing"));
    let groups = "there is no group 'api' of components; there are: ml_toolkit, storage";
    check(Component, "api", "modelsharing", Err(groups));
    let names = "the group storage has no component 'mysql'; it has: minio, postgres, seaweedfs";
    check(Component, "storage", "mysql", Err(names));
    let none = "there is no group 'x' of stages; there are: none";
    check(Kind::Stage, "x", "y", Err(none));
    let module = catalogue.find(Component, "ml_toolkit", "kubeflowPipeline");
    assert_eq!(module.unwrap().release(), "kubeflowpipeline");
    assert_eq!(catalogue.by_label("storage.minio").unwrap().name, "minio");
}

#[test]
fn a_file_that_is_wrong_is_named_with_its_line() {
    let good = FIXTURE[1].2;
    let check = |text: &str, expected: &str| {
        let error = Catalogue::default()
            .add("g", "n", text)
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("g/n.yaml: ") && error.contains(expected),
            "{error}"
        );
        assert!(!error.contains('\n'), "{error}");
    };
    check(&good.replace("title:", "titel:"), "line 1");
    check(
        &good.replace("chart: {}", "chart: {}\nsteps: []"),
        "exactly one of",
    );
    check(&good.replace("chart: {}", ""), "exactly one of");
    check(
        &good.replace("chart: {}", "own: {chart: other, values: {}}"),
        "is not hxmlops",
    );
    check(
        &good.replace("port: 8333", "port: 8333, secret: {password: p}"),
        "has no name",
    );
    check(&good.replace("port: 8333", "port: 83330"), "line 7");
    check("", "g/n.yaml");
}

#[test]
fn a_folder_adds_and_wins() {
    let directory = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = directory.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write(
        "storage/postgres.yaml",
        &FIXTURE[0].2.replace("PostgreSQL", "Ours"),
    );
    write("own/thing.yml", FIXTURE[1].2);
    write("own/README.md", "not a module");
    let catalogue = fixture().with_directory(directory.path()).unwrap();
    let find = |group, name| catalogue.find(Kind::Component, group, name).unwrap();
    assert_eq!(find("storage", "postgres").file.title, "Ours");
    assert_eq!(find("own", "thing").file.title, "SeaweedFS");
    assert_eq!(catalogue.modules().count(), FIXTURE.len() + 1);
    write("own/bad.yaml", "title: x");
    let error = format!(
        "{:#}",
        fixture().with_directory(directory.path()).unwrap_err()
    );
    assert!(error.contains("own/bad.yaml: "), "{error}");
    let missing = fixture().with_directory(Path::new("/nonexistent"));
    assert!(format!("{:#}", missing.unwrap_err()).contains("cannot read /nonexistent"));
}

#[test]
fn every_module_inside_the_program_can_be_planned_from_nothing() {
    let catalogue = Catalogue::built_in().unwrap();
    assert!(catalogue.modules().count() > 20);
    for module in catalogue.modules() {
        let mut planner = Planner::new(&catalogue, "work", Vec::new(), true);
        let wanted = Wanted {
            module,
            release: module.release(),
            using: BTreeMap::new(),
            set_paths: Vec::new(),
            current: BTreeMap::new(),
        };
        planner.add(&wanted).unwrap();
        for planned in planner.plan() {
            assert!(planned.release.len() <= 40, "{planned:?}");
            assert!(
                planned.wires.iter().all(|(_, text)| !text.contains("{{")),
                "{planned:?}"
            );
            let values = values::of(&planned, Some("paris"));
            assert_eq!(values.is_none(), planned.module.file.steps.is_some());
        }
    }
    let old = [
        ("storage", "postgres"),
        ("storage", "minio"),
        ("storage", "pgadmin"),
        ("storage", "timescale"),
        ("ml_toolkit", "kubeflowPipeline"),
        ("serving_platform", "torchserve"),
        ("serving_platform", "tfserving"),
        ("energy_measurement_asset", "scaphandre"),
        ("energy_measurement_asset", "prometheus"),
        ("monitoring", "grafana"),
    ];
    for (group, name) in old {
        assert_eq!(
            catalogue.find(Kind::Component, group, name).unwrap().name,
            name
        );
    }
    for name in ["modelsharing", "datasetsharing"] {
        catalogue.find(Kind::Link, "api", name).unwrap();
    }
}
