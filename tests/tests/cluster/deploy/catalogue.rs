//! The catalogue, as the program itself tells of it.

use serde_json::Value;

use super::user::User;

/// A module.
#[derive(Clone, Debug)]
pub(crate) struct Module {
    pub(crate) kind: String,
    pub(crate) group: String,
    pub(crate) name: String,
    /// What its chart gets.
    pub(crate) values: Value,
    /// Offers of others that it cannot do without.
    pub(crate) needs: bool,
}

impl Module {
    /// Its release, unless somebody says otherwise.
    pub(crate) fn release(&self) -> String {
        self.name.to_lowercase()
    }

    /// Our own chart, and not the one for all modules.
    pub(crate) fn is_own(&self) -> bool {
        self.group == "energy"
    }

    /// Of several steps, without a chart.
    pub(crate) fn has_steps(&self) -> bool {
        self.values.is_null()
    }

    /// `KIND GROUP COMMAND NAME`, and more.
    pub(crate) fn args<'a>(&'a self, command: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        let own = [self.kind.as_str(), &self.group, command, &self.name];
        [&own, more].concat()
    }
}

/// All of them.
pub(crate) fn all(user: &User) -> Vec<Module> {
    let mut modules = Vec::new();
    for kind in ["component", "link", "stage"] {
        for listed in user.json(&[kind, "list"]).as_array().unwrap() {
            let text = |key: &str| listed[key].as_str().unwrap().to_owned();
            let needs = listed["needs"].as_array().unwrap().iter();
            let mut module = Module {
                kind: kind.to_owned(),
                group: text("group"),
                name: text("name"),
                values: Value::Null,
                needs: needs.clone().any(|need| need["optional"] == false),
            };
            module.values = user.json(&module.args("info", &[]))["values"].take();
            modules.push(module);
        }
    }
    assert!(modules.len() > 20, "{modules:?}");
    modules
}
