//! Memory cgroups with a limit or with OOM kills.

use super::super::common::discard_errors;
use super::super::model::{
    DiscoveryRule, Graph, Item, Severity, Text, Trigger, UserMacro, bold, dependent, gradient, master, text,
    trigger, user_macro,
};
use super::largest::{LIMIT_HEARTBEAT, largest};

const ROWS: &str = concat!("var NAME = 'path', LIMIT = 'max_bytes';\n", include_str!("../scripts/rows.js"));

pub(super) fn macros() -> Vec<UserMacro> {
    vec![
        user_macro(
            "{$OOMWATCH.CGROUP.MATCHES}",
            ".*",
            text(
                "Regular expression for paths of memory cgroups. Matching cgroups are discovered, the largest first. Backslashes and \
                 double quotes are not permitted: write [.] and [0-9].",
                "メモリ cgroup のパスの正規表現。一致した cgroup を大きい順にディスカバリします。バックスラッシュと二重引用符は使えません。\
                 [.] や [0-9] と書いてください。",
            ),
        ),
        user_macro(
            "{$OOMWATCH.CGROUP.NOT_MATCHES}",
            "^$",
            text(
                "Regular expression for paths of memory cgroups that are not discovered. Same rules as for {$OOMWATCH.CGROUP.MATCHES}. \
                 Example: ^/kubepods",
                "ディスカバリの対象外とするメモリ cgroup のパスの正規表現。書き方は {$OOMWATCH.CGROUP.MATCHES} と同じです。例: ^/kubepods",
            ),
        ),
        user_macro(
            "{$OOMWATCH.CGROUP.TOP}",
            "20",
            text(
                "Maximum number of discovered memory cgroups, the largest with a limit or with OOM kills.",
                "ディスカバリするメモリ cgroup の最大数（上限か OOM による強制終了のあるものを大きい順に）。",
            ),
        ),
        user_macro(
            "{$OOMWATCH.CGROUP.USAGE.MAX}",
            "95",
            text(
                "Maximum memory usage of a cgroup in percent of its limit. A problem is raised if it is exceeded for five minutes. To set \
                 it for one cgroup, use its path as the macro context.",
                "cgroup のメモリ使用率の上限（cgroup の上限に対する %）。5 分間これを超えると障害とします。cgroup ごとに設定するには、\
                 パスをマクロのコンテキストに指定してください。",
            ),
        ),
    ]
}

pub(super) fn items() -> Vec<Item> {
    vec![
        master(
            "cgroups",
            "oomwatch.oom.cgroups[100]",
            "1m",
            text("Cgroups: Memory", "cgroup: メモリ"),
            text(
                "The 100 largest memory cgroups with a limit or with OOM kills as JSON.",
                "上限か OOM による強制終了のあるメモリ cgroup のうち、大きい順に 100 件（JSON）。",
            ),
        )
        .step(discard_errors()),
        dependent(
            "cgroups.total",
            "cgroups",
            text("Cgroups: With a limit or OOM kills", "cgroup: 上限か OOM 強制終了のある数"),
            text(
                "Number of memory cgroups with a limit or with OOM kills. Empty if the host has no memory cgroups.",
                "上限か OOM による強制終了のあるメモリ cgroup の数。ホストにメモリ cgroup がなければ値はありません。",
            ),
        )
        .component("cgroups")
        .json_path("$.total"),
    ]
}

pub(super) fn discovery() -> DiscoveryRule {
    DiscoveryRule {
        id: "cgroups.discovery",
        name: text("Memory cgroups", "メモリ cgroup"),
        description: text(
            "Discovers the largest memory cgroups with a limit or with OOM kills. Macros: {$OOMWATCH.CGROUP.TOP}, \
             {$OOMWATCH.CGROUP.MATCHES}, {$OOMWATCH.CGROUP.NOT_MATCHES}.",
            "上限か OOM による強制終了のある大きいメモリ cgroup をディスカバリします。マクロ: {$OOMWATCH.CGROUP.TOP}、\
             {$OOMWATCH.CGROUP.MATCHES}、{$OOMWATCH.CGROUP.NOT_MATCHES}。",
        ),
        master: "cgroups",
        steps: largest("cgroups", ROWS, "CGROUP"),
        paths: vec![("{#CGROUP}", "$.name"), ("{#SHORT}", "$.short")],
        filter: Vec::new(),
        items: item_prototypes(),
        triggers: vec![near_limit()],
        graphs: vec![Graph {
            id: "cgroup.memory",
            // The name of a graph has at most 128 characters, so it contains the shortened path.
            name: text("Cgroup {#SHORT}: Memory", "cgroup {#SHORT}: メモリ"),
            lines: vec![gradient("cgroup.current"), bold("cgroup.max")],
        }],
    }
}

