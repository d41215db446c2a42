//! The programs that write lines.

/// Who wrote a line, by its tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writer<'a> {
    /// The kernel.
    Kernel,
    /// A program with this name; empty if the line has a facility of user space and no tag.
    Program(&'a [u8]),
    /// The line has no tag, as in the output of dmesg.
    Unknown,
}

/// The programs whose messages are read.
pub(crate) const PROGRAMS: [&[u8]; 3] = [b"systemd-oomd", b"earlyoom", b"systemd"];
