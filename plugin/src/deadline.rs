//! The time by which a handler must stop reading.

use std::time::{Duration, Instant};

use agent2_plugin::Request;

/// Time that is kept for writing the reply: reading stops this long before the poll's deadline.
const WRITING_TIME: Duration = Duration::from_millis(250);

/// Returns the time by which reading must end, so that the reply is written before the poll's deadline. At most a quarter of
/// the time that is left is kept.
pub(crate) fn reading_deadline(request: &Request) -> Instant {
    let kept = WRITING_TIME.min(request.time_left() / 4);
    request.deadline().checked_sub(kept).unwrap_or_else(|| request.deadline())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_ends_a_quarter_of_a_second_before_the_deadline() {
        let kept = |timeout: Duration| {
            let request = Request::new("x", &[], timeout);
            request.deadline() - reading_deadline(&request)
        };
        assert_eq!(kept(Duration::from_secs(30)), WRITING_TIME);
        let short = kept(Duration::from_millis(400));
        assert!(short <= Duration::from_millis(100) && short >= Duration::from_millis(50), "{short:?}");
    }
}
