//! Keys of log files.

use super::key::{Field, Key, Returns, field};
use crate::handlers::logs;
use crate::logs::{FROM_END_WORDS, FROM_START_WORDS, REREAD_WORDS, ROTATION_WORDS};
use crate::parameters::Parameter;

const FILE: Parameter = Parameter::text(
    "file",
    "the file's path; a rotated file in the same directory with a usual name is read to its end first",
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
    "the text to deliver for a matching line, with `\\0` for the match and `\\1` to `\\9` for groups; default: the line",
);
const MAXDELAY: Parameter = Parameter::text(
    "maxdelay",
    "seconds; lines are skipped if delivery would fall further behind than this; default: never",
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

const LINES: Returns = Returns::Text(
    "The new matching lines since the last poll, newest last, joined by newlines. At most 65,535 bytes; the rest comes \
     with the next poll. No value if there is no new line. The position moves when the agent has received the value, so \
     poll the same key from one place only.",
);
const COUNT: Returns = Returns::Text(
    "A count of matching lines since the last poll. The position moves when the agent has received the value, so poll \
     the same key from one place only.",
);
const TOTAL: Returns = Returns::Text(
    "A count of matching lines since the first poll of the item. It only grows and survives restarts. Any number of \
     callers may poll it.",
);
const LAST: Returns = Returns::Json { summary: "", fields: LAST_FIELDS };

const SINCE_COUNT: Field = field("count", "count", "matching lines since `since`");
const SINCE: Field = field("since", "Unix time", "first poll of the item");
const COMPLETE: Field = field(
    "complete",
    "bool",
    "false if there is more to read than fits into a poll, or if a file cannot be read",
);
const LAST_FIELDS: &[Field] = &[
    SINCE_COUNT,
    SINCE,
    COMPLETE,
    field("line", "text", "the last matching line; null before the first match"),
    field("groups", "list", "texts of its capture groups, null for a group without a match"),
    field("time", "Unix time", "when the line was read; null before the first match"),
    field("file", "text", "file with the line; null before the first match"),
];
const SOURCE: &str = "the file; positions are kept in `Plugins.OomWatch.StateDir`";

pub(super) const KEYS: &[Key] = &[
    Key {
        name: "oomwatch.log",
        parameters: LOG,
        summary: "New matching lines of a file, as the agent's own log.",
        returns: LINES,
        mirrors: Some("log"),
        source: SOURCE,
        example: "oomwatch.log[/etc/passwd,root]",
        handler: logs::lines,
    },
    Key {
        name: "oomwatch.logrt",
        parameters: LOGRT,
        summary: "New matching lines of rotated files, as the agent's own logrt.",
        returns: LINES,
        mirrors: Some("logrt"),
        source: SOURCE,
        example: "oomwatch.logrt[/etc/^passwd$,root]",
        handler: logs::lines,
    },
    Key {
        name: "oomwatch.log.count",
        parameters: LOG_COUNT,
        summary: "Number of new matching lines of a file, as the agent's own log.count.",
        returns: COUNT,
        mirrors: Some("log.count"),
        source: SOURCE,
        example: "oomwatch.log.count[/etc/passwd,root]",
        handler: logs::count,
    },
    Key {
        name: "oomwatch.logrt.count",
        parameters: LOGRT_COUNT,
        summary: "Number of new matching lines of rotated files, as the agent's own logrt.count.",
        returns: COUNT,
        mirrors: Some("logrt.count"),
        source: SOURCE,
        example: "oomwatch.logrt.count[/etc/^passwd$,root]",
        handler: logs::count,
    },
    Key {
        name: "oomwatch.log.total",
        parameters: LOG_SINCE,
        summary: "Number of matching lines of a file since the first poll of the item.",
        returns: TOTAL,
        mirrors: None,
        source: SOURCE,
        example: "oomwatch.log.total[/etc/passwd,root,,all]",
        handler: logs::total,
    },
    Key {
        name: "oomwatch.logrt.total",
        parameters: LOGRT_SINCE,
        summary: "Number of matching lines of rotated files since the first poll of the item.",
        returns: TOTAL,
        mirrors: None,
        source: SOURCE,
        example: "oomwatch.logrt.total[/etc/^passwd$,root,,all]",
        handler: logs::total,
    },
    Key {
        name: "oomwatch.log.last",
        parameters: LOG_SINCE,
        summary: "The last matching line of a file, with its capture groups.",
        returns: LAST,
        mirrors: None,
        source: SOURCE,
        example: "oomwatch.log.last[/etc/passwd,^(root):,,all]",
        handler: logs::last,
    },
    Key {
        name: "oomwatch.logrt.last",
        parameters: LOGRT_SINCE,
        summary: "The last matching line of rotated files, with its capture groups.",
        returns: LAST,
        mirrors: None,
        source: SOURCE,
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
            Parameter::text("limit", "the number of values to list, 100 by default"),
        ],
        summary: "Matching lines of a file counted by the value of the first capture group.",
        returns: Returns::Json {
            summary: "At least 4,000 different values are kept, the largest. A value with more than one line in 4,000 is \
                      always kept. For low-level discovery create a dependent rule with JSONPath `$.groups` and LLD \
                      macros for `$.value` and `$.count`.",
            fields: &[
                SINCE_COUNT,
                SINCE,
                COMPLETE,
                field("groups", "list", "values, largest count first"),
                field("groups[].value", "text", "value of the first capture group"),
                field("groups[].count", "count", "lines with this value"),
                field(
                    "groups[].undercount_max",
                    "count",
                    "lines that may be missing from `count`, from before the value was kept; 0 if `count` is exact",
                ),
                field("other", "count", "lines that no listed count includes"),
                field("exact", "bool", "whether the list certainly has the largest groups with exact counts"),
            ],
        },
        mirrors: None,
        source: SOURCE,
        example: "oomwatch.log.groups[/etc/passwd,^(.),,all,,3]",
        handler: logs::groups,
    },
];
