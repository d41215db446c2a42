//! `/proc/PID/stat`.

use crate::text;

/// Fields of one `stat` line. Missing and unusable numbers are 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Stat<'a> {
    /// Between the first `(` and the last `)`: any byte but NUL is possible, parentheses and newlines too.
    pub(crate) comm: &'a [u8],
    pub(crate) state: u8,
    pub(crate) ppid: u32,
    pub(crate) minor_faults: u64,
    pub(crate) major_faults: u64,
    pub(crate) utime: u64,
    pub(crate) stime: u64,
    pub(crate) threads: u32,
    pub(crate) start: u64,
    pub(crate) vsize: u64,
    pub(crate) rss_pages: u64,
    /// Whether all numbers up to the start time are present. Otherwise identity and CPU time are unknown.
    pub(crate) complete: bool,
}

impl<'a> Stat<'a> {
    /// Parses a line. `None` if there is no name in parentheses.
    pub(crate) fn parse(data: &'a [u8]) -> Option<Self> {
        let right = data.iter().rposition(|&byte| byte == b')')?;
        let left = data[..right].iter().position(|&byte| byte == b'(')?;
        let mut stat = Self { comm: &data[left + 1..right], ..Self::default() };
        let rest = data.get(right + 2..).unwrap_or_default();
        stat.complete = stat.take_fields(rest).is_some();
        Some(stat)
    }

    /// Parses the fields after the name, in the order of proc(5). The state is the third field there.
    fn take_fields(&mut self, rest: &[u8]) -> Option<()> {
        let mut fields = rest.trim_ascii_end().split(|&byte| byte == b' ');
        self.state = *fields.next()?.first()?;
        let mut number =
            |skip: usize| text::signed(fields.nth(skip)?).map(|number| u64::try_from(number).unwrap_or(0));
        self.ppid = u32::try_from(number(0)?).unwrap_or(0);
        self.minor_faults = number(5)?;
        self.major_faults = number(1)?;
        self.utime = number(1)?;
        self.stime = number(0)?;
        self.threads = u32::try_from(number(4)?).unwrap_or(u32::MAX);
        self.start = number(1)?;
        // Identity needs no field after the start time, so a line that ends here is complete.
        self.vsize = number(0).unwrap_or(0);
        self.rss_pages = number(0).unwrap_or(0);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TAIL: &str =
        "S 1 2 3 4 5 6 70 8 90 10 110 120 13 14 20 0 17 0 1900 200000 210 18446744073709551615 1 1";

    fn line(comm: &[u8]) -> Vec<u8> {
        [b"42 (", comm, b") ", TAIL.as_bytes(), b"\n"].concat()
    }

    #[test]
    fn fields_are_at_the_positions_of_proc_5() {
        let data = line(b"httpd");
        let stat = Stat::parse(&data).unwrap();
        let expected = Stat {
            comm: b"httpd",
            state: b'S',
            ppid: 1,
            minor_faults: 70,
            major_faults: 90,
            utime: 110,
            stime: 120,
            threads: 17,
            start: 1900,
            vsize: 200_000,
            rss_pages: 210,
            complete: true,
        };
        assert_eq!(stat, expected);
    }

    #[test]
    fn names_with_special_bytes_are_parsed() {
        for comm in
            [&b"a) R 1"[..], b"((sd-pam))", b"tmux: server", b"new\nline", b"\xff\xfe\xe3\x81", b"", b") ("]
        {
            let data = line(comm);
            let stat = Stat::parse(&data).unwrap();
            assert_eq!((stat.comm, stat.start, stat.complete), (comm, 1900, true));
        }
    }

    #[test]
    fn truncated_line_keeps_its_name() {
        let data = line(b"httpd");
        let stat = Stat::parse(&data[..20]).unwrap();
        assert_eq!((stat.comm, stat.state, stat.complete), (&b"httpd"[..], b'S', false));
        let stat = Stat::parse(b"42 (httpd)").unwrap();
        assert_eq!((stat.comm, stat.state, stat.complete), (&b"httpd"[..], 0, false));
        assert_eq!(Stat::parse(b"42 (httpd"), None);
        assert_eq!(Stat::parse(b""), None);
    }

    proptest! {
        #[test]
        fn parsing_never_panics(data in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Stat::parse(&data);
        }

        #[test]
        fn any_name_is_parsed(comm in proptest::collection::vec(1_u8.., 0..16)) {
            let data = line(&comm);
            let stat = Stat::parse(&data).unwrap();
            prop_assert_eq!(stat.comm, &comm[..]);
            prop_assert_eq!(stat.utime, 110);
        }
    }
}
