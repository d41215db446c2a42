//! The table of item keys: the one place that knows which keys there are.
//!
//! Adding a key is one entry here and one function. Registration, parameter checks, `--help` and the key reference
//! follow from the entry.

use agent2_plugin::{ItemError, Reply, Request};
use proc_snapshot::{CpuType, CpuWindow, MemType, TopBy};

use crate::handlers::{capacity, itself, logs, oom, proc_get, processes, ranking};
use crate::logs::{FROM_END_WORDS, FROM_START_WORDS, REREAD_WORDS, ROTATION_WORDS};
use crate::parameters::{Arguments, Declaration, Parameter, words_of};
use crate::state::PluginState;

/// One item key.
#[derive(Debug)]
pub struct Key {
    /// The name, with the prefix that all keys have.
    pub name: &'static str,
    /// The parameters in their order.
    pub parameters: &'static [Parameter],
    /// What it is, as the agent shows it: begins with a capital and ends with a full stop.
    pub summary: &'static str,
    /// What it answers: form, units, absences and errors.
    pub answer: &'static str,
    /// The agent's own key that it answers like, for `Alias=`.
    pub mirrors: Option<&'static str>,
    /// Where the numbers come from.
    pub source: &'static str,
    /// An item that works on any machine.
    pub example: &'static str,
    pub(crate) handler: fn(&PluginState, Arguments<'_>) -> Result<Reply, ItemError>,
}

const NAME: Parameter = Parameter::text(
    "name",
    "the process's name: what the kernel calls it, or the base name of its first argument; default: all",
);
const USER: Parameter = Parameter::text("user", "the name of the user that owns the process; default: all");
const CMDLINE: Parameter = Parameter::text(
    "cmdline",
    "a regular expression (Go's syntax, RE2) that the command line must match; default: all",
);
const TOP_BY: Parameter = Parameter::words("by", &words_of(&TopBy::WORDS), "what to rank by");
const TOP_COUNT: Parameter = Parameter::text("count", "how many names, 10 by default");

const FILE: Parameter = Parameter::text(
    "file",
    "the file's path; what rotation made of it is read to its end first where that is in the same directory under a usual name",
);
const FILE_REGEXP: Parameter = Parameter::text(
    "file_regexp",
    "a directory, and a regular expression (PCRE2) for the names of files in it",
);
const REGEXP: Parameter = Parameter::text(
    "regexp",
    "a regular expression (PCRE2) that lines must match, or `@name` for `Plugins.OomWatch.Regexp.name`; default: every line",
);
const ENCODING: Parameter =
    Parameter::text("encoding", "the file's encoding, such as `SHIFT_JIS`; default: UTF-8");
const MAXLINES: Parameter = Parameter::text(
    "maxlines",
    "the most lines for each second since the last poll, 1 to 1000; default: `Plugins.OomWatch.Log.MaxLines`",
);
const MAXPROCLINES: Parameter = Parameter::text(
    "maxproclines",
    "the most lines for each second since the last poll, 1 to 10000; default: `Plugins.OomWatch.Log.MaxLines`",
);
const FROM_START: Parameter =
    Parameter::words("mode", FROM_START_WORDS, "where a new item begins: at the first line, or at the end");
const FROM_END: Parameter =
    Parameter::words("mode", FROM_END_WORDS, "where a new item begins: at the end, or at the first line");
const OUTPUT: Parameter = Parameter::text(
    "output",
    "what to deliver of a matching line: text with `\\0` for the match and `\\1` to `\\9` for groups; default: the line",
);
const MAXDELAY: Parameter = Parameter::text(
    "maxdelay",
    "seconds; lines are skipped where delivery would fall behind further than that; default: never",
);
const OPTIONS: Parameter =
    Parameter::words("options", REREAD_WORDS, "accepted; without effect for a file with a fixed name");
const RT_OPTIONS: Parameter = Parameter::words("options", ROTATION_WORDS, "how the file is rotated");
const PERSISTENT_DIR: Parameter = Parameter::text(
    "persistent_dir",
    "accepted and not used: positions are kept in `Plugins.OomWatch.StateDir`",
);

const LOG: &[Parameter] =
    &[FILE, REGEXP, ENCODING, MAXLINES, FROM_START, OUTPUT, MAXDELAY, OPTIONS, PERSISTENT_DIR];
const LOGRT: &[Parameter] =
    &[FILE_REGEXP, REGEXP, ENCODING, MAXLINES, FROM_START, OUTPUT, MAXDELAY, RT_OPTIONS, PERSISTENT_DIR];
const LOG_COUNT: &[Parameter] =
    &[FILE, REGEXP, ENCODING, MAXPROCLINES, FROM_START, MAXDELAY, OPTIONS, PERSISTENT_DIR];
const LOGRT_COUNT: &[Parameter] =
    &[FILE_REGEXP, REGEXP, ENCODING, MAXPROCLINES, FROM_START, MAXDELAY, RT_OPTIONS, PERSISTENT_DIR];
const LOG_SINCE: &[Parameter] = &[FILE, REGEXP, ENCODING, FROM_END, OPTIONS];
const LOGRT_SINCE: &[Parameter] = &[FILE_REGEXP, REGEXP, ENCODING, FROM_END, RT_OPTIONS];

const LINES_ANSWER: &str = "Text: the new matching lines since the last poll, newest last, joined by newlines; at most \
    65,535 bytes, the rest comes with the next poll. No value where there is no new line. The position moves when the \
    agent has the answer, so ask for the same key from one place only.";
const COUNT_ANSWER: &str = "A count of matching lines since the last poll. The position moves when the agent has the \
    answer, so ask for the same key from one place only.";
const TOTAL_ANSWER: &str = "A count of matching lines since the item was first asked for. It only grows and survives \
    restarts, and may be asked for by anyone any number of times.";
const LAST_ANSWER: &str = "JSON: `count` of matching lines since `since` (seconds since 1970); `line`, the last of them, \
    its capture `groups`, the `time` at which it was read and its `file`, null before the first; `complete`, false \
    where there is more to read than fits into a poll, or a file that cannot be read.";
const LOG_SOURCE: &str = "the file; positions are kept in `Plugins.OomWatch.StateDir`";

const UNIT_COUNT: Parameter = Parameter::text("count", "how many services, 50 by default, 1000 at most");
const SYSTEMD_SOURCE: &str = "org.freedesktop.systemd1 on the system bus (D-Bus): ListUnitsByPatterns, the properties of \
    org.freedesktop.systemd1.Service and their changes";
const OOM_SOURCE: &str = "/proc/vmstat: oom_kill; the kernel's messages in /dev/kmsg, in the journal (journalctl) and in \
    /var/log/kern.log, messages and syslog; systemd and systemd-oomd over D-Bus";

const CGROUP_COUNT: Parameter = Parameter::text("count", "how many cgroups, 20 by default, at most 1000");
const CGROUP_SOURCE: &str = "cgroup v2: memory.current, memory.max, memory.peak, memory.events; v1, where v2 has no memory controller: \
    memory.usage_in_bytes, memory.limit_in_bytes, memory.max_usage_in_bytes, memory.oom_control";

const CONF: Parameter = Parameter::text(
    "conf",
    "the configuration file; default: the option of the agent's configuration, else what runs, else what is installed",
);
const CAPACITY_ANSWER: &str = "JSON: `pool`, `conf` that was read, `running`; `limit` of workers as the server applies it, \
    `limit_configured`, `limit_setting`; `processes` and `workers` that live, `busy` ones, `usage_percent` of the limit, `at_limit`; \
    `memory` (`source`: `pss`, `rss_anon`, `rss` or `configured`; `worker_bytes` on average, `private_bytes` of it, \
    `shared_bytes` of all once, `rss_bytes`, `largest_bytes`; `accuracy`: how far it may be off); `memory_at_limit_bytes`, \
    `mem_total_bytes`, `cgroup` and `cgroup_max_bytes` where a memory cgroup allows the server less than that, `limited_by` \
    (`machine` or `cgroup`: which has less room, and what the following is of), `reserved_bytes` for the rest of it, \
    `available_bytes`, `fits`, `largest_limit` that does, and `basis` it was computed; `warnings`, and `notes` of what could not be measured. What is not known is absent: docs/capacity.md. An error where no configuration is \
    found, and, with file and line, where the server would not start with it.";

/// All item keys.
pub const KEYS: &[Key] = &[
    Key {
        name: "oomwatch.proc.mem",
        parameters: &[
            NAME,
            USER,
            Parameter::words("mode", processes::AGGREGATE_WORDS, "how the processes' values become one"),
            CMDLINE,
            Parameter::words(
                "memtype",
                &words_of(&MemType::WORDS),
                "the kind of memory; `pss` and `uss`, which the built-in key lacks, need the right to read smaps_rollup",
            ),
        ],
        summary: "Memory used by processes, as the agent's own proc.mem.",
        answer: "Bytes; percent of the machine's memory for `pmem`. 0 where no process matches, as built in. \
                 An error for `pss` and `uss` where processes match whose smaps_rollup may not be read.",
        mirrors: Some("proc.mem"),
        source: "proc_pid_status(5): VmSize, VmRSS and their kin; proc_pid_smaps(5): Pss, Private_*",
        example: "oomwatch.proc.mem[,root,sum,,rss]",
        handler: processes::mem,
    },
    Key {
        name: "oomwatch.proc.num",
        parameters: &[NAME, USER, Parameter::words("state", processes::STATE_WORDS, "the state"), CMDLINE],
        summary: "The number of processes, as the agent's own proc.num.",
        answer: "A count. 0 where no process matches, as built in.",
        mirrors: Some("proc.num"),
        source: "proc_pid_stat(5)",
        example: "oomwatch.proc.num[,root]",
        handler: processes::num,
    },
    Key {
        name: "oomwatch.proc.cpu.util",
        parameters: &[
            NAME,
            USER,
            Parameter::words("type", &words_of(&CpuType::WORDS), "which CPU time"),
            CMDLINE,
            Parameter::words(
                "mode",
                &words_of(&CpuWindow::WORDS),
                "the average over one, five or fifteen minutes",
            ),
        ],
        summary: "CPU used by processes, as the agent's own proc.cpu.util.",
        answer: "Percent of one CPU with one decimal place. No value at the first poll: two samples are needed, taken a second apart.",
        mirrors: Some("proc.cpu.util"),
        source: "proc_pid_stat(5): utime, stime, starttime",
        example: "oomwatch.proc.cpu.util[,root]",
        handler: processes::cpu_util,
    },
    Key {
        name: "oomwatch.proc.get",
        parameters: &[
            NAME,
            USER,
            CMDLINE,
            Parameter::words(
                "mode",
                proc_get::MODE_WORDS,
                "one object for each process, thread or name; `cmdline` cannot be combined with `summary`",
            ),
        ],
        summary: "Processes, threads or names with their figures, as proc.get of agent 7.0.",
        answer: "JSON: a list of objects. Memory in bytes, CPU times in seconds, -1 for what is absent.",
        mirrors: Some("proc.get"),
        source: "proc_pid_status(5), proc_pid_stat(5), proc_pid_smaps(5)",
        example: "oomwatch.proc.get[,,,summary]",
        handler: proc_get::get,
    },
    Key {
        name: "oomwatch.proc.top",
        parameters: &[TOP_BY, TOP_COUNT],
        summary: "Process names ranked by the memory or CPU that they use together.",
        answer: "JSON: `by`, `unit` (`B`, or `%` of one CPU over about the last minute), `total` (sum over all names) \
                 and `names`, largest sum first, each with `name`, `count` (processes), `sum`, `avg` and `max`. \
                 `unreadable`, there and for each name, counts processes whose smaps_rollup may not be read: a ranking by `pss` lacks them. \
 An error where hidepid hides the processes of others.",
        mirrors: None,
        source: "proc_pid_status(5): VmRSS, VmSwap; proc_pid_smaps(5): Pss; proc_pid_stat(5): utime, stime",
        example: "oomwatch.proc.top[rss,5]",
        handler: ranking::top,
    },
    Key {
        name: "oomwatch.proc.discovery",
        parameters: &[TOP_BY, TOP_COUNT],
        summary: "Low-level discovery of the process names that oomwatch.proc.top ranks.",
        answer: "JSON: a list of objects with `{#NAME}`, `{#COUNT}` (processes) and `{#SUM}` (bytes, or percent of one CPU).",
        mirrors: None,
        source: "as oomwatch.proc.top",
        example: "oomwatch.proc.discovery[rss,10]",
        handler: ranking::discovery,
    },
    Key {
        name: "oomwatch.log",
        parameters: LOG,
        summary: "New matching lines of a file, as the agent's own log.",
        answer: LINES_ANSWER,
        mirrors: Some("log"),
        source: LOG_SOURCE,
        example: "oomwatch.log[/etc/passwd,root]",
        handler: logs::lines,
    },
    Key {
        name: "oomwatch.logrt",
        parameters: LOGRT,
        summary: "New matching lines of rotated files, as the agent's own logrt.",
        answer: LINES_ANSWER,
        mirrors: Some("logrt"),
        source: LOG_SOURCE,
        example: "oomwatch.logrt[/etc/^passwd$,root]",
        handler: logs::lines,
    },
    Key {
        name: "oomwatch.log.count",
        parameters: LOG_COUNT,
        summary: "Number of new matching lines of a file, as the agent's own log.count.",
        answer: COUNT_ANSWER,
        mirrors: Some("log.count"),
        source: LOG_SOURCE,
        example: "oomwatch.log.count[/etc/passwd,root]",
        handler: logs::count,
    },
    Key {
        name: "oomwatch.logrt.count",
        parameters: LOGRT_COUNT,
        summary: "Number of new matching lines of rotated files, as the agent's own logrt.count.",
        answer: COUNT_ANSWER,
        mirrors: Some("logrt.count"),
        source: LOG_SOURCE,
        example: "oomwatch.logrt.count[/etc/^passwd$,root]",
        handler: logs::count,
    },
    Key {
        name: "oomwatch.log.total",
        parameters: LOG_SINCE,
        summary: "Number of matching lines of a file since the item was first asked for.",
        answer: TOTAL_ANSWER,
        mirrors: None,
        source: LOG_SOURCE,
        example: "oomwatch.log.total[/etc/passwd,root,,all]",
        handler: logs::total,
    },
    Key {
        name: "oomwatch.logrt.total",
        parameters: LOGRT_SINCE,
        summary: "Number of matching lines of rotated files since the item was first asked for.",
        answer: TOTAL_ANSWER,
        mirrors: None,
        source: LOG_SOURCE,
        example: "oomwatch.logrt.total[/etc/^passwd$,root,,all]",
        handler: logs::total,
    },
    Key {
        name: "oomwatch.log.last",
        parameters: LOG_SINCE,
        summary: "The last matching line of a file, with its capture groups.",
        answer: LAST_ANSWER,
        mirrors: None,
        source: LOG_SOURCE,
        example: "oomwatch.log.last[/etc/passwd,^(root):,,all]",
        handler: logs::last,
    },
    Key {
        name: "oomwatch.logrt.last",
        parameters: LOGRT_SINCE,
        summary: "The last matching line of rotated files, with its capture groups.",
        answer: LAST_ANSWER,
        mirrors: None,
        source: LOG_SOURCE,
        example: "oomwatch.logrt.last[/etc/^passwd$,^(root):,,all]",
        handler: logs::last,
    },
    Key {
        name: "oomwatch.log.groups",
        parameters: &[
            FILE,
            REGEXP,
            ENCODING,
            FROM_END,
            OPTIONS,
            Parameter::text("limit", "how many values to list, 100 by default"),
        ],
        summary: "Matching lines of a file counted by the value of the first capture group.",
        answer: "JSON: `count` of matching lines since `since` (seconds since 1970); `groups`, largest first, each with \
                 `value`, `count` and `undercount_max`: so many more lines it may have had before it was known, 0 where the count is exact; \
                 `other`, all lines that are in no listed count; `exact`, whether these are certainly the largest groups and \
                 their counts exact; `complete`, false where there is more to read than fits into a poll, or a file that \
                 cannot be read. 4,000 different values are kept at least, the largest; a value with more than one line in \
                 4,000 is always known. For low-level discovery take a dependent rule with JSONPath `$.groups` and LLD macros for `$.value` and `$.count`.",
        mirrors: None,
        source: LOG_SOURCE,
        example: "oomwatch.log.groups[/etc/passwd,^(.),,all,,3]",
        handler: logs::groups,
    },
    Key {
        name: "oomwatch.oom.count",
        parameters: &[],
        summary: "Processes killed by the kernel's OOM killer since boot.",
        answer: "A count, of kills for a memory cgroup's limit, too. It begins anew with each boot; it may rise with nothing \
                 in the log. An error where the kernel does not count (before 4.13).",
        mirrors: None,
        source: "/proc/vmstat: oom_kill",
        example: "oomwatch.oom.count",
        handler: oom::count,
    },
    Key {
        name: "oomwatch.oom.total",
        parameters: &[],
        summary: "Processes killed by the OOM killer, over reboots.",
        answer: "A count that only grows: the kernel's count of each boot since the first poll, kept in \
                 `Plugins.OomWatch.StateDir`; where the kernel does not count, the kills in the reports that were found. An \
                 error where there is neither.",
        mirrors: None,
        source: OOM_SOURCE,
        example: "oomwatch.oom.total",
        handler: oom::total,
    },
    Key {
        name: "oomwatch.oom.last",
        parameters: &[],
        summary: "The last report of the OOM killer.",
        answer: "JSON: `count`, the reports that were ever found, `{\"count\":0}` where there is none, and the last one: `time` \
                 (RFC 3339, UTC; the log's own words where they say too little), `clock` (seconds since 1970), \
                 `since_boot_seconds`, `killer`, `invoked_by`, `constraint` (`none`, `memcg`, `cpuset`, `mempolicy`), `cgroup` \
                 whose limit was hit, `task_cgroup` and `unit` of the chosen process, `panic`, `kills`, `victims` (the first 20: \
                 `pid`, `name`, `uid`, `total_vm_bytes`, `anon_rss_bytes`, `file_rss_bytes`, `shmem_rss_bytes`, `oom_score_adj`), \
                 `tasks` (the ten largest of the report's table: `pid`, `name`, `rss_bytes`), `sources` (`kmsg`, `journal`, \
                 `file`, `systemd`, `systemd-oomd`) and `trust` (`high`; `low` where any local user could have written it). What the text does not say \
                 is absent. A report that is still being written is waited for, up to 0.3 s. An \
                 error where no source can be read.",
        mirrors: None,
        source: OOM_SOURCE,
        example: "oomwatch.oom.last",
        handler: oom::last,
    },
    Key {
        name: "oomwatch.oom.list",
        parameters: &[Parameter::text("count", "how many reports, 10 by default; 100 are kept")],
        summary: "The last reports of the OOM killer, newest first.",
        answer: "JSON: a list of reports as in oomwatch.oom.last, empty where there is none. An error where no source can be read.",
        mirrors: None,
        source: OOM_SOURCE,
        example: "oomwatch.oom.list[5]",
        handler: oom::list,
    },
    Key {
        name: "oomwatch.oom.sources",
        parameters: &[],
        summary: "Where reports of the OOM killer come from, and what cannot be read.",
        answer: "JSON: `readable`, whether any source is that tells of every kill; `sources` (`kmsg`, `journal`, `file` for each \
                 log file, `systemd`, `systemd-oomd`), each with `name`, `state` (`readable`; `absent`: the machine has no such \
                 thing; `forbidden`: this user may not read it; `failed`: it should be readable and is not, such as a journalctl \
                 that is late; `off`: the configuration does not want it), `path`, `readable`, `reason` and `remedy` \
                 it; `counts` of kills of this boot: `kernel` (null where it does not count), `reported` in the kernel's text, \
                 `by_source`, and whether they `agree` (null where there is nothing to compare, or they differ and the text \
                 cannot be read; the kernel's count may rise with nothing in the log); `messages_lost` of the kernel, \
                 overwritten in /dev/kmsg between two readings, and `messages_before_start`, before the first, both of this boot; \
                 `persistence` (`durable`, `read-only` or `memory`) and its `reason`.",
        mirrors: None,
        source: OOM_SOURCE,
        example: "oomwatch.oom.sources",
        handler: oom::sources,
    },
    Key {
        name: "oomwatch.oom.risk",
        parameters: &[],
        summary: "How much memory is left, for how long, and who would be killed next.",
        answer: "JSON: `mem_total_bytes`, `mem_available_bytes`, `mem_available_percent`, `swap_total_bytes`, `swap_free_bytes`; \
                 `rate` at which available memory and free swap together change, `bytes_per_second` `window_seconds`, from the \
                 polls of the last ten minutes, absent until two are 30 s apart; `seconds_left` at that rate without what went \
                 within its steepest minute, as when a program starts, absent unless it shrinks; `pressure` (`some` and `full`: `avg10`, `avg60`, `avg300` in percent of time, `total_seconds`), \
                 absent before 4.20; `panic_on_oom`, `overcommit_memory`, `overcommit_ratio`, `commit_limit_bytes`, \
                 `committed_bytes`; `candidates`, the five processes with the largest oom_score (`pid`, `name`, `oom_score`, \
                 `oom_score_adj`, `rss_bytes`), absent where `others_visible` is false (hidepid).",
        mirrors: None,
        source: "/proc/meminfo, /proc/pressure/memory, /proc/sys/vm; proc(5): oom_score, oom_score_adj, VmRSS",
        example: "oomwatch.oom.risk",
        handler: oom::risk,
    },
    Key {
        name: "oomwatch.oom.cgroups",
        parameters: &[CGROUP_COUNT],
        summary: "Memory cgroups with a limit or with kills, largest first.",
        answer: "JSON: `version` of the interface (2 or 1), `total` of such cgroups, `complete`, false where time did not suffice \
                 for all, and `cgroups`: `path`, `current_bytes`, `max_bytes` and `percent` of it (absent without a limit), \
                 `peak_bytes` (v2: 5.19), `oom` (limit hit with nothing to reclaim, v2), `oom_kill` (processes killed; v2 counts \
                 those of cgroups below, too). Counts vanish with their cgroup, as when a service is restarted: oomwatch.oom.total \
                 keeps them. An error where no cgroup counts memory.",
        mirrors: None,
        source: CGROUP_SOURCE,
        example: "oomwatch.oom.cgroups[10]",
        handler: oom::cgroups,
    },
    Key {
        name: "oomwatch.oom.cgroups.discovery",
        parameters: &[CGROUP_COUNT],
        summary: "Low-level discovery of the cgroups that oomwatch.oom.cgroups lists.",
        answer: "JSON: a list of objects with `{#CGROUP}` (path) and `{#LIMITED}` (1 with a limit, else 0).",
        mirrors: None,
        source: CGROUP_SOURCE,
        example: "oomwatch.oom.cgroups.discovery[10]",
        handler: oom::discovery,
    },
    Key {
        name: "oomwatch.apache.capacity",
        parameters: &[CONF],
        summary: "How many workers Apache is allowed, and whether the machine has the memory for them.",
        answer: CAPACITY_ANSWER,
        mirrors: None,
        source: "apache2.conf or httpd.conf and what it includes; the server's processes, mod_status where it is configured; \
                 proc_pid_smaps(5), proc_pid_status(5); /proc/meminfo",
        example: "oomwatch.apache.capacity",
        handler: capacity::apache,
    },
    Key {
        name: "oomwatch.phpfpm.capacity",
        parameters: &[CONF],
        summary: "How many workers php-fpm is allowed, and whether the machine has the memory for them.",
        answer: CAPACITY_ANSWER,
        mirrors: None,
        source: "php-fpm.conf and what it includes; processes by their titles, /proc/PID/net/unix and tcp; proc_pid_smaps(5), \
                 proc_pid_status(5); /proc/meminfo",
        example: "oomwatch.phpfpm.capacity",
        handler: capacity::phpfpm,
    },
    Key {
        name: "oomwatch.mysql.capacity",
        parameters: &[CONF],
        summary: "How many connections MySQL or MariaDB is allowed, and whether the machine has the memory for their buffers.",
        answer: CAPACITY_ANSWER,
        mirrors: None,
        source: "my.cnf and what it includes, the running server's arguments; /proc/PID/net/unix and tcp; /proc/meminfo",
        example: "oomwatch.mysql.capacity",
        handler: capacity::mysql,
    },
    Key {
        name: "oomwatch.systemd.units",
        parameters: &[UNIT_COUNT],
        summary: "Services of systemd, their memory, and how often they ended in an OOM kill.",
        answer: "JSON: `bus` (`connected`; `off`; `unreachable:` and why, where what is told is older); `oom_kills` of all \
                 services: it only grows, is kept in `Plugins.OomWatch.StateDir`, and a kill followed by a restart between two \
                 polls counts; `units`, those that have a memory limit or were ever killed first, then the largest: `unit`, \
                 `active_state`, `sub_state`, `result`, `oom_kills` and `last_oom_kill` (seconds since 1970), `restarts`, \
                 `memory_current_bytes`, `memory_peak_bytes` (systemd 256), `memory_max_bytes`, `oom_policy` (systemd 243); \
                 `managed_oom_swap` and `managed_oom_memory_pressure` (`kill` where systemd-oomd watches the service, systemd \
                 247), `managed_oom_memory_pressure_limit_percent` (248), `managed_oom_memory_pressure_duration_seconds` (257), \
                 `managed_oom_preference` (`avoid` or `omit`, 248). What is not set is absent. A kill is an end of the service \
                 with the result oom-kill. With OOMPolicy=continue a service outlives the kill of one of its processes and \
                 systemd tells nobody: there each process is a kill that the service's cgroup has counted (memory.events, of v1 \
                 memory.oom_control) since it was made. These counts are read with each poll of a key about units, of those it \
                 lists; what was not read before the service ended is in oomwatch.oom.total alone. A service never counts in \
                 both ways, since with OOMPolicy=continue no result is oom-kill. An error where systemd could not be asked yet.",
        mirrors: None,
        source: SYSTEMD_SOURCE,
        example: "oomwatch.systemd.units[10]",
        handler: oom::services,
    },
    Key {
        name: "oomwatch.systemd.units.discovery",
        parameters: &[UNIT_COUNT],
        summary: "Low-level discovery of the services that oomwatch.systemd.units lists.",
        answer: "JSON: a list of objects with `{#UNIT}` (name) and `{#LIMITED}` (1 with a memory limit, else 0).",
        mirrors: None,
        source: SYSTEMD_SOURCE,
        example: "oomwatch.systemd.units.discovery[10]",
        handler: oom::services_discovery,
    },
    Key {
        name: "oomwatch.self",
        parameters: &[],
        summary: "The plugin about itself.",
        answer: "JSON: `version`, `uptime_seconds`; `process` (`rss_bytes`, `cpu_user_seconds`, `cpu_system_seconds`, `threads`); \
                 `exports` (`total`, `errors`, `timeouts`, `panics`, `running_past_deadline`: handlers that are late and still running, \
                 `log_lines_dropped`); `walks` over /proc (`total`, `failed`, `shared`, `seconds`, `last_seconds`); \
                 `cpu_sampler` (`queries`, `samples`, `failed`, `seconds`); \
                 `logs` (`persistence`: `durable`, `read-only` or `memory`, null before the first log item; `reason`, `items`, \
                 `read_bytes`, `lines_over_step_limit`, `last_write_age_seconds`); `processes` (`total`, `unreadable`, `hidepid`, \
                 `others_visible`, `cmdlines_truncated`).",
        mirrors: None,
        source: "the plugin's own counts; proc_pid_status(5); the mount options of /proc",
        example: "oomwatch.self",
        handler: itself::answer,
    },
];

impl Key {
    /// The key of this name, with its prefix or without.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.name == name || key.short_name() == name)
    }

