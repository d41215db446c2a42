//! The macro and the trigger that "OomWatch log" and "OomWatch Classic" share.

use super::super::model::{
    LAST_VALUE, Severity, Text, Trigger, UserMacro, text, trigger, untranslated, user_macro,
};

const SILENCE: &str = "{$OOMWATCH.LOG.SILENCE}";

pub(super) fn silence() -> UserMacro {
    let description = text(
        "Time after the last matching line until the problem recovers. At least 30s, because servers evaluate time-based triggers every 30 seconds.",
        "最後に一致した行から障害が復旧するまでの時間。サーバーは時間に依存するトリガーを 30 秒ごとに評価するため、30s 以上にしてください。",
    );
    user_macro(SILENCE, "10m", description)
}

/// Returns a trigger on a line that matches within the time of the macro.
///
/// `nodata` makes the server evaluate the expression without new values, so that the problem recovers.
pub(super) fn recent_line(id: &'static str, item: &str, regexp: &str, name: Text) -> Trigger {
    let expression =
        format!("nodata(@{item},{SILENCE})=0 and find(@{item},{SILENCE},\"regexp\",\"{regexp}\")=1");
    trigger(id, Severity::High, "availability", name, &expression)
        .opdata(untranslated(LAST_VALUE))
        .description(text(
            "The problem recovers {$OOMWATCH.LOG.SILENCE} after the last matching line.",
            "最後に一致した行から {$OOMWATCH.LOG.SILENCE} で復旧します。",
        ))
        .manual_close()
}
