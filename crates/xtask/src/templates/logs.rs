//! Templates over logs: "OomWatch log" (text), "OomWatch Sites" (requests per virtual host), "OomWatch Classic" (the agent's own keys).

use super::model::{
    Check, Condition, Dashboard, Discovery, Graph, Item, Macro, OnFail, Row, Severity, Step, Template, Text,
    Trigger, Values, WHOLE, Widget, agent, dependent, gradient, line, master, page, same, sorted, t, trigger,
    user_macro,
};
use super::patterns::{APACHE_MAX, LinePattern, OOM, PHPFPM_MAX};

/// A log whose matching lines are delivered.
struct Watched {
    id: &'static str,
    trigger_id: &'static str,
    key: &'static str,
    file: (&'static str, &'static str),
    pattern: (&'static str, &'static LinePattern),
    name: Text,
    problem: Text,
}

const SILENCE: &str = "{$OOMWATCH.LOG.SILENCE}";

fn silence() -> Macro {
    let about = t(
        "How long after the last line a problem lasts; at least 30s, because a server looks no oftener by itself.",
        "最後の行から障害が閉じるまでの時間。サーバーは 30 秒ごとに再評価するため、30s 以上にしてください。",
    );
    user_macro(SILENCE, "10m", about)
}

/// Lines of text need active checks: an answer without a new line has no value.
pub(crate) fn log() -> Template {
    let watched = [
        Watched {
            id: "kernel",
            trigger_id: "kernel.oom",
            key: "oomwatch.log",
            file: ("{$OOMWATCH.SYSLOG}", "/var/log/messages"),
            pattern: ("{$OOMWATCH.OOM.PATTERN}", &OOM),
            name: t("Log: OOM killer", "ログ: OOM killer"),
            problem: t("Log: OOM killer was invoked", "ログ: OOM killer が発動されました。"),
        },
        Watched {
            id: "apache",
            trigger_id: "apache.full",
            key: "oomwatch.log",
            file: ("{$OOMWATCH.APACHE.LOG}", "/var/log/apache2/error.log"),
            pattern: ("{$OOMWATCH.APACHE.MAX.PATTERN}", &APACHE_MAX),
            name: t("Log: Apache at its limit", "ログ: Apache の上限到達"),
            problem: t(
                "Log: Apache reached its limit of workers",
                "ログ: apacheのプロセスが上限に達しました。",
            ),
        },
        Watched {
            id: "phpfpm",
            trigger_id: "phpfpm.full",
            key: "oomwatch.logrt",
            file: ("{$OOMWATCH.PHPFPM.LOG}", "/var/log/^php[0-9.]*-fpm[.]log$"),
            pattern: ("{$OOMWATCH.PHPFPM.MAX.PATTERN}", &PHPFPM_MAX),
            name: t("Log: PHP-FPM at its limit", "ログ: PHP-FPM の上限到達"),
            problem: t(
                "Log: PHP-FPM reached its limit of workers",
                "ログ: php-fpmのプロセスが上限に達しました。",
            ),
        },
    ];
    let file = t(
        "The log's file. On Debian and Ubuntu the kernel's messages are in /var/log/kern.log; on Red Hat Apache's are in \
         /var/log/httpd/error_log, and php-fpm's in /var/log/php-fpm/error.log.",
        "ログファイル。Debian / Ubuntu ではカーネルメッセージは /var/log/kern.log、Red Hat では Apache は /var/log/httpd/error_log、\
         php-fpm は /var/log/php-fpm/error.log です。",
    );
    let pattern = t("Lines that are delivered and raise a problem.", "送信して障害とする行のパターン。");
    let macros = watched.iter().flat_map(|log| {
        let file = user_macro(log.file.0, log.file.1, file.clone());
        [file, user_macro(log.pattern.0, log.pattern.1.regexp, pattern.clone())]
    });
    Template {
        macros: sorted(macros.chain([silence()]).collect()),
        items: watched.iter().map(line_item).collect(),
        triggers: watched.iter().map(line_trigger).collect(),
        ..bare(
            "log",
            Check::Active,
            "OomWatch log",
            t(
                "The lines themselves that say that memory or workers ran out. A problem lasts until ten minutes after the last line. \
                 The agent needs EnablePersistentBuffer=1 so that no line is lost while the server is away. Lines that come together are one value.",
                "メモリ不足やワーカーの上限到達を示すログの行そのものを収集します。障害は最後の行から 10 分で閉じます。\
                 サーバー停止中に行を失わないよう、エージェントに EnablePersistentBuffer=1 を設定してください。同時に届いた行は 1 つの値になります。",
            ),
            "log",
        )
    }
}

