//! How the kernel's structures are read.

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;

/// A way to read them.
pub(crate) trait Structures {
    /// The word at an offset in the structure that a word of another points to; 0 where it cannot be read.
    fn word(structure: u64, offset: u32) -> u64;
}

/// By a helper, which takes any address: tens of nanoseconds each.
pub(crate) struct Copied;

/// By plain loads, which the verifier checks against the kernel's types: a program whose arguments have types, and
/// offsets that it knows when it is loaded.
pub(crate) struct Direct;

impl Structures for Copied {
    #[inline(always)]
    fn word(structure: u64, offset: u32) -> u64 {
        if structure == 0 {
            return 0;
        }
        let address = structure + u64::from(offset);
        let mut value = 0_u64;
        let result = unsafe {
            bpf_probe_read_kernel(
                (&raw mut value).cast(),
                size_of::<u64>() as u32,
                address as *const _,
            )
        };
        if result == 0 { value } else { 0 }
    }
}

impl Structures for Direct {
    #[inline(always)]
    fn word(structure: u64, offset: u32) -> u64 {
        let address = structure + u64::from(offset);
        // The kernel has a load that fails give 0.
        unsafe { core::ptr::read_volatile(address as *const u64) }
    }
}
