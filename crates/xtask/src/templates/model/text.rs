//! Texts in two languages.

/// A text in English and in Japanese.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) en: String,
    pub(crate) ja: String,
}

/// Returns a text in both languages.
pub(crate) fn text(en: &str, ja: &str) -> Text {
    Text { en: en.to_owned(), ja: ja.to_owned() }
}

/// Returns a text that is the same in both languages.
pub(crate) fn untranslated(words: &str) -> Text {
    text(words, words)
}

impl Text {
    pub(crate) fn map(&self, change: impl Fn(&str) -> String) -> Self {
        Self { en: change(&self.en), ja: change(&self.ja) }
    }
}
