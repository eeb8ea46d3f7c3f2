//! GPUs that are cut into slices.

use std::ffi::c_uint;

use nvml_wrapper_sys::bindings::{nvmlDevice_t, nvmlDeviceAttributes_t, nvmlReturn_t};

use crate::code;
use crate::script::{Gpu, Slice};
use crate::state::{Asked, gpu, handle, slice};
use crate::write::{answer, put};

/// # Safety
/// As nvml.h says of it.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvmlDeviceGetMigMode(
    device: nvmlDevice_t,
    current: *mut c_uint,
    pending: *mut c_uint,
) -> nvmlReturn_t {
    let mode = gpu(device).map(|gpu| c_uint::from(gpu.slices.is_some()));
    // SAFETY: by the caller.
    answer(mode.and_then(|mode| unsafe { put(current, mode).and_then(|()| put(pending, mode)) }))
}

/// # Safety
/// As nvml.h says of it.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvmlDeviceGetMaxMigDeviceCount(
    device: nvmlDevice_t,
    count: *mut c_uint,
) -> nvmlReturn_t {
    const MOST: c_uint = 7;
    // SAFETY: by the caller.
    answer(gpu(device).and_then(|_| unsafe { put(count, MOST) }))
}

/// # Safety
/// As nvml.h says of it.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvmlDeviceGetMigDeviceHandleByIndex(
    device: nvmlDevice_t,
    index: c_uint,
    slice: *mut nvmlDevice_t,
) -> nvmlReturn_t {
    let index = index as usize;
    let find = |gpu: Gpu| {
        let is_there = gpu.slices.is_some_and(|slices| index < slices.len());
        is_there
            .then(|| handle(Asked::slice(&gpu.uuid, index)))
            .ok_or(code::NOT_FOUND)
    };
    // SAFETY: by the caller.
    answer(
        gpu(device)
            .and_then(find)
            .and_then(|handle| unsafe { put(slice, handle) }),
    )
}

/// # Safety
/// As nvml.h says of it.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvmlDeviceGetAttributes_v2(
    device: nvmlDevice_t,
    attributes: *mut nvmlDeviceAttributes_t,
) -> nvmlReturn_t {
    // SAFETY: by the caller.
    answer(slice(device).and_then(|slice| unsafe { put(attributes, attributes_of(&slice)) }))
}

fn attributes_of(slice: &Slice) -> nvmlDeviceAttributes_t {
    nvmlDeviceAttributes_t {
        multiprocessorCount: 16 * slice.size,
        sharedCopyEngineCount: 1,
        sharedDecoderCount: 0,
        sharedEncoderCount: 0,
        sharedJpegCount: 0,
        sharedOfaCount: 0,
        gpuInstanceSliceCount: slice.size,
        computeInstanceSliceCount: slice.size,
        memorySizeMB: 1 << 10,
    }
}
