//! Times since 1970, from the times that lines carry.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use oom_evidence::{Calendar, Time};
use rustix::time::{ClockId, clock_gettime};

/// The clocks of the machine.
#[derive(Debug, Clone)]
pub(crate) struct Clocks {
    /// Start of this boot in seconds since 1970 (`btime` of `/proc/stat`).
    pub(crate) boot: Option<i64>,
    /// For dates without a zone: log daemons write local time.
    pub(crate) zone: TimeZone,
    /// Time in suspend since boot. The clock of the kernel's messages stands still meanwhile.
    pub(crate) suspended: Duration,
}

/// A time and its uncertainty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WallTime {
    /// Microseconds since 1970.
    pub(crate) micros: i64,
    pub(crate) error_micros: u64,
}

impl WallTime {
    fn exact(micros: i64) -> Self {
        Self { micros, error_micros: 0 }
    }
}

const MICROS: i64 = 1_000_000;
/// A date without a year that is further in the future is last year's. Clocks of log hosts differ by less.
const AHEAD_MICROS: i64 = 24 * 3600 * MICROS;
/// NTP does not correct the clock of the kernel's messages. An oscillator may be off by 1/10,000.
const DRIFT: u64 = 10_000;

impl Clocks {
    pub(crate) fn read(host_root: &Path) -> Self {
        Self { boot: read_boot_time(host_root), zone: TimeZone::system(), suspended: read_suspended() }
    }

    /// The start of the boot moves when the clock is set, and the machine may have slept since.
    pub(crate) fn refresh(&mut self, host_root: &Path) {
        self.boot = read_boot_time(host_root).or(self.boot);
        self.suspended = read_suspended();
    }

    /// Returns the start of this boot in microseconds since 1970.
    pub(crate) fn boot_micros(&self) -> Option<i64> {
        self.boot?.checked_mul(MICROS)
    }

    /// Converts the time of a line. Time since boot counts only if the text is of this boot. It comes last, because it
    /// stands still while the machine is suspended.
    pub(crate) fn wall_time(&self, time: &Time, is_of_this_boot: bool, now: i64) -> Option<WallTime> {
        let epoch = time.since_epoch.and_then(|age| i64::try_from(age.as_micros()).ok()).map(WallTime::exact);
        let calendar = || self.of_calendar(time.calendar.as_ref()?, now);
        let boot = || self.of_boot(time.since_boot.filter(|_| is_of_this_boot)?);
        epoch.or_else(calendar).or_else(boot)
    }

    fn of_boot(&self, age: Duration) -> Option<WallTime> {
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).ok();
        let age = micros(age)?;
        let start = self.boot_micros()?;
        let error_micros = micros(self.suspended)?.checked_add(age / DRIFT)?;
        Some(WallTime { micros: start.checked_add_unsigned(age)?, error_micros })
    }

    fn of_calendar(&self, calendar: &Calendar, now: i64) -> Option<WallTime> {
        if let Some(year) = calendar.year {
            return self.in_year(calendar, i16::try_from(year).ok()?);
        }
        let this_year = self.zone.to_datetime(Timestamp::from_microsecond(now).ok()?).year();
        let is_past = |time: &WallTime| time.micros <= now.saturating_add(AHEAD_MICROS);
        self.in_year(calendar, this_year).filter(is_past).or_else(|| self.in_year(calendar, this_year - 1))
    }

    fn in_year(&self, calendar: &Calendar, year: i16) -> Option<WallTime> {
        let part = |part: u8| i8::try_from(part).ok();
        let date = DateTime::new(
            year,
            part(calendar.month?)?,
            part(calendar.day)?,
            part(calendar.hour)?,
            part(calendar.minute)?,
            part(calendar.second.min(59))?,
            i32::try_from(calendar.nanosecond).ok()?,
        );
        let zone = match calendar.utc_offset_seconds {
            Some(offset) => Offset::from_seconds(offset).ok()?.to_time_zone(),
            None => self.zone.clone(),
        };
        let local = zone.to_ambiguous_timestamp(date.ok()?);
        let offset = local.offset();
        let micros = local.compatible().ok()?.as_microsecond();
        Some(WallTime { micros, error_micros: fold(offset) })
    }
}

