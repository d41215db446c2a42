//! Entry points of fuzz targets, which reach code that is not public. Not a part of the interface.

use std::hint::black_box;

use crate::machine::{CgroupVersion, MemoryPressure, path_in, value_of};
use crate::smaps;
use crate::stat::Stat;
use crate::status::Status;
use crate::text::{self, Cmdline};

/// Parses `/proc/PID/stat`, and the name in it.
pub fn stat(data: &[u8]) {
    let Some(stat) = Stat::parse(data) else { return };
    assert!(stat.comm.len() + 2 <= data.len());
    let name = text::status_name(stat.comm);
    assert!(name.len() <= 2 * stat.comm.len() && !name.contains(&b'\n'));
}

/// Parses `/proc/PID/status`.
pub fn status(data: &[u8]) {
    let status = Status::parse(data);
    black_box((status.rss_bytes(), status.swap_bytes(), status.anon_bytes(), status.mapped_bytes()));
    black_box(status.amount("VmPeak").or_minus_one());
}

/// Parses `/proc/PID/cmdline`, and completes a name from it.
pub fn cmdline(data: &[u8]) {
    let line = Cmdline::new(data.to_vec());
    assert!(line.matched().len() <= data.len() && !line.matched().contains(&0));
    assert!(line.arg0().len() <= data.len());
    let word = text::first_word(line.matched());
    let name = text::base_name(word);
    let known = &name[..name.len().min(15)];
    assert!(text::full_name(known, line.matched()).len() <= data.len().max(1));
}

/// Parses `/proc/PID/smaps_rollup`. The sums do not depend on the sizes of the reads.
pub fn smaps(data: &[u8]) {
    assert_eq!(smaps::parse(data, usize::MAX), smaps::parse(data, 7));
}

/// Parses `/proc/PID/cgroup` and the files of a cgroup.
pub fn cgroup(data: &[u8]) {
    for version in [CgroupVersion::V1, CgroupVersion::V2] {
        let path = path_in(data, version);
        assert!(path.is_none_or(|path| !path.contains('\n')));
    }
    black_box(["oom_kill", "inactive_file"].map(|name| value_of(data, name.as_bytes())));
}

/// Parses `/proc/meminfo`.
pub fn meminfo(data: &[u8]) {
    black_box(["MemTotal", "SwapFree"].map(|field| text::meminfo_bytes(data, field)));
}

/// Parses `/proc/pressure/memory`.
pub fn pressure(data: &[u8]) {
    black_box(MemoryPressure::parse(data));
}
