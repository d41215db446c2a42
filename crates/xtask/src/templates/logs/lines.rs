//! "OomWatch log": the matching lines of logs as text.
//!
//! These items need active checks, because a passive check has no reply without a value, and most polls find no new line.

use super::super::common::discard_errors;
use super::super::model::{
    Check, Item, Template, Text, Trigger, UserMacro, ValueType, agent, sorted, text, user_macro,
};
use super::super::patterns::{APACHE_MAX, LinePattern, OOM, PHPFPM_MAX};
use super::silence::{recent_line, silence};

/// A log whose matching lines are sent.
struct WatchedLog {
    id: &'static str,
    trigger_id: &'static str,
    key: &'static str,
    /// The macro of the file, and its default.
    file: (&'static str, &'static str),
    /// The macro of the pattern, and its default.
    pattern: (&'static str, &'static LinePattern),
    item_name: Text,
    trigger_name: Text,
}

fn watched_logs() -> [WatchedLog; 3] {
    [
        WatchedLog {
            id: "kernel",
            trigger_id: "kernel.oom",
            key: "oomwatch.log",
            file: ("{$OOMWATCH.SYSLOG}", "/var/log/messages"),
            pattern: ("{$OOMWATCH.OOM.PATTERN}", &OOM),
            item_name: text("Log: OOM killer", "ログ: OOM killer"),
            trigger_name: text("Log: OOM killer was invoked", "ログ: OOM killer が発動されました。"),
        },
        WatchedLog {
            id: "apache",
            trigger_id: "apache.full",
            key: "oomwatch.log",
            file: ("{$OOMWATCH.APACHE.LOG}", "/var/log/apache2/error.log"),
            pattern: ("{$OOMWATCH.APACHE.MAX.PATTERN}", &APACHE_MAX),
            item_name: text("Log: Apache worker limit", "ログ: Apache の上限到達"),
            trigger_name: text(
                "Log: Apache worker limit reached",
                "ログ: apacheのプロセスが上限に達しました。",
            ),
        },
        WatchedLog {
            id: "phpfpm",
            trigger_id: "phpfpm.full",
            key: "oomwatch.logrt",
            file: ("{$OOMWATCH.PHPFPM.LOG}", "/var/log/^php[0-9.]*-fpm[.]log$"),
            pattern: ("{$OOMWATCH.PHPFPM.MAX.PATTERN}", &PHPFPM_MAX),
            item_name: text("Log: PHP-FPM worker limit", "ログ: PHP-FPM の上限到達"),
            trigger_name: text(
                "Log: PHP-FPM worker limit reached",
                "ログ: php-fpmのプロセスが上限に達しました。",
            ),
        },
    ]
}

pub(crate) fn template() -> Template {
    let logs = watched_logs();
    let description = text(
        "Collects the log lines that report an OOM kill or a reached worker limit. A problem recovers ten minutes after the last line. \
         Set EnablePersistentBuffer=1 in the agent's configuration, so that no line is lost while the server is down. Lines that are \
         found in the same poll are one value.",
        "OOM による強制終了やワーカーの上限到達を示すログの行を収集します。障害は最後の行から 10 分で復旧します。サーバーの停止中に行を失わないよう、\
         エージェントに EnablePersistentBuffer=1 を設定してください。1 回のポーリングで見つかった行は 1 つの値になります。",
    );
    Template {
        macros: sorted(logs.iter().flat_map(macros).chain([silence()]).collect()),
        items: logs.iter().map(item).collect(),
        triggers: logs.iter().map(line_trigger).collect(),
        ..Template::empty("log", Check::Active, "OomWatch log", "log", description)
    }
}

fn macros(log: &WatchedLog) -> [UserMacro; 2] {
    let file = text(
        "Path of the log. Kernel messages: /var/log/kern.log on Debian and Ubuntu. Apache: /var/log/httpd/error_log on Red Hat. php-fpm: \
         a directory, followed by a regular expression for the file name; /var/log/php-fpm/^error[.]log$ on Red Hat.",
        "ログのパス。カーネルメッセージ: Debian / Ubuntu では /var/log/kern.log。Apache: Red Hat 系では /var/log/httpd/error_log。\
         php-fpm: ディレクトリに続けてファイル名の正規表現（Red Hat 系では /var/log/php-fpm/^error[.]log$）。",
    );
    let pattern = text(
        "Regular expression for the lines that are sent and raise a problem.",
        "送信して障害とする行の正規表現。",
    );
    [user_macro(log.file.0, log.file.1, file), user_macro(log.pattern.0, log.pattern.1.regexp, pattern)]
}

fn item(log: &WatchedLog) -> Item {
    let key = format!("{}[{},{},,,skip]", log.key, log.file.0, log.pattern.0);
    let description = text(
        "New lines that match the pattern. Empty if the log does not exist or cannot be read.",
        "パターンに一致した新しい行。ログがないか読めない場合は値がありません。",
    );
    agent(log.id, &key, "10s", log.item_name.clone(), description)
        .value_type(ValueType::Text)
        .component("log")
        .step(discard_errors())
}

/// The key sends only lines that match the pattern, so any line counts.
fn line_trigger(log: &WatchedLog) -> Trigger {
    recent_line(log.trigger_id, log.id, ".", log.trigger_name.clone())
}
