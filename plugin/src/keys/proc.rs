//! Keys of processes.

use proc_snapshot::{CpuType, CpuWindow, MemType, TopBy};

use super::key::{Field, Key, Returns, field};
use crate::handlers::{proc_get, processes, ranking};
use crate::parameters::{Parameter, words_of};

const NAME: Parameter = Parameter::text(
    "name",
    "the process name: the kernel's name of the process, or the base name of its first argument; default: all",
);
const USER: Parameter = Parameter::text("user", "the name of the user that owns the process; default: all");
const CMDLINE: Parameter = Parameter::text(
    "cmdline",
    "a regular expression (Go's syntax, RE2) that the command line must match; default: all",
);
const TOP_BY: Parameter = Parameter::words("by", &words_of(&TopBy::WORDS), "the value to rank by");
const TOP_COUNT: Parameter = Parameter::text("count", "the number of names, 10 by default");

const GET_FIELDS: &[Field] = &[
    field("pid", "number", "process ID (`process`, `thread`)"),
    field("ppid", "number", "process ID of the parent (`process`, `thread`)"),
    field("name", "text", "process name"),
    field("cmdline", "text", "command line (`process`)"),
    field("user", "text", "user name, or the number if the user has no name (`process`, `thread`)"),
    field("group", "text", "group name, or the number if the group has no name (`process`, `thread`)"),
    field("uid", "number", "user ID (`process`, `thread`)"),
    field("gid", "number", "group ID (`process`, `thread`)"),
    field("tid", "number", "thread ID (`thread`)"),
    field("tname", "text", "thread name (`thread`)"),
    field("processes", "count", "processes with this name (`summary`)"),
    field("vsize", "B", "virtual memory (`process`, `summary`)"),
    field("pmem", "%", "resident memory as a share of the machine's memory (`process`, `summary`)"),
    field("rss", "B", "resident memory (`process`, `summary`)"),
    field("data", "B", "data segment (`process`, `summary`)"),
    field("exe", "B", "code segment (`process`, `summary`)"),
    field("hwm", "B", "largest resident memory so far (`process`)"),
    field("lck", "B", "locked memory (`process`, `summary`)"),
    field("lib", "B", "shared libraries (`process`, `summary`)"),
    field("peak", "B", "largest virtual memory so far (`process`)"),
    field("pin", "B", "pinned pages (`process`, `summary`)"),
    field("pte", "B", "page tables (`process`, `summary`)"),
    field("size", "B", "code, data and stack (`process`, `summary`)"),
    field("stk", "B", "stack (`process`, `summary`)"),
    field("swap", "B", "swap used (`process`, `summary`)"),
    field("pss", "B", "resident memory with shared pages divided among their users (`process`, `summary`)"),
    field("cputime_user", "s", "CPU time in user mode"),
    field("cputime_system", "s", "CPU time in the kernel"),
    field("state", "text", "state of the process or thread (`process`, `thread`)"),
    field("ctx_switches", "count", "context switches"),
    field("threads", "count", "threads (`process`, `summary`)"),
    field("page_faults", "count", "page faults"),
];

const TOP_FIELDS: &[Field] = &[
    field("by", "text", "the value of the parameter"),
    field(
        "unit",
        "text",
        "unit of `total`, `sum`, `avg` and `max`: `B`, or `%` of one CPU over about the last minute",
    ),
    field("total", "B or %", "sum over all names, including names that are not listed"),
    field(
        "unreadable",
        "count",
        "processes whose smaps_rollup cannot be read; a ranking by `pss` does not include them",
    ),
    field("names", "list", "names, largest sum first"),
    field("names[].name", "text", "process name"),
    field("names[].count", "count", "processes with this name"),
    field("names[].unreadable", "count", "processes with this name whose smaps_rollup cannot be read"),
    field("names[].sum", "B or %", "sum over these processes"),
    field("names[].avg", "B or %", "average of these processes"),
    field("names[].max", "B or %", "largest of these processes"),
];

