//! Sources of OOM kills on a running machine. All code that opens a file or starts a program is here; the parser and the
//! decoders do no I/O.

mod journal;
mod ring;
mod systemd;

pub use journal::{Journal, JournalError, JournalRead};
pub use ring::{KernelRing, RingError, RingStats};
pub use systemd::{Link, News, OomdKill, Service, ServiceKill, ServiceQuery, Services, Systemd};
