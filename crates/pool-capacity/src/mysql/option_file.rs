//! Option files: groups, includes and values.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::Error;
use crate::text::{short, short_path};
use crate::warnings::Warnings;
use crate::{ConfigError, FileError, FileKind, Limit, Reading};

/// The server reads no deeper include, with a warning.
const DEPTH_MAX: usize = 10;

/// An option as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    /// In lower case, with `_` in place of `-`.
    pub(super) name: String,
    /// Whether it was written with upper-case letters.
    pub(super) has_capitals: bool,
    pub(super) value: Option<String>,
    pub(super) place: SettingOrigin,
}

/// The source of a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SettingOrigin {
    Line { path: Arc<Path>, line: usize },
    Argument(String),
}

impl SettingOrigin {
    pub(super) fn error(&self, reason: String) -> Error {
        match self.clone() {
            Self::Line { path, line } => {
                ConfigError::Line { path: path.to_path_buf(), line, reason: short(reason) }.into()
            }
            Self::Argument(argument) => Error::Argument { argument, reason: short(reason) },
        }
    }
}

impl std::fmt::Display for SettingOrigin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Line { path, line } => write!(f, "{}:{line}", short_path(path)),
            Self::Argument(argument) => write!(f, "argument {argument}"),
        }
    }
}

impl Setting {
    fn new(name: &str, value: Option<String>, place: SettingOrigin) -> Self {
        Self {
            name: plain(name),
            has_capitals: name.contains(|c: char| c.is_ascii_uppercase()),
            value,
            place,
        }
    }

    /// Parses `--max-connections=500`, or `--max-connections` and `500`; other arguments are ignored.
    pub(super) fn of_arguments(arguments: &[Vec<u8>]) -> Vec<Self> {
        let texts: Vec<_> = arguments.iter().map(|argument| String::from_utf8_lossy(argument)).collect();
        let nexts = texts.iter().skip(1).map(Some).chain([None]);
        let settings = texts.iter().zip(nexts).filter_map(|(text, next)| {
            let option = text.strip_prefix("--")?;
            let next = next.filter(|next| !next.starts_with('-') && !next.is_empty());
            let (name, value) = match option.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (option, next.map(ToString::to_string)),
            };
            Some(Self::new(name, value, SettingOrigin::Argument(text.to_string())))
        });
        settings.collect()
    }
}

fn plain(name: &str) -> String {
    let name = name.replace('-', "_").to_ascii_lowercase();
    name.strip_prefix("loose_").map(str::to_owned).unwrap_or(name)
}

/// Receives each setting in the server's order. It is not stored, because a file may have a million settings.
type Apply<'a> = dyn FnMut(&Setting, &mut Warnings) -> Result<(), Error> + 'a;

pub(super) struct OptionFiles<'a> {
    reading: &'a Reading<'a>,
    /// The groups that the server reads.
    groups: Vec<String>,
    apply: &'a mut Apply<'a>,
    warnings: Warnings,
    depth: usize,
}

impl<'a> OptionFiles<'a> {
    pub(super) fn new(reading: &'a Reading<'a>, groups: Vec<String>, apply: &'a mut Apply<'a>) -> Self {
        Self { reading, groups, apply, warnings: Warnings::default(), depth: 0 }
    }

    pub(super) fn finish(self) -> Warnings {
        self.warnings
    }

    pub(super) fn main(&mut self, path: &Path) -> Result<(), Error> {
        let content = self.reading.read(path)?;
        self.file(path, &content)
    }

    /// Reads a file. It begins outside of all groups, included or not, and an include does not end the group around it.
    fn file(&mut self, path: &Path, content: &[u8]) -> Result<(), Error> {
        self.reading.spend(Limit::NestedBytes, content.len(), path)?;
        let path: Arc<Path> = path.into();
        let mut group = Group::None;
        for (index, line) in content.split(|&byte| byte == b'\n').enumerate() {
            self.reading.line(line.len(), &path)?;
            let place = SettingOrigin::Line { path: Arc::clone(&path), line: index + 1 };
            let text = String::from_utf8_lossy(line);
            let text = text.trim();
            match text.chars().next() {
                None | Some('#' | ';') => {}
                Some('!') => self.directive(&place, &path, text)?,
                Some('[') => group = self.group(&place, text)?,
                Some(_) if group == Group::None => {
                    return Err(place.error("an option stands before the first group".to_owned()));
                }
                Some(_) if group == Group::Ours => {
                    self.reading.spend(Limit::Settings, 1, &path)?;
                    (self.apply)(&setting(text, place), &mut self.warnings)?;
                }
                Some(_) => {}
            }
        }
        self.reading.release(Limit::NestedBytes, content.len());
        Ok(())
    }

