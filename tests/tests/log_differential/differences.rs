//! Intended differences. Each question that shows one names it. A difference that no longer appears is a mismatch as well.

/// An intended difference.
#[derive(Debug)]
pub(crate) struct Difference {
    pub(crate) name: &'static str,
    pub(crate) reason: &'static str,
}

pub(crate) const PERSISTENT_DIR: Difference = Difference {
    name: "persistent_dir",
    reason: "agent 2 refuses it; ours accepts it, so that items made for agent 1 work, and keeps positions in StateDir",
};

pub(crate) const GLOBAL_EXPRESSION: Difference = Difference {
    name: "@name",
    reason: "a plugin does not receive the server's expressions, so the error names the option to use instead",
};

pub(crate) const NO_ENGINE: Difference = Difference {
    name: "recursion, \\X, \\C, (*UCP), verbs",
    reason: "neither engine has them; the error names them",
};

pub(crate) const AGENTS_PARSER: Difference = Difference {
    name: "a pattern that begins with a bracket and has no other",
    reason: "the agent writes such a parameter without its quotes when it hands the key on to its log items, and then \
             cannot read it; a plugin is given the parameters themselves",
};

pub(crate) const NOT_UTF8: Difference = Difference {
    name: "anchors beside bytes that are not UTF-8",
    reason: "PCRE2 takes such bytes for an end of the text in one place and not in another",
};

pub(crate) const DAMAGED: Difference = Difference {
    name: "bytes that are not of the encoding",
    reason: "the agent drops what follows them in the line; ours replaces them and keeps the rest",
};

pub(crate) const UNKNOWN_ENCODING: Difference = Difference {
    name: "an encoding that is not known",
    reason: "6.0 takes the bytes as they are without a word; ours says that it does not know it, as 7.0 does",
};

pub(crate) const AS_BROWSERS: Difference = Difference {
    name: "a few characters of Shift_JIS, EUC-JP and ISO-8859-1",
    reason: "ours reads them as programs write them (CP932, windows-1252): a backslash stays one and matches as one, \
             where iconv makes a yen sign of it",
};

pub(crate) const FIRST_GROUP: Difference = Difference {
    name: "\\@ in 6.0",
    reason: "6.0 takes it for the first group, against its manual, and delivers nothing where there is none; 7.0 and \
             ours leave it as it is",
};

pub(crate) const INVALID_BEFORE_A_LINE: Difference = Difference {
    name: "an invalid pattern before the first line",
    reason: "the built-in items compile a pattern when there is a line to try it on; ours says at once what is wrong",
};

/// PCRE2 reports how far it had read when it noticed a fault, our parser the position of the fault. The fault is the same.
pub(crate) fn without_position(reason: &str) -> String {
    let Some((before, after)) = reason.split_once(", position ") else { return reason.to_owned() };
    format!("{before}, position N{}", after.trim_start_matches(|c: char| c.is_ascii_digit()))
}
