use std::thread::sleep;
use std::time::{Duration, Instant};

/// The pause between two checks: short at first, because most events happen at once, and later so long that polling is cheap.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LAST_PAUSE: Duration = Duration::from_millis(200);

/// Calls `condition` until it is true or `limit` has passed, and returns the last result.
#[must_use]
pub fn wait_until(limit: Duration, mut yes: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        if yes() {
            return true;
        }
        if start.elapsed() >= limit {
            return false;
        }
        sleep(pause);
        pause = (pause * 5 / 4).min(LAST_PAUSE);
    }
}
