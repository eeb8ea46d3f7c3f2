//! Rows of a file as batches, the same for the same file, so that importing it twice changes nothing.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use wire::v1::{Basis, Batch, Interval, Outcome, Workload, WorkloadKind, Zone, ZoneSample};
use wire::{Energy, StreamId};

use super::energy_csv::EnergyRow;
use crate::rollup;

/// Cluster that all imported energy belongs to.
const CLUSTER: &str = "import";
/// Name of the node of rows without a site; with one, the site follows.
const NODE: &str = "import";
/// Rows of one batch. With names of the greatest length, no two of them alike, it still is within the
/// wire's limits: of zones, and of bytes.
const ROWS_PER_BATCH: usize = 400;

/// All rows as batches: a stream per site, named by the site and the file's content.
///
/// # Errors
/// Where a batch would break a rule of the wire: rows of the same time, zone and labels that together are
/// more than one sample may hold.
pub fn from_rows(rows: &[EnergyRow], content: &[u8]) -> Result<Vec<Batch>, wire::Invalid> {
    let mut sites: BTreeMap<&str, Vec<&EnergyRow>> = BTreeMap::new();
    for row in rows {
        sites.entry(&row.site).or_default().push(row);
    }
    let mut batches = Vec::new();
    for (site, mut rows) in sites {
        // Rows of one time become one interval. The sort keeps the file's order among them.
        rows.sort_by_key(|row| (row.start, row.end));
        let stream_id = stream_id(site, content);
        let mut of_site = Vec::new();
        for rows in rows.chunks(ROWS_PER_BATCH) {
            cut(site, stream_id, rows, &mut of_site);
        }
        for (sequence, batch) in (1..).zip(&mut of_site) {
            batch.sequence = sequence;
            wire::validate(batch)?;
        }
        batches.append(&mut of_site);
    }
    Ok(batches)
}

/// One batch, or as many as it takes for each to be within what the ledger takes at once: a row of a month
/// makes forty thousand minutes.
fn cut(site: &str, stream_id: StreamId, rows: &[&EnergyRow], batches: &mut Vec<Batch>) {
    let batch = batch(site, stream_id, rows);
    if rollup::count_pieces(&batch) <= rollup::MAX_PIECES || rows.len() == 1 {
        return batches.push(batch);
    }
    let (first, second) = rows.split_at(rows.len() / 2);
    cut(site, stream_id, first, batches);
    cut(site, stream_id, second, batches);
}

fn stream_id(site: &str, content: &[u8]) -> StreamId {
    // The zero byte ends the site's name, which cannot have one in it.
    let digest = Sha256::new()
        .chain_update(site)
        .chain_update([0])
        .chain_update(content)
        .finalize();
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    StreamId(id)
}

/// No version and no time of import is in it: they would make another batch of the same rows.
fn batch(site: &str, stream_id: StreamId, rows: &[&EnergyRow]) -> Batch {
    let node = if site.is_empty() {
        NODE.to_owned()
    } else {
        format!("{NODE}-{site}")
    };
    let mut batch = Batch {
        version: wire::VERSION,
        cluster: CLUSTER.to_owned(),
        node,
        site: site.to_owned(),
        stream_id: stream_id.to_vec(),
        ..Batch::default()
    };
    let mut dictionary = Dictionary::default();
    for rows in rows.chunk_by(|a, b| (a.start, a.end) == (b.start, b.end)) {
        batch.intervals.push(interval(rows, &mut dictionary));
    }
    batch.workloads = dictionary.workloads;
    batch.zones = dictionary.zones;
    batch
}

/// Workloads and zones of a batch, each once.
#[derive(Default)]
struct Dictionary {
    workloads: Vec<Workload>,
    zones: Vec<Zone>,
}

impl Dictionary {
    fn workload(&mut self, row: &EnergyRow) -> u32 {
        index_of(
            &mut self.workloads,
            Workload {
                kind: WorkloadKind::Import.into(),
                workflow: row.workflow.clone(),
                run: row.run.clone(),
                stage: row.stage.clone(),
                ..Workload::default()
            },
        )
    }

