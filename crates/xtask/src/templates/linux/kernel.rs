//! The kernel's settings for memory, and the process that the OOM killer would choose next.

use super::super::model::{
    Item, Severity, Step, Trigger, ValueMap, ValueType, dependent, text, trigger, untranslated, value_map,
};

pub(super) fn value_maps() -> Vec<ValueMap> {
    vec![
        value_map(
            "panic_on_oom",
            untranslated("OomWatch: panic_on_oom"),
            vec![
                ("0", text("Kills a process", "プロセスを強制終了")),
                ("1", text("Panics, except for limits", "パニック（制限によるものを除く）")),
                ("2", text("Always panics", "常にパニック")),
            ],
        ),
        value_map(
            "overcommit_memory",
            untranslated("OomWatch: overcommit_memory"),
            vec![
                ("0", text("Heuristic", "推測して許可")),
                ("1", text("Always allowed", "常に許可")),
                ("2", text("Within the commit limit", "上限内のみ許可")),
            ],
        ),
    ]
}

pub(super) fn items() -> Vec<Item> {
    vec![
        dependent(
            "panic_on_oom",
            "oom.risk",
            text("Kernel: panic_on_oom", "カーネル: panic_on_oom"),
            text(
                "Reaction of the kernel when memory is exhausted: sysctl vm.panic_on_oom.",
                "メモリが枯渇したときのカーネルの動作（sysctl vm.panic_on_oom）。",
            ),
        )
        .value_map("panic_on_oom")
        .component("system")
        .json_path("$.panic_on_oom")
        .heartbeat("1h"),
        dependent(
            "overcommit_memory",
            "oom.risk",
            text("Kernel: overcommit_memory", "カーネル: overcommit_memory"),
            text(
                "Whether processes may allocate more memory than the host has: sysctl vm.overcommit_memory.",
                "ホストの実際の量を超えるメモリの割り当てをプロセスに許可するか（sysctl vm.overcommit_memory）。",
            ),
        )
        .value_map("overcommit_memory")
        .component("system")
        .json_path("$.overcommit_memory")
        .heartbeat("1h"),
        dependent(
            "oom.next",
            "oom.risk",
            text("OOM: Next victim", "OOM: 次に強制終了される候補"),
            text(
                "The process with the highest oom_score, which the OOM killer would choose next. Empty if /proc is mounted with \
                 hidepid and the agent cannot see all processes.",
                "oom_score が最大で、OOM killer が次に選ぶプロセス。/proc が hidepid 付きでマウントされ、エージェントからすべてのプロセスが\
                 見えない場合は値がありません。",
            ),
        )
        .value_type(ValueType::Char)
        .component("oom")
        .step(Step::JavaScript(include_str!("../scripts/next_victim.js")))
        .json_path("$.value")
        .heartbeat("1h"),
    ]
}

pub(super) fn triggers() -> Vec<Trigger> {
    vec![
        trigger(
            "panic_on_oom",
            Severity::Warning,
            "notice",
            text(
                "Kernel: panics when memory is exhausted (panic_on_oom)",
                "メモリが枯渇するとカーネルがパニックする設定です（panic_on_oom）。",
            ),
            "last(@panic_on_oom)<>0",
        )
        .opdata(untranslated("panic_on_oom: {ITEM.LASTVALUE1}"))
        .description(text(
            "The kernel stops the whole host instead of killing one process. If this is not intended, set sysctl vm.panic_on_oom=0.",
            "カーネルはプロセスを 1 つ強制終了する代わりに、ホスト全体を停止します。意図した設定でなければ sysctl vm.panic_on_oom=0 としてください。",
        ))
        .manual_close(),
    ]
}
