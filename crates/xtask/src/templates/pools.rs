//! "OomWatch Apache", "OomWatch PHP-FPM" and "OomWatch MySQL": workers against their limit, and whether the memory suffices for all.

use super::model::{
    Check, Condition, Dashboard, Discovery, Graph, Item, Macro, OnFail, Row, Severity, Step, Template, Text,
    Trigger, ValueMap, Values, WHOLE, Widget, bold, dependent, gradient, line, master, page, same, says_no,
    sorted, t, trigger, user_macro,
};
use super::patterns::{APACHE_MAX, APACHE_NEAR, LinePattern, PHPFPM_MAX};

/// What differs between the pools.
struct Pool {
    id: &'static str,
    subject: &'static str,
    /// What people call it, in names of items and triggers.
    title: &'static str,
    target: &'static str,
    /// The key without parameters, and its parameter's macro.
    key: &'static str,
    conf: Macro,
    usage_max: &'static str,
    workers: Text,
    /// The directive that sets the limit.
    limit_name: &'static str,
    /// Whether the limit is that of several pools, each with such a directive.
    is_sum: bool,
    /// When all workers are busy: what people are told, and the condition.
    full: Text,
    full_when: &'static str,
    log: Option<Log>,
}

/// A server that has ended tells nothing more of its workers, and its problems would stay.
const LIVES: &str = "last(@running)=1 and last(@found)=1";

/// The log in which the software says that its limit is reached.
struct Log {
    /// The key's name: one file, or the newest of several.
    key: &'static str,
    file: Macro,
    at_limit: (&'static str, &'static LinePattern),
    near_limit: Option<(&'static str, &'static LinePattern)>,
}

pub(crate) fn apache(check: Check) -> Template {
    let log = Log {
        key: "oomwatch.log.last",
        file: user_macro(
            "{$OOMWATCH.APACHE.LOG}",
            "/var/log/apache2/error.log",
            t(
                "Apache's error log; on Red Hat and its kin /var/log/httpd/error_log.",
                "Apache のエラーログ。Red Hat 系では /var/log/httpd/error_log。",
            ),
        ),
        at_limit: ("{$OOMWATCH.APACHE.MAX.PATTERN}", &APACHE_MAX),
        near_limit: Some(("{$OOMWATCH.APACHE.NEAR.PATTERN}", &APACHE_NEAR)),
    };
    let pool = Pool {
        id: "apache",
        subject: "OomWatch Apache",
        title: "Apache",
        target: "apache",
        key: "oomwatch.apache.capacity",
        conf: conf("{$OOMWATCH.APACHE.CONF}", "Apache", "/etc/httpd/conf/httpd.conf"),
        usage_max: "{$OOMWATCH.APACHE.USAGE.MAX}",
        workers: t("Workers", "ワーカー"),
        limit_name: "MaxRequestWorkers",
        is_sum: false,
        full: t("Apache reached its limit of workers", "apacheのプロセスが上限に達しました。"),
        full_when: "min(@at_limit,5m)=1",
        log: Some(log),
    };
    pool.template(check)
}

