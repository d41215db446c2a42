//! The warnings of one read.

use crate::text::short_warning;

/// The largest number of warnings of one read. Further ones are left out.
pub(crate) const WARNINGS_MAX: usize = 100;
pub(crate) const LEFT_OUT: &str = "there are more than 100 warnings: the others are left out";

/// At most a hundred short texts.
#[derive(Debug, Default)]
pub(crate) struct Warnings {
    texts: Vec<String>,
}

impl Warnings {
    pub(crate) fn push(&mut self, text: String) {
        match self.texts.len() {
            ..WARNINGS_MAX => self.texts.push(short_warning(text)),
            WARNINGS_MAX => self.texts.push(LEFT_OUT.to_owned()),
            _ => {}
        }
    }

    pub(crate) fn finish(self) -> Vec<String> {
        self.texts
    }
}
