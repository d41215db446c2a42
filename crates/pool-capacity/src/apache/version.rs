//! The version of httpd, and `<IfVersion>`.

use std::cmp::Ordering;
use std::fmt;

use regex::RegexBuilder;

use super::words::words;

/// A version of httpd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// 2.
    pub major: u32,
    /// 2 or 4.
    pub minor: u32,
    /// The release; the last of its line if it is unknown.
    pub patch: u32,
}

impl Version {
    /// The last release of 2.2.
    pub const LAST_2_2: Self = Self { major: 2, minor: 2, patch: 34 };
    /// A release of 2.4 that has every directive.
    pub const LATE_2_4: Self = Self { major: 2, minor: 4, patch: 999 };

    /// Whether it is 2.2 or older.
    #[must_use]
    pub fn is_2_2(self) -> bool {
        (self.major, self.minor) < (2, 4)
    }

    /// Parses `2.4.62`; missing parts are 0.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = [0_u32; 3];
        let mut given = text.split('.');
        for part in &mut parts {
            match given.next() {
                Some("") if given.clone().next().is_none() => break,
                Some(number) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
                    *part = number.parse().ok()?;
                }
                Some(_) => return None,
                None => break,
            }
        }
        let [major, minor, patch] = parts;
        given.next().is_none().then_some(Self { major, minor, patch })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.patch {
            999 => write!(f, "{}.{}", self.major, self.minor),
            patch => write!(f, "{}.{}.{patch}", self.major, self.minor),
        }
    }
}

/// Evaluates `<IfVersion ...>`; the arguments are as written, with the closing bracket.
pub(super) fn test(arguments: &str, version: Version) -> Result<bool, String> {
    let end = arguments.rfind('>').ok_or("<IfVersion has no closing >")?;
    let words = words(&arguments[..end]);
    let (operator, operand) = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [operand] => ("=", operand),
        [operator, operand] => (operator, operand),
        _ => return Err("<IfVersion takes an operator and a version".to_owned()),
    };
    let (negated, plain) = match operator.strip_prefix('!') {
        // httpd takes a single ! for the operator, which it does not know.
        Some(rest) if !rest.is_empty() => (true, rest),
        _ => (false, operator),
    };
    Ok(compare(plain, operand, version)? != negated)
}

fn compare(operator: &str, operand: &str, version: Version) -> Result<bool, String> {
    let ordering = || {
        let given = Version::parse(operand).ok_or_else(|| format!("{operand} is not a version"))?;
        Ok::<_, String>(version.cmp(&given))
    };
    match operator {
        "=" | "==" if operand.starts_with('/') => {
            let pattern = operand.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
            matches(pattern.ok_or("a regular expression of <IfVersion ends with /")?, version)
        }
        "~" => matches(operand, version),
        "=" | "==" => ordering().map(Ordering::is_eq),
        "<" => ordering().map(Ordering::is_lt),
        "<=" => ordering().map(Ordering::is_le),
        ">" => ordering().map(Ordering::is_gt),
        ">=" => ordering().map(Ordering::is_ge),
        _ => Err(format!("{operator} is not an operator of <IfVersion")),
    }
}

/// The memory of a compiled regular expression; a pattern for a version needs less than 10 KiB.
const REGEX_BYTES_MAX: usize = 256 << 10;
const PATTERN_BYTES_MAX: usize = 1024;

fn matches(pattern: &str, version: Version) -> Result<bool, String> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(format!("the regular expression of <IfVersion has more than {PATTERN_BYTES_MAX} bytes"));
    }
    let regex = RegexBuilder::new(pattern).size_limit(REGEX_BYTES_MAX).build();
    let regex = regex.map_err(|_| format!("{pattern} is not a regular expression"))?;
    Ok(regex.is_match(&version.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_documented() {
        let version = Version { major: 2, minor: 4, patch: 57 };
        let is = |arguments: &str| test(arguments, version);
        for yes in [">= 2.4>", "2.4.57>", "< 2.5>", "!= 2.2>", "~ ^2\\.[34]>", "= /^2.4/>", "> 2.2 >"] {
            assert_eq!(is(yes), Ok(true), "{yes}");
        }
        for no in ["< 2.4>", "2.4>", "> 2.4.57>", "!~ ^2>", "!>= 2.4>"] {
            assert_eq!(is(no), Ok(false), "{no}");
        }
        for wrong in [">= x>", "> 2.4.6.9>", "?? 2.4>", ">= 2.4", "= /2.4>", ">", "~ (>"] {
            assert!(is(wrong).is_err(), "{wrong}");
        }
    }
}
