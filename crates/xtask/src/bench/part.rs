//! The parts of the benchmark.

/// A part that can be measured alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Processes,
    Logs,
}

impl Part {
    pub(super) const ALL: [Self; 2] = [Self::Processes, Self::Logs];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.name() == name)
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Processes => "processes",
            Self::Logs => "logs",
        }
    }

    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Processes => "Processes and the socket",
            Self::Logs => "Logs",
        }
    }
}
