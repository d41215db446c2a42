//! The pools of php-fpm, each discovered with items of its own.

use super::super::model::{
    Condition, DiscoveryRule, Graph, Item, OnFail, Severity, Step, Text, Trigger, Widget, WidgetRow, bold,
    dependent, gradient, line, text, trigger,
};
use super::triggers::IS_RUNNING;

pub(super) fn discovery() -> DiscoveryRule {
    DiscoveryRule {
        id: "phpfpm.pools",
        name: text("Pools of PHP-FPM", "PHP-FPM のプール"),
        description: text(
            "Discovers the pools in the configuration of php-fpm.",
            "php-fpm の設定にあるプールをディスカバリします。",
        ),
        master: "capacity",
        steps: vec![
            Step::JsonPath("$.pools".to_owned(), OnFail::Value("[]")),
            Step::JavaScript(include_str!("../scripts/names.js")),
            Step::DiscardUnchanged("1h"),
        ],
        paths: vec![("{#POOL}", "$.name")],
        filter: vec![Condition { lld_macro: "{#POOL}", matches: true, regexp: ".*" }],
        items: [worker_prototypes(), limit_prototypes()].concat(),
        triggers: vec![full()],
        graphs: vec![Graph {
            id: "each.workers",
            name: named("Workers and limit", "使用数と上限"),
            lines: vec![gradient("each.workers"), bold("each.limit"), line("each.busy")],
        }],
    }
}

pub(super) fn dashboard_row() -> WidgetRow {
    WidgetRow::new(5, vec![Widget::GraphPrototype { graph: "each.workers", columns: 2, rows: 1 }])
}

fn named(en: &str, ja: &str) -> Text {
    text(&format!("PHP-FPM pool {{#POOL}}: {en}"), &format!("PHP-FPM プール {{#POOL}}: {ja}"))
}

fn prototype(id: &'static str, member: &str, [name, description]: [Text; 2]) -> Item {
    dependent(id, "capacity", name, description)
        .key(&format!("oomwatch.phpfpm.{id}[{{#POOL}}]"))
        .component("workers")
        .json_path(&format!("$.pools[?(@.name==\"{{#POOL}}\")].{member}.first()"))
}

fn worker_prototypes() -> Vec<Item> {
    vec![
        prototype(
            "each.workers",
            "workers",
            [
                named("Workers", "ワーカー数"),
                text(
                    "Number of busy and idle workers of the pool.",
                    "プールの使用中と待機中のワーカーの合計。",
                ),
            ],
        ),
        prototype(
            "each.busy",
            "busy",
            [
                named("Busy", "使用中"),
                text(
                    "Number of workers of the pool that process a request. Empty if it cannot be measured.",
                    "プールのうちリクエストを処理中のワーカーの数。測定できない場合は値がありません。",
                ),
            ],
        ),
        prototype(
            "each.queued",
            "queued",
            [
                named("Queued", "待機中の接続"),
                text(
                    "Number of connections that wait for a worker of the pool. Empty if it cannot be measured.",
                    "プールのワーカーを待っている接続の数。測定できない場合は値がありません。",
                ),
            ],
        ),
    ]
}

fn limit_prototypes() -> Vec<Item> {
    vec![
        prototype("each.limit", "limit", [
            named("Limit", "上限"),
            text("The effective pm.max_children of the pool.", "プールに実際に適用される pm.max_children。"),
        ]),
        prototype("each.usage", "usage_percent", [
            named("Usage", "使用率"),
            text(
                "Busy workers of the pool as a percentage of its limit. Empty if busy workers cannot be distinguished from idle ones.",
                "プールの上限に対する使用中のワーカーの割合（%）。使用中と待機中を区別できない場合は値がありません。",
            ),
        ])
        .float("%"),
        prototype("each.at_limit", "at_limit", [
            named("At the limit", "上限到達"),
            text(
                "Whether all permitted workers of the pool are in use. Empty if busy workers cannot be distinguished from idle ones.",
                "プールのワーカーが上限まですべて使用中か。使用中と待機中を区別できない場合は値がありません。",
            ),
        ])
        .value_map("yes_no")
        .step(Step::BoolToDecimal),
    ]
}

fn full() -> Trigger {
    trigger(
        "each.full",
        Severity::High,
        "performance",
        text(
            "PHP-FPM pool {#POOL}: worker limit reached for 5m",
            "php-fpmのプール {#POOL} が 5 分間上限に達しています。",
        ),
        &format!("min(@each.at_limit,5m)=1 and {IS_RUNNING}"),
    )
    .description(text(
        "New requests to this pool have to wait.",
        "このプールへの新しいリクエストが待たされています。",
    ))
    .depends_on(&["log.full", "limit.full"])
}
