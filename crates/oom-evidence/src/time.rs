//! The time of a line, as its text contains it.

use std::time::Duration;

use crate::scan;

/// The time of a line, as its text contains it. A line may have it in two forms, and what it does not contain is
/// absent. To convert it to one timestamp, the caller must know the boot time, the year or the zone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Time {
    /// Time since boot, from `[12345.678901]` or a record of /dev/kmsg. The clock stands still while the machine is
    /// suspended.
    pub since_boot: Option<Duration>,
    /// Time since 1970-01-01 00:00 UTC, from `journalctl -o short-unix`.
    pub since_epoch: Option<Duration>,
    /// Date and time of day, from a log daemon, the journal or `dmesg -T`.
    pub calendar: Option<Calendar>,
    /// The text of [`Time::calendar`], with months and weekdays in the language of the log.
    pub text: Option<Box<[u8]>>,
}

/// Date and time of day as they were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Calendar {
    /// Absent in the traditional form of log daemons (`Jun 20 12:47:42`).
    pub year: Option<u16>,
    /// From 1; absent if its name is in a language other than English.
    pub month: Option<u8>,
    /// Day of the month, from 1.
    pub day: u8,
    /// Hour, 0 to 23.
    pub hour: u8,
    /// Minute, 0 to 59.
    pub minute: u8,
    /// Second, 0 to 60.
    pub second: u8,
    /// Nanoseconds within the second; 0 if the text has none.
    pub nanosecond: u32,
    /// Seconds east of Greenwich; absent if the text has local time without a zone.
    pub utc_offset_seconds: Option<i32>,
}

/// [`Time`] before it is stored: the parser reads far more lines than it keeps.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Stamp<'a> {
    pub(crate) since_boot: Option<Duration>,
    pub(crate) since_epoch: Option<Duration>,
    pub(crate) calendar: Option<Calendar>,
    pub(crate) text: &'a [u8],
}

impl Stamp<'_> {
    pub(crate) fn to_time(self) -> Option<Time> {
        let Stamp { since_boot, since_epoch, calendar, text } = self;
        let known = since_boot.is_some() || since_epoch.is_some() || calendar.is_some();
        let text = calendar.map(|_| scan::owned(text, 64));
        known.then_some(Time { since_boot, since_epoch, calendar, text })
    }

    pub(crate) fn coarse(&self) -> CoarseTime {
        CoarseTime {
            since_boot: self.since_boot.map(|d| d.as_secs()),
            wall: self
                .since_epoch
                .map(|d| d.as_secs())
                .or_else(|| self.calendar.and_then(|c| c.rough_seconds())),
        }
    }
}

/// A time in seconds, which suffices to separate lines of different reports.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CoarseTime {
    since_boot: Option<u64>,
    wall: Option<u64>,
}

impl CoarseTime {
    /// Whether the two are more than `seconds` apart, on any clock that both have.
    pub(crate) fn is_far_from(self, other: Self, seconds: u64) -> bool {
        let far = |a: Option<u64>, b: Option<u64>| a.zip(b).map(|(a, b)| a.abs_diff(b) > seconds);
        far(self.since_boot, other.since_boot).or_else(|| far(self.wall, other.wall)).unwrap_or(false)
    }
}

impl Calendar {
    /// Seconds on a scale of months of 31 days: exact within a month, never too small across months.
    fn rough_seconds(&self) -> Option<u64> {
        let months = u64::from(self.year.unwrap_or(0)) * 12 + u64::from(self.month?);
        let days = months * 31 + u64::from(self.day);
        Some(((days * 24 + u64::from(self.hour)) * 60 + u64::from(self.minute)) * 60 + u64::from(self.second))
    }

    fn from_parts(date: Date, clock: Clock) -> Self {
        let Date { year, month, day } = date;
        let Clock { hour, minute, second, nanosecond } = clock;
        Self { year, month, day, hour, minute, second, nanosecond, utc_offset_seconds: None }
    }
}

#[derive(Clone, Copy)]
struct Date {
    year: Option<u16>,
    month: Option<u8>,
    day: u8,
}

#[derive(Clone, Copy)]
struct Clock {
    hour: u8,
    minute: u8,
    second: u8,
    nanosecond: u32,
}

