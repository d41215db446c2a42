//! What the agent's user can read: the sources of OOM reports, and the processes of other users.

use super::super::common::{discard_errors, is_no_for_5m};
use super::super::model::{Item, Severity, Step, Text, Trigger, ValueType, dependent, master, text, trigger};

pub(super) fn items() -> Vec<Item> {
    vec![
        master(
            "oom.sources",
            "oomwatch.oom.sources",
            "30s",
            text("OOM: Sources", "OOM: 情報源"),
            text(
                "The sources of OOM reports, their states and the counts of kills as JSON.",
                "OOM の報告の情報源、その状態、強制終了の数（JSON）。",
            ),
        )
        .step(discard_errors()),
        dependent(
            "oom.readable",
            "oom.sources",
            text("Agent: Kernel messages readable", "エージェント: カーネルメッセージの読み取り可否"),
            text(
                "Whether the agent can read /dev/kmsg, the journal or one of the kernel's log files. If not, kills are counted, but the \
                 victims are unknown.",
                "/dev/kmsg、ジャーナル、カーネルのログファイルのいずれかをエージェントが読めるか。読めない場合、強制終了の数はわかりますが、\
                 何が強制終了されたかはわかりません。",
            ),
        )
        .value_map("yes_no")
        .component("access")
        .boolean("$.readable"),
        dependent(
            "oom.unreadable",
            "oom.sources",
            text("OOM: Sources that cannot be read", "OOM: 読めない情報源"),
            text(
                "Each source that cannot be read, with the reason and the remedy. \"none\" if all sources can be read.",
                "読めない情報源と、その原因および対処。すべて読める場合は none です。",
            ),
        )
        .value_type(ValueType::Text)
        .component("access")
        .step(Step::JavaScript(include_str!("../scripts/unreadable_sources.js")))
        .heartbeat("1d"),
        dependent(
            "oom.messages_lost",
            "oom.sources",
            text("OOM: Lost kernel messages", "OOM: 失われたカーネルメッセージ"),
            text(
                "Number of kernel messages since boot that were overwritten in /dev/kmsg before the plugin read them.",
                "起動後、プラグインが読む前に /dev/kmsg で上書きされたカーネルメッセージの数。",
            ),
        )
        .component("access")
        .json_path("$.messages_lost"),
        dependent(
            "others_visible",
            "oom.risk",
            text("Agent: Processes of other users visible", "エージェント: 他ユーザーのプロセスの可視性"),
            text(
                "Whether the agent can see the processes of other users. \"No\" if /proc is mounted with hidepid.",
                "エージェントから他のユーザーのプロセスが見えるか。/proc が hidepid 付きでマウントされていると「いいえ」になります。",
            ),
        )
        .value_map("yes_no")
        .component("access")
        .boolean("$.others_visible"),
    ]
}

pub(super) fn triggers() -> Vec<Trigger> {
    vec![
        notice(
            "access.kernel_messages",
            Severity::Warning,
            text("Agent: kernel messages cannot be read", "エージェントがカーネルメッセージを読めません。"),
            &is_no_for_5m("oom.readable"),
            text(
                "OOM kills are counted, but the victims are unknown. The item \"OOM: Sources that cannot be read\" lists the remedies.",
                "OOM による強制終了の数はわかりますが、何が強制終了されたかはわかりません。対処は「OOM: 読めない情報源」のアイテムを確認してください。",
            ),
        ),
        notice(
            "access.processes",
            Severity::Warning,
            text(
                "Agent: processes of other users are not visible (hidepid)",
                "エージェントから他ユーザーのプロセスが見えません（hidepid）。",
            ),
            &is_no_for_5m("others_visible"),
            text(
                "Add the agent's user to the group of the gid= mount option of /proc, or mount /proc with hidepid=0.",
                "/proc のマウントオプション gid= のグループにエージェントのユーザーを追加するか、/proc を hidepid=0 でマウントしてください。",
            ),
        ),
        notice(
            "access.pss",
            Severity::Info,
            text(
                "Agent: PSS of some processes cannot be read",
                "エージェントが PSS を読めないプロセスがあります。",
            ),
            "last(@proc.pss.unreadable)>0 and {$OOMWATCH.PSS.REQUIRED}=1",
            text(
                "Give the agent CAP_SYS_PTRACE, or set {$OOMWATCH.PSS.REQUIRED} to 0.",
                "エージェントに CAP_SYS_PTRACE を与えるか、{$OOMWATCH.PSS.REQUIRED} を 0 にしてください。",
            ),
        )
        .opdata(text("Processes: {ITEM.LASTVALUE1}", "プロセス数: {ITEM.LASTVALUE1}"))
        .depends_on(&["access.processes"]),
    ]
}

fn notice(id: &'static str, severity: Severity, name: Text, expression: &str, description: Text) -> Trigger {
    trigger(id, severity, "notice", name, expression).description(description)
}
