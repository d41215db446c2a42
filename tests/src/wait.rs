use std::thread::sleep;
use std::time::{Duration, Instant};

/// Asks again and again until the answer is yes, or `limit` has passed; tells which.
#[must_use]
pub fn wait_until(limit: Duration, mut yes: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if yes() {
            return true;
        }
        if start.elapsed() >= limit {
            return false;
        }
        sleep(Duration::from_millis(10));
    }
}
