//! Kernel side.
