//! Answers as C has them: a code, and what is written where a pointer says.

use std::ffi::{c_char, c_uint};

use nvml_wrapper_sys::bindings::nvmlReturn_t;

use crate::{Code, code};

pub(crate) fn answer(result: Result<(), Code>) -> nvmlReturn_t {
    result.err().unwrap_or(code::SUCCESS)
}

/// # Safety
/// `place` is null or may be written.
pub(crate) unsafe fn put<T>(place: *mut T, value: T) -> Result<(), Code> {
    if place.is_null() {
        return Err(code::INVALID_ARGUMENT);
    }
    // SAFETY: by the caller.
    unsafe { place.write(value) };
    Ok(())
}

/// # Safety
/// `place` is null or has room for `length` bytes.
pub(crate) unsafe fn put_text(place: *mut c_char, length: c_uint, text: &str) -> Result<(), Code> {
    let bytes = text.bytes().filter(|byte| *byte != 0).chain([0]);
    if text.len() >= length as usize {
        return Err(code::INSUFFICIENT_SIZE);
    }
    for (index, byte) in bytes.enumerate() {
        // SAFETY: by the caller; the text and its end fit.
        unsafe { put(place.wrapping_add(index), byte as c_char)? };
    }
    Ok(())
}

/// # Safety
/// `count` may be read and written, and `places` is null or has room for so many.
pub(crate) unsafe fn put_all<T>(
    places: *mut T,
    count: *mut c_uint,
    values: Vec<T>,
) -> Result<(), Code> {
    // SAFETY: by the caller.
    let room = if places.is_null() {
        0
    } else {
        unsafe { count.read() as usize }
    };
    // SAFETY: by the caller.
    unsafe { put(count, values.len() as c_uint)? };
    if values.len() > room {
        return Err(code::INSUFFICIENT_SIZE);
    }
    for (index, value) in values.into_iter().enumerate() {
        // SAFETY: there is room for so many.
        unsafe { put(places.wrapping_add(index), value)? };
    }
    Ok(())
}
