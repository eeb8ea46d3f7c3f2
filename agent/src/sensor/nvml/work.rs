//! What a GPU did since it was last looked at, and who is or was there.
//!
//! By nvmlDeviceGetProcessUtilization, whose samples are each process's share of the time in which the streaming
//! multiprocessors worked since a time stamp; encoders and decoders do not count. It is not there in MIG mode, and on
//! some boards: then who is there counts, alike, or by the size of the slice that they have among them.

use nvml_wrapper::Device;
use nvml_wrapper::struct_wrappers::device::ProcessUtilizationSample;
use rustix::time::{ClockId, clock_gettime};

use super::slices::Slice;
use crate::sensor::activity::{Activity, DeviceUse};

/// Stands for those who are on a slice of which the driver does not tell: no process has it.
const UNTOLD: u32 = 0;

/// Remembers the last look.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// By time since boot, without suspended time.
    looked_ns: Option<u64>,
    /// Time stamp of the newest sample that was taken in.
    newest_us: u64,
}

impl Watch {
    /// What was done since the last look by those who are on `slices` now; of the first one nothing is known.
    pub(super) fn look(
        &mut self,
        gpu: &Device<'_>,
        slices: Option<&[Slice]>,
        awake_ns: u64,
    ) -> Option<Activity> {
        // The driver may have nothing new, or not know such samples at all.
        let samples = gpu.process_utilization_stats(self.after_us());
        let samples = self.fresh(&samples.unwrap_or_default());
        let rates = gpu.utilization_rates().ok();
        let nobody = slices.is_some_and(|slices| !slices.iter().any(Slice::is_used));
        let percent = rates.map(|rates| rates.gpu).or(nobody.then_some(0));
        let looked_ns = self.looked_ns.replace(awake_ns)?;
        let passed_ns = awake_ns.saturating_sub(looked_ns);
        Some(activity(
            passed_ns,
            percent,
            &samples,
            slices.unwrap_or_default(),
        ))
    }

    /// Stamps are by the wall clock, which may have been set back.
    fn after_us(&self) -> u64 {
        let now = clock_gettime(ClockId::Realtime);
        let now_us = now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1_000;
        self.newest_us.min(now_us)
    }

    /// (process, percent) of samples that are new and can be; the driver may hand out rows that it did not fill.
    fn fresh(&mut self, samples: &[ProcessUtilizationSample]) -> Vec<(u32, u32)> {
        let after_us = self.after_us();
        let is_fresh = |sample: &&ProcessUtilizationSample| {
            sample.pid != 0 && sample.sm_util <= 100 && sample.timestamp > after_us
        };
        let fresh = samples.iter().filter(is_fresh);
        self.newest_us = fresh
            .clone()
            .map(|sample| sample.timestamp)
            .fold(after_us, u64::max);
        fresh.map(|sample| (sample.pid, sample.sm_util)).collect()
    }
}

/// The work of `passed_ns`, in which the GPU was busy for so many `percent` where that is known.
fn activity(
    passed_ns: u64,
    percent: Option<u32>,
    samples: &[(u32, u32)],
    slices: &[Slice],
) -> Activity {
    let part = |percent: u32| passed_ns / 100 * u64::from(percent.min(100));
    let mut activity = Activity {
        watched_ns: percent.map_or(0, |_| passed_ns),
        busy_ns: percent.map_or(0, part),
        uses: Vec::new(),
    };
    for &(pid, percent) in samples {
        activity.add_use(DeviceUse {
            pid,
            busy_ns: part(percent),
            there_ns: 0,
        });
    }
    for slice in slices {
        let pids: Vec<u32> = match &slice.pids {
            Some(pids) => pids.iter().copied().collect(),
            None => vec![UNTOLD],
        };
        let there_ns = passed_ns.saturating_mul(u64::from(slice.size)) / pids.len().max(1) as u64;
        for pid in pids {
            activity.add_use(DeviceUse {
                pid,
                busy_ns: 0,
                there_ns,
            });
        }
    }
    activity
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(size: u32, pids: &[u32]) -> Slice {
        Slice {
            number: Some(0),
            size,
            pids: Some(pids.iter().copied().collect()),
        }
    }

    fn weights(percent: Option<u32>, samples: &[(u32, u32)], slices: &[Slice]) -> Vec<(u32, u64)> {
        activity(1_000, percent, samples, slices)
            .weights()
            .collect()
    }

    #[test]
    fn by_time_where_it_is_known_and_else_by_slice() {
        let whole = [slice(1, &[7, 8])];
        assert_eq!(
            weights(Some(50), &[(7, 40), (9, 10)], &whole),
            [(7, 400), (9, 100), (8, 0)]
        );
        assert_eq!(weights(Some(0), &[], &whole), [(7, 500), (8, 500)]);
        // Seven slices in use, of which one is shared by two.
        let cut = [slice(3, &[1]), slice(4, &[2, 3]), slice(1, &[])];
        assert_eq!(
            weights(None, &[], &cut),
            [(1, 3_000), (2, 2_000), (3, 2_000)]
        );
        assert_eq!(weights(None, &[], &[]), []);
        let mut untold = slice(2, &[]);
        untold.pids = None;
        assert_eq!(
            weights(None, &[], &[slice(1, &[1]), untold]),
            [(1, 1_000), (UNTOLD, 2_000)]
        );
    }

    #[test]
    fn utilisation_is_the_drivers_and_never_above_one() {
        let of = |percent| activity(1_000, percent, &[], &[]).utilisation();
        assert_eq!(of(Some(25)), Some(0.25));
        assert_eq!(of(Some(u32::MAX)), Some(1.0));
        assert_eq!(of(None), None);
    }

    #[test]
    fn only_samples_that_are_new_and_can_be_are_taken() {
        let sample = |pid, timestamp, sm_util| ProcessUtilizationSample {
            pid,
            timestamp,
            sm_util,
            mem_util: 0,
            enc_util: 0,
            dec_util: 0,
        };
        let mut watch = Watch::default();
        let first = [
            sample(1, 10, 50),
            sample(2, 11, 60),
            sample(3, 12, 101),
            sample(0, 13, 1),
        ];
        assert_eq!(watch.fresh(&first), [(1, 50), (2, 60)]);
        assert_eq!(watch.fresh(&first), []);
        assert_eq!(watch.fresh(&[sample(1, 12, 70)]), [(1, 70)]);
        // A stamp of the far future keeps nothing out.
        assert_eq!(watch.fresh(&[sample(1, u64::MAX, 80)]), [(1, 80)]);
        assert!(watch.after_us() < u64::MAX);
        let now_us = watch.after_us();
        assert_eq!(
            watch.fresh(&[sample(1, now_us + 60_000_000, 90)]),
            [(1, 90)]
        );
    }
}
