//! Templates on logs: "OomWatch log" (lines as text), "OomWatch Classic" (the agent's own keys) and "OomWatch Sites" (requests per
//! virtual host).

mod classic;
mod lines;
mod silence;
mod sites;

pub(crate) use classic::template as classic;
pub(crate) use lines::template as log;
pub(crate) use sites::template as sites;