const MONTHS: [&[u8]; 12] =
    [b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"];

/// Parses a date and time at the front of a line, in any form that log daemons, journalctl and dmesg write. Returns
/// the rest of the line after one blank.
pub(crate) fn calendar(line: &[u8]) -> Option<(Calendar, &[u8])> {
    iso(line).or_else(|| named_month(line)).or_else(|| after_weekday(line)).or_else(|| after_year(line))
}

/// `2024 Mar  2 10:20:01`, of network devices.
fn after_year(line: &[u8]) -> Option<(Calendar, &[u8])> {
    let (year, rest) = year(line)?;
    let (calendar, rest) = named_month(scan::skip_blanks(rest))?;
    Some((Calendar { year: Some(year), ..calendar }, rest))
}

/// `Sat 2024-03-02 10:20:01 UTC` (journalctl -o short-full) and `Tue Aug 12 03:54:03 2025` (ctime).
fn after_weekday(line: &[u8]) -> Option<(Calendar, &[u8])> {
    let (weekday, rest) = scan::word(line);
    if !is_name(weekday) {
        return None;
    }
    iso(rest).or_else(|| named_month(rest))
}

/// `2026-02-08T00:40:07.136582+00:00`, with a blank for the T, a comma for the full stop, slashes, or a zone's name.
fn iso(line: &[u8]) -> Option<(Calendar, &[u8])> {
    let mark = line.get(4..5).filter(|mark| matches!(*mark, b"-" | b"/"))?;
    let (year, rest) = two_parts(line, mark)?;
    let (month, rest) = two_parts(rest, mark)?;
    let (day, rest) = scan::number(rest)?;
    let date =
        Date { year: Some(year.try_into().ok()?), month: Some(month.try_into().ok()?), day: day_of(day)? };
    if !(1..=12).contains(&month) || year < 1970 {
        return None;
    }
    let rest = rest.strip_prefix(b"T").or_else(|| rest.strip_prefix(b" "))?;
    let (clock, rest) = clock(rest)?;
    let (offset, rest) = zone(rest)?;
    Some((Calendar { utc_offset_seconds: offset, ..Calendar::from_parts(date, clock) }, rest))
}

fn two_parts<'a>(bytes: &'a [u8], mark: &[u8]) -> Option<(u64, &'a [u8])> {
    let (value, rest) = scan::number(bytes)?;
    Some((value, rest.strip_prefix(mark)?))
}

/// `Jun 20 12:47:42`, `июл 24 01:20:00`, `Jun 20 2024 12:47:42`, `Jun 20 12:47:42 2024`, `3月 02 10:20:01`.
fn named_month(line: &[u8]) -> Option<(Calendar, &[u8])> {
    let (name, rest) = scan::word(line);
    let month = month_of(name)?;
    let (day, rest) = scan::number(rest)?;
    let rest = scan::skip_blanks(rest.strip_prefix(b" ")?);
    let (year_before, rest) = year(rest).map_or((None, rest), |(year, rest)| (Some(year), rest));
    let (clock, rest) = clock(rest)?;
    let rest = end_of_stamp(rest)?;
    let (year, rest) = match year_before {
        Some(_) => (year_before, rest),
        None => year(rest).map_or((None, rest), |(year, rest)| (Some(year), rest)),
    };
    Some((Calendar::from_parts(Date { year, month, day: day_of(day)? }, clock), rest))
}

/// Returns the number of a month; none inside if its name is in another language. None for a word that cannot be a
/// month.
fn month_of(name: &[u8]) -> Option<Option<u8>> {
    let counted = scan::number(name).filter(|(_, rest)| *rest == "月".as_bytes()).map(|(month, _)| month);
    let english = MONTHS.iter().position(|month| name.eq_ignore_ascii_case(month)).map(|at| at as u64 + 1);
    let month = counted.or(english).and_then(|month| u8::try_from(month).ok());
    (month.is_some() || is_name(name)).then_some(month)
}

/// Whether a word can be the name of a month or a weekday in some language, with the full stop that some add.
fn is_name(word: &[u8]) -> bool {
    let word = word.strip_suffix(b".").unwrap_or(word);
    (1..=16).contains(&word.len()) && word.iter().all(|b| b.is_ascii_alphabetic() || !b.is_ascii())
}

