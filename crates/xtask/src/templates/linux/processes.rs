//! Processes by name, and their memory.

use super::super::common::discard_errors;
use super::super::model::{
    DiscoveryRule, Graph, Item, Text, UserMacro, bold, dependent, gradient, line, master, text, user_macro,
};
use super::largest::largest;

pub(super) fn macros() -> Vec<UserMacro> {
    [discovery_macros(), pss_macros()].concat()
}

fn discovery_macros() -> Vec<UserMacro> {
    vec![
        user_macro(
            "{$OOMWATCH.PROC.MATCHES}",
            ".*",
            text(
                "Regular expression for process names. Matching processes are discovered, the largest first. Backslashes and double \
                 quotes are not permitted: write [.] and [0-9].",
                "プロセス名の正規表現。一致したプロセスを大きい順にディスカバリします。バックスラッシュと二重引用符は使えません。[.] や [0-9] と書いてください。",
            ),
        ),
        user_macro(
            "{$OOMWATCH.PROC.NOT_MATCHES}",
            "^$",
            text(
                "Regular expression for process names that are not discovered. Same rules as for {$OOMWATCH.PROC.MATCHES}.",
                "ディスカバリの対象外とするプロセス名の正規表現。書き方は {$OOMWATCH.PROC.MATCHES} と同じです。",
            ),
        ),
        user_macro(
            "{$OOMWATCH.PROC.TOP}",
            "10",
            text(
                "Maximum number of discovered process names, those with the most RSS.",
                "ディスカバリするプロセス名の最大数（RSS の大きい順）。",
            ),
        ),
    ]
}

fn pss_macros() -> Vec<UserMacro> {
    vec![
        user_macro(
            "{$OOMWATCH.PSS.INTERVAL}",
            "5m",
            text(
                "Update interval of PSS. For a process of hundreds of gigabytes the kernel needs seconds, during which the process may \
                 have to wait.",
                "PSS の更新間隔。数百 GB のプロセスではカーネルの計算に数秒かかり、その間プロセスが待たされることがあります。",
            ),
        ),
        user_macro(
            "{$OOMWATCH.PSS.REQUIRED}",
            "0",
            text(
                "1: raise a problem if the agent cannot read the PSS of a process. The agent's user needs CAP_SYS_PTRACE to read it. \
                 0: no problem.",
                "1: エージェントがプロセスの PSS を読めない場合に障害とします。読むには、エージェントのユーザーに CAP_SYS_PTRACE が必要です。\
                 0: 障害としません。",
            ),
        ),
    ]
}

pub(super) fn items() -> Vec<Item> {
    vec![
        master(
            "proc.rss",
            "oomwatch.proc.top[rss,100]",
            "1m",
            text("Processes: By RSS", "プロセス: RSS 順"),
            text(
                "The 100 process names with the most resident memory (RSS) as JSON.",
                "常駐メモリ（RSS）の大きい順に 100 件のプロセス名（JSON）。",
            ),
        )
        .step(discard_errors()),
        dependent(
            "proc.rss.total",
            "proc.rss",
            text("Processes: Total RSS", "プロセス: RSS の合計"),
            text(
                "Sum of the resident memory of all processes. Shared pages are counted once for each process, so the sum may exceed the \
                 memory in use.",
                "すべてのプロセスの常駐メモリの合計。共有ページはプロセスごとに数えるため、実際の使用量より大きくなることがあります。",
            ),
        )
        .units("B")
        .component("processes")
        .json_path("$.total"),
        master(
            "proc.pss",
            "oomwatch.proc.top[pss,100]",
            "{$OOMWATCH.PSS.INTERVAL}",
            text("Processes: By PSS", "プロセス: PSS 順"),
            text(
                "The 100 process names with the most proportional memory (PSS) as JSON.",
                "按分メモリ（PSS）の大きい順に 100 件のプロセス名（JSON）。",
            ),
        )
        .step(discard_errors()),
        dependent(
            "proc.pss.unreadable",
            "proc.pss",
            text("Agent: Processes whose PSS cannot be read", "エージェント: PSS を読めないプロセス"),
            text(
                "Number of processes whose smaps_rollup the agent cannot read. For processes of other users it needs CAP_SYS_PTRACE.",
                "エージェントが smaps_rollup を読めないプロセスの数。他のユーザーのプロセスを読むには CAP_SYS_PTRACE が必要です。",
            ),
        )
        .component("access")
        .json_path("$.unreadable"),
    ]
}

/// Processes have no limit.
const ROWS: &str = concat!("var NAME = 'name', LIMIT = '';\n", include_str!("../scripts/rows.js"));

