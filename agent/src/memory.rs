//! What the start needs of memory, and the rest of the agent's life does not: the kernel's BTF alone takes megabytes
//! while it is read.

/// Has what is large given back to the system as soon as it is freed. By itself glibc keeps such blocks once one was freed
/// (mallopt(3), `M_MMAP_THRESHOLD`). To be called before anything is large.
pub fn prepare() {
    #[cfg(target_env = "gnu")]
    #[allow(
        unsafe_code,
        reason = "glibc's mallopt takes no pointer and is safe before there are threads"
    )]
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 128 << 10);
    }
}
