//! Graphs and the dashboard.

use super::super::model::{
    Dashboard, Graph, Text, Widget, WidgetRow, bold, gradient, line, single_page, text, untranslated,
};
use super::pool::Pool;

pub(super) fn graphs(pool: &Pool) -> Vec<Graph> {
    let name = |words: Text| words.map(|words| format!("OomWatch {}: {words}", pool.title));
    vec![
        Graph {
            id: "workers",
            name: name(text("Workers and limit", "使用数と上限")),
            lines: vec![gradient("workers"), bold("limit"), line("busy"), line("largest_limit")],
        },
        Graph {
            id: "memory",
            name: name(text("Memory at the limit", "上限到達時のメモリ")),
            lines: vec![
                bold("memory_at_limit"),
                gradient("memory_available"),
                line("worker_bytes").right_axis(),
            ],
        },
    ]
}

pub(super) fn dashboard(pool: &Pool) -> Dashboard {
    let item = |item, name| Widget::Item { item, name };
    let mut rows = vec![
        WidgetRow::new(
            3,
            vec![
                item("limit", text("Limit", "上限")),
                item("largest_limit", text("Largest limit that fits", "メモリに収まる最大の上限")),
                item("usage", text("Usage", "使用率")),
                item("fits", text("Fits into memory", "メモリに収まる")),
            ],
        ),
        WidgetRow::new(5, vec![Widget::Graph("workers"), Widget::Graph("memory")]),
        WidgetRow::new(4, vec![Widget::Problems { name: text("Problems", "障害") }]),
    ];
    if pool.log.is_some() {
        let name = text("Log: limit reached", "ログ: 上限到達");
        rows.push(WidgetRow::new(4, vec![Widget::History { item: "log.line", name }]));
    }
    let name = untranslated(&format!("OomWatch: {}", pool.title));
    Dashboard { id: "pool", name, pages: single_page(rows) }
}
