//! The limit and the memory that a configuration allows.

use std::path::PathBuf;

use super::buffer::Buffer;
use super::error::Error;
use super::option_file::{OptionFiles, Setting};
use super::server::Server;
use super::variables::{Values, Written};
use crate::Reading;
use crate::warnings::Warnings;

/// The limit and the memory of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The server whose defaults apply.
    pub server: Server,
    /// `max_connections` after the server's corrections.
    pub max_connections: u64,
    /// The configured value, if there is one.
    pub max_connections_configured: Option<u64>,
    /// Buffers that the server has once.
    pub global: Vec<Buffer>,
    /// Buffers that each connection may have.
    pub per_connection: Vec<Buffer>,
    /// The largest temporary table in memory, of which a connection may have several. It is not part of any sum.
    pub temporary_table_bytes: u64,
    /// The unix socket of the server, if `socket` is configured.
    pub socket: Option<String>,
    /// `port`
    pub port: u16,
    /// Settings whose effect differs from the configured value, or is unknown.
    pub warnings: Vec<String>,
}

impl Config {
    /// Reads option files, in their order, as the server does. `arguments` are those of the running server, which override all
    /// files; `mem_total_bytes` is the machine's memory, for `innodb_dedicated_server`.
    ///
    /// # Errors
    ///
    /// [`Error`] if a file cannot be read or the server would not start with it.
    pub fn read(
        reading: &Reading<'_>,
        paths: &[PathBuf],
        server: Server,
        arguments: &[Vec<u8>],
        mem_total_bytes: u64,
    ) -> Result<Self, Error> {
        let mut values = Values::new(server);
        let mut apply = |setting: &Setting, warnings: &mut Warnings| values.set(setting, warnings);
        let mut options = OptionFiles::new(reading, server.groups(arguments), &mut apply);
        paths.iter().try_for_each(|path| options.main(path))?;
        let mut warnings = options.finish();
        for setting in Setting::of_arguments(arguments) {
            values.set(&setting, &mut warnings)?;
        }
        if let Some(path) = paths.last() {
            reading.check(path)?;
        }
        Ok(Self::of(&values, mem_total_bytes, warnings.finish()))
    }

    fn of(values: &Values, mem_total_bytes: u64, warnings: Vec<String>) -> Self {
        Self {
            server: values.server,
            max_connections: values.get("max_connections"),
            max_connections_configured: values.written("max_connections").map(|Written { bytes, .. }| bytes),
            global: values.global(mem_total_bytes),
            per_connection: values.per_connection(),
            temporary_table_bytes: values.get("tmp_table_size").min(values.get("max_heap_table_size")),
            socket: values.socket.clone(),
            port: values.port,
            warnings,
        }
    }

    /// The sum of the buffers that the server has once.
    #[must_use]
    pub fn global_bytes(&self) -> u64 {
        sum(&self.global)
    }

    /// The sum of the buffers that each connection may have.
    #[must_use]
    pub fn per_connection_bytes(&self) -> u64 {
        sum(&self.per_connection)
    }

    /// Applies the limit of open files of the running server: the server lowers `max_connections` at its start if the limit is
    /// too low.
    #[must_use]
    pub fn with_open_files(mut self, open_files: u64) -> Self {
        let lowered = open_files.saturating_sub(self.server.files_beside_connections());
        if lowered > 0 && lowered < self.max_connections {
            self.warnings.push(format!(
                "max_connections {} is lowered to {lowered}: the server may open {open_files} files only",
                self.max_connections
            ));
            self.max_connections = lowered;
        }
        self
    }
}

fn sum(buffers: &[Buffer]) -> u64 {
    buffers.iter().fold(0, |sum, buffer| sum.saturating_add(buffer.bytes))
}
