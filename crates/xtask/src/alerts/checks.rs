//! Passive and active checks.

/// How the server gets its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Checks {
    Passive,
    Active,
}

impl Checks {
    pub(super) const BOTH: [Self; 2] = [Self::Passive, Self::Active];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Passive => "passive",
            Self::Active => "active",
        }
    }
}