pub(crate) fn phpfpm(check: Check) -> Template {
    let log = Log {
        key: "oomwatch.logrt.last",
        file: user_macro(
            "{$OOMWATCH.PHPFPM.LOG}",
            "/var/log/^php[0-9.]*-fpm[.]log$",
            t(
                "The log of php-fpm: a directory, and a regular expression for the file's name; on Red Hat and its kin /var/log/php-fpm/^error[.]log$.",
                "php-fpm のログ: ディレクトリとファイル名の正規表現。Red Hat 系では /var/log/php-fpm/^error[.]log$。",
            ),
        ),
        at_limit: ("{$OOMWATCH.PHPFPM.MAX.PATTERN}", &PHPFPM_MAX),
        near_limit: None,
    };
    let pool = Pool {
        id: "phpfpm",
        subject: "OomWatch PHP-FPM",
        title: "PHP-FPM",
        target: "php-fpm",
        key: "oomwatch.phpfpm.capacity",
        conf: conf("{$OOMWATCH.PHPFPM.CONF}", "php-fpm", "/etc/php-fpm.conf"),
        usage_max: "{$OOMWATCH.PHPFPM.USAGE.MAX}",
        workers: t("Workers", "ワーカー"),
        limit_name: "pm.max_children",
        is_sum: true,
        full: t("PHP-FPM reached its limit of workers", "php-fpmのプロセスが上限に達しました。"),
        // `at_limit` is that of any pool, which has a problem of its own.
        full_when: "min(@usage,5m)>=100",
        log: Some(log),
    };
    let mut template = pool.template(check);
    template.discoveries = vec![pools_of_phpfpm()];
    if let Some(page) = template.dashboard.iter_mut().find_map(|dashboard| dashboard.pages.first_mut()) {
        let widget = Widget::GraphPrototype { graph: "each.workers", columns: 2, rows: 1 };
        page.rows.push(Row { height: 5, widgets: vec![widget] });
    }
    template
}

pub(crate) fn mysql(check: Check) -> Template {
    let pool = Pool {
        id: "mysql",
        subject: "OomWatch MySQL",
        title: "MySQL",
        target: "mysql",
        key: "oomwatch.mysql.capacity",
        conf: conf("{$OOMWATCH.MYSQL.CONF}", "MySQL / MariaDB", "/etc/my.cnf"),
        usage_max: "{$OOMWATCH.MYSQL.USAGE.MAX}",
        workers: t("Connections", "接続"),
        limit_name: "max_connections",
        is_sum: false,
        full: t("MySQL reached its limit of connections", "MySQLの接続が上限に達しました。"),
        full_when: "min(@at_limit,5m)=1",
        log: None,
    };
    pool.template(check)
}

fn conf(name: &'static str, software: &str, example: &str) -> Macro {
    let description = t(
        &format!("The configuration file of {software}, such as {example}; empty: where it is installed."),
        &format!("{software} の設定ファイル（例: {example}）。空の場合は標準の場所を探します。"),
    );
    user_macro(name, "", description)
}

impl Pool {
    fn template(&self, check: Check) -> Template {
        Template {
            id: self.id,
            check,
            subject: self.subject,
            description: self.description(),
            class: "software",
            target: self.target,
            macros: sorted(self.macros()),
            valuemaps: vec![ValueMap {
                id: "yes_no",
                name: t("OomWatch: no or yes", "OomWatch: はい・いいえ"),
                words: vec![("0", t("No", "いいえ")), ("1", t("Yes", "はい"))],
            }],
            items: [self.state_items(), self.worker_items(), self.memory_items(), self.log_items()].concat(),
            triggers: [self.limit_triggers(), self.log_triggers(), self.notices()].concat(),
            discoveries: Vec::new(),
            graphs: self.graphs(),
            dashboard: Some(self.dashboard()),
        }
    }

    fn description(&self) -> Text {
        let (title, limit) = (self.title, self.limit_name);
        t(
            &format!(
                "Whether the memory suffices for as many workers as {title} is allowed ({limit}), and whether they are all busy. \
                 Where {title} is not installed, the items have no values, and a problem of severity information says so.",
            ),
            &format!(
                "{title} に許されたワーカー数（{limit}）にメモリが足りるか、すべて使われていないかを監視します。\
                 {title} がインストールされていないホストでは、アイテムは値なしになり、情報レベルの障害で知らせます。",
            ),
        )
    }

    fn macros(&self) -> Vec<Macro> {
        let usage = t(
            "The largest percentage of the limit that may be in use for five minutes.",
            "5 分間続いてもよい使用率（%）の上限。",
        );
        let mut macros = vec![self.conf.clone(), user_macro(self.usage_max, "90", usage)];
        if let Some(log) = &self.log {
            let pattern = |(name, pattern): (&'static str, &LinePattern), description| {
                user_macro(name, pattern.regexp, description)
            };
            macros.push(log.file.clone());
            macros.push(pattern(
                log.at_limit,
                t("Lines that say that the limit is reached.", "上限に達したことを示す行のパターン。"),
            ));
            let near = t("Lines that say that the limit is near.", "上限が近いことを示す行のパターン。");
            macros.extend(log.near_limit.map(|near_limit| pattern(near_limit, near)));
        }
        macros
    }

