//! Files of `/proc`.

use proc_snapshot::fuzzing as parsers;

const PARSERS: [fn(&[u8]); 7] = [
    parsers::stat,
    parsers::status,
    parsers::cmdline,
    parsers::smaps,
    parsers::cgroup,
    parsers::meminfo,
    parsers::pressure,
];

/// Passes the input to every parser: what is valid for one is damaged for the others.
pub fn proc_files(input: &[u8]) {
    PARSERS.iter().for_each(|parse| parse(input));
}
