//! What may use only so much memory, for "OomWatch Linux": memory cgroups, and services of systemd.

use super::model::{
    Condition, Discovery, Graph, Item, Macro, OnFail, Page, Row, Severity, Step, Trigger, ValueMap, Values,
    Widget, bold, dependent, gradient, line, master, t, trigger, user_macro,
};

const CGROUP_ROWS: &str =
    concat!("var NAME = 'path', LIMIT = 'max_bytes';\n", include_str!("scripts/rows.js"));
const UNIT_ROWS: &str =
    concat!("var NAME = 'unit', LIMIT = 'memory_max_bytes';\n", include_str!("scripts/rows.js"));

/// The steps that make a rule's rows of a list in its master: those whose name the macros of this kind want, and of these the largest.
/// A regular expression that is none, or has a backslash, which these paths do not take, makes the rule unsupported, and does not leave it without rows.
pub(super) fn largest(list: &str, rows: &'static str, kind: &str) -> Vec<Step> {
    let wanted = format!(
        "$[?(@.none==1 || (@.name =~ \"{{$OOMWATCH.{kind}.MATCHES}}\" && !(@.name =~ \"{{$OOMWATCH.{kind}.NOT_MATCHES}}\")))]"
    );
    vec![
        Step::JsonPath(format!("$.{list}"), OnFail::Value("[]")),
        Step::JavaScript(rows),
        Step::JsonPath(wanted, OnFail::Error),
        Step::JsonPath(format!("$[:{{$OOMWATCH.{kind}.TOP}}]"), OnFail::Error),
        Step::JavaScript(include_str!("scripts/sorted_rows.js")),
        Step::DiscardUnchanged("1h"),
    ]
}

/// How often what hardly changes is kept for a graph: frontends draw no line between points that are more than four polls apart.
const LINE: &str = "3m";

pub(super) fn macros() -> Vec<Macro> {
    [cgroup_macros(), unit_macros()].concat()
}

fn cgroup_macros() -> Vec<Macro> {
    vec![
        user_macro(
            "{$OOMWATCH.CGROUP.MATCHES}",
            ".*",
            t(
                "Regular expression without backslashes ([.], [0-9]) and double quotes over paths of memory cgroups: discovery takes the largest of those that match.",
                "メモリ cgroup のパスに対する正規表現（バックスラッシュと二重引用符は使えません）。一致したもののうち大きいものをディスカバリします。",
            ),
        ),
        user_macro(
            "{$OOMWATCH.CGROUP.NOT_MATCHES}",
            "^$",
            t(
                "Regular expression of the same kind over paths of memory cgroups that discovery leaves out. Example: ^/kubepods",
                "ディスカバリの対象としないメモリ cgroup のパス（同じ形の正規表現）。例: ^/kubepods",
            ),
        ),
        user_macro(
            "{$OOMWATCH.CGROUP.TOP}",
            "20",
            t(
                "How many memory cgroups with a limit or with kills are discovered, the largest.",
                "上限か強制終了のあるメモリ cgroup を、大きい順に何件ディスカバリするか。",
            ),
        ),
        user_macro(
            "{$OOMWATCH.CGROUP.USAGE.MAX}",
            "95",
            t(
                "The largest percentage of its limit that a memory cgroup may use for five minutes. May be set for a cgroup by context.",
                "メモリ cgroup が 5 分間続けて使ってもよい、上限に対する割合（%）。cgroup のパスをコンテキストにして個別に設定できます。",
            ),
        ),
    ]
}

fn unit_macros() -> Vec<Macro> {
    vec![
        user_macro(
            "{$OOMWATCH.UNIT.LIMITED}",
            ".*",
            t(
                "^1$: only services with a memory limit are discovered.",
                "^1$ にすると、メモリ上限のあるサービスだけをディスカバリします。",
            ),
        ),
        user_macro(
            "{$OOMWATCH.UNIT.MATCHES}",
            ".*",
            t(
                "Regular expression without backslashes ([.], [0-9]) and double quotes over names of services: discovery takes the first of those that match.",
                "サービス名に対する正規表現（バックスラッシュと二重引用符は使えません）。一致したものから順にディスカバリします。",
            ),
        ),
        user_macro(
            "{$OOMWATCH.UNIT.NOT_MATCHES}",
            "^$",
            t(
                "Regular expression of the same kind over names of services that discovery leaves out.",
                "ディスカバリの対象としないサービス名（同じ形の正規表現）。",
            ),
        ),
        user_macro(
            "{$OOMWATCH.UNIT.TOP}",
            "20",
            t(
                "How many services are discovered: those with a limit or with kills first, then the largest.",
                "何件のサービスをディスカバリするか（上限か強制終了のあるものを優先し、次に大きい順）。",
            ),
        ),
    ]
}

