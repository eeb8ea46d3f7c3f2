//! The kernel's description of its types.

#![no_main]

use agent::usage::ebpf::btf::offsets_in;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Err(reason) = offsets_in(data) {
        assert!(!reason.contains('\n'), "{reason}");
    }
});
