//! Instants out of what lines say of when.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use oom_evidence::{Calendar, Time};
use rustix::time::{ClockId, clock_gettime};

/// The machine's clocks, as far as they are needed.
#[derive(Debug, Clone)]
pub(crate) struct Clocks {
    /// Of this boot, in seconds since 1970 (`btime` of `/proc/stat`).
    pub(crate) boot: Option<i64>,
    /// For dates without a zone: what log daemons write is local time.
    pub(crate) zone: TimeZone,
    /// How long the machine has been suspended since its boot. The kernel's own clock stood still meanwhile.
    pub(crate) suspended: Duration,
}

/// An instant, and how far from it the truth may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Since 1970.
    pub(crate) micros: i64,
    pub(crate) error_micros: u64,
}

impl Moment {
    fn exact(micros: i64) -> Self {
        Self { micros, error_micros: 0 }
    }
}

const MICROS: i64 = 1_000_000;
/// A date further ahead of now is last year's; clocks of log hosts differ by less.
const AHEAD_MICROS: i64 = 24 * 3600 * MICROS;
/// The kernel stamps its messages with a clock that nobody corrects: an oscillator may be off by 100 millionths.
const DRIFT: u64 = 10_000;

impl Clocks {
    /// When something was, as its line says. The time since boot counts only where the text is of this boot; it stands
    /// still while the machine is suspended, so it comes last.
    pub(crate) fn instant(&self, time: &Time, is_of_this_boot: bool, now: i64) -> Option<Moment> {
        let epoch = time.since_epoch.and_then(|age| i64::try_from(age.as_micros()).ok()).map(Moment::exact);
        let calendar = || self.of_calendar(time.calendar.as_ref()?, now);
        let boot = || self.of_boot(time.since_boot.filter(|_| is_of_this_boot)?);
        epoch.or_else(calendar).or_else(boot)
    }

    fn of_boot(&self, age: Duration) -> Option<Moment> {
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).ok();
        let age = micros(age)?;
        let start = self.boot?.checked_mul(MICROS)?;
        let error_micros = micros(self.suspended)?.checked_add(age / DRIFT)?;
        Some(Moment { micros: start.checked_add_unsigned(age)?, error_micros })
    }

    fn of_calendar(&self, calendar: &Calendar, now: i64) -> Option<Moment> {
        if let Some(year) = calendar.year {
            return self.in_year(calendar, i16::try_from(year).ok()?);
        }
        let this_year = self.zone.to_datetime(Timestamp::from_microsecond(now).ok()?).year();
        let is_past = |moment: &Moment| moment.micros <= now.saturating_add(AHEAD_MICROS);
        self.in_year(calendar, this_year).filter(is_past).or_else(|| self.in_year(calendar, this_year - 1))
    }

    fn in_year(&self, calendar: &Calendar, year: i16) -> Option<Moment> {
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
        Some(Moment { micros, error_micros: fold(offset) })
    }
}

/// When clocks are set back, an hour comes twice, and local time does not say which of the two it is.
fn fold(offset: AmbiguousOffset) -> u64 {
    match offset {
        AmbiguousOffset::Fold { before, after } => {
            u64::from(before.seconds().abs_diff(after.seconds())) * MICROS.unsigned_abs()
        }
        _ => 0,
    }
}

/// How long the machine has been suspended since its boot.
pub(crate) fn suspended() -> Duration {
    let of = |clock| Duration::try_from(clock_gettime(clock)).unwrap_or_default();
    of(ClockId::Boottime).saturating_sub(of(ClockId::Monotonic))
}

/// RFC 3339 in UTC, to the millisecond.
pub(crate) fn rfc_3339(micros: i64) -> Option<String> {
    Some(format!("{:.3}", Timestamp::from_microsecond(micros).ok()?))
}

pub(crate) fn seconds(micros: i64) -> i64 {
    micros.div_euclid(MICROS)
}

/// Microseconds since 1970.
pub(crate) fn micros(at: SystemTime) -> Option<i64> {
    i64::try_from(at.duration_since(UNIX_EPOCH).ok()?.as_micros()).ok()
}

/// Now, in microseconds since 1970.
pub(crate) fn now() -> i64 {
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
        rfc_3339(clocks.instant(parser.finish()[0].time.as_ref()?, true, now)?.micros)
    }

    #[test]
    fn every_way_of_saying_when() {
        let zone = TimeZone::fixed(jiff::tz::offset(9));
        let clocks = Clocks { boot: Some(1_700_000_000), zone, suspended: Duration::ZERO };
        let now = "2026-01-02T00:00:00Z";
        let table = [
            ("2024-03-02T10:20:01.5+01:00 web kernel: ", Some("2024-03-02T09:20:01.500Z")),
            ("Jan  2 08:00:00 web kernel: ", Some("2026-01-01T23:00:00.000Z")),
            ("Dec 31 08:00:00 web kernel: ", Some("2025-12-30T23:00:00.000Z")),
            ("Feb 30 08:00:00 web kernel: ", None),
            ("[   10.250000] ", Some("2023-11-14T22:13:30.250Z")),
            ("", None),
        ];
        for (prefix, expected) in table {
            assert_eq!(read(prefix, &clocks, now).as_deref(), expected, "{prefix}");
        }
    }
}
