//! Memory, swap and memory pressure.

use super::super::common::discard_errors;
use super::super::model::{
    Graph, Item, Severity, Step, Trigger, UserMacro, bold, dependent, gradient, line, master, text, trigger,
    user_macro,
};

pub(super) fn macros() -> Vec<UserMacro> {
    vec![
        user_macro(
            "{$OOMWATCH.HORIZON}",
            "30m",
            text(
                "A problem is raised if memory and swap will be exhausted within this time at the current rate.",
                "現在の減り方が続くと、この時間内にメモリとスワップが枯渇すると予測された場合に障害とします。",
            ),
        ),
        user_macro(
            "{$OOMWATCH.HORIZON.PAVAIL}",
            "50",
            text(
                "The forecast of memory exhaustion is used only while less than this percentage of memory is available.",
                "メモリ枯渇の予測は、利用可能メモリがこの割合（%）を下回っている間だけ使います。",
            ),
        ),
        user_macro(
            "{$OOMWATCH.MEM.PAVAIL.MIN}",
            "10",
            text(
                "Minimum percentage of available memory. A problem is raised if less is available for five minutes.",
                "利用可能メモリの下限（%）。5 分間これを下回ると障害とします。",
            ),
        ),
        user_macro(
            "{$OOMWATCH.PSI.FULL.MAX}",
            "10",
            text(
                "Maximum percentage of time in which all processes may wait for memory. A problem is raised if it is exceeded for five minutes.",
                "すべてのプロセスがメモリ待ちになる時間の割合（%）の上限。5 分間これを超えると障害とします。",
            ),
        ),
        user_macro(
            "{$OOMWATCH.SWAP.PFREE.MIN}",
            "10",
            text(
                "Minimum percentage of free swap. A problem is raised if less is free for five minutes.",
                "スワップ空き容量の下限（%）。5 分間これを下回ると障害とします。",
            ),
        ),
    ]
}

pub(super) fn items() -> Vec<Item> {
    let master = master(
        "oom.risk",
        "oomwatch.oom.risk",
        "30s",
        text("Memory: Risk", "メモリ: リスク"),
        text(
            "Available memory, the time until it is exhausted, memory pressure and the next OOM victims as JSON.",
            "利用可能メモリ、枯渇するまでの時間、メモリ圧迫、OOM killer の次の対象（JSON）。",
        ),
    )
    .step(discard_errors());
    [vec![master], size_items(), trend_items(), pressure_items()].concat()
}

fn size_items() -> Vec<Item> {
    let bytes = |id, path, name, description| {
        dependent(id, "oom.risk", name, description).units("B").component("memory").json_path(path)
    };
    vec![
        bytes(
            "memory.available",
            "$.mem_available_bytes",
            text("Memory: Available", "メモリ: 利用可能"),
            text(
                "Memory that is available to processes without swapping: MemAvailable of /proc/meminfo.",
                "スワップせずにプロセスが使えるメモリの量（/proc/meminfo の MemAvailable）。",
            ),
        ),
        bytes(
            "memory.total",
            "$.mem_total_bytes",
            text("Memory: Total", "メモリ: 合計"),
            text(
                "Size of the host's memory: MemTotal of /proc/meminfo.",
                "ホストのメモリの総量（/proc/meminfo の MemTotal）。",
            ),
        )
        .heartbeat("1m"),
        dependent(
            "memory.pavailable",
            "oom.risk",
            text("Memory: Available in percent", "メモリ: 利用可能の割合"),
            text("MemAvailable as a percentage of MemTotal.", "MemTotal に対する MemAvailable の割合（%）。"),
        )
        .float("%")
        .component("memory")
        .json_path("$.mem_available_percent"),
        bytes(
            "swap.total",
            "$.swap_total_bytes",
            text("Swap: Total", "スワップ: 合計"),
            text(
                "Size of the swap space: SwapTotal of /proc/meminfo. 0 if the host has no swap.",
                "スワップ領域の総量（/proc/meminfo の SwapTotal）。スワップがなければ 0 です。",
            ),
        ),
        bytes(
            "swap.free",
            "$.swap_free_bytes",
            text("Swap: Free", "スワップ: 空き"),
            text(
                "Free swap space: SwapFree of /proc/meminfo.",
                "スワップ領域の空き容量（/proc/meminfo の SwapFree）。",
            ),
        ),
        dependent(
            "swap.pfree",
            "oom.risk",
            text("Swap: Free in percent", "スワップ: 空きの割合"),
            text(
                "SwapFree as a percentage of SwapTotal. Empty if the host has no swap.",
                "SwapTotal に対する SwapFree の割合（%）。スワップがなければ値はありません。",
            ),
        )
        .float("%")
        .component("memory")
        .step(Step::JavaScript(include_str!("../scripts/swap_free_percent.js")))
        .json_path("$.value"),
    ]
}

