//! The plugin itself.

use super::super::common::discard_errors;
use super::super::model::{
    Item, Severity, Step, Trigger, UserMacro, ValueType, dependent, master, text, trigger, user_macro,
};

pub(super) fn macros() -> Vec<UserMacro> {
    vec![user_macro(
        "{$OOMWATCH.NODATA}",
        "10m",
        text(
            "A problem is raised if the plugin sends no data for this time.",
            "この時間プラグインからデータが届かなければ障害とします。",
        ),
    )]
}

pub(super) fn items() -> Vec<Item> {
    [vec![self_master(), persistence()], state_items(), poll_items()].concat()
}

fn self_master() -> Item {
    master(
        "self",
        "oomwatch.self",
        "1m",
        text("Plugin: Statistics", "プラグイン: 統計"),
        text("Statistics of the plugin itself as JSON.", "プラグイン自身の統計（JSON）。"),
    )
    .step(discard_errors())
}

fn persistence() -> Item {
    dependent(
        "self.state",
        "self",
        text("Plugin: State", "プラグイン: 状態の保存"),
        text(
            "durable: log positions and recorded kills are kept across restarts. memory: the state directory cannot be used or \
             written, so they are lost when the plugin ends. read-only: another agent uses the state directory.",
            "durable: ログの読み取り位置と強制終了の記録を再起動後も保持します。memory: 状態ディレクトリを使えない、または書き込めない\
             ため、プラグインが終了すると失われます。\
             read-only: 別のエージェントが状態ディレクトリを使用中です。",
        ),
    )
    .value_type(ValueType::Char)
    .component("health")
    .json_path("$.state.persistence")
    .heartbeat("1h")
}

fn state_items() -> Vec<Item> {
    let member = |id, path, name, description| {
        dependent(id, "self", name, description).component("health").json_path(path)
    };
    vec![
        member(
            "self.version",
            "$.version",
            text("Plugin: Version", "プラグイン: バージョン"),
            text("Version of the plugin.", "プラグインのバージョン。"),
        )
        .value_type(ValueType::Char)
        .heartbeat("1d"),
        member(
            "self.uptime",
            "$.uptime_seconds",
            text("Plugin: Uptime", "プラグイン: 稼働時間"),
            text(
                "Time since the agent started the plugin.",
                "エージェントがプラグインを起動してからの時間。",
            ),
        )
        .units("uptime"),
        member(
            "self.rss",
            "$.process.rss_bytes",
            text("Plugin: Resident memory", "プラグイン: 常駐メモリ"),
            text("Resident memory (RSS) of the plugin process.", "プラグインのプロセスの常駐メモリ（RSS）。"),
        )
        .units("B"),
    ]
}

fn poll_items() -> Vec<Item> {
    let polls = |id, path, name, description| {
        dependent(id, "self", name, description).component("health").json_path(path)
    };
    vec![
        polls(
            "self.exports",
            "$.exports.total",
            text("Plugin: Polls per second", "プラグイン: 毎秒のポーリング数"),
            text(
                "Polls per second that the plugin replied to.",
                "プラグインが応答したポーリングの毎秒の数。",
            ),
        )
        .float("")
        .step(Step::ChangePerSecond),
        polls(
            "self.errors",
            "$.exports.errors",
            text("Plugin: Errors per second", "プラグイン: 毎秒のエラー数"),
            text(
                "Polls per second that the plugin replied to with an error.",
                "プラグインがエラーを返したポーリングの毎秒の数。",
            ),
        )
        .float("")
        .step(Step::ChangePerSecond),
        polls(
            "self.timeouts",
            "$.exports.timeouts",
            text("Plugin: Timeouts", "プラグイン: タイムアウト"),
            text(
                "Number of polls since the plugin's start that missed their deadline.",
                "プラグインの起動後、期限内に応答できなかったポーリングの数。",
            ),
        ),
        polls(
            "self.hanging",
            "$.exports.running_past_deadline",
            text("Plugin: Hanging handlers", "プラグイン: 応答しない処理"),
            text(
                "Number of polls that missed their deadline and are still running, for example because an NFS mount does not respond.",
                "期限を過ぎてもまだ終わらないポーリングの数。応答しない NFS マウントなどが原因です。",
            ),
        ),
    ]
}

pub(super) fn triggers() -> Vec<Trigger> {
    vec![
        trigger(
            "plugin.no_data",
            Severity::Average,
            "notice",
            text("OomWatch: no data for {$OOMWATCH.NODATA}", "OomWatch からデータが届きません（{$OOMWATCH.NODATA}）。"),
            "nodata(@self.uptime,{$OOMWATCH.NODATA})=1",
        )
        .description(text(
            "The agent is down, or the plugin is not installed or not configured. Check the agent's log.",
            "エージェントが停止しているか、プラグインがインストールまたは設定されていません。エージェントのログを確認してください。",
        ))
        .manual_close(),
        trigger(
            "plugin.hanging",
            Severity::Warning,
            "notice",
            text("OomWatch: polls hang for 10m", "OomWatch: 応答しない処理が 10 分続いています。"),
            "min(@self.hanging,10m)>0",
        )
        .description(text(
            "A file or service that the plugin reads does not respond, for example on a dead NFS mount.",
            "プラグインが読み取るファイルやサービスが応答していません（切れた NFS マウントなど）。",
        ))
        .opdata(text("Hanging: {ITEM.LASTVALUE1}", "応答なし: {ITEM.LASTVALUE1}")),
        trigger(
            "plugin.state",
            Severity::Warning,
            "notice",
            text("OomWatch: state is not durable", "OomWatch の状態が保存されません。"),
            "last(@self.state)<>\"durable\"",
        )
        .description(text(
            "memory: the state directory (Plugins.OomWatch.StateDir) cannot be written: the disk is full or read-only, or permissions \
             are wrong. read-only: another agent uses it. Recorded kills and log positions are lost at the next restart. The \
             reason is state.reason of oomwatch.self.",
            "memory: 状態ディレクトリ（Plugins.OomWatch.StateDir）に書き込めません。ディスクに空きがないか、読み取り専用か、権限が\
             正しくありません。read-only: 別のエージェントが使用中です。再起動すると強制終了の記録とログの読み取り位置が失われます。\
             理由は oomwatch.self の state.reason でわかります。",
        )),
    ]
}
