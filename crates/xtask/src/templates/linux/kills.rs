//! OOM kills: the reports, the counts, and the triggers on them.

use super::super::common::{discard_errors, is_new};
use super::super::model::{
    Graph, Item, LAST_VALUE, OnFail, Severity, Step, Text, Trigger, UserMacro, ValueType, agent, bold,
    dependent, line, master, text, trigger, untranslated, user_macro,
};

const GLOBAL_LINES: &str = concat!("var MEMCG = false;\n", include_str!("../scripts/oom_lines.js"));
const MEMCG_LINES: &str = concat!("var MEMCG = true;\n", include_str!("../scripts/oom_lines.js"));
/// Expected and unexpected kills have items of their own, so that neither hides the other.
const IS_EXPECTED: &str = "@.line =~ \"{$OOMWATCH.OOM.EXPECTED}\"";

pub(super) fn macros() -> Vec<UserMacro> {
    vec![user_macro(
        "{$OOMWATCH.OOM.EXPECTED}",
        "^$",
        text(
            "Regular expression for expected OOM kills in memory cgroups. A match raises a problem of severity information instead \
             of warning. It is applied to the kill's line (victim, unit=, cgroup=). Backslashes and double quotes are not \
             permitted: write [.] and [0-9]. Example: cgroup=/kubepods",
            "メモリ cgroup 内の OOM による強制終了のうち、想定内とみなすものの正規表現。一致したものは深刻度「警告」ではなく「情報」の障害になります。\
             強制終了の行（プロセス、unit=、cgroup=）に対して適用します。バックスラッシュと二重引用符は使えません。[.] や [0-9] と書いてください。\
             例: cgroup=/kubepods",
        ),
    )]
}

pub(super) fn items() -> Vec<Item> {
    [report_items(), count_items()].concat()
}

fn report_items() -> Vec<Item> {
    let last_kill = |id, lines, condition: &str, name, description| {
        dependent(id, "oom.list", name, description)
            .value_type(ValueType::Char)
            .component("oom")
            .step(Step::JavaScript(lines))
            .step(Step::JsonPath(format!("$[?(@.none==1 || {condition})]"), OnFail::Error))
            .step(Step::JavaScript(include_str!("../scripts/oom_newest.js")))
    };
    vec![
        master(
            "oom.list",
            "oomwatch.oom.list[20]",
            "30s",
            text("OOM: Latest reports", "OOM: 最近の報告"),
            text(
                "The 20 latest reports of the OOM killer as JSON.",
                "OOM killer の最近の報告 20 件（JSON）。",
            ),
        )
        .step(discard_errors()),
        last_kill(
            "oom.event.global",
            GLOBAL_LINES,
            "@.none==0",
            text("OOM: Last kill on the whole host", "OOM: ホスト全体での最後の強制終了"),
            text(
                "The last victim that was killed because the whole host was out of memory: name, PID, UID, memory, unit, killer, \
                 source and trust. Trust is \"low\" if any local user could have written the report. \"none\" if there was no such kill.",
                "ホスト全体のメモリが枯渇したために最後に強制終了されたプロセス: 名前、PID、UID、メモリ、ユニット、強制終了を実行したプログラム、情報源、信頼度。\
                 一般のローカルユーザーでも書き込める情報源の場合、信頼度は low です。該当する強制終了がなければ none です。",
            ),
        ),
        last_kill(
            "oom.event.memcg",
            MEMCG_LINES,
            &format!("!({IS_EXPECTED})"),
            text("OOM: Last kill in a memory cgroup", "OOM: メモリ cgroup 内での最後の強制終了"),
            text(
                "The last victim that was killed because a memory cgroup (a service or container) reached its limit. Kills that \
                 match {$OOMWATCH.OOM.EXPECTED} are not included. \"none\" if there was no such kill.",
                "メモリ cgroup（サービスやコンテナ）が上限に達したために最後に強制終了されたプロセス。{$OOMWATCH.OOM.EXPECTED} に一致するものは\
                 含みません。該当する強制終了がなければ none です。",
            ),
        ),
        last_kill(
            "oom.event.expected",
            MEMCG_LINES,
            IS_EXPECTED,
            text(
                "OOM: Last expected kill in a memory cgroup",
                "OOM: メモリ cgroup 内での最後の想定内の強制終了",
            ),
            text(
                "The last victim in a memory cgroup that matches {$OOMWATCH.OOM.EXPECTED}. \"none\" if there was no such kill.",
                "メモリ cgroup 内で最後に強制終了されたプロセスのうち、{$OOMWATCH.OOM.EXPECTED} に一致するもの。該当する強制終了がなければ none です。",
            ),
        ),
    ]
}

fn count_items() -> Vec<Item> {
    vec![
        agent(
            "oom.total",
            "oomwatch.oom.total",
            "30s",
            text("OOM: Total kills", "OOM: 強制終了の累計"),
            text(
                "Number of processes that the OOM killer has killed since the plugin's first poll, across reboots. The value never decreases.",
                "プラグインが最初に値を取得してから OOM killer が強制終了したプロセスの数。再起動をまたいで数え、減ることはありません。",
            ),
        )
        .component("oom")
        .step(discard_errors()),
        dependent(
            "oom.unreported",
            "oom.sources",
            text("OOM: Kills without a report", "OOM: 報告のない強制終了"),
            text(
                "Number of kills since boot that the kernel counted and no source reported. Empty if the kernel has no such counter (before 4.13).",
                "起動後にカーネルが数えた強制終了のうち、どの情報源にも報告がないものの数。カーネルにこのカウンターがない場合（4.13 より前）は値がありません。",
            ),
        )
        .component("oom")
        .step(Step::JavaScript(include_str!("../scripts/unreported.js")))
        .json_path("$.value"),
    ]
}

