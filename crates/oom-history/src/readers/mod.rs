//! One reader for each source: its position, its parser and its status.

mod journal;
mod kmsg;
mod log_file;
mod log_files;
mod pace;
mod systemd;

pub(crate) use journal::JournalReader;
pub(crate) use kmsg::KmsgReader;
pub(crate) use log_files::LogFiles;
pub(crate) use systemd::SystemdReader;