fn year(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (year, rest) = scan::number(bytes)?;
    let year = u16::try_from(year).ok().filter(|year| (1970..=9999).contains(year))?;
    Some((year, end_of_stamp(rest)?))
}

fn day_of(day: u64) -> Option<u8> {
    u8::try_from(day).ok().filter(|day| (1..=31).contains(day))
}

/// `12:47:42` with any fraction.
fn clock(bytes: &[u8]) -> Option<(Clock, &[u8])> {
    let (hour, rest) = two_parts(bytes, b":")?;
    let (minute, rest) = two_parts(rest, b":")?;
    let (second, rest) = scan::number(rest)?;
    let (nanosecond, rest) = fraction(rest);
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let [hour, minute, second] = [hour, minute, second].map(|part| u8::try_from(part).unwrap_or(u8::MAX));
    Some((Clock { hour, minute, second, nanosecond }, rest))
}

/// Parses nanoseconds from `.136582` or `,136582`; 0 if there is no fraction.
fn fraction(bytes: &[u8]) -> (u32, &[u8]) {
    let Some(digits) = bytes.strip_prefix(b".").or_else(|| bytes.strip_prefix(b",")) else {
        return (0, bytes);
    };
    let count = digits.iter().take_while(|b| b.is_ascii_digit()).count();
    if count == 0 {
        return (0, bytes);
    }
    let padded = digits[..count].iter().map(|b| u32::from(b - b'0')).chain(std::iter::repeat(0));
    (padded.take(9).fold(0, |sum, digit| sum * 10 + digit), &digits[count..])
}

/// `Z`, `+0100`, `+01:00`, ` UTC`, ` CEST`. Skips names other than UTC, because they are ambiguous.
fn zone(bytes: &[u8]) -> Option<(Option<i32>, &[u8])> {
    if let Some(rest) = bytes.strip_prefix(b"Z") {
        return Some((Some(0), end_of_stamp(rest)?));
    }
    if let Some((sign, rest)) = bytes.split_first().filter(|(b, _)| matches!(b, b'+' | b'-')) {
        let (offset, rest) = offset(rest)?;
        return Some((Some(if *sign == b'-' { -offset } else { offset }), end_of_stamp(rest)?));
    }
    let rest = end_of_stamp(bytes)?;
    let (name, after) = scan::word(rest);
    match name {
        b"UTC" | b"GMT" => Some((Some(0), after)),
        b"CET" | b"CEST" | b"EST" | b"EDT" | b"CST" | b"CDT" | b"MST" | b"MDT" | b"PST" | b"PDT" | b"BST"
        | b"JST" | b"IST" | b"MSK" | b"EET" | b"EEST" | b"WET" | b"WEST" => Some((None, after)),
        _ => Some((None, rest)),
    }
}

fn offset(bytes: &[u8]) -> Option<(i32, &[u8])> {
    let two =
        |at: usize| scan::number(bytes.get(at..at + 2)?).filter(|(_, rest)| rest.is_empty()).map(|(v, _)| v);
    let colon = usize::from(bytes.get(2) == Some(&b':'));
    let (hours, minutes, used) = match two(2 + colon) {
        Some(minutes) => (two(0)?, minutes, 4 + colon),
        None => (two(0)?, 0, 2),
    };
    Some((i32::try_from(hours * 3600 + minutes * 60).ok()?, &bytes[used..]))
}

/// A time is followed by the end of the line, a blank or a colon (some daemons write `12:47:42: `).
fn end_of_stamp(bytes: &[u8]) -> Option<&[u8]> {
    let bytes = bytes.strip_prefix(b":").unwrap_or(bytes);
    if bytes.is_empty() { Some(bytes) } else { bytes.strip_prefix(b" ") }
}

/// `1712345678.123456 ` of journalctl -o short-unix.
pub(crate) fn unix(line: &[u8]) -> Option<(Duration, &[u8])> {
    let (seconds, rest) = scan::number(line).filter(|(s, _)| (100_000_000..=99_999_999_999).contains(s))?;
    let (nanoseconds, after) = fraction(rest);
    let after = after.strip_prefix(b" ").filter(|_| after.len() < rest.len())?;
    Some((Duration::new(seconds, nanoseconds), after))
}

