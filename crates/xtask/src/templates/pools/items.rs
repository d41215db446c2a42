//! Items from the JSON of the capacity key.

use super::super::model::{Item, OnFail, Step, Text, ValueType, master, text, untranslated};
use super::pool::Pool;

pub(super) fn items(pool: &Pool) -> Vec<Item> {
    [state_items(pool), limit_items(pool), worker_items(pool), fit_items(pool), memory_items(pool)].concat()
}

fn member(pool: &Pool, id: &'static str, name: &Text, description: Text) -> Item {
    pool.dependent(id, "capacity", name, description)
}

fn capacity(pool: &Pool) -> Item {
    let title = pool.title;
    let key = format!("{}[{}]", pool.key, pool.conf.name);
    let description = text(
        &format!("Limit, workers and memory of {title} as JSON."),
        &format!("{title} の上限、ワーカー数、メモリ（JSON）。"),
    );
    let name = text(&format!("{title}: Capacity"), &format!("{title}: キャパシティ"));
    master("capacity", &key, "1m", name, description)
        .step(Step::NotSupported(OnFail::Value("{\"found\":false}")))
}

fn state_items(pool: &Pool) -> Vec<Item> {
    vec![
        capacity(pool),
        member(
            pool,
            "found",
            &text("Configuration readable", "設定の読み取り可否"),
            text(
                "\"No\" if the software is not installed, or its configuration cannot be read. \
                 `zabbix-agent2-plugin-oomwatch capacity` prints the reason.",
                "ソフトウェアがインストールされていないか、設定を読めないときに「いいえ」になります。理由は `zabbix-agent2-plugin-oomwatch capacity` \
                 で確認できます。",
            ),
        )
        .value_map("yes_no")
        .component("application")
        .step(Step::JsonPath("$.found".to_owned(), OnFail::Value("true")))
        .step(Step::BoolToDecimal),
        member(
            pool,
            "running",
            &text("Running", "稼働中"),
            text(
                "Whether the plugin found processes of the software.",
                "ソフトウェアのプロセスが見つかったか。",
            ),
        )
        .value_map("yes_no")
        .component("application")
        .boolean("$.running"),
        member(
            pool,
            "warnings",
            &text("Configuration warnings", "設定の警告"),
            text(
                "Differences between the configured and the effective limit, and parts of the configuration that could not be read. One per \
                 line. \"none\" if there are none.",
                "設定された上限と実際に適用される上限の違い、および読み取れなかった設定（1 行に 1 件）。なければ none です。",
            ),
        )
        .value_type(ValueType::Text)
        .component("application")
        .step(Step::JavaScript(include_str!("../scripts/warnings.js")))
        .heartbeat("1h"),
    ]
}

/// Returns the words that follow the name of the directive.
fn of_all_pools(pool: &Pool) -> Text {
    if pool.is_sum { text(", sum of all pools", "（全プールの合計）") } else { untranslated("") }
}

fn number(pool: &Pool, id: &'static str, path: &str, [name, description]: [Text; 2]) -> Item {
    member(pool, id, &name, description).component("workers").json_path(path)
}

fn limit_items(pool: &Pool) -> Vec<Item> {
    let (limit_name, of_all, worker) = (pool.limit_name, of_all_pools(pool), &pool.worker);
    vec![
        number(pool, "limit", "$.limit", [
            text("Limit", "上限"),
            text(
                &format!("The effective {limit_name}{}, after the software's own defaults and corrections.", of_all.en),
                &format!("実際に適用される {limit_name}{}。ソフトウェアの既定値や補正を反映した値です。", of_all.ja),
            ),
        ]),
        number(pool, "usage", "$.usage_percent", [
            text("Usage", "使用率"),
            text(
                &format!("Busy {0}s as a percentage of the limit. Empty if busy {0}s cannot be distinguished from idle ones.", worker.en),
                &format!("上限に対する使用中の{}の割合（%）。使用中と待機中を区別できない場合は値がありません。", worker.ja),
            ),
        ])
        .float("%"),
        number(pool, "at_limit", "$.at_limit", [
            text("At the limit", "上限到達"),
            text(
                &format!("Whether all permitted {0}s are in use. Empty if busy {0}s cannot be distinguished from idle ones.", worker.en),
                &format!("{}が上限まですべて使用中か。使用中と待機中を区別できない場合は値がありません。", worker.ja),
            ),
        ])
        .value_map("yes_no")
        .step(Step::BoolToDecimal),
    ]
}

