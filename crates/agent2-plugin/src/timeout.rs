//! The time that an agent waits for a reply.

use std::time::Duration;

use crate::export::Generation;

/// The agent's default, until *configure* sends its `Timeout`.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(3);
/// Reply this long before the deadline to agents before 6.4, because they stop waiting exactly at the deadline. Newer
/// agents wait half a second longer.
const HEAD_START: Duration = Duration::from_millis(200);

/// Returns the time limit of a request and the generation of its agent.
pub(crate) fn time_limit(timeout_seconds: Option<f64>, agent_timeout: Duration) -> (Duration, Generation) {
    match timeout_seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
        // A day at most, so that adding it to a time cannot overflow.
        Some(timeout) => (timeout.min(Duration::from_secs(86_400)), Generation::Since6_4),
        None => {
            let head_start = HEAD_START.min(agent_timeout / 5);
            (agent_timeout.saturating_sub(head_start), Generation::Before6_4)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_limit_is_at_most_a_day() {
        let limit = |seconds| time_limit(Some(seconds), Duration::from_secs(3)).0;
        assert_eq!(limit(86_399.0), Duration::from_secs(86_399));
        assert_eq!(limit(1e15), Duration::from_secs(86_400));
    }

    #[test]
    fn old_agents_get_the_reply_before_their_timeout() {
        let limit = |millis| time_limit(None, Duration::from_millis(millis)).0;
        assert_eq!(limit(3000), Duration::from_millis(2800));
        assert_eq!(limit(500), Duration::from_millis(400));
    }
}