    fn group(&self, place: &SettingOrigin, text: &str) -> Result<Group, Error> {
        let Some(end) = text.find(']') else {
            return Err(place.error("the group's name is not closed by `]`".to_owned()));
        };
        let name = text[1..end].trim_end();
        let ours = self.groups.iter().any(|group| group.eq_ignore_ascii_case(name));
        Ok(if ours { Group::Ours } else { Group::Others })
    }

    /// Parses `!includedir DIRECTORY` and `!include FILE`. For the server everything else is a comment.
    fn directive(&mut self, place: &SettingOrigin, path: &Path, text: &str) -> Result<(), Error> {
        let (what, argument) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let target = PathBuf::from(OsString::from_vec(argument.trim().as_bytes().to_vec()));
        if !["!include", "!includedir"].contains(&what) || argument.trim().is_empty() {
            return Ok(());
        }
        if target.is_relative() {
            let target = short_path(&target);
            self.warnings.push(format!(
                "{place}: {what} {target} is relative to the server's working directory: left out"
            ));
            return Ok(());
        }
        if self.depth >= DEPTH_MAX {
            let target = short_path(&target);
            self.warnings.push(format!(
                "{place}: {what} {target} is left out: more than {DEPTH_MAX} files within each other"
            ));
            return Ok(());
        }
        self.depth += 1;
        let included = if what == "!include" {
            self.include(place, &target)
        } else {
            self.directory(place, path, &target)
        };
        self.depth -= 1;
        included
    }

    /// Reads an included file. A file that does not exist or may not be read is ignored, as by the server.
    fn include(&mut self, place: &SettingOrigin, target: &Path) -> Result<(), Error> {
        match self.reading.read(target) {
            Ok(content) => self.file(target, &content),
            Err(FileError::Budget(error)) => Err(error.into()),
            Err(error) => {
                self.warnings.push(format!("{place}: {error}: left out"));
                Ok(())
            }
        }
    }

    fn directory(&mut self, place: &SettingOrigin, path: &Path, directory: &Path) -> Result<(), Error> {
        let include = |error: FileError| -> Error {
            match place {
                SettingOrigin::Line { line, .. } => ConfigError::include(path, *line, error).into(),
                SettingOrigin::Argument(_) => error.into(),
            }
        };
        for name in self.reading.list(directory).map_err(include)? {
            self.reading.step(path)?;
            let target = directory.join(&name);
            if name.as_bytes().ends_with(b".cnf") && self.reading.kind(&target) != Some(FileKind::Directory) {
                self.include(place, &target)?;
            }
        }
        Ok(())
    }
}

#[derive(PartialEq, Eq)]
enum Group {
    None,
    Ours,
    Others,
}

/// Parses `name = value # comment`.
fn setting(text: &str, place: SettingOrigin) -> Setting {
    let text = without_comment(text);
    match text.split_once('=') {
        None => Setting::new(text.trim(), None, place),
        Some((name, value)) => Setting::new(name.trim(), Some(unquoted(value.trim())), place),
    }
}

/// Removes a comment, which begins with `#` outside of quotes.
fn without_comment(text: &str) -> &str {
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            '\'' | '"' if !escaped => {
                quote = match quote {
                    None => Some(c),
                    Some(open) if open == c => None,
                    open => open,
                };
            }
            '#' if quote.is_none() => return &text[..at],
            _ => {}
        }
        escaped = quote.is_some() && c == '\\' && !escaped;
    }
    text
}

fn unquoted(value: &str) -> String {
    let inner = ['"', '\''].iter().find_map(|&quote| value.strip_prefix(quote)?.strip_suffix(quote));
    inner.unwrap_or(value).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_end_a_value_unless_quoted() {
        let value = |text: &str| setting(text, SettingOrigin::Argument(String::new()));
        assert_eq!(value("a-B = 1 # x").name, "a_b");
        assert_eq!(value("a=1#x").value.as_deref(), Some("1"));
        assert_eq!(value("a = \"1 # 2\" # 3").value.as_deref(), Some("1 # 2"));
        assert_eq!(value("a = 'x'").value.as_deref(), Some("x"));
        assert_eq!(value("a = \"x\\\"#y\"").value.as_deref(), Some("x\\\"#y"));
        assert_eq!(value("skip-innodb").value, None);
        assert_eq!(value("loose-max_connections=3").name, "max_connections");
    }
}
