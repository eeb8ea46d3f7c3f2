//! The runs of a year: on each pair of nodes one after the other, most of them short; and a long one of many pods.

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use wire::v1::{Basis, Batch, Interval, Outcome, Workload, WorkloadKind, Zone, ZoneSample};

use super::ZONES as SITES;
use crate::load::agents::{Agent, Shape, ZONES};
use crate::load::ask::Asker;

/// Runs in all.
pub(super) const RUNS: usize = 100_000;
/// Id of the long one.
pub(super) const LONG: &str = "long";

const WORKFLOWS: usize = 12;
const CLUSTERS: usize = 4;
/// Pairs of nodes that runs take their turn on.
const PAIRS: usize = 50;
const RUNS_OF_PAIR: usize = RUNS / PAIRS;
/// Runs of a node that one batch tells of.
const RUNS_OF_BATCH: usize = 10;
/// How many senders there are, each with its own pairs.
const SENDERS: usize = 4;
const MINUTE_MS: i64 = 60_000;
/// From the start of one run of a pair to the next.
const SPACING_MS: i64 = 365 * 24 * 60 * MINUTE_MS / RUNS_OF_PAIR as i64;
/// Of a hundred runs, so many take from so many minutes to so many: 10 minutes on average.
const LENGTHS: [(u32, u64, u64); 4] = [(70, 2, 8), (25, 8, 20), (4, 20, 60), (1, 60, 180)];
/// The first fifth of a run prepares.
const STAGES: [(&str, u64); 2] = [("prepare", 1), ("train", 4)];

const LONG_SHAPE: Shape = Shape {
    pods: 80,
    intervals: 120,
    interval_ms: MINUTE_MS,
    churn_per_mille: 0,
};
const LONG_DAYS: i64 = 3;
/// Its nodes.
const LONG_NODES: usize = 2;

/// Id of a run, by its number in order of time.
pub(super) fn id(number: usize) -> String {
    format!("run-{number:06}")
}

/// Workflow of a run.
pub(super) fn workflow(number: usize) -> String {
    format!("workflow-{:02}", number % WORKFLOWS)
}

/// Writes all of them; the last ends at about `now`.
pub(super) async fn fill(asker: &Asker, now: Timestamp) -> anyhow::Result<()> {
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let asker = asker.clone();
            tokio::spawn(async move { send(&asker, now, sender).await })
        })
        .collect();
    for sender in senders {
        sender.await??;
    }
    long(asker, now).await
}

async fn send(asker: &Asker, now: Timestamp, sender: usize) -> anyhow::Result<()> {
    let pairs = (0..PAIRS).filter(|pair| pair % SENDERS == sender);
    let mut nodes: Vec<Node> = pairs
        .flat_map(|pair| [0, 1].map(|half| Node::new(pair, half)))
        .collect();
    for first in (0..RUNS_OF_PAIR).step_by(RUNS_OF_BATCH) {
        for node in &mut nodes {
            let turns = first..first + RUNS_OF_BATCH;
            asker.send_batch(node.batch(now, turns)).await?;
        }
    }
    Ok(())
}

async fn long(asker: &Asker, now: Timestamp) -> anyhow::Result<()> {
    let length = SignedDuration::from_hours(24 * LONG_DAYS);
    let start_ms = (now - length).as_millisecond();
    let batches = length.as_millis() as i64 / LONG_SHAPE.batch_ms();
    for number in 0..LONG_NODES {
        let mut agent = Agent::new(number, LONG_SHAPE, start_ms);
        agent.start_run(LONG.to_owned());
        for _ in 0..batches {
            asker.send_batch(agent.next()).await?;
        }
    }
    Ok(())
}

/// A node of a pair.
struct Node {
    pair: usize,
    name: String,
    stream_id: Vec<u8>,
    sequence: u64,
    random: Rng,
}

impl Node {
    fn new(pair: usize, half: usize) -> Self {
        let number = pair * 2 + half;
        let mut random = Rng::with_seed(number as u64);
        Self {
            pair,
            name: format!("pair-{pair:02}-{half}"),
            stream_id: (0..16).map(|_| random.u8(..)).collect(),
            sequence: 0,
            random,
        }
    }

