//! Selection of processes.

use crate::GoPattern;
use crate::snapshot::{Needs, Process};

/// States that `proc.num` can select.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateFilter {
    /// `disk`: uninterruptible sleep (D).
    Disk,
    /// `run`: running (R).
    Run,
    /// `sleep`: interruptible sleep (S).
    Sleep,
    /// `trace`: stopped (T), but not stopped by a debugger (t), as in the built-in key.
    Trace,
    /// `zomb`: zombie (Z).
    Zombie,
}

impl StateFilter {
    /// The state letter as in `stat`.
    #[must_use]
    pub fn letter(self) -> u8 {
        match self {
            Self::Disk => b'D',
            Self::Run => b'R',
            Self::Sleep => b'S',
            Self::Trace => b'T',
            Self::Zombie => b'Z',
        }
    }

    /// Words of the item key and their values.
    pub const WORDS: [(&'static str, Self); 5] = [
        ("disk", Self::Disk),
        ("run", Self::Run),
        ("sleep", Self::Sleep),
        ("trace", Self::Trace),
        ("zomb", Self::Zombie),
    ];

    /// Returns the value of a word of the item key; `None` for any other word, `all` included.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(name, _)| *name == word).map(|&(_, value)| value)
    }
}

/// Criteria that select processes; all that are set must match. The default selects every process.
#[derive(Debug, Clone, Default)]
pub struct Selector {
    /// The name: equal to the kernel's name or to the last component of the first argument.
    pub name: Option<Box<[u8]>>,
    /// The owner ([`Users::uid`](crate::Users::uid) finds it by name).
    pub uid: Option<u32>,
    /// A pattern that the command line must match.
    pub cmdline: Option<GoPattern>,
    /// The state.
    pub state: Option<StateFilter>,
}

impl Selector {
    /// Returns the files that a walk must read for this selector.
    #[must_use]
    pub fn needs(&self) -> Needs {
        let mut needs = Needs::empty();
        needs.set(Needs::CMDLINE, self.name.is_some() || self.cmdline.is_some());
        needs.set(Needs::OWNER, self.uid.is_some());
        needs
    }

    /// Creates a selector for one name.
    ///
    /// ```
    /// use proc_snapshot::{Needs, Selector};
    /// assert_eq!(Selector::by_name("httpd").needs(), Needs::CMDLINE);
    /// ```
    #[must_use]
    pub fn by_name(name: impl AsRef<[u8]>) -> Self {
        Self { name: Some(name.as_ref().into()), ..Self::default() }
    }

    /// Returns whether `proc.mem`, `proc.num` and `proc.cpu.util` select the process.
    ///
    /// A criterion fails if its file could not be read or was not requested ([`Selector::needs`]).
    #[must_use]
    pub fn matches(&self, process: &Process<'_>) -> bool {
        self.name_matches(process) && self.owner_matches(process) && self.rest_matches(process)
    }

    fn name_matches(&self, process: &Process<'_>) -> bool {
        let Some(name) = self.name.as_deref() else { return true };
        process.comm() == Some(name) || process.arg0() == Some(name)
    }

    pub(crate) fn owner_matches(&self, process: &Process<'_>) -> bool {
        self.uid.is_none_or(|uid| process.uid() == Some(uid))
    }

    fn rest_matches(&self, process: &Process<'_>) -> bool {
        self.state.is_none_or(|state| process.state() == Some(state.letter()))
            && self.cmdline_matches(process.cmdline())
    }

    pub(crate) fn cmdline_matches(&self, cmdline: Option<&[u8]>) -> bool {
        self.cmdline.as_ref().is_none_or(|pattern| cmdline.is_some_and(|cmdline| pattern.is_match(cmdline)))
    }
}