pub(super) const KEYS: &[Key] = &[
    Key {
        name: "oomwatch.proc.mem",
        parameters: &[
            NAME,
            USER,
            Parameter::words(
                "mode",
                processes::AGGREGATE_WORDS,
                "the function that combines the processes' values",
            ),
            CMDLINE,
            Parameter::words(
                "memtype",
                &words_of(&MemType::WORDS),
                "the kind of memory; `pss` and `uss`, which the built-in key lacks, need the right to read smaps_rollup",
            ),
        ],
        summary: "Memory used by processes, as the agent's own proc.mem.",
        returns: Returns::Text(
            "Bytes; percent of the machine's memory for `pmem`. 0 if no process matches, as built in. \
             An error for `pss` and `uss` if processes match whose smaps_rollup cannot be read.",
        ),
        mirrors: Some("proc.mem"),
        source: "proc_pid_status(5): VmSize, VmRSS and similar fields; proc_pid_smaps(5): Pss, Private_*",
        example: "oomwatch.proc.mem[,root,sum,,rss]",
        handler: processes::mem,
    },
    Key {
        name: "oomwatch.proc.num",
        parameters: &[NAME, USER, Parameter::words("state", processes::STATE_WORDS, "the state"), CMDLINE],
        summary: "The number of processes, as the agent's own proc.num.",
        returns: Returns::Text("A count. 0 if no process matches, as built in."),
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
            Parameter::words("type", &words_of(&CpuType::WORDS), "the kind of CPU time"),
            CMDLINE,
            Parameter::words(
                "mode",
                &words_of(&CpuWindow::WORDS),
                "the average over one, five or fifteen minutes",
            ),
        ],
        summary: "CPU used by processes, as the agent's own proc.cpu.util.",
        returns: Returns::Text(
            "Percent of one CPU with one decimal place. The first poll takes two samples a second apart, and waits for them; with a \
             shorter timeout the longest interval is used that it leaves, and less than 0.1 s is an error. While the item is polled, \
             samples are taken every second, and the value is the average of `mode`. Sampling ends 90 s after the last poll, or \
             after twice the item's interval if that is longer; the next poll is a first one again.",
        ),
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
        returns: Returns::List {
            summary: "A field is present in the modes in parentheses, or in all modes. A number that cannot be read is -1.",
            fields: GET_FIELDS,
        },
        mirrors: Some("proc.get"),
        source: "proc_pid_status(5), proc_pid_stat(5), proc_pid_smaps(5)",
        example: "oomwatch.proc.get[,,,summary]",
        handler: proc_get::get,
    },
    Key {
        name: "oomwatch.proc.top",
        parameters: &[TOP_BY, TOP_COUNT],
        summary: "Process names ranked by the memory or CPU that they use together.",
        returns: Returns::Json {
            summary: "An error if hidepid hides the processes of other users. By `cpu`, the first poll waits about a second for \
                      two samples, as that of `oomwatch.proc.cpu.util`.",
            fields: TOP_FIELDS,
        },
        mirrors: None,
        source: "proc_pid_status(5): VmRSS, VmSwap; proc_pid_smaps(5): Pss; proc_pid_stat(5): utime, stime",
        example: "oomwatch.proc.top[rss,5]",
        handler: ranking::top,
    },
    Key {
        name: "oomwatch.proc.discovery",
        parameters: &[TOP_BY, TOP_COUNT],
        summary: "Low-level discovery of the process names that oomwatch.proc.top ranks.",
        returns: Returns::List {
            summary: "An error if hidepid hides the processes of other users.",
            fields: &[
                field("{#NAME}", "text", "process name"),
                field("{#COUNT}", "count", "processes with this name"),
                field("{#SUM}", "B or %", "their sum"),
            ],
        },
        mirrors: None,
        source: "as oomwatch.proc.top",
        example: "oomwatch.proc.discovery[rss,10]",
        handler: ranking::discovery,
    },
];