fn line_item(log: &Watched) -> Item {
    let key = format!("{}[{},{},,,skip]", log.key, log.file.0, log.pattern.0);
    let about = t(
        "New matching lines. No value where the log is absent or cannot be read.",
        "一致した新しい行。ログがないか読めなければ値はありません。",
    );
    agent(log.id, &key, "10s", log.name.clone(), about)
        .values(Values::Text)
        .component("log")
        .step(Step::NotSupported(OnFail::Discard))
}

/// The key's pattern has judged the line already: what counts is that there was one. `nodata` makes the server look again by itself.
fn line_trigger(log: &Watched) -> Trigger {
    let item = log.id;
    let expression = format!("nodata(@{item},{SILENCE})=0 and find(@{item},{SILENCE},\"regexp\",\".\")=1");
    trigger(log.trigger_id, Severity::High, "availability", log.problem.clone(), &expression)
        .opdata(same(WHOLE))
        .about(t(
            "Closes {$OOMWATCH.LOG.SILENCE} after the last such line.",
            "最後の行から {$OOMWATCH.LOG.SILENCE} で閉じます。",
        ))
        .manual_close()
}

/// A template with nothing in it.
fn bare(
    id: &'static str,
    check: Check,
    subject: &'static str,
    description: Text,
    target: &'static str,
) -> Template {
    Template {
        id,
        check,
        subject,
        description,
        class: "software",
        target,
        macros: Vec::new(),
        valuemaps: Vec::new(),
        items: Vec::new(),
        triggers: Vec::new(),
        discoveries: Vec::new(),
        graphs: Vec::new(),
        dashboard: None,
    }
}

/// The operator's own items, with their keys as they were: the plugin answers them where the agent's aliases say so.
pub(crate) fn classic() -> Template {
    let memory = |id, key, name| {
        let about =
            t("Resident memory of the processes named httpd.", "httpd という名前のプロセスの常駐メモリ。");
        agent(id, key, "1m", name, about).component("processes").step(Step::NotSupported(OnFail::Discard))
    };
    let log = |id, key, name| {
        let about = t(
            "The log's new lines. No value where it is absent or cannot be read.",
            "ログの新しい行。ログがないか読めなければ値はありません。",
        );
        agent(id, key, "10s", name, about)
            .values(Values::Log)
            .component("log")
            .step(Step::NotSupported(OnFail::Discard))
    };
    Template {
        macros: vec![silence()],
        items: vec![
            memory("mem.sum", "proc.mem[httpd,,sum,,rss]", t("httpd: RSS of all", "httpd: RSS 合計"))
                .units("B"),
            memory("mem.avg", "proc.mem[httpd,,avg,,rss]", t("httpd: RSS, average", "httpd: RSS 平均"))
                .float("B"),
            memory("num", "proc.num[httpd]", t("httpd: Processes", "httpd: プロセス数")),
            log("messages", "log[/var/log/messages]", t("Log: /var/log/messages", "ログ: /var/log/messages")),
            log(
                "error_log",
                "log[/var/log/httpd/error_log]",
                t("Log: Apache's error_log", "ログ: Apache の error_log"),
            ),
        ],
        triggers: vec![
            word(
                "messages.oom",
                "messages",
                "oom-killer",
                t("OOM killer was invoked (messages)", "OOM killer が発動されました。"),
            ),
            word(
                "error_log.max",
                "error_log",
                "MaxClients|MaxRequestWorkers",
                t(
                    "Apache reached its limit of processes (error_log)",
                    "apacheのプロセスが上限に達しました。",
                ),
            ),
        ],
        graphs: vec![
            Graph {
                id: "rss",
                name: t("httpd: Resident memory", "httpd: 常駐メモリ"),
                lines: vec![gradient("mem.sum"), line("mem.avg").right()],
            },
            Graph {
                id: "num",
                name: t("httpd: Number of processes", "httpd: プロセス数の推移"),
                lines: vec![gradient("num")],
            },
        ],
        dashboard: Some(Dashboard {
            id: "classic",
            name: same("OomWatch: httpd"),
            pages: page(vec![Row { height: 5, widgets: vec![Widget::Graph("rss"), Widget::Graph("num")] }]),
        }),
        ..bare(
            "classic",
            Check::Active,
            "OomWatch Classic",
            t(
                "Items and triggers with the agent's own keys, as they are built by hand: processes named httpd, /var/log/messages and Apache's error_log. \
                 They work with any agent; with Alias=proc.mem[*]:oomwatch.proc.mem[*] and its like the plugin answers them.",
                "手作業で作られてきたアイテムとトリガー（httpd のプロセス、/var/log/messages、Apache の error_log）を、エージェント標準のキーのまま収めたものです。\
                 どのエージェントでも使えます。Alias=proc.mem[*]:oomwatch.proc.mem[*] などを設定すると、プラグインが応答します。",
            ),
            "apache",
        )
    }
}