/// The words of systemd.
pub(super) fn valuemaps() -> Vec<ValueMap> {
    vec![
        ValueMap {
            id: "unit_state",
            name: t("OomWatch: state of a service", "OomWatch: サービスの状態"),
            words: vec![
                ("active", t("Running", "稼働中")),
                ("reloading", t("Reloading", "再読み込み中")),
                ("activating", t("Starting", "起動中")),
                ("deactivating", t("Stopping", "停止中")),
                ("inactive", t("Stopped", "停止")),
                ("failed", t("Failed", "失敗")),
            ],
        },
        ValueMap {
            id: "unit_result",
            name: t("OomWatch: result of a service", "OomWatch: サービスの結果"),
            words: vec![
                ("success", t("Success", "成功")),
                ("oom-kill", t("OOM kill", "OOM による強制終了")),
                ("exit-code", t("Error", "エラー終了")),
                ("signal", t("Signal", "シグナルによる終了")),
                ("core-dump", t("Core dump", "コアダンプ")),
                ("watchdog", t("Watchdog", "ウォッチドッグ")),
                ("timeout", t("Timeout", "タイムアウト")),
                ("start-limit-hit", t("Too many starts", "起動回数の超過")),
            ],
        },
    ]
}

/// The masters, and what is not of a single cgroup or service.
pub(super) fn items() -> Vec<Item> {
    vec![
        master(
            "cgroups",
            "oomwatch.oom.cgroups[100]",
            "1m",
            t("Cgroups: Memory", "cgroup: メモリ"),
            t(
                "The 100 largest memory cgroups with a limit or with kills, as JSON.",
                "上限か強制終了のあるメモリ cgroup のうち、大きい 100 件（JSON）。",
            ),
        )
        .step(Step::NotSupported(OnFail::Discard)),
        dependent(
            "cgroups.total",
            "cgroups",
            t("Cgroups: With a limit or kills", "cgroup: 上限か強制終了のある数"),
            t(
                "Memory cgroups with a limit or with kills. No value where no cgroup counts memory.",
                "上限か強制終了のあるメモリ cgroup の数。cgroup がメモリを数えていなければ値はありません。",
            ),
        )
        .component("cgroups")
        .path("$.total"),
        master(
            "units",
            "oomwatch.systemd.units[100]",
            "1m",
            t("Services: Memory and results", "サービス: メモリと結果"),
            t("Services of systemd as JSON.", "systemd のサービス（JSON）。"),
        )
        .step(Step::NotSupported(OnFail::Discard)),
        dependent(
            "units.oom_kills",
            "units",
            t("Services: OOM kills", "サービス: OOM による強制終了"),
            t(
                "How often a service ended in an OOM kill, over all services. No value where systemd cannot be asked.",
                "サービスが OOM による強制終了で終わった回数（全サービスの合計）。systemd に問い合わせられなければ値はありません。",
            ),
        )
        .component("services")
        .path("$.oom_kills"),
        dependent(
            "units.bus",
            "units",
            t("Services: Connection to systemd", "サービス: systemd との接続"),
            t(
                "connected; off, where the plugin's option Systemd says so; unreachable and why.",
                "connected（接続中）、off（プラグインの Systemd オプションで無効）、または unreachable とその理由。",
            ),
        )
        .values(Values::Text)
        .component("sight")
        .path("$.bus")
        .heartbeat("1h"),
    ]
}

pub(super) fn discoveries() -> Vec<Discovery> {
    vec![cgroups(), units()]
}

fn cgroups() -> Discovery {
    Discovery {
        id: "cgroups.discovery",
        name: t("Memory cgroups", "メモリ cgroup"),
        description: t(
            "The largest memory cgroups with a limit or with kills: {$OOMWATCH.CGROUP.TOP}, {$OOMWATCH.CGROUP.MATCHES}, {$OOMWATCH.CGROUP.NOT_MATCHES}.",
            "上限か強制終了のある大きいメモリ cgroup: {$OOMWATCH.CGROUP.TOP}、{$OOMWATCH.CGROUP.MATCHES}、{$OOMWATCH.CGROUP.NOT_MATCHES}。",
        ),
        master: "cgroups",
        steps: largest("cgroups", CGROUP_ROWS, "CGROUP"),
        paths: vec![("{#CGROUP}", "$.name"), ("{#SHORT}", "$.short")],
        filter: Vec::new(),
        items: cgroup_items(),
        triggers: vec![near_limit()],
        graphs: vec![Graph {
            id: "cgroup.memory",
            // A graph's name has at most 128 characters.
            name: t("Cgroup {#SHORT}: Memory", "cgroup {#SHORT}: メモリ"),
            lines: vec![gradient("cgroup.current"), bold("cgroup.max")],
        }],
    }
}

