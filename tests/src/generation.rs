//! The versions of agent and server.

use std::fmt;
use std::panic::resume_unwind;
use std::thread;

/// The two generations of agent 2 that the plugin supports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Generation {
    /// 6.0, from Debian 12.
    V6_0,
    /// 7.0, from the backports of Debian 12.
    V7_0,
}

impl Generation {
    /// Both generations, the older first.
    pub const ALL: [Self; 2] = [Self::V6_0, Self::V7_0];

    /// Runs a test with both at once. This takes as long as the slower one, because agents and their tests mostly wait.
    ///
    /// # Errors
    ///
    /// Returns the first generation's error if both fail.
    pub fn both_at_once<E: Send>(test: impl Fn(Self) -> Result<(), E> + Sync) -> Result<(), E> {
        thread::scope(|scope| {
            let test = &test;
            let running = Self::ALL.map(|generation| scope.spawn(move || test(generation)));
            running.into_iter().try_for_each(|one| one.join().unwrap_or_else(|panic| resume_unwind(panic)))
        })
    }

    /// The version's name as Zabbix writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::V6_0 => "6.0",
            Self::V7_0 => "7.0",
        }
    }

    /// Returns the text that an agent makes of a plugin's error. Agent 7.0 capitalises it and adds a full stop. Both leave the
    /// errors of their own items unchanged. A plugin cannot avoid this.
    ///
    /// ```
    /// use oomwatch_tests::Generation;
    ///
    /// assert_eq!(Generation::V7_0.passed_on("no such file"), "No such file.");
    /// assert_eq!(Generation::V6_0.passed_on("no such file"), "no such file");
    /// ```
    #[must_use]
    pub fn passed_on(self, why: &str) -> String {
        let mut letters = why.chars();
        match (self, letters.next()) {
            (Self::V7_0, Some(first)) => {
                let stop = if why.ends_with('.') { "" } else { "." };
                format!("{}{}{stop}", first.to_uppercase(), letters.as_str())
            }
            _ => why.to_owned(),
        }
    }

    pub(crate) const fn suite(self) -> &'static str {
        match self {
            Self::V6_0 => "bookworm",
            Self::V7_0 => "bookworm-backports",
        }
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