fn prototype(id: &'static str, member: &str, [name, description]: [Text; 2]) -> Item {
    dependent(id, "cgroups", name, description)
        .key(&format!("oomwatch.{id}[{{#CGROUP}}]"))
        .component("cgroups")
        .json_path(&format!("$.cgroups[?(@.path==\"{{#CGROUP}}\")].{member}.first()"))
}

fn item_prototypes() -> Vec<Item> {
    vec![
        prototype("cgroup.current", "current_bytes", [
            text("Cgroup {#CGROUP}: Memory", "cgroup {#CGROUP}: メモリ"),
            text(
                "Memory that is charged to the cgroup, including page cache: memory.current, in cgroup v1 memory.usage_in_bytes.",
                "cgroup のメモリ使用量。ページキャッシュを含みます（memory.current、cgroup v1 では memory.usage_in_bytes）。",
            ),
        ])
        .units("B"),
        prototype("cgroup.max", "max_bytes", [
            text("Cgroup {#CGROUP}: Limit", "cgroup {#CGROUP}: 上限"),
            text(
                "Memory limit of the cgroup: memory.max, in cgroup v1 memory.limit_in_bytes. Empty if the cgroup has no limit.",
                "cgroup のメモリ上限（memory.max、cgroup v1 では memory.limit_in_bytes）。上限がなければ値はありません。",
            ),
        ])
        .units("B")
        .heartbeat(LIMIT_HEARTBEAT),
        prototype("cgroup.percent", "percent", [
            text("Cgroup {#CGROUP}: Usage", "cgroup {#CGROUP}: 使用率"),
            text(
                "Memory of the cgroup as a percentage of its limit. Empty if the cgroup has no limit.",
                "cgroup の上限に対するメモリ使用量の割合（%）。上限がなければ値はありません。",
            ),
        ])
        .float("%"),
        prototype("cgroup.oom_kill", "oom_kill", [
            text("Cgroup {#CGROUP}: OOM kills", "cgroup {#CGROUP}: OOM による強制終了"),
            text(
                "Number of processes that the OOM killer has killed in the cgroup since the cgroup was created. The count restarts at 0 \
                 when the service is restarted.",
                "cgroup の作成後、その中で OOM killer が強制終了したプロセスの数。サービスを再起動すると 0 から数え直します。",
            ),
        ])
        .heartbeat("10m"),
    ]
}

fn near_limit() -> Trigger {
    trigger(
        "cgroup.near",
        Severity::Warning,
        "capacity",
        // The name of a trigger has at most 255 characters, and the path of a pod has nearly 200.
        text("Cgroup {#CGROUP}: memory near the limit", "cgroup {#CGROUP} のメモリが上限に近づいています。"),
        "min(@cgroup.percent,5m)>{$OOMWATCH.CGROUP.USAGE.MAX:\"{#CGROUP}\"}",
    )
    .event_name(text(
        "Cgroup {#CGROUP}: memory near the limit (over {$OOMWATCH.CGROUP.USAGE.MAX:\"{#CGROUP}\"} % for 5m)",
        "cgroup {#CGROUP} のメモリが上限に近づいています（5 分間 {$OOMWATCH.CGROUP.USAGE.MAX:\"{#CGROUP}\"} % 超）。",
    ))
    .opdata(text("Usage: {ITEM.LASTVALUE1}", "使用率: {ITEM.LASTVALUE1}"))
    .description(text(
        "If the kernel cannot reclaim memory in this cgroup, it kills a process in it. The usage includes page cache, which the kernel \
         can reclaim. So a service that reads many files may be near its limit without danger.",
        "この cgroup のメモリを回収できなくなると、カーネルは cgroup 内のプロセスを強制終了します。使用量には回収可能なページキャッシュも含まれるため、\
         多くのファイルを読むサービスでは、上限に近くても危険がないことがあります。",
    ))
    .depends_on(&["oom.global", "oom.memcg"])
}