fn cgroup_items() -> Vec<Item> {
    let member = |id: &'static str, path: &str, name, description| {
        dependent(id, "cgroups", name, description)
            .key(&format!("oomwatch.{id}[{{#CGROUP}}]"))
            .component("cgroups")
            .path(&format!("$.cgroups[?(@.path==\"{{#CGROUP}}\")].{path}.first()"))
    };
    vec![
        member(
            "cgroup.current",
            "current_bytes",
            t("Cgroup {#CGROUP}: Memory", "cgroup {#CGROUP}: メモリ"),
            t("What it uses, page cache among it.", "使用量（ページキャッシュを含む）。"),
        )
        .units("B"),
        member(
            "cgroup.max",
            "max_bytes",
            t("Cgroup {#CGROUP}: Limit", "cgroup {#CGROUP}: 上限"),
            t("memory.max. No value without a limit.", "memory.max。上限がなければ値はありません。"),
        )
        .units("B")
        .heartbeat(LINE),
        member(
            "cgroup.percent",
            "percent",
            t("Cgroup {#CGROUP}: Usage", "cgroup {#CGROUP}: 使用率"),
            t(
                "As a percentage of its limit. No value without one.",
                "上限に対する割合。上限がなければ値はありません。",
            ),
        )
        .float("%"),
        member(
            "cgroup.oom_kill",
            "oom_kill",
            t("Cgroup {#CGROUP}: OOM kills", "cgroup {#CGROUP}: OOM による強制終了"),
            t(
                "Processes killed in it since it was made: the count begins anew when a service is started again.",
                "作成されてから強制終了されたプロセスの数。サービスが再起動されると数え直しになります。",
            ),
        )
        .heartbeat("10m"),
    ]
}

fn near_limit() -> Trigger {
    trigger(
        "cgroup.near",
        Severity::Warning,
        "capacity",
        // A trigger's name has at most 255 characters, and a pod's path nearly 200.
        t("Cgroup {#CGROUP} is near its memory limit", "cgroup {#CGROUP} のメモリが上限に近づいています。"),
        "min(@cgroup.percent,5m)>{$OOMWATCH.CGROUP.USAGE.MAX:\"{#CGROUP}\"}",
    )
    .event_name(t(
        "Cgroup {#CGROUP} is near its memory limit (over {$OOMWATCH.CGROUP.USAGE.MAX:\"{#CGROUP}\"} % for 5m)",
        "cgroup {#CGROUP} のメモリが上限に近づいています（5 分間 {$OOMWATCH.CGROUP.USAGE.MAX:\"{#CGROUP}\"} % 超）。",
    ))
    .opdata(t("Usage: {ITEM.LASTVALUE1}", "使用率: {ITEM.LASTVALUE1}"))
    .about(t(
        "When the kernel finds nothing more to reclaim in it, a process in it is killed. Page cache counts, and is given back: a service that reads many files may be here without danger.",
        "回収できるメモリがなくなると、この中のプロセスが強制終了されます。ページキャッシュも含まれますが、これは解放されるため、多くのファイルを読むサービスでは危険がないこともあります。",
    ))
    .depends_on(&["oom.global", "oom.memcg"])
}

fn units() -> Discovery {
    Discovery {
        id: "units.discovery",
        name: t("Services of systemd", "systemd のサービス"),
        description: t(
            "Services with a memory limit or with OOM kills first, then the largest: {$OOMWATCH.UNIT.TOP}, {$OOMWATCH.UNIT.LIMITED}, {$OOMWATCH.UNIT.MATCHES}, {$OOMWATCH.UNIT.NOT_MATCHES}.",
            "メモリ上限か OOM 強制終了のあるサービスを優先し、次に大きい順: {$OOMWATCH.UNIT.TOP}、{$OOMWATCH.UNIT.LIMITED}、{$OOMWATCH.UNIT.MATCHES}、{$OOMWATCH.UNIT.NOT_MATCHES}。",
        ),
        master: "units",
        steps: largest("units", UNIT_ROWS, "UNIT"),
        paths: vec![("{#LIMITED}", "$.limited"), ("{#UNIT}", "$.name")],
        filter: vec![Condition {
            lld_macro: "{#LIMITED}",
            matches: true,
            regexp: "{$OOMWATCH.UNIT.LIMITED}",
        }],
        items: [unit_memory_items(), unit_state_items()].concat(),
        triggers: vec![down()],
        graphs: vec![Graph {
            id: "unit.memory",
            name: t("Service {#UNIT}: Memory", "サービス {#UNIT}: メモリ"),
            lines: vec![gradient("unit.memory"), bold("unit.memory.max"), line("unit.oom_kills").right()],
        }],
    }
}

