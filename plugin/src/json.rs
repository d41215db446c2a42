//! Values as JSON.

use agent2_plugin::{ItemError, Reply};
use serde::{Serialize, Serializer};

use crate::text;

/// Returns a reply with the value as compact JSON.
pub(crate) fn reply(value: &impl Serialize) -> Result<Reply, ItemError> {
    Ok(Reply::value(serde_json::to_string(value)?))
}

/// Serializes bytes as a string, as [`text::lossy`] converts them.
pub(crate) fn bytes<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text::lossy(bytes))
}

/// Serializes a whole number without `.0` at its end, as the built-in keys write it.
pub(crate) fn number<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    /// 2^53: up to here every whole number has its own float.
    const WHOLE: f64 = 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, reason = "the value is whole and within ±2^53")]
    if value.fract() == 0.0 && value.abs() <= WHOLE {
        serializer.serialize_i64(*value as i64)
    } else {
        serializer.serialize_f64(*value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_have_no_decimals() {
        #[derive(Serialize)]
        struct Number(#[serde(serialize_with = "number")] f64);
        let json = |value| serde_json::to_string(&Number(value)).unwrap();
        assert_eq!([json(0.0), json(5e9), json(0.25), json(-1.0)], ["0", "5000000000", "0.25", "-1"]);
    }
}
