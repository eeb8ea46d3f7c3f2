//! What components used: energy of each minute (or hour, where minutes were folded), and for how much of the time it is
//! known.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use wire::Energy;

use super::super::names;
use super::super::row::{amount, energy, time};
use super::TooMany;
use super::cells::covered_ms;
use super::series::{FORMS, Form, MAX_POINTS, range};
use crate::store::{ComponentEnergy, ComponentKey, ComponentPart, ComponentQuery, ZoneUse};

/// Node by node, so that the rows are found by their key and no other time is walked through.
pub(in crate::store::sqlite) fn component_energy(
    connection: &Connection,
    query: &ComponentQuery,
    recent: (Timestamp, Timestamp),
) -> rusqlite::Result<Result<Vec<ComponentEnergy>, TooMany>> {
    let mut reading = Reading {
        connection,
        query,
        recent,
        components: Components::default(),
        sums: BTreeMap::new(),
        zones: Vec::new(),
    };
    let nodes = "SELECT id, cluster FROM node WHERE ?1 IS NULL OR cluster = ?1 ORDER BY id";
    let mut statement = connection.prepare_cached(nodes)?;
    let mut rows = statement.query([&query.cluster])?;
    while let Some(row) = rows.next()? {
        let has_room = reading.add_node(row.get(0)?, &row.get::<_, String>(1)?)?;
        if !has_room {
            return Ok(Err(TooMany(MAX_POINTS)));
        }
    }
    reading.finish().map(Ok)
}

/// Each cell of the additive zones with its shares, in the order of the key; one without shares as well.
fn cells_sql(&(zones, shares, column, seconds): &Form) -> String {
    format!(
        "SELECT cell.{column} * {seconds} * 1000, cell.zone_id, site_id, modelled <> 0, covered_ns, measured_uj,
                workload_id, active_uj
         FROM {zones} AS cell CROSS JOIN zone ON zone.id = cell.zone_id
         LEFT JOIN {shares} AS share ON share.node_id = cell.node_id AND share.{column} = cell.{column}
             AND share.zone_id = cell.zone_id
         WHERE cell.node_id = ?1 AND cell.{column} >= ?2 AND cell.{column} < ?3 AND parent = ''
         ORDER BY cell.{column}, cell.zone_id"
    )
}

/// (component, start, seconds, site, modelled), as they are numbered.
type PartKey = (usize, Timestamp, u32, i64, bool);

struct Reading<'a> {
    connection: &'a Connection,
    query: &'a ComponentQuery,
    recent: (Timestamp, Timestamp),
    components: Components,
    sums: BTreeMap<PartKey, Energy>,
    /// By component.
    zones: Vec<(usize, ZoneUse)>,
}

impl Reading<'_> {
    /// Whether there was room for all.
    fn add_node(&mut self, node: i64, cluster: &str) -> rusqlite::Result<bool> {
        let mut uses = Uses::default();
        self.components.known.clear();
        // Hours before the minutes that came after them, so that a zone's cells come in the order of their time.
        for form in FORMS.iter().rev() {
            let from = self.query.from.min(self.recent.0);
            let (first, end) = range(from, self.query.to.max(self.recent.1), form);
            let mut statement = self.connection.prepare_cached(&cells_sql(form))?;
            let mut rows = statement.query(params![node, first, end])?;
            while let Some(row) = rows.next()? {
                let cell = self.cell(row, form)?;
                uses.add_cell(&cell);
                if let Some(workload) = row.get(6)? {
                    let share = (workload, energy(row, 7)?);
                    self.add_share(&cell, share, (node, cluster), &mut uses)?;
                }
                if self.sums.len() > MAX_POINTS {
                    return Ok(false);
                }
            }
        }
        self.zones.extend(uses.finish());
        Ok(true)
    }

    fn add_share(
        &mut self,
        cell: &Cell,
        (workload, active): (i64, Energy),
        node: (i64, &str),
        uses: &mut Uses,
    ) -> rusqlite::Result<()> {
        let names = &mut self.components;
        if let Some(component) = names.of(self.connection, self.query, node, workload)? {
            uses.add_share(cell, component, active);
            if cell.is_asked && cell.is_known {
                let key = (
                    component,
                    cell.start,
                    cell.seconds,
                    cell.site,
                    cell.modelled,
                );
                *self.sums.entry(key).or_default() += active;
            }
        }
        Ok(())
    }

    fn cell(&self, row: &Row<'_>, &(_, _, _, seconds): &Form) -> rusqlite::Result<Cell> {
        let (start, covered_ns) = (time(row, 0)?, amount(row, 4)?);
        let is_minute = seconds == 60;
        Ok(Cell {
            start,
            seconds,
            zone: row.get(1)?,
            site: row.get(2)?,
            modelled: row.get(3)?,
            covered_ms: covered_ms(covered_ns, seconds * 1_000).into(),
            is_known: covered_ns > 0 || amount(row, 5)? > 0,
            is_asked: (self.query.from..self.query.to).contains(&start),
            is_recent: is_minute && (self.recent.0..self.recent.1).contains(&start),
        })
    }

    fn finish(self) -> rusqlite::Result<Vec<ComponentEnergy>> {
        let sites = "SELECT id, name FROM site";
        let mut statement = self.connection.prepare_cached(sites)?;
        let sites = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let sites: HashMap<i64, String> = sites.collect::<rusqlite::Result<_>>()?;
        let keys = self.components.keys.into_iter();
        let mut energies: Vec<ComponentEnergy> = keys
            .map(|key| ComponentEnergy {
                key,
                parts: Vec::new(),
                zones: Vec::new(),
            })
            .collect();
        for ((component, start, seconds, site, modelled), active) in self.sums {
            energies[component].parts.push(ComponentPart {
                site: sites.get(&site).cloned().unwrap_or_default(),
                start,
                seconds,
                modelled,
                active,
            });
        }
        for (component, zone) in self.zones {
            energies[component].zones.push(zone);
        }
        energies.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(energies)
    }
}