fn unit_member(id: &'static str, path: &str, [en, ja]: [&str; 2], description: super::model::Text) -> Item {
    let name = t(&format!("Service {{#UNIT}}: {en}"), &format!("サービス {{#UNIT}}: {ja}"));
    dependent(id, "units", name, description)
        .key(&format!("oomwatch.{id}[{{#UNIT}}]"))
        .component("services")
        .path(&format!("$.units[?(@.unit==\"{{#UNIT}}\")].{path}.first()"))
}

fn unit_memory_items() -> Vec<Item> {
    vec![
        unit_member(
            "unit.memory",
            "memory_current_bytes",
            ["Memory", "メモリ"],
            t(
                "What it uses, page cache among it. No value while it does not run.",
                "使用量（ページキャッシュを含む）。停止中は値がありません。",
            ),
        )
        .units("B"),
        unit_member(
            "unit.memory.max",
            "memory_max_bytes",
            ["Memory limit", "メモリ上限"],
            t("MemoryMax=. No value without a limit.", "MemoryMax=。上限がなければ値はありません。"),
        )
        .units("B")
        .heartbeat(LINE),
    ]
}

fn unit_state_items() -> Vec<Item> {
    vec![
        unit_member(
            "unit.oom_kills",
            "oom_kills",
            ["OOM kills", "OOM による強制終了"],
            t(
                "How often it ended in an OOM kill. It only grows, over restarts of the plugin, too.",
                "OOM による強制終了で終わった回数。プラグインの再起動をまたいで増え続けます。",
            ),
        )
        .heartbeat(LINE),
        unit_member(
            "unit.restarts",
            "restarts",
            ["Restarts", "自動再起動"],
            t("How often systemd has started it again by itself.", "systemd が自動的に再起動した回数。"),
        )
        .heartbeat("10m"),
        unit_member(
            "unit.state",
            "active_state",
            ["State", "状態"],
            t("ActiveState of the unit.", "ユニットの ActiveState。"),
        )
        .values(Values::Char)
        .valuemap("unit_state"),
        unit_member(
            "unit.result",
            "result",
            ["Result", "結果"],
            t("How it last ended: Result of the unit.", "最後の終わり方（ユニットの Result）。"),
        )
        .values(Values::Char)
        .valuemap("unit_result"),
    ]
}

/// The kill itself is a problem already, with the unit among its tags: this is what it may leave behind.
fn down() -> Trigger {
    trigger(
        "unit.down",
        Severity::High,
        "availability",
        t("Service {#UNIT} is down since an OOM kill", "サービス {#UNIT} が OOM による強制終了の後、停止したままです。"),
        "last(@unit.state)=\"failed\" and last(@unit.result)=\"oom-kill\"",
    )
    .opdata(t("State: {ITEM.LASTVALUE1}", "状態: {ITEM.LASTVALUE1}"))
    .about(t(
        "systemd has not started it again: start it, and consider Restart=on-failure. While the problem of a kill on the whole machine is open, this one waits.",
        "systemd は再起動していません。起動し、Restart=on-failure の設定を検討してください。マシン全体での強制終了の障害が開いている間は発生しません。",
    ))
    .manual_close()
    .depends_on(&["oom.global"])
}

/// The dashboard's page of both.
pub(super) fn page() -> Page {
    let row = |height, widgets| Row { height, widgets };
    Page {
        name: t("Services and cgroups", "サービスと cgroup"),
        rows: vec![
            row(
                4,
                vec![
                    Widget::Honeycomb {
                        pattern: t("Service *: Memory", "サービス *: メモリ"),
                        name: t("Memory by service", "サービスごとのメモリ"),
                    },
                    Widget::Honeycomb {
                        pattern: t("Cgroup *: Usage", "cgroup *: 使用率"),
                        name: t("Usage of limits by cgroup", "cgroup ごとの上限使用率"),
                    },
                ],
            ),
            row(10, vec![Widget::GraphPrototype { graph: "unit.memory", columns: 2, rows: 2 }]),
            row(10, vec![Widget::GraphPrototype { graph: "cgroup.memory", columns: 2, rows: 2 }]),
        ],
    }
}
