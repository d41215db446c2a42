//! "OomWatch Apache", "OomWatch PHP-FPM" and "OomWatch MySQL": the workers in use, their limit, and the memory that they need at the limit.
//!
//! [`pool::Pool`] has what differs between the three. The other modules make items, triggers and the dashboard from it.

mod dashboard;
mod items;
mod log;
mod phpfpm;
mod pool;
mod triggers;

use super::common::yes_no;
use super::model::{Check, Template, Text, UserMacro, sorted, text, user_macro};
use super::patterns::{APACHE_MAX, APACHE_NEAR, LinePattern, PHPFPM_MAX};
use pool::{Pool, PoolLog};

pub(crate) fn apache(check: Check) -> Template {
    let pool = Pool {
        id: "apache",
        subject: "OomWatch Apache",
        title: "Apache",
        target: "apache",
        key: "oomwatch.apache.capacity",
        conf: conf_macro("{$OOMWATCH.APACHE.CONF}", "Apache", "/etc/httpd/conf/httpd.conf"),
        usage_max: "{$OOMWATCH.APACHE.USAGE.MAX}",
        worker: text("worker", "ワーカー"),
        limit_name: "MaxRequestWorkers",
        is_sum: false,
        subject_ja: "apacheのプロセス",
        full_when: "min(@at_limit,5m)=1",
        log: Some(apache_log()),
    };
    template(&pool, check)
}

fn apache_log() -> PoolLog {
    PoolLog {
        key: "oomwatch.log.last",
        name: "error log",
        file: user_macro(
            "{$OOMWATCH.APACHE.LOG}",
            "/var/log/apache2/error.log",
            text(
                "Error log of Apache. On Red Hat and similar distributions: /var/log/httpd/error_log",
                "Apache のエラーログ。Red Hat 系では /var/log/httpd/error_log です。",
            ),
        ),
        at_limit: ("{$OOMWATCH.APACHE.MAX.PATTERN}", &APACHE_MAX),
        near_limit: Some(("{$OOMWATCH.APACHE.NEAR.PATTERN}", &APACHE_NEAR)),
    }
}

pub(crate) fn phpfpm(check: Check) -> Template {
    let pool = Pool {
        id: "phpfpm",
        subject: "OomWatch PHP-FPM",
        title: "PHP-FPM",
        target: "php-fpm",
        key: "oomwatch.phpfpm.capacity",
        conf: conf_macro("{$OOMWATCH.PHPFPM.CONF}", "php-fpm", "/etc/php-fpm.conf"),
        usage_max: "{$OOMWATCH.PHPFPM.USAGE.MAX}",
        worker: text("worker", "ワーカー"),
        limit_name: "pm.max_children",
        is_sum: true,
        subject_ja: "php-fpmのプロセス",
        // `at_limit` is true if any pool is at its limit. Each pool has a trigger of its own.
        full_when: "min(@usage,5m)>=100",
        log: Some(phpfpm_log()),
    };
    let mut template = template(&pool, check);
    template.discovery_rules = vec![phpfpm::discovery()];
    if let Some(page) = template.dashboard.iter_mut().find_map(|dashboard| dashboard.pages.first_mut()) {
        page.rows.push(phpfpm::dashboard_row());
    }
    template
}

fn phpfpm_log() -> PoolLog {
    PoolLog {
        key: "oomwatch.logrt.last",
        name: "log",
        file: user_macro(
            "{$OOMWATCH.PHPFPM.LOG}",
            "/var/log/^php[0-9.]*-fpm[.]log$",
            text(
                "Log of php-fpm: a directory, followed by a regular expression for the file name. On Red Hat and similar distributions: \
                 /var/log/php-fpm/^error[.]log$",
                "php-fpm のログ。ディレクトリに続けて、ファイル名の正規表現を書きます。Red Hat 系では /var/log/php-fpm/^error[.]log$ です。",
            ),
        ),
        at_limit: ("{$OOMWATCH.PHPFPM.MAX.PATTERN}", &PHPFPM_MAX),
        near_limit: None,
    }
}

pub(crate) fn mysql(check: Check) -> Template {
    let pool = Pool {
        id: "mysql",
        subject: "OomWatch MySQL",
        title: "MySQL",
        target: "mysql",
        key: "oomwatch.mysql.capacity",
        conf: conf_macro("{$OOMWATCH.MYSQL.CONF}", "MySQL / MariaDB", "/etc/my.cnf"),
        usage_max: "{$OOMWATCH.MYSQL.USAGE.MAX}",
        worker: text("connection", "接続"),
        limit_name: "max_connections",
        is_sum: false,
        subject_ja: "MySQLの接続",
        full_when: "min(@at_limit,5m)=1",
        log: None,
    };
    template(&pool, check)
}

fn conf_macro(name: &'static str, software: &str, example: &str) -> UserMacro {
    let description = text(
        &format!(
            "Configuration file of {software}, for example {example}. If empty, the plugin finds the file."
        ),
        &format!("{software} の設定ファイル（例: {example}）。空の場合はプラグインが自動的に探します。"),
    );
    user_macro(name, "", description)
}

fn template(pool: &Pool, check: Check) -> Template {
    Template {
        macros: sorted(macros(pool)),
        value_maps: vec![yes_no()],
        items: [items::items(pool), log::items(pool)].concat(),
        triggers: triggers::triggers(pool),
        graphs: dashboard::graphs(pool),
        dashboard: Some(dashboard::dashboard(pool)),
        ..Template::empty(pool.id, check, pool.subject, pool.target, description(pool))
    }
}

fn description(pool: &Pool) -> Text {
    let (title, limit, worker) = (pool.title, pool.limit_name, &pool.worker);
    text(
        &format!(
            "Checks whether the memory is sufficient for all {}s that {title} permits ({limit}), and whether all of them are in \
             use. If {title} is not installed, the items have no values, and a problem of severity information is raised.",
            worker.en,
        ),
        &format!(
            "{title} が許可する{}の上限（{limit}）に対してメモリが足りるか、また上限まで使われていないかを監視します。\
             {title} がインストールされていないホストでは、アイテムは値なしになり、深刻度「情報」の障害になります。",
            worker.ja,
        ),
    )
}

fn macros(pool: &Pool) -> Vec<UserMacro> {
    let usage = text(
        "Maximum usage in percent of the limit. A problem is raised if it is reached for six minutes.",
        "上限に対する使用率（%）の上限。6 分間これ以上が続くと障害とします。",
    );
    let mut macros = vec![pool.conf.clone(), user_macro(pool.usage_max, "90", usage)];
    if let Some(log) = &pool.log {
        macros.extend(log_macros(log));
    }
    macros
}

fn log_macros(log: &PoolLog) -> Vec<UserMacro> {
    let pattern = |(name, pattern): (&'static str, &LinePattern), description| {
        user_macro(name, pattern.regexp, description)
    };
    let at_limit = text(
        "Regular expression for log lines that report that the limit is reached.",
        "上限に達したことを示すログの行の正規表現。",
    );
    let near_limit = text(
        "Regular expression for log lines that report that the limit is near.",
        "上限が近いことを示すログの行の正規表現。",
    );
    let mut macros = vec![log.file.clone(), pattern(log.at_limit, at_limit)];
    macros.extend(log.near_limit.map(|near| pattern(near, near_limit)));
    macros
}
