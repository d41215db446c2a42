//! Triggers on the limit, on the log and on the configuration.

use super::super::common::{is_new, is_no_for_5m};
use super::super::model::{LAST_VALUE, Severity, Text, Trigger, text, trigger, untranslated};
use super::pool::{Pool, PoolLog};

/// Without this condition, a problem would stay open after the server has ended, because there are no more values.
pub(super) const IS_RUNNING: &str = "last(@running)=1 and last(@found)=1";

pub(super) fn triggers(pool: &Pool) -> Vec<Trigger> {
    let mut triggers = vec![fits(pool), full(pool), usage(pool), not_found(pool), warnings(pool)];
    if let Some(log) = &pool.log {
        triggers.extend([full_in_log(pool, log), unreadable_log(pool, log)]);
        triggers.extend(log.near_limit.is_some().then(|| near_in_log(pool, log)));
    }
    triggers
}

fn fits(pool: &Pool) -> Trigger {
    let (title, limit_name) = (pool.title, pool.limit_name);
    let remedy = if pool.is_sum {
        text(
            "Lower the limits of the pools, or reduce the memory of the workers. The numbers are the sums of all pools.",
            "各プールの上限を下げるか、ワーカーのメモリを減らしてください。数値は全プールの合計です。",
        )
    } else {
        text(
            "Lower the limit, or reduce the memory of the workers.",
            "上限を下げるか、ワーカーのメモリを減らしてください。",
        )
    };
    trigger(
        "limit.fits",
        Severity::Average,
        "capacity",
        text(
            &format!("{title}: {limit_name} does not fit into memory"),
            &format!("{title} の {limit_name} がメモリに収まりません。"),
        ),
        "max(@fits,#5)=0 and last(@found)=1",
    )
    .event_name(text(
        &format!(
            "{title}: {limit_name} {{?last(@limit)}} does not fit into memory (at most {{?last(@largest_limit)}} fits)"
        ),
        &format!(
            "{title} の {limit_name} {{?last(@limit)}} がメモリに収まりません（最大 {{?last(@largest_limit)}}）。"
        ),
    ))
    .description(text(
        &format!(
            "Under full load the memory is exhausted before the limit is reached. {} The item \"{title}: Calculation\" shows the numbers.",
            remedy.en
        ),
        &format!(
            "高負荷時には、上限に達する前にメモリが枯渇します。{}計算の内容は「{title}: 計算方法」のアイテムにあります。",
            remedy.ja
        ),
    ))
}

/// Adds usage and limit to an event's name.
///
/// Servers resolve expressions in event names, without units. They do not resolve them in operational data.
fn with_numbers(name: &Text) -> Text {
    text(
        &format!("{} ({{?last(@usage)}} % of {{?last(@limit)}})", name.en),
        &format!("{}（上限 {{?last(@limit)}}、使用率 {{?last(@usage)}} %）", name.ja),
    )
}

fn full(pool: &Pool) -> Trigger {
    let name = text(
        &format!("{}: {} reached for 5m", pool.title, pool.worker_limit()),
        &format!("{}が 5 分間上限に達しています。", pool.subject_ja),
    );
    let depends_on: &[&str] = if pool.log.is_some() { &["log.full"] } else { &[] };
    let expression = format!("{} and {IS_RUNNING}", pool.full_when);
    trigger("limit.full", Severity::High, "performance", name.clone(), &expression)
        .event_name(with_numbers(&name))
        .description(text(
            "New requests have to wait, or are refused.",
            "新しいリクエストが待たされるか、拒否されています。",
        ))
        .depends_on(depends_on)
}

/// Its window is longer than that of the trigger that it depends on, so that it never fires first.
fn usage(pool: &Pool) -> Trigger {
    let name = text(
        &format!(
            "{}: at least {} % of the {} in use for 6m",
            pool.title,
            pool.usage_max,
            pool.worker_limit()
        ),
        &format!("{}が上限の {} % 以上を 6 分間使用しています。", pool.subject_ja, pool.usage_max),
    );
    let mut depends_on = vec!["limit.full"];
    depends_on.extend(pool.log.as_ref().map(|_| "log.full"));
    let expression = format!("min(@usage,6m)>={} and {IS_RUNNING}", pool.usage_max);
    trigger("limit.usage", Severity::Warning, "performance", name.clone(), &expression)
        .event_name(with_numbers(&name))
        .opdata(untranslated("{ITEM.LASTVALUE1}"))
        .description(text(
            "If the load rises further, new requests will have to wait.",
            "負荷がさらに増えると、新しいリクエストが待たされるようになります。",
        ))
        .depends_on(&depends_on)
}