    /// Behind the name of the directive.
    fn together(&self) -> Text {
        if self.is_sum { t(", of all pools together", "（全プールの合計）") } else { same("") }
    }

    /// An item out of the capacity's JSON.
    fn part(&self, id: &'static str, name: &Text, description: Text) -> Item {
        let name = name.map(|name| format!("{}: {name}", self.title));
        dependent(id, "capacity", name, description).key(&format!("oomwatch.{}.{id}", self.id))
    }

    fn state_items(&self) -> Vec<Item> {
        let title = self.title;
        let json = t(
            &format!("Limit, workers and memory of {title} as JSON."),
            &format!("{title} の上限、ワーカー数、メモリ（JSON）。"),
        );
        let key = format!("{}[{}]", self.key, self.conf.name);
        vec![
            master("capacity", &key, "1m", same(&format!("{title}: Capacity")), json)
                .step(Step::NotSupported(OnFail::Value("{\"found\":false}"))),
            self.part(
                "found",
                &t("Configuration is read", "設定を読める"),
                t(
                    "No where the software is not installed, or its configuration cannot be read. `zabbix-agent2-plugin-oomwatch capacity` tells why.",
                    "インストールされていないか、設定を読めないときに「いいえ」になります。理由は `zabbix-agent2-plugin-oomwatch capacity` で確認できます。",
                ),
            )
            .valuemap("yes_no")
            .component("application")
            .step(Step::JsonPath("$.found".to_owned(), OnFail::Value("true")))
            .step(Step::BoolToDecimal),
            self.part("running", &t("Running", "稼働中"), t("Whether its processes were found.", "プロセスが見つかったか。"))
                .valuemap("yes_no")
                .component("application")
                .truth("$.running"),
            self.part(
                "warnings",
                &t("Configuration warnings", "設定の警告"),
                t("What in the configuration is not as it seems, such as a limit that is lowered, or could not be read.", "設定の注意点（上限が引き下げられる、読み取れないなど）。"),
            )
            .values(Values::Text)
            .component("application")
            .step(Step::JavaScript(include_str!("scripts/warnings.js")))
            .heartbeat("1h"),
        ]
    }

    fn worker_items(&self) -> Vec<Item> {
        let limit_name = self.limit_name;
        let number = |id, path, name: Text, description: Text| {
            self.part(id, &name, description).component("workers").path(path)
        };
        vec![
            number(
                "limit",
                "$.limit",
                t("Limit", "上限"),
                t(
                    &format!("{limit_name}, as the software applies it{}.", self.together().en),
                    &format!("実際に適用される {limit_name}{}。", self.together().ja),
                ),
            ),
            number(
                "processes",
                "$.processes",
                t("Processes", "プロセス数"),
                t("Live worker processes.", "稼働中のワーカープロセス数。"),
            ),
            number(
                "workers",
                "$.workers",
                self.workers.clone(),
                t("In use or idle.", "使用中と待機中の合計。"),
            ),
            number(
                "busy",
                "$.busy",
                t("Busy", "使用中"),
                t("No value where it cannot be known.", "わからない場合は値がありません。"),
            ),
            number(
                "usage",
                "$.usage_percent",
                t("Usage", "使用率"),
                t(
                    "Workers in use as a percentage of the limit. No value where idle workers cannot be told from busy ones.",
                    "上限に対する使用中のワーカーの割合。待機中と使用中を区別できない場合は値がありません。",
                ),
            )
            .float("%"),
            number(
                "at_limit",
                "$.at_limit",
                t("At the limit", "上限に達している"),
                t("Whether as many as may be are in use.", "上限まで使われているか。"),
            )
            .valuemap("yes_no")
            .step(Step::BoolToDecimal),
        ]
    }

