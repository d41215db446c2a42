//! The only place where panics are caught.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};

use crate::stats::Stats;

thread_local! {
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs code that may panic. A panic becomes an error with its message and location.
pub(crate) fn guarded<T>(stats: &Stats, code: impl FnOnce() -> T) -> Result<T, String> {
    panic::catch_unwind(AssertUnwindSafe(code)).map_err(|payload| {
        stats.count_panic();
        LAST_PANIC.take().unwrap_or_else(|| message_of(&*payload).to_owned())
    })
}

/// Sends panics to the agent's log instead of standard error, which the agent would keep in memory without limit.
pub(crate) fn install_hook() {
    panic::set_hook(Box::new(|info| {
        let report = describe(info);
        log::error!("the plugin panicked: {report}");
        LAST_PANIC.set(Some(report));
    }));
}

fn describe(info: &PanicHookInfo<'_>) -> String {
    let message = message_of(info.payload());
    info.location()
        .map_or_else(|| message.to_owned(), |place| format!("{message} ({}:{})", place.file(), place.line()))
}

fn message_of(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panic_becomes_an_error_with_its_message() {
        let stats = Stats::default();
        let number = 7;
        let error = guarded(&stats, || panic!("no {number}")).unwrap_err();
        assert!(error.contains("no 7"), "{error}");
        assert_eq!(guarded(&stats, || 5), Ok(5));
        assert_eq!(stats.panics(), 1);
    }
}
