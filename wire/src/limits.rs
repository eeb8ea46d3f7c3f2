//! Upper bounds of what a batch may hold; the decoder keeps them, before it takes memory for what it counts.

/// Bytes of a batch as sent (zstd).
pub const MAX_BATCH_BYTES: usize = 1 << 20;
/// Bytes of a batch once unpacked; the decoder stops there, whatever the frame's header claims.
pub const MAX_UNPACKED_BYTES: usize = 8 << 20;
/// Bytes of one name or label: cluster, node, namespace, pod, stage, ... (Kubernetes allows 253 in an
/// object's name and 63 in a label's value).
pub const MAX_NAME_BYTES: usize = 253;
/// Workloads in a batch.
pub const MAX_WORKLOADS: usize = 20_000;
/// Zones in a batch.
pub const MAX_ZONES: usize = 512;
/// Intervals in a batch.
pub const MAX_INTERVALS: usize = 10_000;
/// Zones' samples in a batch, all intervals together.
pub const MAX_SAMPLES: usize = 100_000;
/// Lost batches that one batch tells of.
pub const MAX_LOSSES: usize = 10_000;
/// Workloads that one batch gives names to.
pub const MAX_RENAMES: usize = MAX_WORKLOADS;
/// CPU that one workload may ask for: 65,536 CPUs, as many as any node has, in thousandths.
pub const MAX_CPU_REQUEST_MILLIS: u32 = 65_536_000;
/// Length of one interval: 31 days, the longest row of an imported file.
pub const MAX_INTERVAL_NS: u64 = 31 * 24 * 3600 * 1_000_000_000;
/// Energy in one sample: 10^15 uJ (278 kWh), so that no sum over a zone's intervals can overflow 64 bits.
pub const MAX_SAMPLE_UJ: u64 = 1_000_000_000_000_000;
/// More power than any site has, 10 MW, in microjoules per nanosecond: a sample of more is a counter's fault.
pub const MAX_UJ_PER_NS: u64 = 10_000;
/// Latest start of an interval, 9999-01-01T00:00:00Z: later times have no calendar form.
pub const MAX_START_UNIX_MS: i64 = 253_370_764_800_000;
/// Energy that a model may be wrong by: the true one is at most ten times as much.
pub const MAX_RANGE_PERCENT: u32 = 1_000;