    fn memory_items(&self) -> Vec<Item> {
        let part = |id, path, name: Text, description: Text| {
            self.part(id, &name, description).component("memory").path(path)
        };
        let bytes = |id, path, name, description| part(id, path, name, description).units("B");
        let limit_name = self.limit_name;
        vec![
            part(
                "fits",
                "$.fits",
                t("Fits into memory", "メモリに収まる"),
                t(
                    "Whether the memory suffices when the limit is used up.",
                    "上限まで使われたときにメモリが足りるか。",
                ),
            )
            .valuemap("yes_no")
            .step(Step::BoolToDecimal),
            part(
                "largest_limit",
                "$.largest_limit",
                t("Largest limit that fits", "メモリに収まる最大の上限"),
                t(
                    &format!("What {limit_name} may be{}.", self.together().en),
                    &format!("{limit_name} に設定できる値{}。", self.together().ja),
                ),
            ),
            bytes(
                "worker_bytes",
                "$.memory.worker_bytes",
                t("Memory of one", "1 つあたりのメモリ"),
                t("Its own part and its share of what all have in common.", "固有の部分と、共有部分の按分。"),
            ),
            bytes(
                "memory_at_limit",
                "$.memory_at_limit_bytes",
                t("Memory at the limit", "上限でのメモリ"),
                t(
                    "What all need together when the limit is used up.",
                    "上限まで使われたときに全体で必要なメモリ。",
                ),
            ),
            bytes(
                "memory_available",
                "$.available_bytes",
                t("Memory for it", "使えるメモリ"),
                t(
                    "The machine's memory, or what the cgroup allows where that is less, without what is reserved for the rest.",
                    "マシンのメモリ（cgroup の上限のほうが少なければその上限）から、その他のための予約分を除いたもの。",
                ),
            ),
            part(
                "source",
                "$.memory.source",
                t("Source of sizes", "サイズの情報源"),
                t("pss, rss_anon, rss or configured.", "pss、rss_anon、rss、configured のいずれか。"),
            )
            .values(Values::Char)
            .heartbeat("1h"),
            part(
                "how",
                "$.how",
                t("How it was computed", "計算方法"),
                t("The computation with its numbers.", "数値を含む計算の説明。"),
            )
            .values(Values::Text)
            .heartbeat("1d"),
        ]
    }

    fn log_items(&self) -> Vec<Item> {
        let Some(log) = &self.log else { return Vec::new() };
        let mut items = self.log_of(
            log,
            ["log", "log.line"],
            log.at_limit.0,
            &t("Limit reached, in the log", "ログ: 上限到達"),
        );
        let readable = t("Log is read", "ログを読める");
        items.push(
            dependent(
                "log.readable",
                "log",
                readable.map(|name| format!("{}: {name}", self.title)),
                t(
                    "No where the log is absent or may not be read by the agent's user.",
                    "ログがないか、エージェントのユーザーが読めないときに「いいえ」になります。",
                ),
            )
            .key(&format!("oomwatch.{}.log.readable", self.id))
            .valuemap("yes_no")
            .component("log")
            .step(Step::JsonPath("$.readable".to_owned(), OnFail::Value("true")))
            .step(Step::BoolToDecimal),
        );
        if let Some((name, _)) = log.near_limit {
            items.extend(self.log_of(
                log,
                ["near", "near.line"],
                name,
                &t("Limit near, in the log", "ログ: 上限間近"),
            ));
        }
        items
    }