    /// Of the runs that it had at these turns.
    fn batch(&mut self, now: Timestamp, turns: std::ops::Range<usize>) -> Vec<u8> {
        // What is on every node all the time, and belongs to no run.
        let mut workloads = vec![self.workload(None, "")];
        let mut intervals = Vec::new();
        for turn in turns {
            let number = turn * PAIRS + self.pair;
            let (start_ms, minutes) = times(now, turn, number);
            let first = workloads.len() as u32;
            workloads.extend(STAGES.map(|(stage, _)| self.workload(Some(number), stage)));
            for minute in 0..minutes {
                let is_train = minute * 5 >= minutes;
                let start_unix_ms = start_ms + minute as i64 * MINUTE_MS;
                intervals.push(self.interval(start_unix_ms, first + u32::from(is_train)));
            }
        }
        self.sequence += 1;
        let zone = |name: &str| Zone {
            name: name.to_owned(),
            basis: Basis::Measured.into(),
            ..Zone::default()
        };
        wire::encode(&Batch {
            version: wire::VERSION,
            cluster: format!("cluster-{}", self.pair % CLUSTERS),
            node: self.name.clone(),
            site: SITES[self.pair % SITES.len()].to_owned(),
            stream_id: self.stream_id.clone(),
            sequence: self.sequence,
            agent_version: "0.1.0".to_owned(),
            workloads,
            zones: ZONES.map(zone).to_vec(),
            intervals,
            ..Batch::default()
        })
    }

    fn workload(&self, run: Option<usize>, stage: &str) -> Workload {
        let id = run.map(id).unwrap_or_default();
        Workload {
            kind: WorkloadKind::Container.into(),
            namespace: "ml".to_owned(),
            pod: match run {
                Some(_) => format!("{stage}-{id}-{}", self.name),
                None => format!("exporter-{}", self.name),
            },
            container: "main".to_owned(),
            workflow: run.map(workflow).unwrap_or_default(),
            run: id,
            stage: stage.to_owned(),
            cpu_request_millis: 4_000,
            ..Workload::default()
        }
    }

    fn interval(&mut self, start_unix_ms: i64, workload: u32) -> Interval {
        let duration_ns = MINUTE_MS as u64 * 1_000_000;
        let cpu_ns = vec![
            self.random.u64(..1_000_000_000),
            self.random.u64(..duration_ns),
        ];
        let zones = (0..ZONES.len() as u32).map(|zone| {
            let active_uj: Vec<u64> = cpu_ns.iter().map(|ns| ns / 100).collect();
            let (idle_uj, system_uj) = (1_200_000_000, self.random.u64(..600_000_000));
            ZoneSample {
                zone,
                outcome: Outcome::Sampled.into(),
                measured_uj: idle_uj + system_uj + active_uj.iter().sum::<u64>(),
                idle_uj,
                system_uj,
                active_uj,
                idle_seeded: false,
            }
        });
        Interval {
            start_unix_ms,
            duration_ns,
            workloads: vec![0, workload],
            zones: zones.collect(),
            cpu_ns,
            system_cpu_ns: self.random.u64(..duration_ns),
            unwatched: false,
        }
    }
}

/// Start and minutes of the run of this number, which a pair has at this turn.
fn times(now: Timestamp, turn: usize, number: usize) -> (i64, u64) {
    let mut random = Rng::with_seed(number as u64);
    let turns_left = (RUNS_OF_PAIR - turn) as i64;
    let start_ms = now.as_millisecond() - turns_left * SPACING_MS + random.i64(0..60) * MINUTE_MS;
    let mut rest = random.u32(..100);
    let (_, from, to) = LENGTHS
        .into_iter()
        .find(|&(share, ..)| {
            let is_it = rest < share;
            rest = rest.saturating_sub(share);
            is_it
        })
        .expect("the shares are a hundred in all");
    // On the minute: no row is made twice.
    (start_ms - start_ms % MINUTE_MS, random.u64(from..to))
}