fn not_found(pool: &Pool) -> Trigger {
    let (title, conf) = (pool.title, pool.conf.name);
    trigger(
        "found",
        Severity::Info,
        "notice",
        text(
            &format!("{title}: configuration not found or not readable"),
            &format!("{title} の設定が見つからないか、読めません。"),
        ),
        &is_no_for_5m("found"),
    )
    .description(text(
        &format!(
            "{title} is not installed on this host, its configuration file is at a place that {conf} must name, or the agent's user may \
             not read it. If {title} is not installed, unlink the template."
        ),
        &format!(
            "{title} がこのホストにインストールされていないか、設定ファイルの場所を {conf} に指定する必要があるか、エージェントのユーザーに読む権限が\
             ありません。インストールされていない場合は、テンプレートのリンクを解除してください。"
        ),
    ))
    .manual_close()
}

fn warnings(pool: &Pool) -> Trigger {
    let title = pool.title;
    trigger(
        "warnings",
        Severity::Info,
        "notice",
        text(
            &format!("{title}: effective limit differs from the configured limit"),
            &format!("{title} に実際に適用される上限が、設定された上限と異なります。"),
        ),
        "last(@warnings)<>\"none\"",
    )
    .opdata(untranslated(LAST_VALUE))
    .description(text(
        &format!(
            "The software corrects the configured limit, or part of the configuration could not be read, so that the limit is uncertain. \
             The item \"{title}: Configuration warnings\" lists the reasons."
        ),
        &format!(
            "ソフトウェアが設定された上限を補正しているか、設定の一部を読み取れないため上限が不確かです。\
             内容は「{title}: 設定の警告」のアイテムを確認してください。"
        ),
    ))
    .manual_close()
}

/// The software logs it once each time the limit is reached. So the problem stays open while the workers are at the limit.
fn full_in_log(pool: &Pool, log: &PoolLog) -> Trigger {
    trigger(
        "log.full",
        Severity::High,
        "performance",
        text(
            &format!("{}: {} reached ({})", pool.title, pool.worker_limit(), log.name),
            &format!("{}が上限に達しました。", pool.subject_ja),
        ),
        &is_new("log.line"),
    )
    .recovery("changecount(@log.line,#21)=0 and count(@at_limit,5m,\"eq\",\"1\")=0")
    .opdata(untranslated(LAST_VALUE))
    .description(text(
        "A log line reports that the limit is reached. The problem recovers ten minutes after the last such line, if the limit was not \
         reached within the last five minutes.",
        "上限に達したことがログに記録されました。最後の記録から 10 分が経ち、直近 5 分間に上限に達していなければ復旧します。",
    ))
    .manual_close()
}

fn near_in_log(pool: &Pool, log: &PoolLog) -> Trigger {
    trigger(
        "log.near",
        Severity::Warning,
        "performance",
        text(
            &format!("{}: {} nearly reached ({})", pool.title, pool.worker_limit(), log.name),
            &format!("{}が上限に近づいています。", pool.subject_ja),
        ),
        &is_new("near.line"),
    )
    .opdata(untranslated(LAST_VALUE))
    .description(text(
        "A log line reports that few idle workers are left. The problem recovers ten minutes after the last such line.",
        "待機中のワーカーが残り少ないことがログに記録されました。最後の記録から 10 分で復旧します。",
    ))
    .manual_close()
    .depends_on(&["log.full", "limit.full"])
}

fn unreadable_log(pool: &Pool, log: &PoolLog) -> Trigger {
    let (title, file) = (pool.title, log.file.name);
    // If the file name is a regular expression, a missing file is not an error: it may be created later.
    let [en, ja] = match log.key {
        "oomwatch.logrt.last" => ["The directory of ", " のディレクトリ"],
        _ => ["", ""],
    };
    trigger(
        "log.unreadable",
        Severity::Info,
        "notice",
        text(&format!("{title}: {} cannot be read", log.name), &format!("{title} のログを読めません。")),
        &format!("{} and min(@found,5m)=1", is_no_for_5m("log.readable")),
    )
    .description(text(
        &format!("{en}{file} does not exist, or the agent's user may not read it."),
        &format!("{file}{ja} が存在しないか、エージェントのユーザーに読む権限がありません。"),
    ))
    .manual_close()
    .depends_on(&["found"])
}
