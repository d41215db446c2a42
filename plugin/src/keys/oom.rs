//! Keys of OOM kills, the risk of a kill, and memory cgroups.

use super::key::{Field, Key, Returns, field};
use crate::handlers::oom;
use crate::parameters::Parameter;

const SOURCE: &str = "/proc/vmstat: oom_kill; the kernel's messages in /dev/kmsg, in the journal (journalctl) and in \
    /var/log/kern.log, messages and syslog; systemd and systemd-oomd over D-Bus";

const CGROUP_COUNT: Parameter =
    Parameter::text("count", "the number of cgroups, 20 by default, at most 1000");
const CGROUP_SOURCE: &str = "cgroup v2: memory.current, memory.max, memory.peak, memory.events; v1, if v2 has no memory controller: \
    memory.usage_in_bytes, memory.limit_in_bytes, memory.max_usage_in_bytes, memory.oom_control";

const REPORT_FIELDS: &[Field] = &[
    field("count", "count", "reports found so far; only in `oom.last`"),
    field("time", "text", "RFC 3339, UTC; the log's own text if it does not give the full time"),
    field("clock", "Unix time", "the same time"),
    field("since_boot_seconds", "s", "time since boot"),
    field("killer", "text", "`kernel` or `systemd-oomd`"),
    field("invoked_by", "text", "process whose request for memory started the OOM killer"),
    field("constraint", "text", "limit that was hit: `none`, `memcg`, `cpuset` or `mempolicy`"),
    field("cgroup", "text", "cgroup whose limit was hit"),
    field("task_cgroup", "text", "cgroup of the selected process"),
    field("unit", "text", "systemd unit of the selected process"),
    field("units", "list", "names of the units that systemd reported; absent if there are none"),
    field("reason", "text", "reason that systemd-oomd gave"),
    field("panic", "bool", "whether the kernel panicked"),
    field("kills", "count", "processes killed"),
    field("victims", "list", "killed processes, the first 20"),
    field("victims[].pid", "number", "process ID"),
    field("victims[].name", "text", "process name"),
    field("victims[].uid", "number", "user ID"),
    field("victims[].total_vm_bytes", "B", "virtual memory"),
    field("victims[].anon_rss_bytes", "B", "anonymous resident memory"),
    field("victims[].file_rss_bytes", "B", "resident memory of files"),
    field("victims[].shmem_rss_bytes", "B", "resident shared memory"),
    field("victims[].oom_score_adj", "number", "adjustment of the OOM score, -1000 to 1000"),
    field("tasks", "list", "the ten largest processes of the report's table"),
    field("tasks[].pid", "number", "process ID"),
    field("tasks[].name", "text", "process name"),
    field("tasks[].rss_bytes", "B", "resident memory"),
    field("sources", "list", "sources of the report: `kmsg`, `journal`, `file`, `systemd`, `systemd-oomd`"),
    field("trust", "text", "`high`; `low` if any local user could have written the report"),
];

const SOURCES_FIELDS: &[Field] = &[
    field("readable", "bool", "whether a source that reports every kill is readable"),
    field("sources", "list", "all sources"),
    field(
        "sources[].name",
        "text",
        "`kmsg`, `journal`, `file` (one for each log file), `systemd` or `systemd-oomd`",
    ),
    field(
        "sources[].state",
        "text",
        "`readable`; `absent`: does not exist on this machine; `forbidden`: this user has no permission; `failed`: \
         should be readable but is not, such as a journalctl that is late; `off`: disabled by the configuration",
    ),
    field("sources[].path", "text", "path of the file; absent for sources without one"),
    field("sources[].readable", "bool", "whether `state` is `readable`"),
    field("sources[].reason", "text", "why the source cannot be read; absent if it is readable"),
    field("sources[].remedy", "text", "what makes it readable; absent if nothing is known"),
    field("counts", "object", "kills since this boot"),
    field(
        "counts.kernel",
        "count",
        "the kernel's count; null before kernel 4.13. It may rise with nothing in the log",
    ),
    field("counts.reported", "count", "kills in the kernel's messages"),
    field("counts.by_source", "object", "kills by source"),
    field("counts.by_source.*", "count", "kills that this source reported"),
    field(
        "counts.agree",
        "bool",
        "whether `kernel` and `reported` are equal; null if there is nothing to compare, or if they differ and the \
         kernel's messages cannot be read",
    ),
    field(
        "messages_lost",
        "count",
        "kernel messages of this boot overwritten in /dev/kmsg before they could be read",
    ),
    field(
        "messages_before_start",
        "count",
        "kernel messages of this boot overwritten before the first reading",
    ),
    field("persistence", "text", "`durable`, `read-only` or `memory`"),
    field("reason", "text", "why the state is not durable; absent if it is"),
];

