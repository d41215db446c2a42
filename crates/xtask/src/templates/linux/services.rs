//! Services of systemd.

use super::super::common::discard_errors;
use super::super::model::{
    Condition, DiscoveryRule, Graph, Item, Severity, Text, Trigger, UserMacro, ValueMap, ValueType, bold,
    dependent, gradient, line, master, text, trigger, user_macro, value_map,
};
use super::largest::{LIMIT_HEARTBEAT, largest};

const ROWS: &str =
    concat!("var NAME = 'unit', LIMIT = 'memory_max_bytes';\n", include_str!("../scripts/rows.js"));

pub(super) fn macros() -> Vec<UserMacro> {
    vec![
        user_macro(
            "{$OOMWATCH.UNIT.LIMITED}",
            ".*",
            text(
                "^1$: discover only services with a memory limit. .*: discover all services.",
                "^1$: メモリ上限のあるサービスだけをディスカバリします。.*: すべてのサービスをディスカバリします。",
            ),
        ),
        user_macro(
            "{$OOMWATCH.UNIT.MATCHES}",
            ".*",
            text(
                "Regular expression for names of services that are discovered. Backslashes and double quotes are not permitted: write \
                 [.] and [0-9].",
                "ディスカバリするサービス名の正規表現。バックスラッシュと二重引用符は使えません。[.] や [0-9] と書いてください。",
            ),
        ),
        user_macro(
            "{$OOMWATCH.UNIT.NOT_MATCHES}",
            "^$",
            text(
                "Regular expression for names of services that are not discovered. Same rules as for {$OOMWATCH.UNIT.MATCHES}.",
                "ディスカバリの対象外とするサービス名の正規表現。書き方は {$OOMWATCH.UNIT.MATCHES} と同じです。",
            ),
        ),
        user_macro(
            "{$OOMWATCH.UNIT.TOP}",
            "20",
            text(
                "Maximum number of discovered services: those with a memory limit or with OOM kills first, then the largest.",
                "ディスカバリするサービスの最大数（メモリ上限か OOM による強制終了のあるものを優先し、次に大きい順）。",
            ),
        ),
    ]
}

/// The values are systemd's own words.
pub(super) fn value_maps() -> Vec<ValueMap> {
    vec![
        value_map(
            "unit_state",
            text("OomWatch: state of a service", "OomWatch: サービスの状態"),
            vec![
                ("active", text("Running", "稼働中")),
                ("reloading", text("Reloading", "再読み込み中")),
                ("activating", text("Starting", "起動中")),
                ("deactivating", text("Stopping", "停止処理中")),
                ("inactive", text("Stopped", "停止")),
                ("failed", text("Failed", "失敗")),
            ],
        ),
        value_map(
            "unit_result",
            text("OomWatch: result of a service", "OomWatch: サービスの結果"),
            vec![
                ("success", text("Success", "成功")),
                ("oom-kill", text("OOM kill", "OOM による強制終了")),
                ("exit-code", text("Exit code", "エラー終了")),
                ("signal", text("Signal", "シグナルによる終了")),
                ("core-dump", text("Core dump", "コアダンプ")),
                ("watchdog", text("Watchdog", "ウォッチドッグ")),
                ("timeout", text("Timeout", "タイムアウト")),
                ("start-limit-hit", text("Start limit reached", "起動回数の上限超過")),
            ],
        ),
    ]
}

pub(super) fn items() -> Vec<Item> {
    vec![
        master(
            "units",
            "oomwatch.systemd.units[100]",
            "1m",
            text("Services: Memory and results", "サービス: メモリと結果"),
            text(
                "Up to 100 services of systemd with their memory, states and OOM kills as JSON.",
                "systemd のサービス（最大 100 件）のメモリ、状態、OOM による強制終了（JSON）。",
            ),
        )
        .step(discard_errors()),
        dependent(
            "units.oom_kills",
            "units",
            text("Services: OOM kills", "サービス: OOM による強制終了"),
            text(
                "Number of OOM kills of all services. The value never decreases. Empty if systemd does not respond on D-Bus.",
                "全サービスの OOM による強制終了の合計。減ることはありません。systemd が D-Bus で応答しない場合は値がありません。",
            ),
        )
        .component("services")
        .json_path("$.oom_kills"),
        dependent(
            "units.bus",
            "units",
            text("Services: Connection to systemd", "サービス: systemd との接続"),
            text(
                "connected: the plugin is connected to systemd. off: the plugin's option Systemd disables the connection. unreachable: \
                 followed by the reason.",
                "connected: systemd に接続しています。off: プラグインの Systemd オプションで無効になっています。unreachable: 接続できません（理由が続きます）。",
            ),
        )
        .value_type(ValueType::Text)
        .component("access")
        .json_path("$.bus")
        .heartbeat("1h"),
    ]
}

