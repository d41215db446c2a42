//! "OomWatch Linux": memory, OOM kills, processes by discovery, and the plugin itself.

use super::limits;
use super::model::{
    Check, Dashboard, Discovery, Graph, Item, Macro, OnFail, Page, Row, Severity, Step, Template, Text,
    Trigger, ValueMap, Values, WHOLE, Widget, agent, bold, dependent, gradient, line, master, same, says_no,
    sorted, t, trigger, user_macro,
};

pub(crate) fn template(check: Check) -> Template {
    let mut items = oom_items();
    items.extend(risk_items());
    items.extend(source_items());
    items.extend(self_items());
    items.extend(process_masters());
    items.extend(limits::items());
    let mut triggers = oom_triggers();
    triggers.extend(memory_triggers());
    triggers.extend(sight_triggers());
    Template {
        id: "linux",
        check,
        subject: "OomWatch Linux",
        description: t(
            "Memory running out, OOM kills and the processes that use the memory, by the plugin OomWatch for Zabbix agent 2. \
             Most items come from a few JSON answers of the plugin. What a machine lacks (swap, PSI, cgroups) has no value, and is no error.",
            "メモリ不足の予兆、OOM killer による強制終了、メモリを使っているプロセスを、Zabbix エージェント 2 のプラグイン OomWatch で監視します。\
             ほとんどのアイテムは、プラグインが返す少数の JSON から作られます。そのホストにないもの（スワップ、PSI、cgroup など）は、エラーではなく値なしになります。",
        ),
        class: "os",
        target: "linux",
        macros: sorted([memory_macros(), process_macros(), limits::macros()].concat()),
        valuemaps: [valuemaps(), limits::valuemaps()].concat(),
        items,
        triggers,
        discoveries: std::iter::once(processes()).chain(limits::discoveries()).collect(),
        graphs: graphs(),
        dashboard: Some(dashboard()),
    }
}

fn memory_macros() -> Vec<Macro> {
    vec![
        user_macro(
            "{$OOMWATCH.HORIZON}",
            "30m",
            t(
                "A problem is raised when memory and swap will be gone within this time at the present trend.",
                "現在の傾向で、この時間内にメモリとスワップがなくなると予測されたら障害とします。",
            ),
        ),
        user_macro(
            "{$OOMWATCH.HORIZON.PAVAIL}",
            "50",
            t(
                "The forecast counts only while less than this percentage of memory is available.",
                "予測は、利用可能メモリがこの割合（%）を下回っている間だけ有効です。",
            ),
        ),
        user_macro(
            "{$OOMWATCH.MEM.PAVAIL.MIN}",
            "10",
            t("The least percentage of memory that must be available.", "利用可能メモリの下限（%）。"),
        ),
        user_macro(
            "{$OOMWATCH.NODATA}",
            "10m",
            t(
                "A problem is raised when the plugin tells nothing of itself for so long.",
                "プラグインからこの時間データが届かなければ障害とします。",
            ),
        ),
        user_macro(
            "{$OOMWATCH.OOM.EXPECTED}",
            "^$",
            t(
                "Regular expression without backslashes ([.], [0-9]) and double quotes over the lines of OOM kills in memory cgroups (victim, unit=, cgroup=): what matches is expected, and only informs. Example: cgroup=/kubepods",
                "メモリ cgroup 内の OOM 強制終了の行（プロセス、unit=、cgroup=）に対する正規表現（バックスラッシュと二重引用符は使えません。[.] や [0-9] と書きます）。一致したものは想定内とし、情報のみにします。例: cgroup=/kubepods",
            ),
        ),
        user_macro(
            "{$OOMWATCH.PSI.FULL.MAX}",
            "10",
            t(
                "The largest percentage of time in which all processes may wait for memory.",
                "すべてのプロセスがメモリ待ちになる時間の割合（%）の上限。",
            ),
        ),
        user_macro(
            "{$OOMWATCH.SWAP.PFREE.MIN}",
            "10",
            t("The least percentage of swap that must be free.", "スワップ空き容量の下限（%）。"),
        ),
    ]
}

fn process_macros() -> Vec<Macro> {
    vec![
        user_macro(
            "{$OOMWATCH.PROC.MATCHES}",
            ".*",
            t(
                "Regular expression without backslashes ([.], [0-9]) and double quotes over names of processes: discovery takes the largest of those that match.",
                "プロセス名に対する正規表現（バックスラッシュと二重引用符は使えません）。一致したもののうち大きいものをディスカバリします。",
            ),
        ),
        user_macro(
            "{$OOMWATCH.PROC.NOT_MATCHES}",
            "^$",
            t(
                "Regular expression of the same kind over names of processes that discovery leaves out.",
                "ディスカバリの対象としないプロセス名（同じ形の正規表現）。",
            ),
        ),
        user_macro(
            "{$OOMWATCH.PROC.TOP}",
            "10",
            t(
                "How many process names with the most RSS are discovered.",
                "RSS の大きい順に何件のプロセス名をディスカバリするか。",
            ),
        ),
        user_macro(
            "{$OOMWATCH.PSS.INTERVAL}",
            "5m",
            t(
                "How often PSS is read. The kernel takes seconds for a process of hundreds of gigabytes, and holds it meanwhile.",
                "PSS を読む間隔。数百 GB のプロセスではカーネルが数秒かかり、その間プロセスを待たせます。",
            ),
        ),
        user_macro(
            "{$OOMWATCH.PSS.REQUIRED}",
            "0",
            t(
                "1: a problem is raised where PSS may not be read. The agent's user needs CAP_SYS_PTRACE for it.",
                "1 にすると、PSS を読む権限がないときに障害とします。エージェントのユーザーに CAP_SYS_PTRACE が必要です。",
            ),
        ),
    ]
}