    /// The name without the prefix.
    #[must_use]
    pub fn short_name(&self) -> &'static str {
        self.name.strip_prefix("oomwatch.").unwrap_or(self.name)
    }

    /// Checks the number of a poll's arguments.
    ///
    /// # Errors
    /// If there are more arguments than parameters.
    pub(crate) fn arguments<'a>(&'static self, request: &'a Request) -> Result<Arguments<'a>, ItemError> {
        let declaration = Declaration {
            name: self.short_name(),
            parameters: self.parameters,
            is_mirror: self.mirrors.is_some(),
        };
        Arguments::new(declaration, request)
    }

    /// The key with its parameters' names, as the manual writes keys: `oomwatch.proc.num[name,user,state,cmdline]`.
    #[must_use]
    pub fn signature(&self) -> String {
        let names: Vec<_> = self.parameters.iter().map(|parameter| parameter.name).collect();
        if names.is_empty() { self.name.to_owned() } else { format!("{}[{}]", self.name, names.join(",")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key_text::KeyText;
    use crate::parameters::ORDINALS;

    #[test]
    fn no_key_has_more_parameters_than_there_are_ordinals() {
        assert!(KEYS.iter().all(|key| key.parameters.len() <= ORDINALS.len()));
    }

    #[test]
    fn every_entry_is_whole() {
        for key in KEYS {
            assert!(key.name.starts_with("oomwatch."), "{}", key.name);
            assert!(key.answer.ends_with('.') && !key.source.is_empty(), "{}", key.name);
            let example = KeyText::parse(key.example).unwrap();
            assert_eq!(example.name, key.name);
            assert!(example.parameters.len() <= key.parameters.len(), "{}", key.example);
        }
    }

    #[test]
    fn a_key_is_found_with_and_without_its_prefix() {
        assert_eq!(Key::find("proc.num").unwrap().signature(), "oomwatch.proc.num[name,user,state,cmdline]");
        assert_eq!(Key::find("oomwatch.self").unwrap().signature(), "oomwatch.self");
        assert!(Key::find("proc.nothing").is_none());
    }
}