pub(super) fn discovery() -> DiscoveryRule {
    DiscoveryRule {
        id: "units.discovery",
        name: text("Services of systemd", "systemd のサービス"),
        description: text(
            "Discovers services: those with a memory limit or with OOM kills first, then the largest. Macros: {$OOMWATCH.UNIT.TOP}, \
             {$OOMWATCH.UNIT.LIMITED}, {$OOMWATCH.UNIT.MATCHES}, {$OOMWATCH.UNIT.NOT_MATCHES}.",
            "サービスをディスカバリします。メモリ上限か OOM による強制終了のあるものを優先し、次に大きい順です。マクロ: {$OOMWATCH.UNIT.TOP}、\
             {$OOMWATCH.UNIT.LIMITED}、{$OOMWATCH.UNIT.MATCHES}、{$OOMWATCH.UNIT.NOT_MATCHES}。",
        ),
        master: "units",
        steps: largest("units", ROWS, "UNIT"),
        paths: vec![("{#LIMITED}", "$.limited"), ("{#UNIT}", "$.name")],
        filter: vec![Condition {
            lld_macro: "{#LIMITED}",
            matches: true,
            regexp: "{$OOMWATCH.UNIT.LIMITED}",
        }],
        items: [memory_prototypes(), state_prototypes()].concat(),
        triggers: vec![down()],
        graphs: vec![Graph {
            id: "unit.memory",
            name: text("Service {#UNIT}: Memory", "サービス {#UNIT}: メモリ"),
            lines: vec![
                gradient("unit.memory"),
                bold("unit.memory.max"),
                line("unit.oom_kills").right_axis(),
            ],
        }],
    }
}

fn prototype(id: &'static str, member: &str, [en, ja]: [&str; 2], description: Text) -> Item {
    let name = text(&format!("Service {{#UNIT}}: {en}"), &format!("サービス {{#UNIT}}: {ja}"));
    dependent(id, "units", name, description)
        .key(&format!("oomwatch.{id}[{{#UNIT}}]"))
        .component("services")
        .json_path(&format!("$.units[?(@.unit==\"{{#UNIT}}\")].{member}.first()"))
}

fn memory_prototypes() -> Vec<Item> {
    vec![
        prototype(
            "unit.memory",
            "memory_current_bytes",
            ["Memory", "メモリ"],
            text(
                "Memory of the service, including page cache: MemoryCurrent of the unit. Empty while the service is not running.",
                "サービスのメモリ使用量。ページキャッシュを含みます（ユニットの MemoryCurrent）。停止中は値がありません。",
            ),
        )
        .units("B"),
        prototype(
            "unit.memory.max",
            "memory_max_bytes",
            ["Memory limit", "メモリ上限"],
            text(
                "Memory limit of the service: MemoryMax= of the unit. Empty if the service has no limit.",
                "サービスのメモリ上限（ユニットの MemoryMax=）。上限がなければ値はありません。",
            ),
        )
        .units("B")
        .heartbeat(LIMIT_HEARTBEAT),
    ]
}

fn state_prototypes() -> Vec<Item> {
    vec![
        prototype(
            "unit.oom_kills",
            "oom_kills",
            ["OOM kills", "OOM による強制終了"],
            text(
                "Number of OOM kills of the service. The value never decreases, and restarts of the plugin do not reset it.",
                "サービスの OOM による強制終了の回数。プラグインを再起動しても引き継がれ、減ることはありません。",
            ),
        )
        .heartbeat(LIMIT_HEARTBEAT),
        prototype(
            "unit.restarts",
            "restarts",
            ["Restarts", "自動再起動"],
            text(
                "Number of automatic restarts of the service by systemd: NRestarts of the unit.",
                "systemd がサービスを自動的に再起動した回数（ユニットの NRestarts）。",
            ),
        )
        .heartbeat("10m"),
        prototype(
            "unit.state",
            "active_state",
            ["State", "状態"],
            text("State of the service: ActiveState of the unit.", "サービスの状態（ユニットの ActiveState）。"),
        )
        .value_type(ValueType::Char)
        .value_map("unit_state"),
        prototype(
            "unit.result",
            "result",
            ["Result", "結果"],
            text(
                "How the last run of the service ended: Result of the unit.",
                "サービスの直近の実行がどのように終わったか（ユニットの Result）。",
            ),
        )
        .value_type(ValueType::Char)
        .value_map("unit_result"),
    ]
}

/// The kill itself raises a problem with the unit as a tag. This trigger reports that the service stayed down.
fn down() -> Trigger {
    trigger(
        "unit.down",
        Severity::High,
        "availability",
        text(
            "Service {#UNIT}: down since an OOM kill",
            "サービス {#UNIT} が OOM による強制終了の後、停止したままです。",
        ),
        "last(@unit.state)=\"failed\" and last(@unit.result)=\"oom-kill\"",
    )
    .opdata(text("State: {ITEM.LASTVALUE1}", "状態: {ITEM.LASTVALUE1}"))
    .description(text(
        "systemd did not restart the service. Start it, and consider Restart=on-failure in the unit. This problem is not raised while a \
         problem \"OOM killer was invoked\" is open.",
        "systemd はサービスを再起動していません。サービスを起動し、ユニットに Restart=on-failure を設定することを検討してください。\
         「OOM killer が発動されました。」の障害が続いている間は、この障害は発生しません。",
    ))
    .manual_close()
    .depends_on(&["oom.global"])
}