const RISK_FIELDS: &[Field] = &[
    field("mem_total_bytes", "B", "memory of the machine"),
    field("mem_available_bytes", "B", "available memory"),
    field("mem_available_percent", "%", "available memory as a share of the machine's memory"),
    field("swap_total_bytes", "B", "swap of the machine"),
    field("swap_free_bytes", "B", "free swap"),
    field(
        "rate",
        "object",
        "change of available memory and free swap; absent until two polls are 30 s apart",
    ),
    field("rate.bytes_per_second", "B/s", "change; negative if memory shrinks"),
    field("rate.window_seconds", "s", "length of the window, at most ten minutes"),
    field(
        "seconds_left",
        "s",
        "time until the memory ends at that rate, without the steepest minute, such as a program's start; absent \
         unless memory shrinks",
    ),
    field(
        "pressure",
        "object",
        "pressure stall information (PSI); absent before kernel 4.20 or if PSI is off",
    ),
    field("pressure.some", "object", "some tasks wait for memory"),
    field("pressure.some.avg10", "%", "share of time, 10 s average"),
    field("pressure.some.avg60", "%", "share of time, 60 s average"),
    field("pressure.some.avg300", "%", "share of time, 300 s average"),
    field("pressure.some.total_seconds", "s", "time since boot"),
    field("pressure.full", "object", "all tasks wait for memory"),
    field("pressure.full.avg10", "%", "share of time, 10 s average"),
    field("pressure.full.avg60", "%", "share of time, 60 s average"),
    field("pressure.full.avg300", "%", "share of time, 300 s average"),
    field("pressure.full.total_seconds", "s", "time since boot"),
    field("panic_on_oom", "number", "the kernel setting; absent if it cannot be read"),
    field("overcommit_memory", "number", "the kernel setting; absent if it cannot be read"),
    field("overcommit_ratio", "%", "the kernel setting; absent if it cannot be read"),
    field("commit_limit_bytes", "B", "CommitLimit; absent if it cannot be read"),
    field("committed_bytes", "B", "Committed_AS; absent if it cannot be read"),
    field(
        "candidates",
        "list",
        "the five processes with the largest oom_score; absent if `others_visible` is false",
    ),
    field("candidates[].pid", "number", "process ID"),
    field("candidates[].name", "text", "process name"),
    field("candidates[].oom_score", "number", "the kernel's score"),
    field("candidates[].oom_score_adj", "number", "adjustment of the score; absent if it cannot be read"),
    field("candidates[].rss_bytes", "B", "resident memory; absent if it cannot be read"),
    field("others_visible", "bool", "whether the processes of other users are visible (hidepid)"),
];

const CGROUPS_FIELDS: &[Field] = &[
    field("version", "number", "version of the cgroup interface: 2 or 1"),
    field("total", "count", "cgroups with a limit or with kills, including cgroups that are not listed"),
    field("complete", "bool", "false if there are more than 50,000 cgroups"),
    field("cgroups", "list", "cgroups, largest first"),
    field("cgroups[].path", "text", "path below the root of the hierarchy"),
    field("cgroups[].current_bytes", "B", "memory in use"),
    field("cgroups[].max_bytes", "B", "limit; absent if there is none"),
    field("cgroups[].percent", "%", "memory in use as a share of the limit; absent if there is none"),
    field("cgroups[].peak_bytes", "B", "largest use so far; absent in v2 before kernel 5.19"),
    field("cgroups[].oom", "count", "times the limit was hit with nothing to reclaim; v2 only"),
    field(
        "cgroups[].oom_kill",
        "count",
        "processes killed; v2 includes cgroups below; absent if the kernel has no count",
    ),
];

