//! Memory cgroups of both versions.

mod hierarchy;
mod kills;
mod limit;
mod list;

pub use hierarchy::CgroupVersion;
pub use kills::CgroupKills;
#[cfg(feature = "fuzzing")]
pub(crate) use limit::path_in;
pub use limit::{CgroupLimit, CgroupLimitError};
pub use list::{Cgroup, CgroupError, Cgroups};

#[cfg(test)]
mod tests;