fn valuemaps() -> Vec<ValueMap> {
    let map = |id, name, words| ValueMap { id, name, words };
    vec![
        map(
            "yes_no",
            t("OomWatch: no or yes", "OomWatch: はい・いいえ"),
            vec![("0", t("No", "いいえ")), ("1", t("Yes", "はい"))],
        ),
        map(
            "panic_on_oom",
            t("OomWatch: panic_on_oom", "OomWatch: panic_on_oom"),
            vec![
                ("0", t("Kills a process", "プロセスを強制終了")),
                ("1", t("Panics, except for limits", "パニック（制限によるものを除く）")),
                ("2", t("Always panics", "常にパニック")),
            ],
        ),
        map(
            "overcommit_memory",
            t("OomWatch: overcommit_memory", "OomWatch: overcommit_memory"),
            vec![
                ("0", t("Heuristic", "推測して許可")),
                ("1", t("Always allowed", "常に許可")),
                ("2", t("Within the commit limit", "上限内のみ許可")),
            ],
        ),
    ]
}

fn discard() -> Step {
    Step::NotSupported(OnFail::Discard)
}

const GLOBAL_LINES: &str = concat!("var MEMCG = false;\n", include_str!("scripts/oom_lines.js"));
const MEMCG_LINES: &str = concat!("var MEMCG = true;\n", include_str!("scripts/oom_lines.js"));
/// A kill that is expected and one that is not have each an item of their own, so that neither hides the other.
const IS_EXPECTED: &str = "@.line =~ \"{$OOMWATCH.OOM.EXPECTED}\"";

fn oom_items() -> Vec<Item> {
    let event = |id, lines, condition: &str, name, description| {
        let item = dependent(id, "oom.list", name, description).values(Values::Char).component("oom");
        item.step(Step::JavaScript(lines))
            .step(Step::JsonPath(format!("$[?(@.none==1 || {condition})]"), OnFail::Error))
            .step(Step::JavaScript(include_str!("scripts/oom_newest.js")))
    };
    vec![
        agent(
            "oom.total",
            "oomwatch.oom.total",
            "30s",
            t("OOM: Kills in total", "OOM: 強制終了の累計"),
            t(
                "Processes killed by the OOM killer since the plugin first looked, over reboots. It only grows.",
                "プラグインが監視を始めてから OOM killer が強制終了したプロセスの数。再起動をまたいで増え続けます。",
            ),
        )
        .component("oom")
        .step(discard()),
        master(
            "oom.list",
            "oomwatch.oom.list[20]",
            "30s",
            t("OOM: Last reports", "OOM: 最近の報告"),
            t("The last reports of the OOM killer as JSON.", "OOM killer の最近の報告（JSON）。"),
        )
        .step(discard()),
        event(
            "oom.event.global",
            GLOBAL_LINES,
            "@.none==0",
            t("OOM: Last kill on the whole machine", "OOM: マシン全体での最後の強制終了"),
            t(
                "The last victim when the whole machine had run out of memory: name, pid, unit, who killed, which source told and how far it is to be trusted (low: any local user could have written it). \"none\" where there was none.",
                "マシン全体のメモリが尽きたときに最後に強制終了されたプロセス: 名前、pid、ユニット、終了させたもの、情報源とその信頼度（low はローカルユーザーが書けたもの）。なければ none。",
            ),
        ),
        event(
            "oom.event.memcg",
            MEMCG_LINES,
            &format!("!({IS_EXPECTED})"),
            t("OOM: Last kill in a memory cgroup", "OOM: メモリ cgroup 内での最後の強制終了"),
            t(
                "The last victim when a memory cgroup (a service or container) had reached its limit, other than those that {$OOMWATCH.OOM.EXPECTED} names. \"none\" where there was none.",
                "メモリ cgroup（サービスやコンテナ）が上限に達したときに最後に強制終了されたプロセス（{$OOMWATCH.OOM.EXPECTED} に一致するものを除く）。なければ none。",
            ),
        ),
        event(
            "oom.event.expected",
            MEMCG_LINES,
            IS_EXPECTED,
            t("OOM: Last expected kill in a memory cgroup", "OOM: メモリ cgroup 内での最後の想定内の強制終了"),
            t(
                "The last victim in a memory cgroup that {$OOMWATCH.OOM.EXPECTED} names. \"none\" where there was none.",
                "メモリ cgroup 内で最後に強制終了されたプロセスのうち、{$OOMWATCH.OOM.EXPECTED} に一致するもの。なければ none。",
            ),
        ),
    ]
}