fn capitalized(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}", first.to_uppercase(), letters.as_str()))
}

fn worker_items(pool: &Pool) -> Vec<Item> {
    let worker = &pool.worker;
    vec![
        number(
            pool,
            "processes",
            "$.processes",
            [
                text("Processes", "プロセス数"),
                text("Number of running processes of the software.", "稼働中のプロセスの数。"),
            ],
        ),
        number(
            pool,
            "workers",
            "$.workers",
            [
                text(&capitalized(&format!("{}s", worker.en)), &format!("{}数", worker.ja)),
                text(
                    &format!("Number of {}s, busy and idle.", worker.en),
                    &format!("使用中と待機中の{}の合計。", worker.ja),
                ),
            ],
        ),
        number(
            pool,
            "busy",
            "$.busy",
            [
                text("Busy", "使用中"),
                text(
                    &format!("Number of {}s that are in use. Empty if it cannot be measured.", worker.en),
                    &format!("使用中の{}の数。測定できない場合は値がありません。", worker.ja),
                ),
            ],
        ),
    ]
}

fn part_of_memory(pool: &Pool, id: &'static str, path: &str, [name, description]: [Text; 2]) -> Item {
    member(pool, id, &name, description).component("memory").json_path(path)
}

fn fit_items(pool: &Pool) -> Vec<Item> {
    let (limit_name, of_all) = (pool.limit_name, of_all_pools(pool));
    vec![
        part_of_memory(pool, "fits", "$.fits", [
            text("Fits into memory", "メモリに収まる"),
            text(
                "Whether the memory is sufficient when the limit is reached.",
                "上限に達したときにメモリが足りるか。",
            ),
        ])
        .value_map("yes_no")
        .step(Step::BoolToDecimal),
        part_of_memory(pool, "largest_limit", "$.largest_limit", [
            text("Largest limit that fits", "メモリに収まる最大の上限"),
            text(
                &format!("The highest {limit_name}{} for which the memory is sufficient.", of_all.en),
                &format!("メモリが足りる最大の {limit_name}{}。", of_all.ja),
            ),
        ]),
        part_of_memory(pool, "source", "$.memory.source", [
            text("Source of sizes", "サイズの情報源"),
            text(
                &format!(
                    "How the memory of a {} was measured: pss, rss_anon, rss, or configured (from buffer sizes in the configuration).",
                    pool.worker.en
                ),
                &format!(
                    "{} 1 つあたりのメモリの測定方法: pss、rss_anon、rss、または configured（設定のバッファサイズから計算）。",
                    pool.worker.ja
                ),
            ),
        ])
        .value_type(ValueType::Char)
        .heartbeat("1h"),
        part_of_memory(pool, "how", "$.basis", [
            text("Calculation", "計算方法"),
            text(
                "The calculation of the largest limit that fits, with its numbers.",
                "メモリに収まる最大の上限の計算式（数値を含む）。",
            ),
        ])
        .value_type(ValueType::Text)
        .heartbeat("1d"),
    ]
}

fn memory_items(pool: &Pool) -> Vec<Item> {
    let worker = &pool.worker;
    let bytes = |id, path, texts| part_of_memory(pool, id, path, texts).units("B");
    vec![
        bytes(
            "worker_bytes",
            "$.memory.worker_bytes",
            [
                text(&format!("Memory per {}", worker.en), &format!("{} 1 つあたりのメモリ", worker.ja)),
                text(
                    &format!(
                        "Average memory of a {}: its private memory plus its share of the shared memory.",
                        worker.en
                    ),
                    &format!("{} 1 つの平均メモリ: 固有のメモリと、共有メモリの按分の合計。", worker.ja),
                ),
            ],
        ),
        bytes(
            "memory_at_limit",
            "$.memory_at_limit_bytes",
            [
                text("Memory at the limit", "上限到達時のメモリ"),
                text(
                    &format!("Memory that all {}s need together when the limit is reached.", worker.en),
                    &format!("上限に達したときにすべての{}が必要とするメモリの合計。", worker.ja),
                ),
            ],
        ),
        bytes(
            "memory_available",
            "$.available_bytes",
            [
                text(&format!("Memory for {}s", worker.en), &format!("{}が使えるメモリ", worker.ja)),
                text(
                    "Memory of the host, or the limit of the software's memory cgroup if that is lower, minus the reserve for everything else.",
                    "ホストのメモリ（ソフトウェアのメモリ cgroup の上限のほうが小さければその上限）から、その他のための予約分を引いたもの。",
                ),
            ],
        ),
    ]
}
