//! The parts of the run.

/// A run of its own, with a part of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Kills of the worker.
    Kills,
    /// Many items for an hour.
    Soak,
}

impl Part {
    pub(super) const ALL: [Self; 2] = [Self::Kills, Self::Soak];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.name() == name)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Kills => "kills",
            Self::Soak => "soak",
        }
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Kills => "10,000 kills of the worker",
            Self::Soak => "300 items for an hour",
        }
    }
}
