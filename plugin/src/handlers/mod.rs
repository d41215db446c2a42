//! The handlers: one function for each item key, one module for each family.
//!
//! A handler takes the plugin's state and the poll's arguments and returns the reply.

pub(crate) mod capacity;
pub(crate) mod itself;
pub(crate) mod logs;
pub(crate) mod oom;
pub(crate) mod proc_get;
pub(crate) mod processes;
pub(crate) mod ranking;
