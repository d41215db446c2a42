//! The patterns for log lines that the templates use, tested with real lines.
//!
//! They are the values of macros, which servers put into item keys, quoted if necessary. They contain no backslash, because it has
//! different meanings in a key, in an expression of 6.0 and in an expression of 7.0. They do not match text behind a double quote:
//! there, web servers log text that a client sent.

/// A pattern of PCRE2.
#[derive(Debug)]
pub(crate) struct LinePattern {
    pub(crate) regexp: &'static str,
    /// The class of test lines that it matches.
    #[cfg_attr(not(test), expect(dead_code, reason = "the tests over real lines read it"))]
    pub(crate) class: &'static str,
}

/// An OOM kill, or a kernel panic instead of one, as logged by all versions of the kernel, systemd, systemd-oomd and earlyoom.
///
/// The words must follow the sender's prefix or begin the line. Before the prefix, a colon is permitted only before a digit. So text
/// from logger(1) or /dev/kmsg, or the subject of a mail, does not match.
pub(crate) const OOM: LinePattern = LinePattern {
    regexp: concat!(
        "^((<[0-7]>)?([^\"<:]|:[0-9])*kernel: (: )?|[0-7],[0-9][^;]*;|kern +:[a-z]+ *: ([0-9T:,.+-]+ )?|",
        "[*]{2} [0-9]+ printk messages dropped [*]{2} )?([[][^]\"[]+[]] |[0-9.]+[]] )?",
        "(([^\"]{1,16} invoked )?oom-killer: gfp_mask=|oom-kill:constraint=|oom_reaper: reaped process |",
        "Task in [^ ]+ killed as a result of limit of |Tasks in [^ ]+ are going to be killed due to memory.oom.group set|",
        "Kernel panic - not syncing: (Out of memory|System is deadlocked on memory)|Out of memory and no killable processes|",
        "((Memory cgroup )?[Oo]ut of [Mm]emory( in UB [0-9]+| [(]oom_kill_allocating_task[)])?: )?",
        "(OOM )?[Kk]ill(ed)? process ([0-9]+|[^ ]+ [(]pid=))|",
        "^([^\"<:]|:[0-9])*(systemd[[][0-9]+[]]: [^ ]+: (A process of this unit has been killed by the OOM killer|",
        "systemd-oomd killed (some|[0-9]+) process)|systemd-oomd[[][0-9]+[]]: (Killed|Marked) /)|",
        "^(([^\"<:]|:[0-9])*earlyoom[[][0-9]+[]]: )?(sending SIG(TERM|KILL) to process [0-9]|killing process [0-9]+ .* with signal [0-9])",
    ),
    class: "oom",
};

/// All workers of Apache are busy, and the limit is reached: AH00161, AH00286, AH00484, and the messages before 2.4.
pub(crate) const APACHE_MAX: LinePattern = LinePattern {
    regexp: "^[^\"]*server reached (MaxRequestWorkers|MaxClients) setting",
    class: "apache_max",
};

/// Few idle workers of Apache are left: AH10159. This is not the state of [`APACHE_MAX`].
pub(crate) const APACHE_NEAR: LinePattern = LinePattern {
    regexp: "^[^\"]*server is within MinSpareThreads of MaxRequestWorkers",
    class: "apache_max",
};

/// One pool of php-fpm, or all pools together, reached the limit of children.
pub(crate) const PHPFPM_MAX: LinePattern = LinePattern {
    regexp: "^[^\"]*(server reached (pm[.])?max_children setting|consider raising 'process.max')",
    class: "phpfpm_max",
};

#[cfg(test)]
mod tests {
    use log_follow::Pattern;
    use serde_json::Value;

    use super::*;

    const ALL: [&LinePattern; 4] = [&OOM, &APACHE_MAX, &APACHE_NEAR, &PHPFPM_MAX];
    const LINES: &str = include_str!("../../../oom-evidence/tests/corpus/lines.jsonl");

    /// Returns the classes and texts of real lines.
    fn lines() -> Vec<(String, String)> {
        let text = |line: &Value, name: &str| line[name].as_str().unwrap().to_owned();
        let parse = |line| serde_json::from_str::<Value>(line).unwrap();
        LINES.lines().map(parse).map(|line| (text(&line, "class"), text(&line, "line"))).collect()
    }

    fn matches(pattern: &LinePattern, line: &str) -> bool {
        Pattern::new(pattern.regexp).unwrap().is_match(line.as_bytes())
    }

    #[test]
    fn pattern_matches_exactly_the_lines_of_its_class() {
        let mut wrong = Vec::new();
        for (class, line) in lines() {
            let wanted = ALL.iter().any(|pattern| pattern.class == class);
            let fired: Vec<_> = ALL.iter().filter(|pattern| matches(pattern, &line)).collect();
            if fired.iter().any(|pattern| pattern.class != class) || fired.is_empty() == wanted {
                wrong.push(format!("{class}: {line}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn near_the_limit_is_not_at_the_limit() {
        let near = "AH10159: server is within MinSpareThreads of MaxRequestWorkers, consider raising the MaxRequestWorkers setting";
        let full = "AH00485: scoreboard is full, not at MaxRequestWorkers.Increase ServerLimit.";
        assert!(matches(&APACHE_NEAR, near) && !matches(&APACHE_MAX, near));
        assert!(!matches(&APACHE_NEAR, full) && !matches(&APACHE_MAX, full));
    }

    #[test]
    fn patterns_need_no_escapes() {
        for pattern in ALL {
            assert!(!pattern.regexp.contains(['\\', '\n']), "{}", pattern.regexp);
        }
    }
}