/// A line with the word in the last ten minutes, and data in that time.
fn word(id: &'static str, item: &str, regexp: &str, name: Text) -> Trigger {
    let expression =
        format!("nodata(@{item},{SILENCE})=0 and find(@{item},{SILENCE},\"regexp\",\"{regexp}\")=1");
    trigger(id, Severity::High, "availability", name, &expression)
        .opdata(same(WHOLE))
        .about(t(
            "Closes {$OOMWATCH.LOG.SILENCE} after the last line with these words.",
            "この語を含む最後の行から {$OOMWATCH.LOG.SILENCE} で閉じます。",
        ))
        .manual_close()
}

pub(crate) fn sites(check: Check) -> Template {
    Template {
        macros: sorted(vec![
            user_macro(
                "{$OOMWATCH.SITES.LOG}",
                "/var/log/apache2/other_vhosts_access.log",
                t("The access log of all virtual hosts.", "すべてのバーチャルホストのアクセスログ。"),
            ),
            user_macro(
                "{$OOMWATCH.SITES.MATCHES}",
                ".*",
                t("Names of sites that discovery takes.", "ディスカバリの対象とするサイト名。"),
            ),
            user_macro(
                "{$OOMWATCH.SITES.PATTERN}",
                "^([^ :]+):[0-9]+ ",
                t(
                    "The first group is the site: as Apache's vhost_combined has it, at the line's beginning.",
                    "最初のグループがサイト名になります（既定値は Apache の vhost_combined 形式）。",
                ),
            ),
            user_macro(
                "{$OOMWATCH.SITES.RATE.MAX}",
                "100",
                t(
                    "The most requests per second of one site, for five minutes. May be set for a site by context.",
                    "1 サイトあたりの毎秒リクエスト数の上限（5 分間）。サイト名をコンテキストにして個別に設定できます。",
                ),
            ),
        ]),
        items: site_items(),
        discoveries: vec![site_discovery()],
        graphs: vec![Graph {
            id: "all",
            name: t("OomWatch: Requests of all sites", "OomWatch: 全サイトのリクエスト"),
            lines: vec![gradient("rate"), line("other")],
        }],
        dashboard: Some(Dashboard {
            id: "sites",
            name: t("OomWatch: Sites", "OomWatch: サイト"),
            pages: page(vec![
                Row {
                    height: 5,
                    widgets: vec![
                        Widget::Graph("all"),
                        Widget::Honeycomb {
                            pattern: t("Site *: Requests per second", "サイト *: 毎秒リクエスト数"),
                            name: t("Requests by site", "サイトごとのリクエスト"),
                        },
                    ],
                },
                Row {
                    height: 10,
                    widgets: vec![Widget::GraphPrototype { graph: "site", columns: 2, rows: 2 }],
                },
            ]),
        }),
        ..bare(
            "sites",
            check,
            "OomWatch Sites",
            t(
                "Requests per virtual host, counted in the access log: which of many sites fills the workers.",
                "アクセスログから数えた、バーチャルホストごとのリクエスト数。多数のサイトのうちどれがワーカーを使っているかがわかります。",
            ),
            "apache",
        )
    }
}