pub(super) const KEYS: &[Key] = &[
    Key {
        name: "oomwatch.oom.count",
        parameters: &[],
        summary: "Processes killed by the kernel's OOM killer since boot.",
        returns: Returns::Text(
            "A count, which includes kills for a memory cgroup's limit. It starts at 0 with each boot. It may rise with \
             nothing in the log. An error if the kernel does not count (before 4.13).",
        ),
        mirrors: None,
        source: "/proc/vmstat: oom_kill",
        example: "oomwatch.oom.count",
        handler: oom::count,
    },
    Key {
        name: "oomwatch.oom.total",
        parameters: &[],
        summary: "Processes killed by the OOM killer, over reboots.",
        returns: Returns::Text(
            "A count that only grows: the kernel's count of each boot since the first poll, kept in \
             `Plugins.OomWatch.StateDir`. If the kernel does not count, the kills in the reports that were found. An \
             error if there is neither.",
        ),
        mirrors: None,
        source: SOURCE,
        example: "oomwatch.oom.total",
        handler: oom::total,
    },
    Key {
        name: "oomwatch.oom.last",
        parameters: &[],
        summary: "The last report of the OOM killer.",
        returns: Returns::Json {
            summary: "`{\"count\":0}` if there is no report. A field that the report does not give is absent. The poll waits \
                      up to 0.3 s for a report that is still being written. An error if no source can be read.",
            fields: REPORT_FIELDS,
        },
        mirrors: None,
        source: SOURCE,
        example: "oomwatch.oom.last",
        handler: oom::last,
    },
    Key {
        name: "oomwatch.oom.list",
        parameters: &[Parameter::text("count", "the number of reports, 10 by default; 100 are kept")],
        summary: "The last reports of the OOM killer, newest first.",
        returns: Returns::List {
            summary: "Reports as in `oom.last`; empty if there is none. An error if no source can be read.",
            fields: REPORT_FIELDS,
        },
        mirrors: None,
        source: SOURCE,
        example: "oomwatch.oom.list[5]",
        handler: oom::list,
    },
    Key {
        name: "oomwatch.oom.sources",
        parameters: &[],
        summary: "The sources of OOM reports, and which of them cannot be read.",
        returns: Returns::Json { summary: "", fields: SOURCES_FIELDS },
        mirrors: None,
        source: SOURCE,
        example: "oomwatch.oom.sources",
        handler: oom::sources,
    },
    Key {
        name: "oomwatch.oom.risk",
        parameters: &[],
        summary: "How much memory is left, for how long, and which process would be killed next.",
        returns: Returns::Json { summary: "", fields: RISK_FIELDS },
        mirrors: None,
        source: "/proc/meminfo, /proc/pressure/memory, /proc/sys/vm; proc(5): oom_score, oom_score_adj, VmRSS",
        example: "oomwatch.oom.risk",
        handler: oom::risk,
    },
    Key {
        name: "oomwatch.oom.cgroups",
        parameters: &[CGROUP_COUNT],
        summary: "Memory cgroups with a limit or with kills, largest first.",
        returns: Returns::Json {
            summary: "Counts are lost with their cgroup, for example when a service is restarted; `oom.total` keeps them. An \
                      error if no cgroup accounts memory.",
            fields: CGROUPS_FIELDS,
        },
        mirrors: None,
        source: CGROUP_SOURCE,
        example: "oomwatch.oom.cgroups[10]",
        handler: oom::cgroups,
    },
    Key {
        name: "oomwatch.oom.cgroups.discovery",
        parameters: &[CGROUP_COUNT],
        summary: "Low-level discovery of the cgroups that oomwatch.oom.cgroups lists.",
        returns: Returns::List {
            summary: "An error if no cgroup accounts memory.",
            fields: &[
                field("{#CGROUP}", "text", "path of the cgroup"),
                field("{#LIMITED}", "0 or 1", "1 if the cgroup has a limit"),
            ],
        },
        mirrors: None,
        source: CGROUP_SOURCE,
        example: "oomwatch.oom.cgroups.discovery[10]",
        handler: oom::discovery,
    },
];
