//! Who holds the library, and what the handles stand for.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::Duration;

use nvml_wrapper_sys::bindings::nvmlDevice_t;

use crate::script::{Gpu, Script, Slice};
use crate::{Code, code};

/// A GPU, or a slice of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    uuid: String,
    slice: Option<usize>,
}

impl Asked {
    pub(crate) fn gpu(uuid: &str) -> Self {
        Self {
            uuid: uuid.to_owned(),
            slice: None,
        }
    }

    pub(crate) fn slice(uuid: &str, slice: usize) -> Self {
        Self {
            uuid: uuid.to_owned(),
            slice: Some(slice),
        }
    }
}

struct Held {
    times: u32,
    /// The driver's load that the first holder found.
    load: u64,
}

static HELD: Mutex<Held> = Mutex::new(Held { times: 0, load: 0 });

/// A handle is a place in here, beginning with 1.
static HANDLES: Mutex<Vec<Asked>> = Mutex::new(Vec::new());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One more holds it.
pub(crate) fn open() -> Result<(), Code> {
    let script = Script::read()?;
    if script.error != 0 {
        return Err(script.error);
    }
    let mut held = lock(&HELD);
    if held.times == 0 {
        held.load = script.load;
    }
    held.times += 1;
    Ok(())
}

/// One less.
pub(crate) fn close() -> Result<(), Code> {
    let mut held = lock(&HELD);
    held.times = held.times.checked_sub(1).ok_or(code::UNINITIALIZED)?;
    Ok(())
}

/// The script, for those who hold the library of the driver that is loaded.
pub(crate) fn script() -> Result<Script, Code> {
    let script = Script::read()?;
    if script.error != 0 {
        return Err(script.error);
    }
    let held = lock(&HELD);
    if held.times == 0 || held.load != script.load {
        return Err(code::UNINITIALIZED);
    }
    Ok(script)
}

pub(crate) fn handle(asked: Asked) -> nvmlDevice_t {
    let mut handles = lock(&HANDLES);
    let place = handles.iter().position(|other| *other == asked);
    let place = place.unwrap_or_else(|| {
        handles.push(asked);
        handles.len() - 1
    });
    std::ptr::without_provenance_mut(place + 1)
}

fn asked(device: nvmlDevice_t) -> Result<Asked, Code> {
    let place = device.addr().checked_sub(1).ok_or(code::INVALID_ARGUMENT)?;
    lock(&HANDLES)
        .get(place)
        .cloned()
        .ok_or(code::INVALID_ARGUMENT)
}

/// The GPU of a handle, once it does not hang.
pub(crate) fn gpu(device: nvmlDevice_t) -> Result<Gpu, Code> {
    let asked = asked(device)?;
    loop {
        let script = script()?;
        let gpu = script.gpus.into_iter().find(|gpu| gpu.uuid == asked.uuid);
        let gpu = gpu.ok_or(code::GPU_IS_LOST)?;
        match gpu.error {
            _ if gpu.hangs => sleep(Duration::from_millis(5)),
            _ if gpu.lost => return Err(code::GPU_IS_LOST),
            0 => return Ok(gpu),
            error => return Err(error),
        }
    }
}

/// The slice of a handle.
pub(crate) fn slice(device: nvmlDevice_t) -> Result<Slice, Code> {
    let number = asked(device)?.slice.ok_or(code::INVALID_ARGUMENT)?;
    let slices = gpu(device)?.slices.unwrap_or_default();
    slices.into_iter().nth(number).ok_or(code::NOT_FOUND)
}