/// The victim: the part of a kill's line before the details.
const VICTIM: &str = "{{ITEM.LASTVALUE1}.regsub(\"^([^;]+)\",\"\\1\")}";

/// The details of a kill's line as tags of the problem.
const DETAIL_TAGS: [(&str, &str); 4] = [
    ("unit", "{{ITEM.LASTVALUE1}.regsub(\"; unit=([^;]+)\",\"\\1\")}"),
    ("cgroup", "{{ITEM.LASTVALUE1}.regsub(\"; cgroup=([^;]+)\",\"\\1\")}"),
    ("source", "{{ITEM.LASTVALUE1}.regsub(\"; source=([^;]+)\",\"\\1\")}"),
    ("trust", "{{ITEM.LASTVALUE1}.regsub(\"; trust=([^;]+)\",\"\\1\")}"),
];

/// Returns a trigger on a new line in the item of the same kind of kill.
fn kill(
    id: &'static str,
    severity: Severity,
    item: &str,
    tag: &'static str,
    [name, event_prefix, description]: [Text; 3],
) -> Trigger {
    let tags: Vec<_> = std::iter::once(("oom", tag)).chain(DETAIL_TAGS).collect();
    trigger(id, severity, "availability", name, &is_new(item))
        .event_name(event_prefix.map(|prefix| format!("{prefix}{VICTIM}")))
        .opdata(untranslated(LAST_VALUE))
        .description(description)
        .manual_close()
        .tags(&tags)
}

pub(super) fn triggers() -> Vec<Trigger> {
    let in_cgroup = text(
        "A service or container reached its own memory limit. The rest of the host is not affected. The problem recovers ten \
         minutes after the last kill.",
        "サービスやコンテナが自身のメモリ上限に達しました。ホストの他の部分には影響しません。最後の強制終了から 10 分で復旧します。",
    );
    vec![
        kill(
            "oom.global",
            Severity::High,
            "oom.event.global",
            "global",
            [
                text("OOM killer was invoked", "OOM killer が発動されました。"),
                text("OOM killer was invoked: ", "OOM killer が発動されました。"),
                text(
                    "The whole host was out of memory, and the kernel, systemd-oomd or earlyoom killed a process. If systemd is the only \
                 source (source=systemd), the cause may also be the service's own limit. The problem recovers ten minutes after the last kill.",
                    "ホスト全体のメモリが枯渇し、カーネル、systemd-oomd または earlyoom がプロセスを強制終了しました。情報源が systemd だけの場合\
                 （source=systemd）は、サービス自身の上限が原因の可能性もあります。最後の強制終了から 10 分で復旧します。",
                ),
            ],
        ),
        kill(
            "oom.memcg",
            Severity::Warning,
            "oom.event.memcg",
            "cgroup",
            [
                text("OOM kill in a memory cgroup", "メモリ cgroup 内で OOM killer が発動されました。"),
                text("OOM kill in a memory cgroup: ", "メモリ cgroup 内で OOM killer が発動されました。"),
                in_cgroup.clone(),
            ],
        ),
        kill(
            "oom.expected",
            Severity::Info,
            "oom.event.expected",
            "cgroup",
            [
                text(
                    "Expected OOM kill in a memory cgroup",
                    "メモリ cgroup 内で想定内の OOM 強制終了がありました。",
                ),
                text(
                    "Expected OOM kill in a memory cgroup: ",
                    "メモリ cgroup 内で想定内の OOM 強制終了がありました。",
                ),
                in_cgroup,
            ],
        ),
        unreported(),
    ]
}

/// A kill that was counted and not reported. It depends on the triggers on reports, so that a kill raises one problem.
///
/// The counts and the reports are polled at different times. This trigger compares fewer values and starts later than the
/// triggers on reports, so that it never fires beside them.
fn unreported() -> Trigger {
    trigger(
        "oom.unreported",
        Severity::High,
        "availability",
        text("OOM killer was invoked: no source reports the victim", "OOM killer が発動されましたが、何が強制終了されたか不明です。"),
        "min(@oom.unreported,#2)>min(@oom.unreported,#21) or min(@oom.total,#3)>min(@oom.total,#19)",
    )
    .opdata(text(
        "Kills without a report: {ITEM.LASTVALUE1}, total kills: {ITEM.LASTVALUE3}",
        "報告のない強制終了: {ITEM.LASTVALUE1}、強制終了の累計: {ITEM.LASTVALUE3}",
    ))
    .description(text(
        "The number of kills increased, but no report of the kill can be read. The item \"OOM: Sources that cannot be read\" lists the \
         reasons and remedies. The problem recovers ten minutes after the last kill.",
        "強制終了の数が増えましたが、その報告を読めません。原因と対処は「OOM: 読めない情報源」のアイテムを確認してください。\
         最後の強制終了から 10 分で復旧します。",
    ))
    .depends_on(&["oom.global", "oom.memcg", "oom.expected"])
    .manual_close()
    .tags(&[("oom", "unknown")])
}

pub(super) fn graphs() -> Vec<Graph> {
    vec![Graph {
        id: "kills",
        name: text("OomWatch: OOM kills", "OomWatch: OOM による強制終了"),
        lines: vec![bold("oom.total"), line("oom.unreported")],
    }]
}
