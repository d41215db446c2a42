//! Character classes: their names, and their form in the regex crate's syntax.

use std::fmt::Write as _;

use crate::ascii;

const MAX_RUNE: u32 = 0x10_FFFF;
const SPACE_WITHOUT_VERTICAL_TAB: ascii::Ranges = &[(0x09, 0x0a), (0x0c, 0x0d), (0x20, 0x20)];

/// A class of characters that is being built.
#[derive(Debug, Default)]
pub(super) struct Class {
    items: String,
    negated: bool,
}

impl Class {
    pub(super) fn new(negated: bool) -> Self {
        Self { items: String::new(), negated }
    }

    /// Adds a range. Go's runes include surrogates, which UTF-8 text never contains.
    pub(super) fn push_range(&mut self, low: u32, high: u32) {
        let low = if (0xD800..=0xDFFF).contains(&low) { 0xE000 } else { low };
        let high = if (0xD800..=0xDFFF).contains(&high) { 0xD7FF } else { high };
        if low <= high {
            let _ = write!(self.items, "\\x{{{low:X}}}-\\x{{{high:X}}}");
        }
    }

    pub(super) fn push_group(&mut self, group: &Group) {
        if group.items.is_empty() {
            if group.negated {
                self.push_range(0, MAX_RUNE);
            }
            return;
        }
        let sign = if group.negated { "^" } else { "" };
        let _ = write!(self.items, "[{sign}{}]", group.items);
    }

    /// Writes the class for the regex crate. Case is folded before a class is negated, as in Go.
    pub(super) fn write(self, fold: bool) -> String {
        let all = self.items.is_empty() == self.negated;
        let class = match (self.items.is_empty(), all) {
            (true, true) => return r"[\x{0}-\x{10FFFF}]".to_owned(),
            (true, false) => return r"[^\x{0}-\x{10FFFF}]".to_owned(),
            _ if self.negated => format!("[^{}]", self.items),
            _ => format!("[{}]", self.items),
        };
        if fold { format!("(?i:{class})") } else { class }
    }
}

/// A named set of characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    items: String,
    negated: bool,
}

impl Group {
    fn from_ranges(ranges: ascii::Ranges, negated: bool) -> Self {
        let items = ranges.iter().map(|(low, high)| format!("\\x{{{low:X}}}-\\x{{{high:X}}}")).collect();
        Self { items, negated }
    }

    /// Returns the set of `\d`, `\D`, `\s`, `\S`, `\w` and `\W`: ASCII only, and no vertical tab in `\s`.
    pub(super) fn perl(letter: u8) -> Option<Self> {
        let ranges = match letter.to_ascii_lowercase() {
            b'd' => ascii::DIGIT,
            b's' => SPACE_WITHOUT_VERTICAL_TAB,
            b'w' => ascii::WORD,
            _ => return None,
        };
        Some(Self::from_ranges(ranges, letter.is_ascii_uppercase()))
    }

    /// Returns the set between `[:` and `:]`.
    pub(super) fn posix(name: &[u8]) -> Option<Self> {
        let (name, negated) = name.strip_prefix(b"^").map_or((name, false), |name| (name, true));
        Some(Self::from_ranges(ascii::posix(name)?, negated))
    }

    /// Returns the set of `\p{name}`. Names are exact, as in Go 1.23 (agent 7.0), without the aliases and the loose spelling of
    /// the regex crate.
    pub(super) fn unicode(name: &str, negated: bool) -> Option<Self> {
        let items = match name {
            "Any" => r"\x{0}-\x{10FFFF}".to_owned(),
            // Go's C contains no unassigned characters. Surrogates never occur in text.
            "C" => r"\p{Cc}\p{Cf}\p{Co}".to_owned(),
            "Cs" => String::new(),
            _ if CATEGORIES.contains(&name) => format!(r"\p{{gc={name}}}"),
            _ if SCRIPTS.contains(&name) => format!(r"\p{{sc={name}}}"),
            _ => return None,
        };
        Some(Self { items, negated })
    }
}

