//! The dashboard: one page for the host's memory, one for services and cgroups.

use super::super::model::{Dashboard, Page, Text, Widget, WidgetRow, text};

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        id: "memory",
        name: text("OomWatch: Memory", "OomWatch: メモリ"),
        pages: vec![
            Page { name: text("Memory", "メモリ"), rows: memory_rows() },
            Page { name: text("Services and cgroups", "サービスと cgroup"), rows: service_rows() },
        ],
    }
}

fn memory_rows() -> Vec<WidgetRow> {
    let item = |item, name| Widget::Item { item, name };
    let history = |item, name| Widget::History { item, name };
    vec![
        WidgetRow::new(
            3,
            vec![
                item("memory.pavailable", text("Available", "利用可能")),
                item("swap.free", text("Swap free", "スワップ空き")),
                item("memory.rate", text("Change", "増減")),
                item("oom.total", text("OOM kills", "OOM 強制終了")),
            ],
        ),
        WidgetRow::new(4, vec![Widget::Problems { name: text("Problems", "障害") }]),
        WidgetRow::new(5, vec![Widget::Graph("memory"), Widget::Graph("kills")]),
        WidgetRow::new(
            5,
            vec![
                honeycomb(
                    text("Process *: RSS", "プロセス *: RSS"),
                    text("RSS by process", "プロセスごとの RSS"),
                ),
                Widget::Graph("pressure"),
            ],
        ),
        WidgetRow::new(
            4,
            vec![
                history(
                    "oom.event.global",
                    text("Last OOM kill on the whole host", "ホスト全体での最後の OOM 強制終了"),
                ),
                history(
                    "oom.event.memcg",
                    text("Last OOM kill in a cgroup", "cgroup 内での最後の OOM 強制終了"),
                ),
            ],
        ),
        graphs_of("process.memory"),
    ]
}

fn service_rows() -> Vec<WidgetRow> {
    vec![
        WidgetRow::new(
            4,
            vec![
                honeycomb(
                    text("Service *: Memory", "サービス *: メモリ"),
                    text("Memory by service", "サービスごとのメモリ"),
                ),
                honeycomb(
                    text("Cgroup *: Usage", "cgroup *: 使用率"),
                    text("Usage of limits by cgroup", "cgroup ごとの上限使用率"),
                ),
            ],
        ),
        graphs_of("unit.memory"),
        graphs_of("cgroup.memory"),
    ]
}

fn honeycomb(pattern: Text, name: Text) -> Widget {
    Widget::Honeycomb { pattern, name }
}

fn graphs_of(graph: &'static str) -> WidgetRow {
    WidgetRow::new(10, vec![Widget::GraphPrototype { graph, columns: 2, rows: 2 }])
}