fn risk_items() -> Vec<Item> {
    let mut items = vec![
        master(
            "oom.risk",
            "oomwatch.oom.risk",
            "30s",
            t("Memory: Risk", "メモリ: リスク"),
            t(
                "What is left, for how long, and who would be killed next, as JSON.",
                "残りのメモリ、残り時間、次に強制終了される候補（JSON）。",
            ),
        )
        .step(discard()),
    ];
    items.extend(memory_items());
    items.extend(kernel_items());
    items
}

fn memory_items() -> Vec<Item> {
    let bytes = |id, path, name, description| {
        dependent(id, "oom.risk", name, description).units("B").component("memory").path(path)
    };
    vec![
        bytes(
            "memory.available",
            "$.mem_available_bytes",
            t("Memory: Available", "メモリ: 利用可能"),
            t("MemAvailable of /proc/meminfo: what new work can have without swapping.", "/proc/meminfo の MemAvailable。スワップせずに使える量。"),
        ),
        bytes(
            "memory.total",
            "$.mem_total_bytes",
            t("Memory: Total", "メモリ: 合計"),
            t("MemTotal of /proc/meminfo.", "/proc/meminfo の MemTotal。"),
        )
        .heartbeat("1m"),
        dependent(
            "memory.pavailable",
            "oom.risk",
            t("Memory: Available in percent", "メモリ: 利用可能の割合"),
            t("MemAvailable as a percentage of MemTotal.", "MemTotal に対する MemAvailable の割合。"),
        )
        .float("%")
        .component("memory")
        .path("$.mem_available_percent"),
        bytes(
            "swap.total",
            "$.swap_total_bytes",
            t("Swap: Total", "スワップ: 合計"),
            t("SwapTotal of /proc/meminfo; 0 where there is no swap.", "/proc/meminfo の SwapTotal。スワップがなければ 0。"),
        ),
        bytes(
            "swap.free",
            "$.swap_free_bytes",
            t("Swap: Free", "スワップ: 空き"),
            t("SwapFree of /proc/meminfo.", "/proc/meminfo の SwapFree。"),
        ),
        dependent(
            "swap.pfree",
            "oom.risk",
            t("Swap: Free in percent", "スワップ: 空きの割合"),
            t("No value where there is no swap.", "スワップがなければ値はありません。"),
        )
        .float("%")
        .component("memory")
        .step(Step::JavaScript(include_str!("scripts/swap_free_percent.js")))
        .path("$.value"),
        dependent(
            "memory.seconds_left",
            "oom.risk",
            t("Memory: Time left", "メモリ: 残り時間"),
            t(
                "When available memory and free swap will be gone at the trend of the last ten minutes. No value while they do not shrink.",
                "直近 10 分の傾向で、利用可能メモリと空きスワップが尽きるまでの時間。減っていない間は値がありません。",
            ),
        )
        .units("s")
        .component("memory")
        .path("$.seconds_left"),
        dependent(
            "memory.rate",
            "oom.risk",
            t("Memory: Change", "メモリ: 増減"),
            t("How fast available memory and free swap together grow (or shrink).", "利用可能メモリと空きスワップの合計の増減の速さ。"),
        )
        .float("Bps")
        .component("memory")
        .path("$.rate.bytes_per_second"),
    ]
}

fn kernel_items() -> Vec<Item> {
    let pressure = |id, path, name, description| {
        dependent(id, "oom.risk", name, description).float("%").component("memory").path(path)
    };
    vec![
        pressure(
            "psi.some",
            "$.pressure.some.avg60",
            t("Pressure: Some wait for memory", "負荷: 一部がメモリ待ち"),
            t(
                "Share of the last minute in which at least one process waited for memory (PSI). No value before Linux 4.20.",
                "直近 1 分間のうち、少なくとも 1 つのプロセスがメモリ待ちだった割合（PSI）。Linux 4.20 より前は値がありません。",
            ),
        ),
        pressure(
            "psi.full",
            "$.pressure.full.avg60",
            t("Pressure: All wait for memory", "負荷: すべてがメモリ待ち"),
            t(
                "Share of the last minute in which all processes waited for memory (PSI).",
                "直近 1 分間のうち、すべてのプロセスがメモリ待ちだった割合（PSI）。",
            ),
        ),
        dependent(
            "panic_on_oom",
            "oom.risk",
            t("Kernel: panic_on_oom", "カーネル: panic_on_oom"),
            t(
                "What the kernel does when memory has run out: sysctl vm.panic_on_oom.",
                "メモリが尽きたときのカーネルの動作（sysctl vm.panic_on_oom）。",
            ),
        )
        .valuemap("panic_on_oom")
        .component("system")
        .path("$.panic_on_oom")
        .heartbeat("1h"),
        dependent(
            "overcommit_memory",
            "oom.risk",
            t("Kernel: overcommit_memory", "カーネル: overcommit_memory"),
            t(
                "Whether the kernel promises more memory than there is: sysctl vm.overcommit_memory.",
                "カーネルが実際より多くのメモリを約束するか（sysctl vm.overcommit_memory）。",
            ),
        )
        .valuemap("overcommit_memory")
        .component("system")
        .path("$.overcommit_memory")
        .heartbeat("1h"),
        dependent(
            "oom.next",
            "oom.risk",
            t("OOM: Who would be killed next", "OOM: 次に強制終了される候補"),
            t(
                "The process with the largest oom_score. No value where hidepid hides processes.",
                "oom_score が最大のプロセス。hidepid で隠されていると値はありません。",
            ),
        )
        .values(Values::Char)
        .component("oom")
        .step(Step::JavaScript(include_str!("scripts/next_victim.js")))
        .path("$.value")
        .heartbeat("1h"),
        dependent(
            "others_visible",
            "oom.risk",
            t("Agent: Sees the processes of others", "エージェント: 他ユーザーのプロセスが見える"),
            t(
                "No where /proc is mounted with hidepid.",
                "/proc が hidepid でマウントされていると「いいえ」になります。",
            ),
        )
        .valuemap("yes_no")
        .component("sight")
        .truth("$.others_visible"),
    ]
}

