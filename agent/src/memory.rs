//! What the start needed of memory, and the rest of the agent's life does not.

/// Gives freed memory back to the system: the kernel's BTF alone takes megabytes while it is read.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    #[allow(
        unsafe_code,
        reason = "glibc's malloc_trim takes no pointer and is safe at any time"
    )]
    unsafe {
        libc::malloc_trim(0);
    }
}
