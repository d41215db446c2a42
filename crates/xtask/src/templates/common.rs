//! Parts that several templates share: expressions, a preprocessing step and a value map.

use super::model::{OnFail, Step, ValueMap, text, value_map};

/// Returns an expression that is true if a yes/no item was "no" for five minutes.
///
/// It requires four values, because the first values of a new item may come from a host that is still starting.
pub(super) fn is_no_for_5m(item: &str) -> String {
    format!("max(@{item},5m)=0 and count(@{item},5m)>3")
}

/// Returns an expression that is true if the item reported something new within its last 21 values.
///
/// At an update interval of 30 seconds, 21 values cover ten minutes. Because values are counted instead of time, an event that
/// happened while the agent was down is detected, too.
pub(super) fn is_new(item: &str) -> String {
    format!("changecount(@{item},#21)>0 and last(@{item})<>\"none\"")
}

/// Returns the step that discards errors of the agent: a missing feature of the host is not an error.
pub(super) fn discard_errors() -> Step {
    Step::NotSupported(OnFail::Discard)
}

pub(super) fn yes_no() -> ValueMap {
    let words = vec![("0", text("No", "いいえ")), ("1", text("Yes", "はい"))];
    value_map("yes_no", text("OomWatch: no or yes", "OomWatch: いいえ・はい"), words)
}