fn source_items() -> Vec<Item> {
    vec![
        master(
            "oom.sources",
            "oomwatch.oom.sources",
            "30s",
            t("OOM: Sources", "OOM: 情報源"),
            t("Where reports come from, and what cannot be read, as JSON.", "報告の情報源と、読めないもの（JSON）。"),
        )
        .step(discard()),
        dependent(
            "oom.readable",
            "oom.sources",
            t("Agent: Reads the kernel's messages", "エージェント: カーネルメッセージが読める"),
            t(
                "Whether any of /dev/kmsg, the journal and the kernel's log files can be read. Without them kills are counted, and nobody knows whom they hit.",
                "/dev/kmsg、ジャーナル、カーネルのログファイルのどれかが読めるか。読めないと、強制終了の数はわかっても、何が終了されたかはわかりません。",
            ),
        )
        .valuemap("yes_no")
        .component("sight")
        .truth("$.readable"),
        dependent(
            "oom.unreadable",
            "oom.sources",
            t("OOM: Sources that cannot be read", "OOM: 読めない情報源"),
            t("Which, why, and what would make them readable.", "どれが、なぜ読めないか、どうすれば読めるか。"),
        )
        .values(Values::Text)
        .component("sight")
        .step(Step::JavaScript(include_str!("scripts/unreadable_sources.js")))
        .heartbeat("1d"),
        dependent(
            "oom.unreported",
            "oom.sources",
            t("OOM: Kills without a report", "OOM: 報告のない強制終了"),
            t(
                "Kills of this boot that the kernel counted and of which no source told. No value where the kernel does not count (before 4.13).",
                "起動後にカーネルが数えた強制終了のうち、どの情報源にも報告がないもの。カーネルが数えない場合（4.13 より前）は値がありません。",
            ),
        )
        .component("oom")
        .step(Step::JavaScript(include_str!("scripts/unreported.js")))
        .path("$.value"),
        dependent(
            "oom.messages_lost",
            "oom.sources",
            t("OOM: Kernel messages lost", "OOM: 失われたカーネルメッセージ"),
            t("Messages of this boot that were overwritten before they were read.", "起動後、読む前に上書きされたメッセージの数。"),
        )
        .component("sight")
        .path("$.messages_lost"),
        dependent(
            "oom.persistence",
            "oom.sources",
            t("Plugin: State", "プラグイン: 状態の保存"),
            t(
                "durable: kept over restarts; memory: the state directory cannot be written, and what was seen is forgotten with the plugin; read-only: another agent has the state directory.",
                "durable: 再起動後も保持。memory: 状態ディレクトリに書けないため、プラグインの終了とともに失われます。read-only: 別のエージェントが状態ディレクトリを使用中です。",
            ),
        )
        .values(Values::Char)
        .component("health")
        .path("$.persistence")
        .heartbeat("1h"),
    ]
}

fn self_items() -> Vec<Item> {
    let number =
        |id, path, name, description| dependent(id, "self", name, description).component("health").path(path);
    vec![
        master(
            "self",
            "oomwatch.self",
            "1m",
            t("Plugin: Figures", "プラグイン: 統計"),
            t("The plugin about itself, as JSON.", "プラグイン自身の統計（JSON）。"),
        )
        .step(discard()),
        number(
            "self.version",
            "$.version",
            t("Plugin: Version", "プラグイン: バージョン"),
            t("The plugin's version.", "プラグインのバージョン。"),
        )
        .values(Values::Char)
        .heartbeat("1d"),
        number(
            "self.uptime",
            "$.uptime_seconds",
            t("Plugin: Uptime", "プラグイン: 稼働時間"),
            t("Since the agent started the plugin.", "エージェントがプラグインを起動してからの時間。"),
        )
        .units("uptime"),
        number(
            "self.rss",
            "$.process.rss_bytes",
            t("Plugin: Resident memory", "プラグイン: 常駐メモリ"),
            t("What the plugin uses itself.", "プラグイン自身が使うメモリ。"),
        )
        .units("B"),
        number(
            "self.errors",
            "$.exports.errors",
            t("Plugin: Errors per second", "プラグイン: 毎秒のエラー"),
            t("Polls that were answered with an error.", "エラーを返した取得の数。"),
        )
        .float("")
        .step(Step::ChangePerSecond),
        number(
            "self.exports",
            "$.exports.total",
            t("Plugin: Polls per second", "プラグイン: 毎秒の取得"),
            t("Polls that were answered.", "応答した取得の数。"),
        )
        .float("")
        .step(Step::ChangePerSecond),
        number(
            "self.timeouts",
            "$.exports.timeouts",
            t("Plugin: Timeouts", "プラグイン: タイムアウト"),
            t(
                "Polls that were not answered in time, since the plugin's start.",
                "プラグインの起動後、時間内に応答できなかった取得の数。",
            ),
        ),
        number(
            "self.hanging",
            "$.exports.hanging",
            t("Plugin: Hanging handlers", "プラグイン: 応答しない処理"),
            t(
                "Polls that are late and still running: a dead NFS mount, for example.",
                "遅れたまま終わらない取得の数（応答しない NFS など）。",
            ),
        ),
    ]
}