fn trend_items() -> Vec<Item> {
    vec![
        dependent(
            "memory.seconds_left",
            "oom.risk",
            text("Memory: Time left", "メモリ: 残り時間"),
            text(
                "Time until available memory and free swap are exhausted, at the rate of the last ten minutes. Empty while they do not decrease.",
                "直近 10 分間の減り方が続いた場合に、利用可能メモリと空きスワップが枯渇するまでの時間。減っていない間は値がありません。",
            ),
        )
        .units("s")
        .component("memory")
        .json_path("$.seconds_left"),
        dependent(
            "memory.rate",
            "oom.risk",
            text("Memory: Change", "メモリ: 増減"),
            text(
                "Change of available memory plus free swap in bytes per second, over the last ten minutes. Negative while they decrease. \
                 Empty until there are two polls at least 30 seconds apart.",
                "利用可能メモリと空きスワップの合計の、直近 10 分間の 1 秒あたりの増減（バイト）。減っているときは負の値です。\
                 30 秒以上離れた 2 回の取得が揃うまでは値がありません。",
            ),
        )
        .float("Bps")
        .component("memory")
        .json_path("$.rate.bytes_per_second"),
    ]
}

fn pressure_items() -> Vec<Item> {
    let pressure = |id, path, name, description| {
        dependent(id, "oom.risk", name, description).float("%").component("memory").json_path(path)
    };
    vec![
        pressure(
            "psi.some",
            "$.pressure.some.avg60",
            text("Pressure: Some processes wait for memory", "圧迫: 一部のプロセスがメモリ待ち"),
            text(
                "Percentage of the last minute in which at least one process waited for memory: \"some\" of /proc/pressure/memory (PSI). \
                 Empty on kernels before 4.20 or without PSI.",
                "直近 1 分間のうち、少なくとも 1 つのプロセスがメモリ待ちだった時間の割合（%）。/proc/pressure/memory（PSI）の some です。\
                 4.20 より前のカーネルや PSI のないカーネルでは値がありません。",
            ),
        ),
        pressure(
            "psi.full",
            "$.pressure.full.avg60",
            text("Pressure: All processes wait for memory", "圧迫: すべてのプロセスがメモリ待ち"),
            text(
                "Percentage of the last minute in which all processes waited for memory: \"full\" of /proc/pressure/memory (PSI). \
                 Empty on kernels before 4.20 or without PSI.",
                "直近 1 分間のうち、すべてのプロセスがメモリ待ちだった時間の割合（%）。/proc/pressure/memory（PSI）の full です。\
                 4.20 より前のカーネルや PSI のないカーネルでは値がありません。",
            ),
        ),
    ]
}

pub(super) fn triggers() -> Vec<Trigger> {
    vec![exhausted(), memory_low(), swap_low(), pressure_high()]
}

