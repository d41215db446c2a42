//! "OomWatch Classic": items with the agent's own keys. The plugin replies to them if the agent has aliases for them.

use super::super::common::discard_errors;
use super::super::model::{
    Check, Dashboard, Graph, Item, Template, Text, ValueType, Widget, WidgetRow, agent, gradient, line,
    single_page, text, untranslated,
};
use super::silence::{recent_line, silence};

pub(crate) fn template() -> Template {
    let description = text(
        "Items and triggers with the agent's own keys, as they are often created by hand: processes named httpd, /var/log/messages and \
         Apache's error_log. They work with any agent. With Alias=proc.mem[*]:oomwatch.proc.mem[*] and similar aliases the plugin replies to them.",
        "手作業で作られることの多いアイテムとトリガー（httpd のプロセス、/var/log/messages、Apache の error_log）を、エージェント標準のキーのまま収めたものです。\
         どのエージェントでも使えます。Alias=proc.mem[*]:oomwatch.proc.mem[*] などのエイリアスを設定すると、プラグインが応答します。",
    );
    Template {
        macros: vec![silence()],
        items: [process_items(), log_items()].concat(),
        triggers: vec![
            recent_line(
                "messages.oom",
                "messages",
                "oom-killer",
                text("OOM killer was invoked (messages)", "OOM killer が発動されました。"),
            ),
            recent_line(
                "error_log.max",
                "error_log",
                "MaxClients|MaxRequestWorkers",
                text("Apache: process limit reached (error_log)", "apacheのプロセスが上限に達しました。"),
            ),
        ],
        graphs: graphs(),
        dashboard: Some(Dashboard {
            id: "classic",
            name: untranslated("OomWatch: httpd"),
            pages: single_page(vec![WidgetRow::new(5, vec![Widget::Graph("rss"), Widget::Graph("num")])]),
        }),
        ..Template::empty("classic", Check::Active, "OomWatch Classic", "apache", description)
    }
}

fn process_items() -> Vec<Item> {
    let httpd = |id, key, [name, description]: [Text; 2]| {
        agent(id, key, "1m", name, description).component("processes").step(discard_errors())
    };
    vec![
        httpd("mem.sum", "proc.mem[httpd,,sum,,rss]", [
            text("httpd: Total RSS", "httpd: RSS 合計"),
            text(
                "Sum of the resident memory (RSS) of all processes named httpd. Shared pages are counted once for each process.",
                "httpd という名前の全プロセスの常駐メモリ（RSS）の合計。共有ページはプロセスごとに数えます。",
            ),
        ])
        .units("B"),
        httpd("mem.avg", "proc.mem[httpd,,avg,,rss]", [
            text("httpd: RSS, average", "httpd: RSS 平均"),
            text(
                "Average resident memory (RSS) of the processes named httpd.",
                "httpd という名前のプロセスの常駐メモリ（RSS）の平均。",
            ),
        ])
        .float("B"),
        httpd("num", "proc.num[httpd]", [
            text("httpd: Processes", "httpd: プロセス数"),
            text("Number of processes named httpd.", "httpd という名前のプロセスの数。"),
        ]),
    ]
}

fn log_items() -> Vec<Item> {
    let log = |id, key, name| {
        let description = text(
            "New lines of the log. Empty if the log does not exist or cannot be read.",
            "ログの新しい行。ログがないか読めない場合は値がありません。",
        );
        agent(id, key, "10s", name, description)
            .value_type(ValueType::Log)
            .component("log")
            .step(discard_errors())
    };
    vec![
        log("messages", "log[/var/log/messages]", text("Log: /var/log/messages", "ログ: /var/log/messages")),
        log(
            "error_log",
            "log[/var/log/httpd/error_log]",
            text("Log: Apache's error_log", "ログ: Apache の error_log"),
        ),
    ]
}

fn graphs() -> Vec<Graph> {
    vec![
        Graph {
            id: "rss",
            name: text("httpd: Resident memory", "httpd: 常駐メモリ"),
            lines: vec![gradient("mem.sum"), line("mem.avg").right_axis()],
        },
        Graph {
            id: "num",
            name: text("httpd: Number of processes", "httpd: プロセス数の推移"),
            lines: vec![gradient("num")],
        },
    ]
}