fn process_masters() -> Vec<Item> {
    vec![
        master(
            "proc.rss",
            "oomwatch.proc.top[rss,100]",
            "1m",
            t("Processes: By RSS", "プロセス: RSS 順"),
            t(
                "The 100 process names with the most resident memory, as JSON.",
                "常駐メモリの大きい 100 件のプロセス名（JSON）。",
            ),
        )
        .step(discard()),
        dependent(
            "proc.rss.total",
            "proc.rss",
            t("Processes: RSS of all", "プロセス: 全体の RSS"),
            t("Shared pages count once for each process.", "共有ページはプロセスごとに数えられます。"),
        )
        .units("B")
        .component("processes")
        .path("$.total"),
        master(
            "proc.pss",
            "oomwatch.proc.top[pss,100]",
            "{$OOMWATCH.PSS.INTERVAL}",
            t("Processes: By PSS", "プロセス: PSS 順"),
            t(
                "The 100 process names with the most proportional memory, as JSON.",
                "PSS の大きい 100 件のプロセス名（JSON）。",
            ),
        )
        .step(discard()),
        dependent(
            "proc.pss.unreadable",
            "proc.pss",
            t("Agent: Processes whose PSS it may not read", "エージェント: PSS を読めないプロセス"),
            t(
                "smaps_rollup of another user's process needs CAP_SYS_PTRACE.",
                "他ユーザーのプロセスの smaps_rollup を読むには CAP_SYS_PTRACE が必要です。",
            ),
        )
        .component("sight")
        .path("$.unreadable"),
    ]
}

/// Processes have no limit.
const PROCESS_ROWS: &str = concat!("var NAME = 'name', LIMIT = '';\n", include_str!("scripts/rows.js"));

fn processes() -> Discovery {
    Discovery {
        id: "proc.names",
        name: t("Processes by memory", "メモリの大きいプロセス"),
        description: t(
            "The process names with the most RSS: {$OOMWATCH.PROC.TOP}, {$OOMWATCH.PROC.MATCHES}, {$OOMWATCH.PROC.NOT_MATCHES}.",
            "RSS の大きいプロセス名: {$OOMWATCH.PROC.TOP}、{$OOMWATCH.PROC.MATCHES}、{$OOMWATCH.PROC.NOT_MATCHES}。",
        ),
        master: "proc.rss",
        steps: limits::largest("names", PROCESS_ROWS, "PROC"),
        paths: vec![("{#NAME}", "$.name")],
        filter: Vec::new(),
        items: process_items(),
        triggers: Vec::new(),
        graphs: vec![
            Graph {
                id: "process.memory",
                name: t("Process {#NAME}: Memory", "プロセス {#NAME}: メモリ"),
                lines: vec![gradient("process.rss.sum"), bold("process.pss.sum"), line("process.rss.max")],
            },
            Graph {
                id: "process.each",
                name: t("Process {#NAME}: Memory of one", "プロセス {#NAME}: 1 プロセスあたりのメモリ"),
                lines: vec![line("process.rss.avg"), line("process.pss.avg"), line("process.count").right()],
            },
        ],
    }
}

fn process_items() -> Vec<Item> {
    let member = |id: &'static str, list, path: &str, name, description| {
        let condition = if list == "proc.pss" { " && @.unreadable==0" } else { "" };
        let path = format!("$.names[?(@.name==\"{{#NAME}}\"{condition})].{path}.first()");
        dependent(id, list, name, description)
            .key(&format!("oomwatch.{id}[{{#NAME}}]"))
            .component("processes")
            .path(&path)
    };
    let rss = |id, path, name| {
        member(
            id,
            "proc.rss",
            path,
            name,
            t("Resident memory, shared pages among it.", "常駐メモリ（共有ページを含む）。"),
        )
        .units("B")
    };
    let pss = |id, path, name| {
        let description = t(
            "Resident memory, shared pages divided among those who share them. No value where smaps_rollup may not be read.",
            "常駐メモリ（共有ページは共有するプロセスで按分）。smaps_rollup を読めなければ値はありません。",
        );
        member(id, "proc.pss", path, name, description).units("B")
    };
    vec![
        rss("process.rss.sum", "sum", t("Process {#NAME}: RSS", "プロセス {#NAME}: RSS")),
        rss("process.rss.avg", "avg", t("Process {#NAME}: RSS, average", "プロセス {#NAME}: RSS 平均"))
            .values(Values::Float),
        rss("process.rss.max", "max", t("Process {#NAME}: RSS, largest", "プロセス {#NAME}: RSS 最大")),
        member(
            "process.count",
            "proc.rss",
            "count",
            t("Process {#NAME}: Count", "プロセス {#NAME}: 数"),
            t("Processes of that name.", "その名前のプロセスの数。"),
        ),
        pss("process.pss.sum", "sum", t("Process {#NAME}: PSS", "プロセス {#NAME}: PSS")),
        pss("process.pss.avg", "avg", t("Process {#NAME}: PSS, average", "プロセス {#NAME}: PSS 平均"))
            .values(Values::Float),
    ]
}

