//! The page and the HTML report in a real Chromium: what it shows, what it asks for, and how it prints.
//!
//! The screenshots and the PDF that are made on the way stay in target/tmp, to be looked at.

#![allow(clippy::unwrap_used)]

mod chromium;
mod equal;
#[path = "../cli/program.rs"]
#[allow(dead_code, reason = "the command line's tests use the rest")]
mod program;
mod report;
