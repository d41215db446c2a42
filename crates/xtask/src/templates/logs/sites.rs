//! "OomWatch Sites": requests per virtual host, counted in an access log.

use super::super::common::discard_errors;
use super::super::model::{
    Check, Condition, Dashboard, DiscoveryRule, Graph, Item, OnFail, Severity, Step, Template, Text, Trigger,
    UserMacro, Widget, WidgetRow, dependent, gradient, line, master, single_page, sorted, text, trigger,
    user_macro,
};

pub(crate) fn template(check: Check) -> Template {
    let description = text(
        "Counts the requests per virtual host in an access log. Shows which of many sites uses the workers.",
        "アクセスログから、バーチャルホストごとのリクエスト数を数えます。多数のサイトのうち、どれがワーカーを使っているかがわかります。",
    );
    Template {
        macros: sorted(macros()),
        items: items(),
        discovery_rules: vec![discovery()],
        graphs: vec![Graph {
            id: "all",
            name: text("OomWatch: Requests of all sites", "OomWatch: 全サイトのリクエスト"),
            lines: vec![gradient("rate"), line("other")],
        }],
        dashboard: Some(dashboard()),
        ..Template::empty("sites", check, "OomWatch Sites", "apache", description)
    }
}

fn macros() -> Vec<UserMacro> {
    vec![
        user_macro(
            "{$OOMWATCH.SITES.LOG}",
            "/var/log/apache2/other_vhosts_access.log",
            text(
                "Access log with the requests of all virtual hosts.",
                "すべてのバーチャルホストのリクエストを含むアクセスログ。",
            ),
        ),
        user_macro(
            "{$OOMWATCH.SITES.MATCHES}",
            "^[0-9A-Za-z._:-]+$",
            text(
                "Regular expression for names of sites that are discovered. The default leaves out names with other characters than a host name \
                 has, because clients may have sent them.",
                "ディスカバリするサイト名の正規表現。既定値では、ホスト名に使われない文字を含む名前を除外します。クライアントが送った文字列の可能性があるためです。",
            ),
        ),
        user_macro(
            "{$OOMWATCH.SITES.PATTERN}",
            "^([^ :]+):[0-9]+ ",
            text(
                "Regular expression for log lines. Its first group is the site's name. The default is for Apache's format vhost_combined, which \
                 begins with the site's name and port.",
                "ログの行の正規表現。最初のグループがサイト名になります。既定値は、サイト名とポートで始まる Apache の vhost_combined 形式用です。",
            ),
        ),
        user_macro(
            "{$OOMWATCH.SITES.RATE.MAX}",
            "100",
            text(
                "Maximum number of requests per second of a site. A problem is raised if it is exceeded for five minutes. To set it for one \
                 site, use the site's name as the macro context.",
                "1 サイトあたりの毎秒リクエスト数の上限。5 分間これを超えると障害とします。サイトごとに設定するには、サイト名をマクロの\
                 コンテキストに指定してください。",
            ),
        ),
    ]
}

fn items() -> Vec<Item> {
    let rate = |id, path, [name, description]: [Text; 2]| {
        dependent(id, "groups", name, description)
            .key(&format!("oomwatch.sites.{id}"))
            .component("sites")
            .json_path(path)
            .float("rps")
            .step(Step::ChangePerSecond)
    };
    vec![
        master(
            "groups",
            "oomwatch.log.groups[{$OOMWATCH.SITES.LOG},{$OOMWATCH.SITES.PATTERN},,skip,,100]",
            "1m",
            text("Sites: Requests", "サイト: リクエスト"),
            text(
                "Number of requests per site since the first poll of the item as JSON.",
                "最初の取得以降の、サイトごとのリクエスト数（JSON）。",
            ),
        )
        .step(discard_errors()),
        rate(
            "rate",
            "$.count",
            [
                text("Sites: Requests per second of all sites", "サイト: 全サイトの毎秒リクエスト数"),
                text("Requests per second in the whole log.", "ログ全体の毎秒リクエスト数。"),
            ],
        ),
        rate(
            "other",
            "$.other",
            [
                text("Sites: Requests per second of other sites", "サイト: その他のサイトの毎秒リクエスト数"),
                text(
                    "Requests per second of the sites that are not among the 100 with the most requests.",
                    "リクエストの多い上位 100 件に入らないサイトの毎秒リクエスト数。",
                ),
            ],
        ),
    ]
}

fn discovery() -> DiscoveryRule {
    let site = dependent(
        "site.rate",
        "groups",
        text("Site {#SITE}: Requests per second", "サイト {#SITE}: 毎秒リクエスト数"),
        text("Requests per second of this virtual host.", "このバーチャルホストの毎秒リクエスト数。"),
    );
    DiscoveryRule {
        id: "sites.discovery",
        name: text("Sites of the access log", "アクセスログのサイト"),
        description: text(
            "Discovers the 100 virtual hosts with the most requests whose names match {$OOMWATCH.SITES.MATCHES}.",
            "リクエストの多い上位 100 件のバーチャルホストのうち、名前が {$OOMWATCH.SITES.MATCHES} に一致するものをディスカバリします。",
        ),
        master: "groups",
        steps: vec![
            Step::JsonPath("$.groups".to_owned(), OnFail::Value("[]")),
            Step::JavaScript(include_str!("../scripts/values.js")),
            Step::DiscardUnchanged("1h"),
        ],
        paths: vec![("{#SITE}", "$.value")],
        filter: vec![Condition { lld_macro: "{#SITE}", matches: true, regexp: "{$OOMWATCH.SITES.MATCHES}" }],
        items: vec![
            site.key("oomwatch.sites.site.rate[{#SITE}]")
                .float("rps")
                .component("sites")
                .json_path("$.groups[?(@.value==\"{#SITE}\")].count.first()")
                .step(Step::ChangePerSecond),
        ],
        triggers: vec![busy_site()],
        graphs: vec![Graph {
            id: "site",
            name: text("Site {#SITE}: Requests", "サイト {#SITE}: リクエスト"),
            lines: vec![gradient("site.rate")],
        }],
    }
}

fn busy_site() -> Trigger {
    trigger(
        "site.busy",
        Severity::Warning,
        "performance",
        text(
            "Site {#SITE}: more than {$OOMWATCH.SITES.RATE.MAX:\"{#SITE}\"} requests per second for 5m",
            "サイト {#SITE} のリクエストが 5 分間、毎秒 {$OOMWATCH.SITES.RATE.MAX:\"{#SITE}\"} 件を超えています。",
        ),
        "min(@site.rate,5m)>{$OOMWATCH.SITES.RATE.MAX:\"{#SITE}\"}",
    )
    .opdata(text("Requests per second: {ITEM.LASTVALUE1}", "毎秒リクエスト数: {ITEM.LASTVALUE1}"))
    .description(text(
        "This site may use so many workers that none are left for other sites.",
        "このサイトがワーカーを使い切り、他のサイトの処理を妨げている可能性があります。",
    ))
}

fn dashboard() -> Dashboard {
    let honeycomb = Widget::Honeycomb {
        pattern: text("Site *: Requests per second", "サイト *: 毎秒リクエスト数"),
        name: text("Requests by site", "サイトごとのリクエスト"),
    };
    Dashboard {
        id: "sites",
        name: text("OomWatch: Sites", "OomWatch: サイト"),
        pages: single_page(vec![
            WidgetRow::new(5, vec![Widget::Graph("all"), honeycomb]),
            WidgetRow::new(10, vec![Widget::GraphPrototype { graph: "site", columns: 2, rows: 2 }]),
        ]),
    }
}
