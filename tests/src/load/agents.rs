//! Batches as agents would send them: pods with names like Kubernetes makes, that come and go, with figures that
//! are as hard to pack as real ones.

use fastrand::Rng;
use wire::v1::{Basis, Batch, Interval, Outcome, Workload, WorkloadKind, Zone, ZoneSample};

/// How agents are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// Pods of a node.
    pub(super) pods: usize,
    /// Intervals of a batch.
    pub(super) intervals: u64,
    /// Length of an interval.
    pub(super) interval_ms: i64,
    /// Of a thousand pods, those that make place for others after each batch.
    pub(super) churn_per_mille: u32,
}

/// Zones of a node.
pub(super) const ZONES: [&str; 2] = ["package-0", "dram-0"];
/// Pods that belong to a stage of a run, of 100.
const LABELLED: u32 = 40;

impl Shape {
    /// Workload-samples of a batch: one workload's share of one zone in one interval each.
    pub(super) fn samples(&self) -> u64 {
        self.pods as u64 * self.intervals * ZONES.len() as u64
    }

    /// Time of a batch.
    pub(super) fn batch_ms(&self) -> i64 {
        self.interval_ms * self.intervals as i64
    }
}

/// An agent that is not there.
#[derive(Debug)]
pub(super) struct Agent {
    shape: Shape,
    node: String,
    stream_id: Vec<u8>,
    sequence: u64,
    now_ms: i64,
    run: String,
    pods: Vec<Workload>,
    random: Rng,
}

impl Agent {
    /// The one with this number; its first interval begins at `start_ms`.
    pub(super) fn new(number: usize, shape: Shape, start_ms: i64) -> Self {
        let mut random = Rng::with_seed(number as u64);
        let stream_id = (0..16).map(|_| random.u8(..)).collect();
        let mut agent = Self {
            shape,
            node: format!("node-{number:04}"),
            stream_id,
            sequence: 0,
            now_ms: start_ms,
            run: String::new(),
            pods: Vec::new(),
            random,
        };
        agent.start_run(format!("run-{}", number / 2));
        agent
    }

    /// All pods are new ones, some of this run.
    pub(super) fn start_run(&mut self, run: String) {
        self.run = run;
        self.pods = (0..self.shape.pods).map(|_| self.pod()).collect();
    }

    /// What it sends next, packed.
    pub(super) fn next(&mut self) -> Vec<u8> {
        for index in 0..self.pods.len() {
            if self.random.u32(..1000) < self.shape.churn_per_mille {
                self.pods[index] = self.pod();
            }
        }
        self.sequence += 1;
        let intervals = (0..self.shape.intervals).map(|_| self.interval()).collect();
        let zone = |name: &str| Zone {
            name: name.to_owned(),
            parent: String::new(),
            basis: Basis::Measured.into(),
            ..Zone::default()
        };
        wire::encode(&Batch {
            version: wire::VERSION,
            cluster: "bench".to_owned(),
            node: self.node.clone(),
            stream_id: self.stream_id.clone(),
            sequence: self.sequence,
            boot_id: "7f6c1e0a-95c5-4c3b-8a31-2f9c5a7d1e42".to_owned(),
            agent_version: "0.1.0".to_owned(),
            workloads: self.pods.clone(),
            zones: ZONES.map(zone).to_vec(),
            intervals,
            ..Batch::default()
        })
    }

    fn interval(&mut self) -> Interval {
        let start_unix_ms = self.now_ms;
        self.now_ms += self.shape.interval_ms;
        // Ticks come some microseconds late.
        let jitter_ns = self.random.u64(..50_000);
        let duration_ns = self.shape.interval_ms as u64 * 1_000_000 + jitter_ns;
        let most = duration_ns as f64 / 10.0;
        // From a thousandth of what the busiest use: most pods do little.
        let cpu_ns: Vec<u64> = (0..self.pods.len())
            .map(|_| (most * 0.001_f64.powf(self.random.f64())) as u64)
            .collect();
        let zones = (0..ZONES.len() as u32)
            .map(|zone| self.sample(zone, &cpu_ns, duration_ns))
            .collect();
        Interval {
            start_unix_ms,
            duration_ns,
            workloads: (0..self.pods.len() as u32).collect(),
            cpu_ns,
            system_cpu_ns: self.random.u64(..duration_ns),
            zones,
            unwatched: false,
        }
    }

    fn sample(&mut self, zone: u32, cpu_ns: &[u64], duration_ns: u64) -> ZoneSample {
        // About 8 W a CPU, 20 W at rest, in microjoules per nanosecond; an eighth of it in the second zone.
        let share = if zone == 0 { 1.0 } else { 0.125 };
        let noise = 0.9 + self.random.f64() / 5.0;
        let active: Vec<u64> = cpu_ns
            .iter()
            .map(|&ns| (ns as f64 * 0.008 * share * noise) as u64)
            .collect();
        let idle_uj = (duration_ns as f64 * 0.02 * share) as u64;
        let system_uj = self.random.u64(..idle_uj);
        ZoneSample {
            zone,
            outcome: Outcome::Sampled.into(),
            measured_uj: idle_uj + system_uj + active.iter().sum::<u64>(),
            idle_uj,
            system_uj,
            active_uj: active,
            idle_seeded: false,
        }
    }

    fn pod(&mut self) -> Workload {
        let random = &mut self.random;
        let labelled = random.u32(..100) < LABELLED;
        let label = |value: &str| if labelled { value } else { "" }.to_owned();
        let stage = ["prepare", "train", "validate", "serve"][random.usize(..4)];
        let suffix = |random: &mut Rng, length| -> String {
            (0..length).map(|_| random.lowercase()).collect()
        };
        Workload {
            kind: WorkloadKind::Container.into(),
            // Where the names are known, agents leave the ids out.
            pod_uid: String::new(),
            namespace: ["ml", "data", "web", "kube-system"][random.usize(..4)].to_owned(),
            pod: format!("{stage}-{}-{}", suffix(random, 9), suffix(random, 5)),
            container_id: String::new(),
            container: "main".to_owned(),
            workflow: label("churn"),
            run: label(&self.run),
            stage: label(stage),
            component: String::new(),
            cpu_request_millis: 250 * random.u32(1..9),
        }
    }
}