    fn zone(&mut self, row: &EnergyRow) -> u32 {
        let basis = if row.modelled {
            Basis::Modelled
        } else {
            Basis::Measured
        };
        index_of(
            &mut self.zones,
            Zone {
                name: row.zone.clone(),
                parent: String::new(),
                basis: basis.into(),
                ..Zone::default()
            },
        )
    }
}

fn index_of<T: PartialEq>(entries: &mut Vec<T>, entry: T) -> u32 {
    let found = entries.iter().position(|known| *known == entry);
    let index = found.unwrap_or_else(|| {
        entries.push(entry);
        entries.len() - 1
    });
    index as u32
}

/// All rows of one time: the energy of each workload in each zone. All of it is active, and none of it says
/// what CPU time it took.
fn interval(rows: &[&EnergyRow], dictionary: &mut Dictionary) -> Interval {
    let mut energy: BTreeMap<(u32, u32), Energy> = BTreeMap::new();
    let mut workloads = Vec::new();
    for row in rows {
        let (zone, workload) = (dictionary.zone(row), dictionary.workload(row));
        *energy.entry((zone, workload)).or_default() += row.energy;
        if !workloads.contains(&workload) {
            workloads.push(workload);
        }
    }
    let mut zones: Vec<u32> = energy.keys().map(|&(zone, _)| zone).collect();
    zones.dedup();
    let sample = |zone| {
        let of = |&workload| energy.get(&(zone, workload)).copied().unwrap_or_default();
        let active: Vec<Energy> = workloads.iter().map(of).collect();
        ZoneSample {
            zone,
            outcome: Outcome::Sampled.into(),
            measured_uj: active.iter().copied().sum::<Energy>().microjoules(),
            active_uj: active.into_iter().map(Energy::microjoules).collect(),
            ..ZoneSample::default()
        }
    };
    let (start, end) = rows
        .first()
        .map_or_else(Default::default, |row| (row.start, row.end));
    Interval {
        start_unix_ms: start.as_millisecond(),
        duration_ns: length_ns(start, end),
        cpu_ns: vec![0; workloads.len()],
        zones: zones.into_iter().map(sample).collect(),
        workloads,
        system_cpu_ns: 0,
        unwatched: false,
    }
}

fn length_ns(start: Timestamp, end: Timestamp) -> u64 {
    u64::try_from(start.duration_until(end).as_nanos())
        .expect("a row is read only where its end is after its start, by at most 31 days")
}

#[cfg(test)]
mod tests {
    use super::super::energy_csv;
    use super::*;

    fn rows(count: usize, site: impl Fn(usize) -> String) -> (Vec<EnergyRow>, String) {
        let mut text = "start,end,site,workflow,run,stage,zone,joules,basis\n".to_owned();
        for row in 0..count {
            let (minute, site) = (row / 4 % 60, site(row));
            text += &format!(
                "2026-01-05T10:{minute:02}:00Z,2026-01-05T10:{minute:02}:30Z,{site},w,r{},s{},package-{},{}.25,measured\n",
                row % 3,
                row % 2,
                row % 2,
                row
            );
        }
        (energy_csv::parse("e.csv", text.as_bytes()).unwrap(), text)
    }

    fn total(batches: &[Batch]) -> u64 {
        let intervals = batches.iter().flat_map(|batch| &batch.intervals);
        intervals
            .flat_map(|interval| &interval.zones)
            .map(|sample| sample.measured_uj)
            .sum()
    }

    #[test]
    fn every_microjoule_of_a_file_is_in_valid_batches() {
        let (rows, text) = rows(1_500, |row| {
            if row % 5 == 0 {
                String::new()
            } else {
                "lyon".to_owned()
            }
        });
        let batches = from_rows(&rows, text.as_bytes()).unwrap();
        let sum: Energy = rows.iter().map(|row| row.energy).sum();
        assert_eq!(total(&batches), sum.microjoules());
        for batch in &batches {
            let bytes = wire::encode(batch);
            assert_eq!(wire::decode(&bytes).unwrap(), *batch);
        }
        let names: Vec<_> = batches
            .iter()
            .map(|batch| (batch.node.as_str(), batch.site.as_str(), batch.sequence))
            .collect();
        assert_eq!(
            names,
            [
                ("import", "", 1),
                ("import-lyon", "lyon", 1),
                ("import-lyon", "lyon", 2),
                ("import-lyon", "lyon", 3),
            ]
        );
    }

