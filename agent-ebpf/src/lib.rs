//! Layouts of the maps that the kernel side fills and the agent reads.
#![no_std]