/// `[12345.678901]` of printk, also with the number of a processor or a difference inside, or without the first
/// bracket.
pub(crate) fn boot(bytes: &[u8]) -> Option<(Duration, &[u8])> {
    let inner = bytes.strip_prefix(b"[").map_or(bytes, scan::skip_blanks);
    let (seconds, rest) = scan::number(inner)?;
    let digits = rest.strip_prefix(b".")?.iter().take_while(|b| b.is_ascii_digit()).count();
    if !(1..=9).contains(&digits) {
        return None;
    }
    let (nanoseconds, rest) = fraction(rest);
    let end = rest.iter().take(24).position(|b| *b == b']')?;
    let is_known = end == 0 || matches!(rest[0], b',' | b'@') || rest.starts_with(b" <");
    is_known.then(|| (Duration::new(seconds, nanoseconds), &rest[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_date_is_parsed() {
        let same = Calendar {
            year: Some(2024),
            month: Some(3),
            day: 2,
            hour: 10,
            minute: 20,
            second: 1,
            nanosecond: 0,
            utc_offset_seconds: None,
        };
        let yearless = Calendar { year: None, ..same };
        let fraction = Calendar { nanosecond: 136_582_000, ..same };
        let table: [(&str, Calendar); 17] = [
            ("2024 Mar  2 10:20:01 x", same),
            ("Mar  2 10:20:01 x", yearless),
            ("Mar 2 10:20:01 x", yearless),
            ("Mar  2 10:20:01.136582 x", Calendar { year: None, ..fraction }),
            ("Mar 02 2024 10:20:01 x", same),
            ("Mar 02 2024 10:20:01: x", same),
            ("Sat Mar  2 10:20:01 2024 x", same),
            ("3月 02 10:20:01 x", yearless),
            ("мар 02 10:20:01 x", Calendar { month: None, ..yearless }),
            ("2024-03-02T10:20:01+0100 x", Calendar { utc_offset_seconds: Some(3600), ..same }),
            ("2024-03-02T10:20:01.136582+05:30 x", Calendar { utc_offset_seconds: Some(19_800), ..fraction }),
            ("2024-03-02T10:20:01,136582-01:00 x", Calendar { utc_offset_seconds: Some(-3600), ..fraction }),
            ("2024-03-02T10:20:01Z x", Calendar { utc_offset_seconds: Some(0), ..same }),
            ("2024-03-02 10:20:01 x", same),
            ("2024/03/02 10:20:01 x", same),
            ("Sat 2024-03-02 10:20:01 UTC x", Calendar { utc_offset_seconds: Some(0), ..same }),
            ("Sat 2024-03-02 10:20:01.136582 CET x", fraction),
        ];
        for (text, expected) in table {
            let (found, rest) = calendar(text.as_bytes()).unwrap_or_else(|| panic!("no date in {text:?}"));
            assert_eq!((found, rest), (expected, &b"x"[..]), "{text:?}");
        }
    }

    #[test]
    fn similar_text_is_not_a_date() {
        for text in [
            "",
            "Mar",
            "Mar 2",
            "Mar 32 10:20:01 x",
            "Jul 611:39:55 x",
            "2024-13-02T10:20:01 x",
            "a 1 24:00:00 x",
        ] {
            assert!(calendar(text.as_bytes()).is_none(), "{text:?}");
        }
    }

    #[test]
    fn seconds_since_boot_are_parsed() {
        for text in [
            "[   12.500000]x",
            "[12.5]x",
            "12.500000]x",
            "[   12.500000,1]x",
            "[   12.500000 <    0.000001>]x",
        ] {
            assert_eq!(boot(text.as_bytes()), Some((Duration::from_millis(12_500), &b"x"[..])), "{text:?}");
        }
        for text in ["[12]", "[ pid ]", "[1.5x]", "[ 1060]     0  1060", "1.2.3.4]", "1712345678.5 h [ pid ]"]
        {
            assert_eq!(boot(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn times_are_compared_only_on_clocks_that_both_have() {
        let boot = |s| Stamp { since_boot: Some(Duration::from_secs(s)), ..Stamp::default() }.coarse();
        assert!(boot(10).is_far_from(boot(1000), 600));
        assert!(!boot(10).is_far_from(boot(600), 600));
        assert!(!boot(10).is_far_from(CoarseTime::default(), 600));
    }
}
