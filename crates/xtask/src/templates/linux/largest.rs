//! The preprocessing of discovery rules that discover the largest of a list, and the macros that select them.

use super::super::model::{OnFail, Step};

/// Returns the steps that turn a list of the master's JSON into the rows of a rule.
///
/// They select the rows whose names match the macros of this kind, and of these the largest. An invalid regular expression makes the
/// rule unsupported instead of leaving it without rows. So does a backslash, which these JSONPaths do not accept.
pub(super) fn largest(list: &str, rows: &'static str, kind: &str) -> Vec<Step> {
    let wanted = format!(
        "$[?(@.none==1 || (@.name =~ \"{{$OOMWATCH.{kind}.MATCHES}}\" && !(@.name =~ \"{{$OOMWATCH.{kind}.NOT_MATCHES}}\")))]"
    );
    vec![
        Step::JsonPath(format!("$.{list}"), OnFail::Value("[]")),
        Step::JavaScript(rows),
        Step::JsonPath(wanted, OnFail::Error),
        Step::JsonPath(format!("$[:{{$OOMWATCH.{kind}.TOP}}]"), OnFail::Error),
        Step::JavaScript(include_str!("../scripts/sorted_rows.js")),
        Step::DiscardUnchanged("1h"),
    ]
}

/// The period after which an unchanged limit is stored again.
///
/// Frontends draw no line between points that are more than four polls apart.
pub(super) const LIMIT_HEARTBEAT: &str = "3m";