const CATEGORIES: [&str; 34] = [
    "Cc", "Cf", "Co", "L", "Ll", "Lm", "Lo", "Lt", "Lu", "M", "Mc", "Me", "Mn", "N", "Nd", "Nl", "No", "P",
    "Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "S", "Sc", "Sk", "Sm", "So", "Z", "Zl", "Zp", "Zs",
];

/// The scripts of Unicode 15.0.
#[rustfmt::skip]
const SCRIPTS: &[&str] = &[
    "Adlam", "Ahom", "Anatolian_Hieroglyphs", "Arabic", "Armenian", "Avestan", "Balinese", "Bamum",
    "Bassa_Vah", "Batak", "Bengali", "Bhaiksuki", "Bopomofo", "Brahmi", "Braille", "Buginese", "Buhid",
    "Canadian_Aboriginal", "Carian", "Caucasian_Albanian", "Chakma", "Cham", "Cherokee", "Chorasmian",
    "Common", "Coptic", "Cuneiform", "Cypriot", "Cypro_Minoan", "Cyrillic", "Deseret", "Devanagari",
    "Dives_Akuru", "Dogra", "Duployan", "Egyptian_Hieroglyphs", "Elbasan", "Elymaic", "Ethiopic", "Georgian",
    "Glagolitic", "Gothic", "Grantha", "Greek", "Gujarati", "Gunjala_Gondi", "Gurmukhi", "Han", "Hangul",
    "Hanifi_Rohingya", "Hanunoo", "Hatran", "Hebrew", "Hiragana", "Imperial_Aramaic", "Inherited",
    "Inscriptional_Pahlavi", "Inscriptional_Parthian", "Javanese", "Kaithi", "Kannada", "Katakana", "Kawi",
    "Kayah_Li", "Kharoshthi", "Khitan_Small_Script", "Khmer", "Khojki", "Khudawadi", "Lao", "Latin", "Lepcha",
    "Limbu", "Linear_A", "Linear_B", "Lisu", "Lycian", "Lydian", "Mahajani", "Makasar", "Malayalam", "Mandaic",
    "Manichaean", "Marchen", "Masaram_Gondi", "Medefaidrin", "Meetei_Mayek", "Mende_Kikakui",
    "Meroitic_Cursive", "Meroitic_Hieroglyphs", "Miao", "Modi", "Mongolian", "Mro", "Multani", "Myanmar",
    "Nabataean", "Nag_Mundari", "Nandinagari", "New_Tai_Lue", "Newa", "Nko", "Nushu", "Nyiakeng_Puachue_Hmong",
    "Ogham", "Ol_Chiki", "Old_Hungarian", "Old_Italic", "Old_North_Arabian", "Old_Permic", "Old_Persian",
    "Old_Sogdian", "Old_South_Arabian", "Old_Turkic", "Old_Uyghur", "Oriya", "Osage", "Osmanya",
    "Pahawh_Hmong", "Palmyrene", "Pau_Cin_Hau", "Phags_Pa", "Phoenician", "Psalter_Pahlavi", "Rejang", "Runic",
    "Samaritan", "Saurashtra", "Sharada", "Shavian", "Siddham", "SignWriting", "Sinhala", "Sogdian",
    "Sora_Sompeng", "Soyombo", "Sundanese", "Syloti_Nagri", "Syriac", "Tagalog", "Tagbanwa", "Tai_Le",
    "Tai_Tham", "Tai_Viet", "Takri", "Tamil", "Tangsa", "Tangut", "Telugu", "Thaana", "Thai", "Tibetan",
    "Tifinagh", "Tirhuta", "Toto", "Ugaritic", "Vai", "Vithkuqi", "Wancho", "Warang_Citi", "Yezidi", "Yi",
    "Zanabazar_Square"
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_known_to_the_regex_crate() {
        for name in CATEGORIES.iter().chain(SCRIPTS) {
            let mut class = Class::new(false);
            class.push_group(&Group::unicode(name, false).unwrap());
            assert!(regex::bytes::Regex::new(&class.write(true)).is_ok(), "{name}");
        }
    }
}
