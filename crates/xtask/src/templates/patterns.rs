//! The patterns for log lines that the templates use: one table, judged by real lines.
//!
//! They are the values of macros, which a server puts into item keys with the quotes that it takes. There is no backslash in them:
//! those mean different things in a key, in an expression of 6.0 and in one of 7.0. Nothing in a line that stands behind a double quote
//! counts: that is where a web server logs what a client sent.

/// A pattern of PCRE2.
#[derive(Debug)]
pub(crate) struct LinePattern {
    pub(crate) regexp: &'static str,
    /// The class of lines that it is for.
    #[cfg_attr(not(test), expect(dead_code, reason = "the tests over real lines read it"))]
    pub(crate) class: &'static str,
}

/// An OOM killer acted, or the kernel panicked instead: the kernel, systemd, systemd-oomd and earlyoom, in the words of all their
/// versions. The words must follow the right sender's prefix, or begin the line, and only a colon before a digit may stand before that
/// sender: so what a person writes with logger(1) or into /dev/kmsg, or what a mail's subject says, does not count.
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

/// Apache's workers are all busy, and there may be no more: AH00161, AH00286, AH00484, and the words before 2.4.
pub(crate) const APACHE_MAX: LinePattern = LinePattern {
    regexp: "^[^\"]*server reached (MaxRequestWorkers|MaxClients) setting",
    class: "apache_max",
};

/// Apache is about to run out of workers: AH10159, another state than the one above.
pub(crate) const APACHE_NEAR: LinePattern = LinePattern {
    regexp: "^[^\"]*server is within MinSpareThreads of MaxRequestWorkers",
    class: "apache_max",
};

/// A pool of php-fpm has as many children as it may, or all pools together have.
pub(crate) const PHPFPM_MAX: LinePattern = LinePattern {
    regexp: "^[^\"]*(server reached (pm[.])?max_children setting|consider raising 'process.max')",
    class: "phpfpm_max",
};

#[cfg(test)]
mod tests {
    use super::*;
    use log_follow::Pattern;
    use serde_json::Value;

    const ALL: [&LinePattern; 4] = [&OOM, &APACHE_MAX, &APACHE_NEAR, &PHPFPM_MAX];
    const LINES: &str = include_str!("../../../oom-evidence/tests/corpus/lines.jsonl");

    /// Real lines, and of what class they are.
    fn lines() -> Vec<(String, String)> {
        let text = |line: &Value, name: &str| line[name].as_str().unwrap().to_owned();
        let parse = |line| serde_json::from_str::<Value>(line).unwrap();
        LINES.lines().map(parse).map(|line| (text(&line, "class"), text(&line, "line"))).collect()
    }

    fn matches(pattern: &LinePattern, line: &str) -> bool {
        Pattern::new(pattern.regexp).unwrap().is_match(line.as_bytes())
    }

    #[test]
    fn lines_of_its_class_and_no_others_match() {
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
    fn failure_30_near_the_limit_is_not_at_the_limit() {
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
