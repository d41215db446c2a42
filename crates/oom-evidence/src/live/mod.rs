//! Sources of OOM kills on a running machine. All code that opens a file or starts a program is here; the parser and the
//! decoders do no I/O.

mod journal;
mod kernel_log;
mod ring;
mod systemd;
mod words;

pub use journal::{Journal, JournalError, JournalRead};
pub use kernel_log::{KernelLog, KernelLogRead};
pub use ring::{KernelRing, RingError, RingStats};
pub use systemd::{Link, News, OomdKill, Service, ServiceKill, ServiceQuery, Services, Systemd};
pub use words::{REASON_CHARS_MAX, describe_io_error, is_out_of_descriptors, short_path, short_reason};