fn site_items() -> Vec<Item> {
    let rate = |id, path, name, about| {
        dependent(id, "groups", name, about)
            .key(&format!("oomwatch.sites.{id}"))
            .component("sites")
            .path(path)
    };
    vec![
        master(
            "groups",
            "oomwatch.log.groups[{$OOMWATCH.SITES.LOG},{$OOMWATCH.SITES.PATTERN},,skip,,100]",
            "1m",
            t("Sites: Requests", "サイト: リクエスト"),
            t(
                "Requests by site since the item was first asked for, as JSON.",
                "サイトごとのリクエスト数の累計（JSON）。",
            ),
        )
        .step(Step::NotSupported(OnFail::Discard)),
        rate(
            "rate",
            "$.count",
            t("Sites: Requests per second of all", "サイト: 全体の毎秒リクエスト数"),
            t("All requests in the log.", "ログにあるすべてのリクエスト。"),
        )
        .float("rps")
        .step(Step::ChangePerSecond),
        rate(
            "other",
            "$.other",
            t("Sites: Requests per second of the rest", "サイト: その他の毎秒リクエスト数"),
            t("Sites beyond the first hundred.", "上位 100 件以外のサイト。"),
        )
        .float("rps")
        .step(Step::ChangePerSecond),
    ]
}

fn site_discovery() -> Discovery {
    let site = dependent(
        "site.rate",
        "groups",
        t("Site {#SITE}: Requests per second", "サイト {#SITE}: 毎秒リクエスト数"),
        t("Requests of this virtual host.", "このバーチャルホストのリクエスト。"),
    );
    Discovery {
        id: "sites.discovery",
        name: t("Sites of the access log", "アクセスログのサイト"),
        description: t("The hundred virtual hosts with the most requests.", "リクエストの多い上位 100 件のバーチャルホスト。"),
        master: "groups",
        steps: vec![
            Step::JsonPath("$.groups".to_owned(), OnFail::Value("[]")),
            Step::JavaScript(include_str!("scripts/values.js")),
            Step::DiscardUnchanged("1h"),
        ],
        paths: vec![("{#SITE}", "$.value")],
        filter: vec![Condition { lld_macro: "{#SITE}", matches: true, regexp: "{$OOMWATCH.SITES.MATCHES}" }],
        items: vec![
            site.key("oomwatch.sites.site.rate[{#SITE}]")
                .float("rps")
                .component("sites")
                .path("$.groups[?(@.value==\"{#SITE}\")].count.first()")
                .step(Step::ChangePerSecond),
        ],
        triggers: vec![
            trigger(
                "site.busy",
                Severity::Warning,
                "performance",
                t(
                    "Site {#SITE} has over {$OOMWATCH.SITES.RATE.MAX:\"{#SITE}\"} requests per second for 5m",
                    "サイト {#SITE} のリクエストが 5 分間、毎秒 {$OOMWATCH.SITES.RATE.MAX:\"{#SITE}\"} 件を超えています。",
                ),
                "min(@site.rate,5m)>{$OOMWATCH.SITES.RATE.MAX:\"{#SITE}\"}",
            )
            .opdata(t("Per second: {ITEM.LASTVALUE1}", "毎秒: {ITEM.LASTVALUE1}"))
            .about(t("This site may take the workers of the others.", "他のサイトのワーカーを奪っている可能性があります。")),
        ],
        graphs: vec![Graph {
            id: "site",
            name: t("Site {#SITE}: Requests", "サイト {#SITE}: リクエスト"),
            lines: vec![gradient("site.rate")],
        }],
    }
}
