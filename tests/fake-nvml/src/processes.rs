//! Who uses a GPU.

use std::ffi::{c_uint, c_ulonglong};
use std::time::{SystemTime, UNIX_EPOCH};

use nvml_wrapper_sys::bindings::{
    nvmlDevice_t, nvmlProcessInfo_t, nvmlProcessUtilizationSample_t, nvmlReturn_t,
};

use crate::script::Gpu;
use crate::state::{gpu, slice};
use crate::write::{answer, put_all};
use crate::{Code, code};

/// # Safety
/// As nvml.h says of it.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvmlDeviceGetProcessUtilization(
    device: nvmlDevice_t,
    samples: *mut nvmlProcessUtilizationSample_t,
    count: *mut c_uint,
    since_us: c_ulonglong,
) -> nvmlReturn_t {
    let found = gpu(device).and_then(|gpu| samples_of(&gpu, since_us));
    // SAFETY: by the caller.
    answer(found.and_then(|found| unsafe { put_all(samples, count, found) }))
}

/// One for each process that worked, new at every call.
fn samples_of(gpu: &Gpu, since_us: u64) -> Result<Vec<nvmlProcessUtilizationSample_t>, Code> {
    let samples = gpu.samples.as_ref().ok_or(code::NOT_SUPPORTED)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let timeStamp = now.map_err(|_| code::UNKNOWN)?.as_micros() as u64;
    if samples.is_empty() || timeStamp <= since_us {
        return Err(code::NOT_FOUND);
    }
    let sample = |&(pid, smUtil): &(u32, u32)| nvmlProcessUtilizationSample_t {
        pid,
        timeStamp,
        smUtil,
        memUtil: 0,
        encUtil: 0,
        decUtil: 0,
    };
    Ok(samples.iter().map(sample).collect())
}

/// # Safety
/// As nvml.h says of it.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvmlDeviceGetComputeRunningProcesses_v3(
    device: nvmlDevice_t,
    count: *mut c_uint,
    infos: *mut nvmlProcessInfo_t,
) -> nvmlReturn_t {
    let pids = match slice(device) {
        Ok(slice) => slice.processes.ok_or(code::NOT_SUPPORTED),
        Err(_) => gpu(device).map(|gpu| gpu.processes),
    };
    // SAFETY: by the caller.
    answer(
        pids.and_then(|pids| unsafe {
            put_all(infos, count, pids.into_iter().map(info).collect())
        }),
    )
}

/// Nobody draws.
///
/// # Safety
/// As nvml.h says of it.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvmlDeviceGetGraphicsRunningProcesses_v3(
    device: nvmlDevice_t,
    count: *mut c_uint,
    infos: *mut nvmlProcessInfo_t,
) -> nvmlReturn_t {
    // SAFETY: by the caller.
    answer(gpu(device).and_then(|_| unsafe { put_all(infos, count, Vec::new()) }))
}

fn info(pid: u32) -> nvmlProcessInfo_t {
    nvmlProcessInfo_t {
        pid,
        usedGpuMemory: 1 << 20,
        gpuInstanceId: u32::MAX,
        computeInstanceId: u32::MAX,
    }
}