/// When clocks are set back, one hour comes twice. Local time does not distinguish the two.
fn fold(offset: AmbiguousOffset) -> u64 {
    match offset {
        AmbiguousOffset::Fold { before, after } => {
            u64::from(before.seconds().abs_diff(after.seconds())) * MICROS.unsigned_abs()
        }
        _ => 0,
    }
}

fn read_boot_time(host_root: &Path) -> Option<i64> {
    let stat = std::fs::read_to_string(host_root.join("proc/stat")).ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

fn read_suspended() -> Duration {
    let of = |clock| Duration::try_from(clock_gettime(clock)).unwrap_or_default();
    of(ClockId::Boottime).saturating_sub(of(ClockId::Monotonic))
}

/// Formats as RFC 3339 in UTC, with milliseconds.
pub(crate) fn rfc_3339(micros: i64) -> Option<String> {
    Some(format!("{:.3}", Timestamp::from_microsecond(micros).ok()?))
}

pub(crate) fn seconds(micros: i64) -> i64 {
    micros.div_euclid(MICROS)
}

/// Converts to microseconds since 1970.
pub(crate) fn micros(at: SystemTime) -> Option<i64> {
    i64::try_from(at.duration_since(UNIX_EPOCH).ok()?.as_micros()).ok()
}

/// Returns the current time in microseconds since 1970.
pub(crate) fn now_micros() -> i64 {
    Timestamp::now().as_microsecond()
}

#[cfg(test)]
mod tests {
    use oom_evidence::{Origin, Parser};

    use super::*;

    fn read(prefix: &str, clocks: &Clocks, now: &str) -> Option<String> {
        let line = format!("{prefix}Out of memory: Killed process 5 (x) total-vm:8kB\n");
        let mut parser = Parser::new(Origin::Text);
        assert_eq!(parser.feed(line.as_bytes()).count(), 0);
        let now = now.parse::<Timestamp>().unwrap().as_microsecond();
        rfc_3339(clocks.wall_time(parser.finish()[0].time.as_ref()?, true, now)?.micros)
    }

    #[test]
    fn each_form_of_time_is_converted() {
        let zone = TimeZone::fixed(jiff::tz::offset(9));
        let clocks = Clocks { boot: Some(1_700_000_000), zone, suspended: Duration::ZERO };
        let now = "2026-01-02T00:00:00Z";
        let table = [
            ("2024-03-02T10:20:01.5+01:00 web kernel: ", Some("2024-03-02T09:20:01.500Z")),
            ("Jan  2 08:00:00 web kernel: ", Some("2026-01-01T23:00:00.000Z")),
            ("Dec 31 08:00:00 web kernel: ", Some("2025-12-30T23:00:00.000Z")),
            ("Jan  3 08:00:00 web kernel: ", Some("2026-01-02T23:00:00.000Z")),
            ("Jan  3 10:00:00 web kernel: ", Some("2025-01-03T01:00:00.000Z")),
            ("Feb 30 08:00:00 web kernel: ", None),
            ("[   10.250000] ", Some("2023-11-14T22:13:30.250Z")),
            ("", None),
        ];
        for (prefix, expected) in table {
            assert_eq!(read(prefix, &clocks, now).as_deref(), expected, "{prefix}");
        }
    }

    #[test]
    fn time_since_boot_is_uncertain_by_drift_and_suspend() {
        let clocks =
            Clocks { boot: Some(1_700_000_000), zone: TimeZone::UTC, suspended: Duration::from_secs(3) };
        let line = b"[  100.000000] Out of memory: Killed process 5 (x) total-vm:8kB\n";
        let time = oom_evidence::parse_all(Origin::Text, line)[0].time.clone().unwrap();
        let expected = WallTime { micros: 1_700_000_100_000_000, error_micros: 10_000 + 3_000_000 };
        assert_eq!(clocks.wall_time(&time, true, 0), Some(expected));
        assert_eq!(clocks.wall_time(&time, false, 0), None);
    }
}
