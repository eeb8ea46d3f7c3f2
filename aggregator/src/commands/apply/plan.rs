//! From the file to what is to be deployed where, in order. All that can be wrong in it is found before anything is changed.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;

use super::FileArgs;
use crate::cli::Usage;
use crate::commands::interrupt;
use crate::commands::module::check_values;
use crate::commands::module::create::with_current;
use crate::commands::module::place::{Place, Reach};
use crate::deploy::catalogue::Catalogue;
use crate::deploy::environment::{self, Entry, Environment, Placed, at};
use crate::deploy::files::UserValues;
use crate::deploy::needs::current::Wires;
use crate::deploy::needs::{Planned, Planner, Wanted};
use crate::deploy::observe;

/// An environment whose modules and places are there. No cluster was asked yet.
pub(super) struct Placement<'c> {
    /// How the file is named in errors.
    pub(super) file: String,
    places: Vec<Place>,
    /// Numbers of places by the domain and the namespace that were asked for: a context may run a program for its credentials,
    /// once is enough.
    asked: BTreeMap<(Option<String>, Option<String>), usize>,
    entries: Vec<Placed<'c>>,
    /// Of the entries.
    users: Vec<UserValues>,
}

/// A module that is to be deployed: one of the file, or one that such a module needs.
pub(super) struct Step<'p> {
    pub(super) place: &'p Place,
    /// Where in the file it, or who needs it, is.
    pub(super) line: u64,
    pub(super) planned: Planned<'p>,
    pub(super) user: UserValues,
}

impl<'c> Placement<'c> {
    /// Reads the file, and finds all that it names.
    pub(super) async fn read(args: &FileArgs, catalogue: &'c Catalogue) -> anyhow::Result<Self> {
        let file = shown(&args.file);
        let text = text(&args.file)?;
        let environment = Environment::parse(&text);
        let environment = environment.map_err(|why| anyhow::anyhow!("{file}: {why}"))?;
        let environment = with_defaults(environment, args, &file)?;
        let mut placement = Self {
            file,
            places: Vec::new(),
            asked: BTreeMap::new(),
            entries: Vec::new(),
            users: Vec::new(),
        };
        let directory = args.file.parent().unwrap_or(Path::new(""));
        let reach = Reach::read()?;
        for entry in &environment.modules {
            let place = placement.place(&reach, entry).await?;
            placement.add(entry, place, directory, catalogue)?;
        }
        environment::bind(&mut placement.entries, catalogue)
            .map_err(|why| placement.wrong(&why))?;
        Ok(placement)
    }

    async fn place(&mut self, reach: &Reach, entry: &Entry) -> anyhow::Result<usize> {
        let asked = (entry.domain.clone(), entry.namespace.clone());
        if let Some(number) = self.asked.get(&asked) {
            return Ok(*number);
        }
        let place = reach.place(entry.domain.as_deref(), entry.namespace.as_deref());
        let place = place.await.with_context(|| self.at(entry.line()))?;
        let is_it = |other: &Place| {
            other.name == place.name && other.cluster.namespace == place.cluster.namespace
        };
        let number = self.places.iter().position(is_it);
        let number = number.unwrap_or_else(|| {
            self.places.push(place);
            self.places.len() - 1
        });
        self.asked.insert(asked, number);
        Ok(number)
    }

    fn add(
        &mut self,
        entry: &Entry,
        place: usize,
        directory: &Path,
        catalogue: &'c Catalogue,
    ) -> anyhow::Result<()> {
        let (module, release) = entry.find(catalogue).map_err(|why| self.wrong(&why))?;
        let line = || self.at(entry.line());
        let user = UserValues {
            files: entry
                .files
                .iter()
                .map(|file| directory.join(file))
                .collect(),
            inline: entry.values.clone(),
            set: Vec::new(),
        };
        user.check_files().with_context(line)?;
        check_values(module, &user).with_context(line)?;
        let wires = module.file.needs.iter().flat_map(|need| need.wire.keys());
        let wanted = Wanted {
            module,
            release,
            using: entry.using.clone(),
            set_paths: user.paths(wires).with_context(line)?,
            current: Wires::new(),
        };
        self.entries.push(Placed {
            place,
            line: entry.line(),
            wanted,
        });
        self.users.push(user);
        Ok(())
    }