    /// A master over the log and its last line.
    fn log_of(&self, log: &Log, [id, line_id]: [&'static str; 2], pattern: &str, name: &Text) -> Vec<Item> {
        let key = format!("{}[{},{pattern},,skip]", log.key, log.file.name);
        let master_name = name.map(|name| format!("{}: {name} (JSON)", self.title));
        let json = t("Matching lines as JSON.", "一致した行（JSON）。");
        let line_name = name.map(|name| format!("{}: {name}", self.title));
        let line_about = t(
            "How many lines came, and the last one; \"none\" where there was none.",
            "一致した行の数と最後の行。なければ none。",
        );
        vec![
            master(id, &key, "30s", master_name, json)
                .step(Step::NotSupported(OnFail::Value("{\"readable\":false}"))),
            dependent(line_id, id, line_name, line_about)
                .key(&format!("oomwatch.{}.{line_id}", self.id))
                .values(Values::Char)
                .component("log")
                .step(Step::JavaScript(include_str!("scripts/log_line.js")))
                .path("$.value"),
        ]
    }

    fn remedy(&self) -> Text {
        if self.is_sum {
            return t(
                "Lower the limits of the pools (the numbers are those of all pools together), or make the workers smaller.",
                "各プールの上限を下げるか（数値は全プールの合計）、ワーカーを小さくしてください。",
            );
        }
        t("Lower the limit, or make the workers smaller.", "上限を下げるか、ワーカーを小さくしてください。")
    }

    fn limit_triggers(&self) -> Vec<Trigger> {
        let (title, limit_name) = (self.title, self.limit_name);
        let after_log: &[&str] = if self.log.is_some() { &["log.full"] } else { &[] };
        let mut usage_after = vec!["limit.full"];
        usage_after.extend(after_log);
        // Servers resolve expressions in names, without units, and frontends do not in operational data.
        let with_numbers = |name: &Text| {
            t(
                &format!("{} ({{?last(@usage)}} % of {{?last(@limit)}})", name.en),
                &format!("{}（上限 {{?last(@limit)}}、使用率 {{?last(@usage)}} %）", name.ja),
            )
        };
        let full = t(&format!("{}, for 5m", self.full.en), &format!("{}（5 分間継続）", self.full.ja));
        let usage = t(
            &format!("{title}: {} % of the limit in use for 6m", self.usage_max),
            &format!("{title} が上限の {} % 以上を 6 分間使っています。", self.usage_max),
        );
        vec![
            trigger(
                "limit.fits",
                Severity::Average,
                "capacity",
                t(&format!("{title}: {limit_name} does not fit into memory"), &format!("{title} の {limit_name} がメモリに収まりません。")),
                "max(@fits,#5)=0 and last(@found)=1",
            )
            .event_name(t(
                &format!("{title}: {limit_name} {{?last(@limit)}} does not fit into memory, at most {{?last(@largest_limit)}} does"),
                &format!("{title} の {limit_name} {{?last(@limit)}} はメモリに収まりません（最大 {{?last(@largest_limit)}}）。"),
            ))
            .about(t(
                &format!("Under full load the memory runs out before the limit is reached. {} The item \"How it was computed\" has the numbers.", self.remedy().en),
                &format!("高負荷時、上限に達する前にメモリが尽きます。{}計算は「計算方法」のアイテムにあります。", self.remedy().ja),
            )),
            trigger("limit.full", Severity::High, "performance", full.clone(), &format!("{} and {LIVES}", self.full_when))
                .event_name(with_numbers(&full))
                .about(t("Requests wait, or are refused.", "リクエストが待たされるか、拒否されています。"))
                .depends_on(after_log),
            trigger(
                "limit.usage",
                Severity::Warning,
                "performance",
                usage.clone(),
                // Longer than what holds it back needs to come, in whatever order a server works on the items.
                &format!("min(@usage,6m)>={} and {LIVES}", self.usage_max),
            )
            .event_name(with_numbers(&usage))
            .opdata(same("{ITEM.LASTVALUE1}"))
            .about(t("Soon requests will wait.", "まもなくリクエストが待たされます。"))
            .depends_on(&usage_after),
        ]
    }

    /// The software says it once for each saturation: so the problem stays while the live workers are at the limit.
    fn log_triggers(&self) -> Vec<Trigger> {
        let Some(log) = &self.log else { return Vec::new() };
        let fresh = |item: &str| format!("changecount(@{item},#21)>0 and last(@{item})<>\"none\"");
        let line = same(WHOLE);
        let mut triggers = vec![
            trigger("log.full", Severity::High, "performance", self.full.clone(), &fresh("log.line"))
                .recovery("changecount(@log.line,#21)=0 and count(@at_limit,5m,\"eq\",\"1\")=0")
                .opdata(line.clone())
                .about(t(
                    "The log says that the limit is reached. Closes ten minutes after the last such line, when the workers have not all been in use for five minutes.",
                    "ログに上限到達が記録されました。最後の記録から 10 分経ち、5 分間上限に達していなければ閉じます。",
                ))
                .manual_close(),
        ];
        if log.near_limit.is_some() {
            let title = self.title;
            triggers.push(
                trigger(
                    "log.near",
                    Severity::Warning,
                    "performance",
                    t(
                        &format!("{title} is near its limit of workers"),
                        &format!("{title} のワーカー数が上限に近づいています。"),
                    ),
                    &fresh("near.line"),
                )
                .opdata(line)
                .about(t(
                    "The log says that few spare workers are left.",
                    "予備のワーカーが少ないとログに記録されました。",
                ))
                .manual_close()
                .depends_on(&["log.full", "limit.full"]),
            );
        }
        triggers
    }

    fn notices(&self) -> Vec<Trigger> {
        let title = self.title;
        let mut triggers = vec![
            trigger(
                "found",
                Severity::Info,
                "notice",
                t(&format!("{title}: no configuration is read"), &format!("{title} の設定を読めません。")),
                &says_no("found"),
            )
            .about(t(
                &format!("It is not installed here, or {} must say where it is, or the agent's user may not read it.", self.conf.name),
                &format!("インストールされていないか、{} に場所の設定が必要か、エージェントのユーザーに読む権限がありません。", self.conf.name),
            ))
            .manual_close(),
            trigger(
                "warnings",
                Severity::Info,
                "notice",
                t(&format!("{title}: the configuration is not as it seems"), &format!("{title} の設定に注意点があります。")),
                "last(@warnings)<>\"none\"",
            )
            .opdata(same(WHOLE))
            .about(t("See the item of configuration warnings.", "設定の警告のアイテムを確認してください。"))
            .manual_close(),
        ];
        if let Some(log) = &self.log {
            // No file with such a name is no error where names are a pattern: it may come yet.
            let [en, ja] = match log.key {
                "oomwatch.logrt.last" => ["The directory of ", " のディレクトリ"],
                _ => ["", ""],
            };
            let file = log.file.name;
            triggers.push(
                trigger(
                    "log.unreadable",
                    Severity::Info,
                    "notice",
                    t(&format!("{title}: the log is not read"), &format!("{title} のログを読めません。")),
                    &format!("{} and min(@found,5m)=1", says_no("log.readable")),
                )
                .about(t(
                    &format!("{en}{file} is absent, or the agent's user may not read it."),
                    &format!("{file}{ja} がないか、エージェントのユーザーに読む権限がありません。"),
                ))
                .manual_close()
                .depends_on(&["found"]),
            );
        }
        triggers
    }

    fn graphs(&self) -> Vec<Graph> {
        let name = |text: Text| text.map(|name| format!("OomWatch {}: {name}", self.title));
        vec![
            Graph {
                id: "workers",
                name: name(t("In use against the limit", "使用数と上限")),
                lines: vec![gradient("workers"), bold("limit"), line("busy"), line("largest_limit")],
            },
            Graph {
                id: "memory",
                name: name(t("Memory at the limit", "上限でのメモリ")),
                lines: vec![
                    bold("memory_at_limit"),
                    gradient("memory_available"),
                    line("worker_bytes").right(),
                ],
            },
        ]
    }

    fn dashboard(&self) -> Dashboard {
        let item = |item, name| Widget::Item { item, name };
        let row = |height, widgets| Row { height, widgets };
        let mut rows = vec![
            row(
                3,
                vec![
                    item("limit", t("Limit", "上限")),
                    item("largest_limit", t("Largest limit that fits", "メモリに収まる最大の上限")),
                    item("usage", t("Usage", "使用率")),
                    item("fits", t("Fits into memory", "メモリに収まる")),
                ],
            ),
            row(5, vec![Widget::Graph("workers"), Widget::Graph("memory")]),
            row(4, vec![Widget::Problems { name: t("Problems", "障害") }]),
        ];
        if self.log.is_some() {
            let name = t("Limit reached, in the log", "ログ: 上限到達");
            rows.push(row(4, vec![Widget::History { item: "log.line", name }]));
        }
        Dashboard { id: "pool", name: same(&format!("OomWatch: {}", self.title)), pages: page(rows) }
    }
}

/// Each pool of php-fpm by itself.
fn pools_of_phpfpm() -> Discovery {
    let member = |id, path: &str, name, description| {
        let path = format!("$.pools[?(@.name==\"{{#POOL}}\")].{path}.first()");
        dependent(id, "capacity", name, description)
            .key(&format!("oomwatch.phpfpm.{id}[{{#POOL}}]"))
            .component("workers")
            .path(&path)
    };
    let t2 = |en, ja| t(&format!("PHP-FPM pool {{#POOL}}: {en}"), &format!("PHP-FPM プール {{#POOL}}: {ja}"));
    Discovery {
        id: "phpfpm.pools",
        name: t("Pools of PHP-FPM", "PHP-FPM のプール"),
        description: t("The pools of the configuration.", "設定にあるプール。"),
        master: "capacity",
        steps: vec![
            Step::JsonPath("$.pools".to_owned(), OnFail::Value("[]")),
            Step::JavaScript(include_str!("scripts/names.js")),
            Step::DiscardUnchanged("1h"),
        ],
        paths: vec![("{#POOL}", "$.name")],
        filter: vec![Condition { lld_macro: "{#POOL}", matches: true, regexp: ".*" }],
        items: vec![
            member("each.limit", "limit", t2("Limit", "上限"), t("pm.max_children.", "pm.max_children。")),
            member(
                "each.workers",
                "workers",
                t2("Workers", "ワーカー"),
                t("In use or idle.", "使用中と待機中の合計。"),
            ),
            member(
                "each.busy",
                "busy",
                t2("Busy", "使用中"),
                t("No value where it cannot be known.", "わからない場合は値がありません。"),
            ),
            member(
                "each.queued",
                "queued",
                t2("Waiting", "待機中の接続"),
                t("Connections that wait for a worker.", "ワーカーを待っている接続の数。"),
            ),
            member(
                "each.usage",
                "usage_percent",
                t2("Usage", "使用率"),
                t("As a percentage of the limit.", "上限に対する割合。"),
            )
            .float("%"),
            member(
                "each.at_limit",
                "at_limit",
                t2("At the limit", "上限に達している"),
                t("Whether there are as many as may be.", "上限まで使われているか。"),
            )
            .valuemap("yes_no")
            .step(Step::BoolToDecimal),
        ],
        triggers: vec![
            trigger(
                "each.full",
                Severity::High,
                "performance",
                t(
                    "PHP-FPM pool {#POOL} has been at its limit for 5m",
                    "php-fpmのプール {#POOL} が 5 分間上限に達しています。",
                ),
                &format!("min(@each.at_limit,5m)=1 and {LIVES}"),
            )
            .about(t("Requests of this pool wait.", "このプールのリクエストが待たされています。"))
            .depends_on(&["log.full", "limit.full"]),
        ],
        graphs: vec![Graph {
            id: "each.workers",
            name: t2("In use against the limit", "使用数と上限"),
            lines: vec![gradient("each.workers"), bold("each.limit"), line("each.busy")],
        }],
    }
}