/// The time left has values only while memory decreases, so its values are counted. The values of the percentage make the server
/// evaluate the expression when there are no values of the time left.
fn exhausted() -> Trigger {
    trigger(
        "memory.horizon",
        Severity::High,
        "capacity",
        text("Memory: exhausted in less than {$OOMWATCH.HORIZON}", "{$OOMWATCH.HORIZON} 以内にメモリが枯渇します。"),
        "count(@memory.seconds_left,2m)>0 and count(@memory.seconds_left,3m,\"ge\",\"{$OOMWATCH.HORIZON}\")=0 \
         and last(@memory.pavailable)<{$OOMWATCH.HORIZON.PAVAIL}",
    )
    .event_name(text(
        "Memory: exhausted in {ITEM.LASTVALUE1} at the current rate",
        "現在の減り方が続くと、あと {ITEM.LASTVALUE1} でメモリが枯渇します。",
    ))
    .opdata(text(
        "Time left: {ITEM.LASTVALUE1}, available: {ITEM.LASTVALUE3}",
        "残り時間: {ITEM.LASTVALUE1}、利用可能: {ITEM.LASTVALUE3}",
    ))
    .description(text(
        "Available memory and free swap decrease steadily. When they are exhausted, the OOM killer is invoked. Check which processes \
         use the most memory.",
        "利用可能メモリと空きスワップが減り続けています。枯渇すると OOM killer が発動されます。メモリ使用量の大きいプロセスを確認してください。",
    ))
    .depends_on(&["oom.global"])
}

fn memory_low() -> Trigger {
    trigger(
        "memory.low",
        Severity::Average,
        "capacity",
        text(
            "Memory: less than {$OOMWATCH.MEM.PAVAIL.MIN} % available for 5m",
            "利用可能メモリが不足しています（5 分間 {$OOMWATCH.MEM.PAVAIL.MIN} % 未満）。",
        ),
        "max(@memory.pavailable,5m)<{$OOMWATCH.MEM.PAVAIL.MIN}",
    )
    .opdata(text("Available: {ITEM.LASTVALUE1}", "利用可能: {ITEM.LASTVALUE1}"))
    .description(text(
        "Almost all memory of the host is in use. A new process or a load peak can exhaust it.",
        "ホストのメモリがほぼ使い切られています。プロセスの起動や負荷の増加で枯渇するおそれがあります。",
    ))
    .depends_on(&["memory.horizon"])
}

fn swap_low() -> Trigger {
    trigger(
        "swap.low",
        Severity::Warning,
        "capacity",
        text(
            "Swap: less than {$OOMWATCH.SWAP.PFREE.MIN} % free for 5m",
            "スワップの空きが不足しています（5 分間 {$OOMWATCH.SWAP.PFREE.MIN} % 未満）。",
        ),
        "max(@swap.pfree,5m)<{$OOMWATCH.SWAP.PFREE.MIN} and last(@swap.total)>0",
    )
    .opdata(text("Free: {ITEM.LASTVALUE1}", "空き: {ITEM.LASTVALUE1}"))
    .description(text(
        "When swap is full, the kernel cannot move any more memory out. This problem is not raised on a host without swap.",
        "スワップがいっぱいになると、カーネルはそれ以上メモリを退避できません。スワップのないホストでは発生しません。",
    ))
    .depends_on(&["memory.low", "memory.horizon"])
}

fn pressure_high() -> Trigger {
    trigger(
        "psi.high",
        Severity::Warning,
        "performance",
        text(
            "Memory: all processes wait more than {$OOMWATCH.PSI.FULL.MAX} % of the time for 5m",
            "すべてのプロセスがメモリ待ちになっています（5 分間 {$OOMWATCH.PSI.FULL.MAX} % 超）。",
        ),
        "min(@psi.full,5m)>{$OOMWATCH.PSI.FULL.MAX}",
    )
    .opdata(text("Waiting: {ITEM.LASTVALUE1}", "メモリ待ち: {ITEM.LASTVALUE1}"))
    .description(text(
        "Processes wait for memory instead of working, because the kernel reclaims or swaps pages all the time.",
        "カーネルがページの回収やスワップに追われており、プロセスは本来の処理をせずにメモリを待っています。",
    ))
    .depends_on(&["memory.low", "memory.horizon", "swap.low"])
}

pub(super) fn graphs() -> Vec<Graph> {
    vec![
        Graph {
            id: "memory",
            name: text("OomWatch: Memory left", "OomWatch: 残りメモリ"),
            lines: vec![gradient("memory.available"), line("swap.free"), bold("memory.total")],
        },
        Graph {
            id: "pressure",
            name: text("OomWatch: Processes wait for memory", "OomWatch: メモリ待ち"),
            lines: vec![line("psi.some"), gradient("psi.full")],
        },
    ]
}