/// One minute or hour of a zone.
struct Cell {
    start: Timestamp,
    seconds: u32,
    zone: i64,
    site: i64,
    modelled: bool,
    covered_ms: u64,
    is_known: bool,
    is_asked: bool,
    is_recent: bool,
}

/// The zones of one node, and who used them.
#[derive(Default)]
struct Uses {
    zones: HashMap<i64, Known>,
    by_component: BTreeMap<(usize, i64), Use>,
}

/// For how long a zone's energy is known, up to its last cell.
#[derive(Default)]
struct Known {
    last: Option<(Timestamp, u32)>,
    before_last_ms: u64,
    ms: u64,
    recent_ms: u64,
}

#[derive(Default)]
struct Use {
    /// Start of the first cell, and what was known before it.
    first: Option<(Timestamp, u64)>,
    end_ms: i64,
    known_ms: u64,
    recent: Energy,
}

impl Uses {
    /// A cell comes once for each of its shares.
    fn add_cell(&mut self, cell: &Cell) {
        let known = self.zones.entry(cell.zone).or_default();
        if known.last.replace((cell.start, cell.seconds)) == Some((cell.start, cell.seconds)) {
            return;
        }
        known.before_last_ms = known.ms;
        if cell.is_asked {
            known.ms += cell.covered_ms;
        }
        if cell.is_recent {
            known.recent_ms += cell.covered_ms;
        }
    }

    fn add_share(&mut self, cell: &Cell, component: usize, active: Energy) {
        let known = &self.zones[&cell.zone];
        let used = self.by_component.entry((component, cell.zone)).or_default();
        if cell.is_asked {
            let first = (cell.start, known.before_last_ms);
            let (_, before_ms) = *used.first.get_or_insert(first);
            used.known_ms = known.ms - before_ms;
            used.end_ms = cell.start.as_millisecond() + i64::from(cell.seconds) * 1_000;
        }
        if cell.is_recent {
            used.recent += active;
        }
    }

    fn finish(self) -> impl Iterator<Item = (usize, ZoneUse)> {
        let Self {
            zones,
            by_component,
        } = self;
        by_component
            .into_iter()
            .map(move |((component, zone), used)| {
                let elapsed = used
                    .first
                    .map(|(start, _)| used.end_ms - start.as_millisecond());
                let zone = ZoneUse {
                    elapsed_ms: elapsed.unwrap_or(0).unsigned_abs(),
                    known_ms: used.known_ms,
                    recent: used.recent,
                    recent_known_ms: zones[&zone].recent_ms,
                };
                (component, zone)
            })
    }
}

/// The component that each workload is, as it is named now.
#[derive(Default)]
struct Components {
    /// By workload, of one node.
    known: HashMap<i64, Option<usize>>,
    positions: HashMap<ComponentKey, usize>,
    keys: Vec<ComponentKey>,
}

impl Components {
    /// `None` for one that is no component, or not of the namespace that was asked for.
    fn of(
        &mut self,
        connection: &Connection,
        query: &ComponentQuery,
        (node, cluster): (i64, &str),
        workload: i64,
    ) -> rusqlite::Result<Option<usize>> {
        if let Some(&component) = self.known.get(&workload) {
            return Ok(component);
        }
        let is_id = names::resolve(connection, node, workload)?;
        let sql = "SELECT namespace, component FROM workload WHERE id = ?1";
        let key = connection.prepare_cached(sql)?.query_row([is_id], |row| {
            Ok(ComponentKey {
                cluster: cluster.to_owned(),
                namespace: row.get(0)?,
                component: row.get(1)?,
            })
        })?;
        let asked = query.namespace.as_ref();
        let is_asked = asked.is_none_or(|namespace| *namespace == key.namespace);
        let component = (is_asked && !key.component.is_empty()).then(|| {
            let keys = &mut self.keys;
            *self.positions.entry(key).or_insert_with_key(|key| {
                keys.push(key.clone());
                keys.len() - 1
            })
        });
        self.known.insert(workload, component);
        Ok(component)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::open;
    use crate::store::sqlite::row::query_plan;

    #[test]
    fn cells_are_found_by_their_key_in_its_order() {
        let directory = tempfile::tempdir().unwrap();
        let connection = open::for_writing(&directory.path().join("ledger.db")).unwrap();
        for form in &FORMS {
            let plan = query_plan(&connection, &cells_sql(form), params![1, 2, 3]);
            let column = form.2;
            let cells = format!("(node_id=? AND {column}>? AND {column}<?)");
            assert!(plan[0].contains(&cells), "{plan:?}");
            let shares = format!("(node_id=? AND {column}=? AND zone_id=?)");
            assert!(plan.iter().any(|step| step.contains(&shares)), "{plan:?}");
            assert!(!plan.iter().any(|step| step.contains("B-TREE")), "{plan:?}");
        }
    }
}