pub(super) fn discovery() -> DiscoveryRule {
    DiscoveryRule {
        id: "proc.names",
        name: text("Processes by memory", "メモリの大きいプロセス"),
        description: text(
            "Discovers the process names with the most RSS. Macros: {$OOMWATCH.PROC.TOP}, {$OOMWATCH.PROC.MATCHES}, \
             {$OOMWATCH.PROC.NOT_MATCHES}.",
            "RSS の大きいプロセス名をディスカバリします。マクロ: {$OOMWATCH.PROC.TOP}、{$OOMWATCH.PROC.MATCHES}、\
             {$OOMWATCH.PROC.NOT_MATCHES}。",
        ),
        master: "proc.rss",
        steps: largest("names", ROWS, "PROC"),
        paths: vec![("{#NAME}", "$.name")],
        filter: Vec::new(),
        items: [rss_prototypes(), pss_prototypes()].concat(),
        triggers: Vec::new(),
        graphs: vec![
            Graph {
                id: "process.memory",
                name: text("Process {#NAME}: Memory", "プロセス {#NAME}: メモリ"),
                lines: vec![gradient("process.rss.sum"), bold("process.pss.sum"), line("process.rss.max")],
            },
            Graph {
                id: "process.each",
                name: text(
                    "Process {#NAME}: Memory per process",
                    "プロセス {#NAME}: 1 プロセスあたりのメモリ",
                ),
                lines: vec![
                    line("process.rss.avg"),
                    line("process.pss.avg"),
                    line("process.count").right_axis(),
                ],
            },
        ],
    }
}

fn prototype(
    id: &'static str,
    list: &'static str,
    condition: &str,
    member: &str,
    [name, description]: [Text; 2],
) -> Item {
    dependent(id, list, name, description)
        .key(&format!("oomwatch.{id}[{{#NAME}}]"))
        .component("processes")
        .json_path(&format!("$.names[?(@.name==\"{{#NAME}}\"{condition})].{member}.first()"))
}

fn rss_prototypes() -> Vec<Item> {
    let rss = |id, member, texts| prototype(id, "proc.rss", "", member, texts);
    vec![
        rss("process.rss.sum", "sum", [
            text("Process {#NAME}: RSS", "プロセス {#NAME}: RSS"),
            text(
                "Sum of the resident memory (RSS) of all processes with this name. Shared pages are counted once for each process.",
                "この名前の全プロセスの常駐メモリ（RSS）の合計。共有ページはプロセスごとに数えます。",
            ),
        ])
        .units("B"),
        rss("process.rss.avg", "avg", [
            text("Process {#NAME}: RSS, average", "プロセス {#NAME}: RSS 平均"),
            text(
                "Average resident memory (RSS) of the processes with this name, including shared pages.",
                "この名前のプロセスの常駐メモリ（RSS）の平均。共有ページを含みます。",
            ),
        ])
        .float("B"),
        rss("process.rss.max", "max", [
            text("Process {#NAME}: RSS, largest", "プロセス {#NAME}: RSS 最大"),
            text(
                "Resident memory (RSS) of the largest process with this name, including shared pages.",
                "この名前のプロセスのうち最大のものの常駐メモリ（RSS）。共有ページを含みます。",
            ),
        ])
        .units("B"),
        rss("process.count", "count", [
            text("Process {#NAME}: Count", "プロセス {#NAME}: 数"),
            text("Number of processes with this name.", "この名前のプロセスの数。"),
        ]),
    ]
}

fn pss_prototypes() -> Vec<Item> {
    let pss = |id, member, texts| prototype(id, "proc.pss", " && @.unreadable==0", member, texts);
    vec![
        pss("process.pss.sum", "sum", [
            text("Process {#NAME}: PSS", "プロセス {#NAME}: PSS"),
            text(
                "Sum of the proportional memory (PSS) of all processes with this name. Shared pages are divided among the processes that \
                 share them. Empty if the agent cannot read smaps_rollup of each of them.",
                "この名前の全プロセスの按分メモリ（PSS）の合計。共有ページは、共有するプロセスの間で按分します。\
                 smaps_rollup を読めないプロセスが 1 つでもあれば値はありません。",
            ),
        ])
        .units("B"),
        pss("process.pss.avg", "avg", [
            text("Process {#NAME}: PSS, average", "プロセス {#NAME}: PSS 平均"),
            text(
                "Average proportional memory (PSS) of the processes with this name. Shared pages are divided among the processes that \
                 share them. Empty if the agent cannot read smaps_rollup of each of them.",
                "この名前のプロセスの按分メモリ（PSS）の平均。共有ページは、共有するプロセスの間で按分します。\
                 smaps_rollup を読めないプロセスが 1 つでもあれば値はありません。",
            ),
        ])
        .float("B"),
    ]
}
