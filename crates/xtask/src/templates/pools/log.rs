//! Items on the log in which the software reports that its limit is reached.

use super::super::model::{Item, OnFail, Step, Text, ValueType, master, text};
use super::pool::{Pool, PoolLog};

pub(super) fn items(pool: &Pool) -> Vec<Item> {
    let Some(log) = &pool.log else { return Vec::new() };
    let at_limit = text("Log: limit reached", "ログ: 上限到達");
    let near_limit = text("Log: limit near", "ログ: 上限間近");
    let mut items = lines(pool, log, ["log", "log.line"], log.at_limit.0, &at_limit);
    items.push(readable(pool));
    if let Some((pattern, _)) = log.near_limit {
        items.extend(lines(pool, log, ["near", "near.line"], pattern, &near_limit));
    }
    items
}

fn readable(pool: &Pool) -> Item {
    let description = text(
        "\"No\" if the log does not exist, or the agent's user may not read it.",
        "ログがないか、エージェントのユーザーにログを読む権限がないときに「いいえ」になります。",
    );
    pool.dependent("log.readable", "log", &text("Log readable", "ログの読み取り可否"), description)
        .value_map("yes_no")
        .component("log")
        .step(Step::JsonPath("$.readable".to_owned(), OnFail::Value("true")))
        .step(Step::BoolToDecimal)
}

/// Returns a master item for the matching lines, and an item for the last one.
fn lines(
    pool: &Pool,
    log: &PoolLog,
    [id, line_id]: [&'static str; 2],
    pattern: &str,
    name: &Text,
) -> Vec<Item> {
    let key = format!("{}[{},{pattern},,skip]", log.key, log.file.name);
    let master_name = name.map(|name| format!("{}: {name} (JSON)", pool.title));
    let json = text(
        "Number of matching lines and the last matching line as JSON.",
        "一致した行の数と最後の行（JSON）。",
    );
    let description = text(
        "Number of matching lines since the item was created, followed by the last one. \"none\" if there was none.",
        "アイテムの作成後に一致した行の数と最後の行。なければ none です。",
    );
    vec![
        master(id, &key, "30s", master_name, json)
            .step(Step::NotSupported(OnFail::Value("{\"readable\":false}"))),
        pool.dependent(line_id, id, name, description)
            .value_type(ValueType::Char)
            .component("log")
            .step(Step::JavaScript(include_str!("../scripts/log_line.js")))
            .json_path("$.value"),
    ]
}
