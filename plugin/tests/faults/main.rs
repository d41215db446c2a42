//! The plugin's process under faults and load: no free descriptors, absurd parameters, many first polls, no polls.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod error_texts;
mod first_polls;
mod idle;
mod serving;
mod shortage;
