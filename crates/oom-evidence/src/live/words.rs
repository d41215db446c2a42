//! Words for errors. Text from programs and from the bus is not trusted: it is cut and has no control characters.

use std::io;
use std::path::Path;

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

/// Limit of a reason in characters. With the words of the caller before it, an error stays below 300.
pub const REASON_CHARS_MAX: usize = 200;
const PATH_CHARS_MAX: usize = 80;

/// Returns the text as one line of at most [`REASON_CHARS_MAX`] characters. Control characters become blanks.
///
/// ```
/// let long = "x".repeat(5000);
/// assert_eq!(oom_evidence::short_reason(&long).chars().count(), oom_evidence::REASON_CHARS_MAX);
/// assert_eq!(oom_evidence::short_reason("a\nb"), "a b");
/// ```
#[must_use]
pub fn short_reason(text: &str) -> String {
    let mut chars = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut short: String = chars.by_ref().take(REASON_CHARS_MAX).collect();
    if chars.next().is_some() {
        short.pop();
        short.push('…');
    }
    short
}

/// Returns the path, or its end if it is long, so that the reason after it is not cut.
#[must_use]
pub fn short_path(path: &Path) -> String {
    end_of(&path.display().to_string())
}

/// Returns the text, or its end if it is long.
pub(super) fn end_of(text: &str) -> String {
    let surplus = text.chars().count().saturating_sub(PATH_CHARS_MAX);
    if surplus == 0 {
        text.to_owned()
    } else {
        format!("…{}", text.chars().skip(surplus + 1).collect::<String>())
    }
}

/// Whether this process, or the machine, has no free file descriptor. That says nothing about the file.
#[must_use]
pub fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

/// Returns the system's words for an error, with the limit if this process has too many open files.
#[must_use]
pub fn describe_io_error(error: &io::Error) -> String {
    match Errno::from_io_error(error) {
        Some(Errno::MFILE) => {
            let limit = getrlimit(Resource::Nofile).current;
            let limit = limit.map_or_else(|| "none".to_owned(), |limit| limit.to_string());
            format!(
                "too many open files: the plugin's limit is {limit}; raise LimitNOFILE= of the agent's unit"
            )
        }
        Some(Errno::NFILE) => "too many open files on the machine: raise sysctl fs.file-max".to_owned(),
        _ => short_reason(&error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_descriptors_are_named_with_their_limit() {
        let of = |errno: Errno| describe_io_error(&io::Error::from(errno));
        let limit = getrlimit(Resource::Nofile).current.unwrap();
        assert!(
            of(Errno::MFILE).starts_with(&format!("too many open files: the plugin's limit is {limit}; "))
        );
        assert_eq!(of(Errno::ACCESS), "Permission denied (os error 13)");
        assert!(is_out_of_descriptors(&Errno::NFILE.into()) && !is_out_of_descriptors(&Errno::ACCESS.into()));
    }

    #[test]
    fn long_path_keeps_its_end() {
        let path = "/あ".repeat(300) + "/dev/kmsg";
        let short = short_path(Path::new(&path));
        assert!(
            short.starts_with('…') && short.ends_with("/dev/kmsg") && short.chars().count() == 80,
            "{short}"
        );
        assert_eq!(short_path(Path::new("/dev/kmsg")), "/dev/kmsg");
    }

    #[test]
    fn text_that_fits_is_not_changed() {
        let fits = "あ".repeat(REASON_CHARS_MAX);
        assert_eq!(short_reason(&fits), fits);
        assert!(short_reason(&format!("{fits}x")).ends_with("あ…"));
    }
}