const OOM_TAGS: [(&str, &str); 4] = [
    ("unit", "{{ITEM.LASTVALUE1}.regsub(\"; unit=([^;]+)\",\"\\1\")}"),
    ("cgroup", "{{ITEM.LASTVALUE1}.regsub(\"; cgroup=([^;]+)\",\"\\1\")}"),
    ("source", "{{ITEM.LASTVALUE1}.regsub(\"; source=([^;]+)\",\"\\1\")}"),
    ("trust", "{{ITEM.LASTVALUE1}.regsub(\"; trust=([^;]+)\",\"\\1\")}"),
];

/// Who was killed: what stands before the details in a line of the items of kills.
const VICTIM: &str = "{{ITEM.LASTVALUE1}.regsub(\"^([^;]+)\",\"\\1\")}";

fn oom_tags(scope: &'static str) -> Vec<(&'static str, &'static str)> {
    std::iter::once(("oom", scope)).chain(OOM_TAGS).collect()
}

/// A report that was not there a moment ago: among the last 21 values, ten minutes, that of the item changed. Counting values
/// and not time finds what happened while the agent was dead, too.
///
/// However the total grows, there is one problem: where neither report changed, the last trigger tells. It looks at fewer values than
/// the others, and begins later, because the total and the reports are not polled at the same moment.
fn oom_triggers() -> Vec<Trigger> {
    let last_event = same(WHOLE);
    let with_victim = |text: Text| text.map(|text| format!("{text}{VICTIM}"));
    let fresh = |event: &str| format!("changecount(@{event},#21)>0 and last(@{event})<>\"none\"");
    let memcg = |id, severity, name, event_name, event: &str| {
        trigger(id, severity, "availability", name, &fresh(event))
            .event_name(with_victim(event_name))
            .opdata(last_event.clone())
            .about(t(
                "A service or container reached its own memory limit; the rest of the machine is not concerned. Closes ten minutes after the last kill.",
                "サービスやコンテナが自身のメモリ上限に達しました。マシンの他の部分には影響しません。最後の強制終了から 10 分で閉じます。",
            ))
            .manual_close()
            .tags(&oom_tags("cgroup"))
    };
    vec![
        trigger(
            "oom.global",
            Severity::High,
            "availability",
            t("OOM killer was invoked", "OOM killer が発動されました。"),
            &fresh("oom.event.global"),
        )
        .event_name(with_victim(t("OOM killer was invoked: ", "OOM killer が発動されました。")))
        .opdata(last_event.clone())
        .about(t(
            "The whole machine ran out of memory, and the kernel (or systemd-oomd, earlyoom) killed a process; or systemd alone tells of a kill (source=systemd), and not whether it was only the service's own limit. Closes ten minutes after the last kill.",
            "マシン全体のメモリが尽き、カーネル（または systemd-oomd、earlyoom）がプロセスを強制終了しました。情報源が systemd だけの場合（source=systemd）は、サービス自身の上限によるものかどうかは区別できません。最後の強制終了から 10 分で閉じます。",
        ))
        .manual_close()
        .tags(&oom_tags("global")),
        memcg(
            "oom.memcg",
            Severity::Warning,
            t("OOM kill in a memory cgroup", "メモリ cgroup 内で OOM killer が発動されました。"),
            t("OOM kill in a memory cgroup: ", "メモリ cgroup 内で OOM killer が発動されました。"),
            "oom.event.memcg",
        ),
        memcg(
            "oom.expected",
            Severity::Info,
            t("Expected OOM kill in a memory cgroup", "メモリ cgroup 内で想定内の OOM 強制終了がありました。"),
            t(
                "Expected OOM kill in a memory cgroup: ",
                "メモリ cgroup 内で想定内の OOM 強制終了がありました。",
            ),
            "oom.event.expected",
        ),
        trigger(
            "oom.unreported",
            Severity::High,
            "availability",
            t("OOM killer was invoked, and no source tells whom it killed", "OOM killer が発動されましたが、何が終了されたか不明です。"),
            "min(@oom.unreported,#2)>min(@oom.unreported,#21) or min(@oom.total,#3)>min(@oom.total,#19)",
        )
        .opdata(t(
            "Kills without a report: {ITEM.LASTVALUE1}, kills in total: {ITEM.LASTVALUE3}",
            "報告のない強制終了: {ITEM.LASTVALUE1}、強制終了の累計: {ITEM.LASTVALUE3}",
        ))
        .about(t(
            "The count of kills grew, and no report can be read. See the item of unreadable sources for what would make them readable. Closes ten minutes after the last kill.",
            "強制終了の数が増えましたが、報告が読めません。どうすれば読めるかは、読めない情報源のアイテムを見てください。最後の強制終了から 10 分で閉じます。",
        ))
        .depends_on(&["oom.global", "oom.memcg", "oom.expected"])
        .manual_close()
        .tags(&[("oom", "unknown")]),
    ]
}

