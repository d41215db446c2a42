//! Whether the agent has read everything that was written to it.

use std::os::fd::BorrowedFd;

use rustix::ioctl::{Getter, Opcode, ioctl};

/// `SIOCOUTQ` of linux/sockios.h. The number is that of `TIOCOUTQ`.
#[cfg(not(any(
    target_arch = "mips",
    target_arch = "mips64",
    target_arch = "powerpc",
    target_arch = "powerpc64"
)))]
const SIOCOUTQ: Opcode = 0x5411;
#[cfg(any(target_arch = "mips", target_arch = "mips64"))]
const SIOCOUTQ: Opcode = 0x7472;
#[cfg(any(target_arch = "powerpc", target_arch = "powerpc64"))]
const SIOCOUTQ: Opcode = 0x4004_7473;

/// Returns true if the other end of a unix socket has read all that was written, or if the kernel cannot say so.
///
/// The kernel returns the memory that written data uses until it is read (`unix(7)`, `SIOCOUTQ`). The amount is larger
/// than the number of bytes, and 0 means that nothing is left.
pub(super) fn is_all_read(socket: BorrowedFd<'_>) -> bool {
    #[expect(unsafe_code, reason = "rustix has no safe function for SIOCOUTQ")]
    // SAFETY: for a socket, `SIOCOUTQ` writes one C int through its argument and touches no other memory. `Getter`
    // passes a pointer to space for exactly one C int and returns it only if the call succeeded. The descriptor is
    // borrowed, so it is open. If it were not a socket, the request would be `TIOCOUTQ`, which writes one C int too,
    // or would be refused with an error.
    let unread = unsafe { ioctl(socket, Getter::<SIOCOUTQ, std::ffi::c_int>::new()) };
    unread.is_ok_and(|bytes| bytes == 0) || unread.is_err()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn written_bytes_are_unread_until_the_last_is_read() {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        assert!(is_all_read(ours.as_fd()));
        ours.write_all(&[7; 5000]).unwrap();
        assert!(!is_all_read(ours.as_fd()));
        theirs.read_exact(&mut [0; 4999]).unwrap();
        assert!(!is_all_read(ours.as_fd()));
        theirs.read_exact(&mut [0; 1]).unwrap();
        assert!(is_all_read(ours.as_fd()));
    }
}