    #[test]
    fn the_same_file_makes_the_same_batches_and_another_file_another_stream() {
        let (rows, text) = rows(10, |_| "lyon".to_owned());
        let batches = from_rows(&rows, text.as_bytes()).unwrap();
        assert_eq!(batches, from_rows(&rows, text.as_bytes()).unwrap());
        let other = from_rows(&rows, b"other").unwrap();
        assert_ne!(batches[0].stream_id, other[0].stream_id);
    }

    #[test]
    fn rows_of_one_time_make_one_interval_and_like_rows_add_up() {
        let row = "2026-01-05T10:00:00Z,2026-01-05T10:01:00Z,,w,r,train,package-0,1,measured\n";
        let other = row.replace("train", "test").replace("package", "dram");
        let text =
            format!("start,end,site,workflow,run,stage,zone,joules,basis\n{row}{row}{other}");
        let rows = energy_csv::parse("e.csv", text.as_bytes()).unwrap();
        let batches = from_rows(&rows, text.as_bytes()).unwrap();
        let [interval] = &batches[0].intervals[..] else {
            panic!("one interval")
        };
        let active: Vec<_> = interval
            .zones
            .iter()
            .map(|zone| zone.active_uj.clone())
            .collect();
        assert_eq!(active, [[2_000_000, 0], [0, 1_000_000]]);
    }

    #[test]
    fn the_greatest_labels_stay_within_the_wire_s_limits() {
        let text = (0..ROWS_PER_BATCH).fold(
            "start,end,site,workflow,run,stage,zone,joules,basis\n".to_owned(),
            |text, row| {
                // Digests, because what repeats would be packed away.
                let name = |part: &str| {
                    let digest = |n| {
                        format!(
                            "{:x?}",
                            Sha256::digest(format!("{part}{row}{n}")).as_slice()
                        )
                    };
                    let text: String = (0..4).map(digest).collect();
                    text.chars()
                        .filter(char::is_ascii_alphanumeric)
                        .take(253)
                        .collect::<String>()
                };
                let names = ["w", "r", "s", "z"].map(name).join(",");
                text + &format!(
                    "2026-01-05T10:00:00Z,2026-01-05T10:01:00Z,,{names},{row}.123456,modelled\n"
                )
            },
        );
        let rows = energy_csv::parse("e.csv", text.as_bytes()).unwrap();
        let batches = from_rows(&rows, text.as_bytes()).unwrap();
        assert_eq!(batches.len(), 1);
        assert!(wire::decode(&wire::encode(&batches[0])).is_ok());
    }

    #[test]
    fn long_rows_are_cut_into_batches_that_the_ledger_takes() {
        let text = (0..160).fold(
            "start,end,site,workflow,run,stage,zone,joules,basis\n".to_owned(),
            |text, row| {
                let (zone, stage) = (row % 2, row / 2);
                text + &format!("2026-01-01T00:00:00Z,2026-01-31T00:00:00Z,,w,r,s{stage},package-{zone},7,measured\n")
            },
        );
        let rows = energy_csv::parse("e.csv", text.as_bytes()).unwrap();
        let batches = from_rows(&rows, text.as_bytes()).unwrap();
        assert!(batches.len() > 1);
        assert!(
            batches
                .iter()
                .all(|batch| rollup::count_pieces(batch) <= rollup::MAX_PIECES)
        );
        assert_eq!(total(&batches), 160 * 7_000_000);
        assert!(
            batches
                .iter()
                .map(|batch| batch.sequence)
                .eq(1..=batches.len() as u64)
        );
    }

    #[test]
    fn like_rows_beyond_one_sample_are_refused() {
        let row = "2026-01-05T10:00:00Z,2026-01-05T10:01:00Z,,w,r,s,package-0,1e9,measured\n";
        let text = format!("start,end,site,workflow,run,stage,zone,joules,basis\n{row}{row}");
        let rows = energy_csv::parse("e.csv", text.as_bytes()).unwrap();
        assert!(from_rows(&rows, text.as_bytes()).is_err());
    }
}