/// The time left has values only while memory shrinks, so values are counted; another item's values make the server look again.
fn memory_triggers() -> Vec<Trigger> {
    vec![
        trigger(
            "memory.horizon",
            Severity::High,
            "capacity",
            t("Memory will be gone within {$OOMWATCH.HORIZON}", "{$OOMWATCH.HORIZON} 以内にメモリが尽きます。"),
            "count(@memory.seconds_left,2m)>0 and count(@memory.seconds_left,3m,\"ge\",\"{$OOMWATCH.HORIZON}\")=0 \
             and last(@memory.pavailable)<{$OOMWATCH.HORIZON.PAVAIL}",
        )
        .event_name(t(
            "Memory will be gone in {ITEM.LASTVALUE1} at the present trend",
            "現在の傾向では {ITEM.LASTVALUE1} でメモリが尽きます。",
        ))
        .opdata(t("Left: {ITEM.LASTVALUE1}, available: {ITEM.LASTVALUE3}", "残り時間: {ITEM.LASTVALUE1}、利用可能: {ITEM.LASTVALUE3}"))
        .about(t(
            "Available memory and free swap shrink steadily. Then the OOM killer acts. See the processes by memory.",
            "利用可能メモリと空きスワップが減り続けています。尽きると OOM killer が発動されます。メモリの大きいプロセスを確認してください。",
        ))
        .depends_on(&["oom.global"]),
        trigger(
            "memory.low",
            Severity::Average,
            "capacity",
            t("Little memory is available (under {$OOMWATCH.MEM.PAVAIL.MIN} % for 5m)", "利用可能メモリが不足しています（5 分間 {$OOMWATCH.MEM.PAVAIL.MIN} % 未満）。"),
            "max(@memory.pavailable,5m)<{$OOMWATCH.MEM.PAVAIL.MIN}",
        )
        .opdata(t("Available: {ITEM.LASTVALUE1}", "利用可能: {ITEM.LASTVALUE1}"))
        .about(t("The machine works at the edge of its memory.", "メモリの限界近くで動いています。"))
        .depends_on(&["memory.horizon"]),
        trigger(
            "swap.low",
            Severity::Warning,
            "capacity",
            t("Swap is nearly full (under {$OOMWATCH.SWAP.PFREE.MIN} % free for 5m)", "スワップの空きが不足しています（5 分間 {$OOMWATCH.SWAP.PFREE.MIN} % 未満）。"),
            "max(@swap.pfree,5m)<{$OOMWATCH.SWAP.PFREE.MIN} and last(@swap.total)>0",
        )
        .opdata(t("Free: {ITEM.LASTVALUE1}", "空き: {ITEM.LASTVALUE1}"))
        .about(t(
            "When swap is full, memory has no way out. Never on a machine without swap.",
            "スワップがいっぱいになると、メモリの逃げ場がなくなります。スワップのないマシンでは発生しません。",
        ))
        .depends_on(&["memory.low", "memory.horizon"]),
        trigger(
            "psi.high",
            Severity::Warning,
            "performance",
            t("All processes wait for memory (over {$OOMWATCH.PSI.FULL.MAX} % of 5m)", "すべてのプロセスがメモリ待ちになっています（5 分間 {$OOMWATCH.PSI.FULL.MAX} % 超）。"),
            "min(@psi.full,5m)>{$OOMWATCH.PSI.FULL.MAX}",
        )
        .opdata(t("Waiting: {ITEM.LASTVALUE1}", "メモリ待ち: {ITEM.LASTVALUE1}"))
        .about(t("The machine is busy with moving pages instead of working.", "本来の処理ではなく、ページの入れ替えに追われています。"))
        .depends_on(&["memory.low", "memory.horizon", "swap.low"]),
        trigger(
            "panic_on_oom",
            Severity::Warning,
            "notice",
            t("The kernel panics when memory runs out (panic_on_oom)", "メモリが尽きるとカーネルがパニックする設定です（panic_on_oom）。"),
            "last(@panic_on_oom)<>0",
        )
        .opdata(t("panic_on_oom: {ITEM.LASTVALUE1}", "panic_on_oom: {ITEM.LASTVALUE1}"))
        .about(t(
            "Instead of killing one process the kernel stops the whole machine. If that is not wanted: sysctl vm.panic_on_oom=0.",
            "プロセスを 1 つ終了する代わりに、マシン全体が停止します。意図した設定でなければ sysctl vm.panic_on_oom=0 としてください。",
        ))
        .manual_close(),
    ]
}

