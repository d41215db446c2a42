use std::thread::sleep;
use std::time::{Duration, Instant};

/// Between questions: at first short, because most things happen at once, and in the end so long that asking costs nothing.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LAST_PAUSE: Duration = Duration::from_millis(200);

/// Asks again and again until the answer is yes, or `limit` has passed; tells which.
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