    /// What is to be deployed, in order: the clusters are asked for what is there.
    pub(super) async fn steps(
        &self,
        catalogue: &'c Catalogue,
        with_dependencies: bool,
    ) -> anyhow::Result<Vec<Step<'_>>> {
        let order = environment::order(&self.entries).map_err(|why| self.wrong(&why))?;
        let mut planners = self.planners(catalogue, with_dependencies).await?;
        let mut steps = Vec::new();
        for index in order {
            let (entry, place) = (&self.entries[index], self.entries[index].place);
            let wanted = with_current(&self.places[place], entry.wanted.clone()).await;
            let wanted = wanted.with_context(|| self.at(entry.line))?;
            let planned = planners[place].add(&wanted);
            planned.map_err(|error| self.wrong(&at(entry.line, environment::in_file(&error))))?;
            for planned in planners[place].take() {
                let is_entry = planned.release == entry.wanted.release;
                let user = is_entry.then(|| self.users[index].clone());
                steps.push(Step {
                    place: &self.places[place],
                    line: entry.line,
                    planned,
                    user: user.unwrap_or_default(),
                });
            }
        }
        self.check_releases(&steps)?;
        Ok(steps)
    }

    async fn planners<'p>(
        &'p self,
        catalogue: &'p Catalogue,
        with_dependencies: bool,
    ) -> anyhow::Result<Vec<Planner<'p>>> {
        let mut planners = Vec::new();
        for (number, place) in self.places.iter().enumerate() {
            let has_needs = |entry: &Placed| {
                entry.place == number && !entry.wanted.module.file.needs.is_empty()
            };
            let deployed = if self.entries.iter().any(has_needs) {
                let deployed = observe::deployed(&place.cluster);
                let deployed = interrupt::unless(&place.end, deployed).await?;
                deployed.with_context(|| place.shown())?
            } else {
                Vec::new()
            };
            planners.push(Planner::new(
                catalogue,
                &place.cluster.namespace,
                deployed,
                with_dependencies,
            ));
        }
        Ok(planners)
    }

    /// What is created for a need may not be a release that the file has for something else; nor may two domains be one.
    fn check_releases(&self, steps: &[Step<'_>]) -> anyhow::Result<()> {
        let mut seen = BTreeMap::new();
        for step in steps {
            let cluster = &step.place.cluster;
            let key = (&cluster.server, &cluster.namespace, &step.planned.release);
            if let Some(line) = seen.insert(key, step.line) {
                let release = &step.planned.release;
                let twice = format!(
                    "{release} in namespace {} is deployed for line {line}, too: give one of them another name",
                    cluster.namespace
                );
                return Err(self.wrong(&at(step.line, twice)));
            }
        }
        Ok(())
    }

    /// Where something is wrong.
    pub(super) fn at(&self, line: u64) -> String {
        format!("{}: line {line}", self.file)
    }

    fn wrong(&self, why: &str) -> anyhow::Error {
        anyhow::anyhow!("{}: {why}", self.file)
    }
}

fn is_stdin(file: &Path) -> bool {
    file == Path::new("-")
}

fn shown(file: &Path) -> String {
    if is_stdin(file) {
        "standard input".to_owned()
    } else {
        file.display().to_string()
    }
}

fn text(file: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = if is_stdin(file) {
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(file)
    };
    read.with_context(|| format!("cannot read {}", shown(file)))
}

/// What entries do not say, the file says, or the command. A domain of the file cannot be changed by the command: who wrote
/// it there did not want it to go elsewhere.
fn with_defaults(
    mut environment: Environment,
    args: &FileArgs,
    file: &str,
) -> Result<Environment, Usage> {
    for (flag, asked, said) in [
        ("--domain", &args.domain, &environment.domain),
        ("--namespace", &args.namespace, &environment.namespace),
    ] {
        if let (Some(asked), Some(said)) = (asked, said)
            && asked != said
        {
            return Err(Usage(format!("{flag} {asked}: {file} itself says {said}")));
        }
    }
    let domain = environment.domain.clone().or_else(|| args.domain.clone());
    let namespace = environment
        .namespace
        .clone()
        .or_else(|| args.namespace.clone());
    for entry in &mut environment.modules {
        entry.domain = entry.domain.take().or_else(|| domain.clone());
        entry.namespace = entry.namespace.take().or_else(|| namespace.clone());
    }
    Ok(environment)
}
