//! Measurements beside their peers.

use std::time::Duration;

/// The cost of one piece of work, ours and the peer's.
pub(in crate::bench) struct Measurement {
    pub(in crate::bench) work: &'static str,
    pub(in crate::bench) ours: Samples,
    pub(in crate::bench) peer_name: &'static str,
    pub(in crate::bench) peer: Samples,
    pub(in crate::bench) target: Target,
}

/// The target of ours, relative to the peer or absolute.
pub(in crate::bench) enum Target {
    /// Recorded without a target.
    None,
    TimesPeer(f64),
    AtMost(f64),
    AtLeast(f64),
}

#[derive(Clone, Copy)]
pub(in crate::bench) enum Unit {
    Milliseconds,
    Microseconds,
    PerSecond,
    Mebibytes,
    MegabytesPerSecond,
}

/// Repeated measurements, sorted.
#[derive(Clone)]
pub(in crate::bench) struct Samples {
    pub(in crate::bench) unit: Unit,
    pub(in crate::bench) sorted: Vec<f64>,
}

impl Samples {
    pub(in crate::bench) fn new(unit: Unit, mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self { unit, sorted: values }
    }

    pub(in crate::bench) fn milliseconds(times: &[Duration]) -> Self {
        Self::new(Unit::Milliseconds, times.iter().map(|time| time.as_secs_f64() * 1e3).collect())
    }

    pub(in crate::bench) fn median(&self) -> f64 {
        self.sorted.get(self.sorted.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

impl Measurement {
    pub(in crate::bench) fn ratio(&self) -> f64 {
        self.ours.median() / self.peer.median()
    }

    pub(in crate::bench) fn reached(&self) -> Option<bool> {
        match self.target {
            Target::None => None,
            Target::TimesPeer(times) => Some(self.ratio() <= times),
            Target::AtMost(most) => Some(self.ours.median() <= most),
            Target::AtLeast(least) => Some(self.ours.median() >= least),
        }
    }
}
