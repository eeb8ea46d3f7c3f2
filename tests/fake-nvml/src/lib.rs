//! A libnvidia-ml.so.1 without a GPU: the calls that the agent makes, answered as a script says.
//!
//! The script is a JSON file whose path is in `FAKE_NVML`; it is read anew at each call. The functions and their
//! layouts are those of NVIDIA's nvml.h; what they mean is in NVIDIA's NVML API reference.
#![allow(
    unsafe_code,
    reason = "a C library takes pointers, and is found by the names of its functions"
)]
#![allow(non_snake_case, reason = "the names are NVIDIA's")]

mod mig;
mod processes;
mod script;
mod state;
mod write;

use std::ffi::{CStr, c_char, c_int, c_uint, c_ulonglong};

use nvml_wrapper_sys::bindings::{nvmlDevice_t, nvmlReturn_t, nvmlUtilization_t};

use self::script::{Gpu, Script};
use self::state::{Asked, gpu, handle, slice};
use self::write::{answer, put, put_text};

/// Codes of nvmlReturn_t.
pub(crate) mod code {
    pub(crate) const SUCCESS: u32 = 0;
    pub(crate) const UNINITIALIZED: u32 = 1;
    pub(crate) const INVALID_ARGUMENT: u32 = 2;
    pub(crate) const NOT_SUPPORTED: u32 = 3;
    pub(crate) const NOT_FOUND: u32 = 6;
    pub(crate) const INSUFFICIENT_SIZE: u32 = 7;
    pub(crate) const GPU_IS_LOST: u32 = 15;
    pub(crate) const UNKNOWN: u32 = 999;
}

/// A code that is no success.
pub(crate) type Code = u32;

/// Opens the library.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlInit_v2() -> nvmlReturn_t {
    answer(state::open())
}

/// Lets go of it.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlShutdown() -> nvmlReturn_t {
    answer(state::close())
}

/// # Safety
/// As nvml.h says of it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlSystemGetDriverVersion(
    version: *mut c_char,
    length: c_uint,
) -> nvmlReturn_t {
    let script = state::script();
    // SAFETY: by the caller.
    answer(script.and_then(|script| unsafe { put_text(version, length, &script.driver) }))
}

/// # Safety
/// As nvml.h says of it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetCount_v2(count: *mut c_uint) -> nvmlReturn_t {
    let script = state::script();
    // SAFETY: by the caller.
    answer(script.and_then(|script| unsafe { put(count, script.gpus.len() as c_uint) }))
}

/// # Safety
/// As nvml.h says of it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetHandleByIndex_v2(
    index: c_uint,
    device: *mut nvmlDevice_t,
) -> nvmlReturn_t {
    // SAFETY: by the caller.
    answer(unsafe {
        find(
            device,
            |script| script.gpus.get(index as usize),
            code::INVALID_ARGUMENT,
        )
    })
}

/// # Safety
/// As nvml.h says of it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetHandleByUUID(
    uuid: *const c_char,
    device: *mut nvmlDevice_t,
) -> nvmlReturn_t {
    // SAFETY: by the caller, it is a string with its end.
    let uuid = unsafe { CStr::from_ptr(uuid) }.to_string_lossy();
    let by_uuid = |script: &Script| script.gpus.iter().position(|gpu| gpu.uuid == uuid);
    // SAFETY: by the caller.
    answer(unsafe {
        find(
            device,
            |script| by_uuid(script).map(|index| &script.gpus[index]),
            code::NOT_FOUND,
        )
    })
}

/// # Safety
/// `device` is null or may be written.
unsafe fn find(
    device: *mut nvmlDevice_t,
    choose: impl Fn(&Script) -> Option<&Gpu>,
    missing: Code,
) -> Result<(), Code> {
    let script = state::script()?;
    let gpu = choose(&script).ok_or(missing)?;
    if gpu.lost {
        return Err(code::GPU_IS_LOST);
    }
    // SAFETY: by the caller.
    unsafe { put(device, handle(Asked::gpu(&gpu.uuid))) }
}

/// # Safety
/// As nvml.h says of it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetUUID(
    device: nvmlDevice_t,
    uuid: *mut c_char,
    length: c_uint,
) -> nvmlReturn_t {
    let own = slice(device)
        .map(|slice| slice.uuid)
        .or_else(|_| gpu(device).map(|gpu| gpu.uuid));
    // SAFETY: by the caller.
    answer(own.and_then(|own| unsafe { put_text(uuid, length, &own) }))
}

/// # Safety
/// As nvml.h says of it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetName(
    device: nvmlDevice_t,
    name: *mut c_char,
    length: c_uint,
) -> nvmlReturn_t {
    // SAFETY: by the caller.
    answer(gpu(device).and_then(|gpu| unsafe { put_text(name, length, &gpu.name) }))
}

/// # Safety
/// As nvml.h says of it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetTotalEnergyConsumption(
    device: nvmlDevice_t,
    millijoules: *mut c_ulonglong,
) -> nvmlReturn_t {
    let energy = gpu(device).and_then(|gpu| gpu.energy_mj.ok_or(code::NOT_SUPPORTED));
    // SAFETY: by the caller.
    answer(energy.and_then(|energy| unsafe { put(millijoules, energy) }))
}

/// # Safety
/// As nvml.h says of it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetPowerUsage(
    device: nvmlDevice_t,
    milliwatts: *mut c_uint,
) -> nvmlReturn_t {
    let power = gpu(device).and_then(|gpu| gpu.power_mw.ok_or(code::NOT_SUPPORTED));
    // SAFETY: by the caller.
    answer(power.and_then(|power| unsafe { put(milliwatts, power) }))
}

/// # Safety
/// As nvml.h says of it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetUtilizationRates(
    device: nvmlDevice_t,
    rates: *mut nvmlUtilization_t,
) -> nvmlReturn_t {
    let percent = gpu(device).and_then(|gpu| gpu.percent.ok_or(code::NOT_SUPPORTED));
    // SAFETY: by the caller.
    answer(percent.and_then(|gpu| unsafe { put(rates, nvmlUtilization_t { gpu, memory: 0 }) }))
}

/// The words of a code.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlErrorString(_code: c_int) -> *const c_char {
    c"an error of the fake".as_ptr()
}
