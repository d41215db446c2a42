//! Tests of the follower: failures of other programs that follow logs, and random histories.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod access;
mod checkpoints;
mod common;
mod identity;
mod limits;
mod lines;
mod model;
mod rotation;
mod sharing;
mod start;
mod state;
mod totals;
mod truncation;