fn sight_triggers() -> Vec<Trigger> {
    let notice = |id, severity, name, expression, about| {
        trigger(id, severity, "notice", name, expression).about(about)
    };
    vec![
        notice(
            "plugin.silent",
            Severity::Average,
            t("OomWatch is silent (no data for {$OOMWATCH.NODATA})", "OomWatch からデータが届きません（{$OOMWATCH.NODATA}）。"),
            "nodata(@self.uptime,{$OOMWATCH.NODATA})=1",
            t(
                "The agent is down, or its plugin is not installed or not configured: see the agent's log.",
                "エージェントが停止しているか、プラグインがインストール・設定されていません。エージェントのログを確認してください。",
            ),
        )
        .manual_close(),
        notice(
            "plugin.hanging",
            Severity::Warning,
            t("OomWatch: polls hang for 10m", "OomWatch: 応答しない処理が 10 分続いています。"),
            "min(@self.hanging,10m)>0",
            t("Something that is read does not answer, such as a dead NFS mount.", "読み取り対象が応答していません（応答しない NFS など）。"),
        )
        .opdata(t("Hanging: {ITEM.LASTVALUE1}", "応答なし: {ITEM.LASTVALUE1}")),
        notice(
            "plugin.forgets",
            Severity::Warning,
            t("OomWatch cannot keep its state", "OomWatch が状態を保存できません。"),
            "last(@oom.persistence)<>\"durable\"",
            t(
                "The state directory (Plugins.OomWatch.StateDir) cannot be written by the agent's user (memory), or another agent has it (read-only): kills and log positions are forgotten with a restart.",
                "状態ディレクトリ（Plugins.OomWatch.StateDir）にエージェントのユーザーが書き込めない（memory）か、別のエージェントが使用中です（read-only）。再起動すると強制終了の記録とログの位置が失われます。",
            ),
        ),
        notice(
            "sight.sources",
            Severity::Warning,
            t("The agent may not read the kernel's messages", "エージェントがカーネルメッセージを読めません。"),
            &says_no("oom.readable"),
            t(
                "OOM kills are counted, and whom they hit is not known. The item of unreadable sources tells what to do.",
                "OOM の強制終了は数えられますが、何が終了されたかはわかりません。対処は、読めない情報源のアイテムを見てください。",
            ),
        ),
        notice(
            "sight.processes",
            Severity::Warning,
            t("The agent does not see the processes of other users (hidepid)", "エージェントから他ユーザーのプロセスが見えません（hidepid）。"),
            &says_no("others_visible"),
            t(
                "Add the agent's user to the group of the gid= option of /proc, or mount /proc with hidepid=0.",
                "/proc の gid= オプションのグループにエージェントのユーザーを加えるか、hidepid=0 でマウントしてください。",
            ),
        ),
        notice(
            "sight.pss",
            Severity::Info,
            t("The agent may not read the PSS of all processes", "エージェントが PSS を読めないプロセスがあります。"),
            "last(@proc.pss.unreadable)>0 and {$OOMWATCH.PSS.REQUIRED}=1",
            t("Give the agent CAP_SYS_PTRACE, or set {$OOMWATCH.PSS.REQUIRED} to 0.", "エージェントに CAP_SYS_PTRACE を与えるか、{$OOMWATCH.PSS.REQUIRED} を 0 にしてください。"),
        )
        .opdata(t("Processes: {ITEM.LASTVALUE1}", "プロセス数: {ITEM.LASTVALUE1}"))
        .depends_on(&["sight.processes"]),
    ]
}

fn graphs() -> Vec<Graph> {
    vec![
        Graph {
            id: "memory",
            name: t("OomWatch: Memory left", "OomWatch: 残りメモリ"),
            lines: vec![gradient("memory.available"), line("swap.free"), bold("memory.total")],
        },
        Graph {
            id: "pressure",
            name: t("OomWatch: Processes wait for memory", "OomWatch: メモリ待ち"),
            lines: vec![line("psi.some"), gradient("psi.full")],
        },
        Graph {
            id: "kills",
            name: t("OomWatch: OOM kills", "OomWatch: OOM による強制終了"),
            lines: vec![bold("oom.total"), line("oom.unreported")],
        },
    ]
}

fn dashboard() -> Dashboard {
    Dashboard {
        id: "memory",
        name: t("OomWatch: Memory", "OomWatch: メモリ"),
        pages: vec![Page { name: t("Memory", "メモリ"), rows: memory_rows() }, limits::page()],
    }
}

fn memory_rows() -> Vec<Row> {
    let item = |item, name| Widget::Item { item, name };
    let row = |height, widgets| Row { height, widgets };
    let history = |item, name| Widget::History { item, name };
    let honeycomb = Widget::Honeycomb {
        pattern: t("Process *: RSS", "プロセス *: RSS"),
        name: t("RSS by process", "プロセスごとの RSS"),
    };
    vec![
        row(
            3,
            vec![
                item("memory.pavailable", t("Available", "利用可能")),
                item("swap.free", t("Swap free", "スワップ空き")),
                item("memory.rate", t("Change", "増減")),
                item("oom.total", t("OOM kills", "OOM 強制終了")),
            ],
        ),
        row(4, vec![Widget::Problems { name: t("Problems", "障害") }]),
        row(5, vec![Widget::Graph("memory"), Widget::Graph("kills")]),
        row(5, vec![honeycomb, Widget::Graph("pressure")]),
        row(
            4,
            vec![
                history(
                    "oom.event.global",
                    t("Last OOM kill on the machine", "マシン全体での最後の OOM 強制終了"),
                ),
                history(
                    "oom.event.memcg",
                    t("Last OOM kill in a cgroup", "cgroup 内での最後の OOM 強制終了"),
                ),
            ],
        ),
        row(10, vec![Widget::GraphPrototype { graph: "process.memory", columns: 2, rows: 2 }]),
    ]
}
