//! Reads a configuration as httpd does before it applies it: conditions, includes, variables and macros are processed line by
//! line, and the result is a list of directives.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::build::Build;
use super::directive::{Directive, Enclosure};
use super::error::{ApacheError, Location, Warning};
use super::include::{DEPTH_MAX, Included};
use super::macros::Macros;
use super::modules::Modules;
use super::mpm;
use super::source::Source;
use super::variables::Variables;
use super::version;
use super::words::{Lines, is_blank, next_word, words};
use crate::reading::kept;
use crate::text::short_warning;
use crate::warnings::{LEFT_OUT, WARNINGS_MAX};
use crate::{BudgetError, Limit, Reading};

/// A configuration after reading.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) directives: Vec<Directive>,
    pub(super) modules: Modules,
    pub(super) server_root: PathBuf,
    pub(super) files: Vec<PathBuf>,
    pub(super) defines: BTreeMap<String, Option<String>>,
    pub(super) warnings: Vec<Warning>,
}

/// An open section or condition.
#[derive(Debug)]
enum Open {
    /// A condition that is true.
    Condition { name: String, at: Location },
    /// A section, with the place of the directives in it.
    Section { name: Arc<str>, place: Enclosure, at: Location, bytes: usize },
}

impl Open {
    fn at(&self) -> &Location {
        let (Self::Condition { at, .. } | Self::Section { at, .. }) = self;
        at
    }

    /// The memory that it takes while it is open.
    fn kept(&self) -> usize {
        kept(match self {
            Self::Condition { name, .. } => name.len(),
            Self::Section { bytes, .. } => *bytes,
        })
    }
}

/// A logical line and its location.
struct Line {
    text: String,
    at: Location,
}

pub(super) struct Reader<'a> {
    reading: &'a Reading<'a>,
    build: &'a Build,
    wanted: fn(&str) -> bool,
    server_root: PathBuf,
    variables: Variables,
    modules: Modules,
    macros: Macros,
    sources: Vec<Source>,
    open: Vec<Open>,
    read: Vec<PathBuf>,
    directives: Vec<Directive>,
    warnings: Vec<Warning>,
}

impl<'a> Reader<'a> {
    /// `wanted` selects the directives to keep by their lower-case names.
    pub(super) fn new(
        reading: &'a Reading<'a>,
        build: &'a Build,
        server_root: &Path,
        variables: Variables,
        wanted: fn(&str) -> bool,
    ) -> Self {
        Self {
            reading,
            build,
            wanted,
            server_root: server_root.to_owned(),
            variables,
            modules: Modules::of(build),
            macros: Macros::default(),
            sources: Vec::new(),
            open: Vec::new(),
            read: Vec::new(),
            directives: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Reads the main file.
    pub(super) fn main_file(&mut self, path: &Path) -> Result<(), ApacheError> {
        let content = self.reading.read(path)?;
        let lines = self.opened(path, content)?;
        self.run(Source::new(path, lines, 0))
    }

    /// Reads lines from the command line.
    pub(super) fn command_line(&mut self, lines: &[String]) -> Result<(), ApacheError> {
        let text = lines.join("\n");
        self.run(Source::new(Path::new("the command line"), Lines::new(text.into_bytes(), false), 0))
    }

    pub(super) fn finish(self) -> Contents {
        Contents {
            directives: self.directives,
            modules: self.modules,
            server_root: self.server_root,
            files: self.read,
            defines: self.variables.into_defines(),
            warnings: self.warnings,
        }
    }

    fn run(&mut self, source: Source) -> Result<(), ApacheError> {
        self.sources.push(source);
        while !self.sources.is_empty() {
            match self.next_line()? {
                Some(line) => self.line(&line)?,
                None => self.end_of_source()?,
            }
        }
        Ok(())
    }

    fn opened(&mut self, path: &Path, content: Vec<u8>) -> Result<Lines, BudgetError> {
        self.reading.spend(Limit::NestedBytes, content.len(), path)?;
        self.reading.keep(path.as_os_str().len(), path)?;
        self.read.push(path.to_owned());
        Ok(Lines::new(content, self.build.version.is_2_2()))
    }

    /// Opens the innermost file if it is not open yet.
    fn open_source(&mut self) -> Result<(), ApacheError> {
        let Some(at) = self.sources.last().and_then(Source::unopened).cloned() else { return Ok(()) };
        let Some(path) = self.sources.last().map(|source| source.name().to_owned()) else { return Ok(()) };
        let content = self.reading.read(&path).map_err(|reason| ApacheError::include(&at, reason))?;
        let lines = self.opened(&path, content)?;
        if let Some(source) = self.sources.last_mut() {
            source.open(lines);
        }
        Ok(())
    }

    fn next_line(&mut self) -> Result<Option<Line>, ApacheError> {
        self.open_source()?;
        let Some((at, text)) = self.sources.last_mut().and_then(Source::next) else { return Ok(None) };
        let text = text.map_err(|problem| ApacheError::line(&at, problem))?;
        self.reading.line(text.len(), at.file())?;
        Ok(Some(Line { text, at }))
    }

    /// httpd refuses sections that are open at the end of a file, unless they are inside a condition that is true.
    fn end_of_source(&mut self) -> Result<(), ApacheError> {
        let Some(source) = self.sources.pop() else { return Ok(()) };
        self.reading.release(Limit::NestedBytes, source.bytes());
        let unclosed = self.open.split_off(source.open_before.min(self.open.len()));
        unclosed.iter().for_each(|open| self.closed(open));
        match unclosed.first() {
            Some(Open::Section { name, at, .. }) => {
                return Err(ApacheError::line(at, format!("{name}> is not closed")));
            }
            Some(Open::Condition { name, at }) => {
                let text = format!("{name}> is not closed; it ends with its file");
                self.warn(text, Some(at));
            }
            None => {}
        }
        Ok(())
    }

    fn line(&mut self, line: &Line) -> Result<(), ApacheError> {
        let text = line.text.as_str();
        if text.is_empty() || text.starts_with('#') || self.closes_condition(text) {
            return Ok(());
        }
        let text = self.expanded(line)?;
        let (word, arguments) = next_word(&text);
        if word.starts_with("</") {
            return self.close(&word, &line.at);
        }
        let word = word.strip_suffix('>').unwrap_or(&word);
        let arguments = if word.starts_with('<') && arguments.is_empty() { ">" } else { arguments };
        if word.is_empty() { Ok(()) } else { self.directive(word, arguments, &line.at) }
    }

    fn expanded(&mut self, line: &Line) -> Result<String, ApacheError> {
        let path = line.at.file();
        let Some(expanded) = self.variables.expand(&line.text) else {
            return Ok(self.reading.require(Limit::LineBytes, usize::MAX, path).map(|()| String::new())?);
        };
        let growth = expanded.line.len().saturating_sub(line.text.len());
        self.reading.spend(Limit::TotalBytes, growth, path)?;
        for name in expanded.unknown {
            self.warn_with(format!("${{{name}}} is not defined"), Some(&line.at), Some("AH00111"));
        }
        Ok(expanded.line)
    }

    fn directive(&mut self, word: &str, arguments: &str, at: &Location) -> Result<(), ApacheError> {
        self.reading.spend(Limit::Settings, 1, at.file())?;
        match word.to_ascii_lowercase().as_str() {
            "<ifmodule" | "<ifdefine" | "<iffile" | "<ifdirective" | "<ifsection" => {
                let holds = self.condition(word, arguments, at)?;
                self.conditional(word, holds, at)
            }
            "<ifversion" => {
                let holds = version::test(arguments, self.build.version);
                let holds = holds.map_err(|problem| ApacheError::line(at, problem))?;
                self.conditional(word, holds, at)
            }
            "<macro" => self.define_macro(arguments, at),
            "use" => self.use_macro(arguments, at),
            "undefmacro" => {
                self.macros.undefine(&next_word(arguments).0);
                Ok(())
            }
            "include" => self.include(arguments, false, at),
            "includeoptional" if self.build.version.is_2_2() => {
                Err(ApacheError::line(at, "httpd 2.2 does not know IncludeOptional"))
            }
            "includeoptional" => self.include(arguments, true, at),
            "define" | "undefine" => self.define(word, arguments, at),
            "loadmodule" => self.load_module(arguments, at),
            "serverroot" => self.set_server_root(arguments, at),
            section if section.starts_with('<') => self.open_section(section, word, arguments, at),
            other => self.keep(other, word, arguments, at),
        }
    }

    fn keep(&mut self, name: &str, word: &str, arguments: &str, at: &Location) -> Result<(), ApacheError> {
        if !(self.wanted)(name) {
            return Ok(());
        }
        // A setting is copied when its value is parsed.
        self.reading.keep(name.len() + 2 * (word.len() + arguments.len()), at.file())?;
        let (name, written, arguments) = (name.to_owned(), word.to_owned(), arguments.to_owned());
        self.directives.push(Directive { name, written, arguments, at: at.clone(), place: self.place() });
        Ok(())
    }

    fn warn(&mut self, text: String, at: Option<&Location>) {
        self.warn_with(text, at, None);
    }

    fn warn_with(&mut self, text: String, at: Option<&Location>, code: Option<&'static str>) {
        match self.warnings.len() {
            ..WARNINGS_MAX => {
                self.warnings.push(Warning { text: short_warning(text), at: at.cloned(), code });
            }
            WARNINGS_MAX => self.warnings.push(Warning { text: LEFT_OUT.to_owned(), at: None, code: None }),
            _ => {}
        }
    }

    /// Returns the place of the next directive.
    fn place(&self) -> Enclosure {
        let innermost = self.open.iter().rev().find_map(|open| match open {
            Open::Section { place, .. } => Some(place.clone()),
            Open::Condition { .. } => None,
        });
        innermost.unwrap_or_default()
    }

    fn open_section(
        &mut self,
        section: &str,
        word: &str,
        arguments: &str,
        at: &Location,
    ) -> Result<(), ApacheError> {
        let name: Arc<str> = word.into();
        let mut place = self.place();
        place.section.get_or_insert_with(|| Arc::clone(&name));
        match section {
            "<virtualhost" => place.virtual_host = Some(arguments.into()),
            "<location" => place.location = Some(arguments.into()),
            _ => {}
        }
        self.opens(Open::Section { name, place, at: at.clone(), bytes: word.len() + arguments.len() })
    }

    fn opens(&mut self, open: Open) -> Result<(), ApacheError> {
        self.reading.spend(Limit::Sections, 1, open.at().file())?;
        self.reading.spend(Limit::KeptBytes, open.kept(), open.at().file())?;
        self.open.push(open);
        Ok(())
    }

    fn closes(&mut self) {
        if let Some(open) = self.open.pop() {
            self.closed(&open);
        }
    }

    fn closed(&self, open: &Open) {
        self.reading.release(Limit::Sections, 1);
        self.reading.release(Limit::KeptBytes, open.kept());
    }
}

/// Conditions and sections.
impl Reader<'_> {
    fn condition(&mut self, name: &str, arguments: &str, at: &Location) -> Result<bool, ApacheError> {
        let end =
            arguments.rfind('>').ok_or_else(|| ApacheError::line(at, format!("{name} has no closing >")))?;
        let written = &arguments[..end];
        let (negated, written) = match written.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, written),
        };
        let operand = if self.build.version.is_2_2() { written.to_owned() } else { next_word(written).0 };
        if operand.is_empty() {
            return Err(ApacheError::line(at, format!("{name}> has no argument")));
        }
        let holds = match name.to_ascii_lowercase().as_str() {
            "<ifmodule" => self.modules.contains(&operand),
            "<ifdefine" => self.variables.is_defined(&operand),
            "<iffile" => self.reading.kind(&self.absolute(&operand)).is_some(),
            condition => self.has_directive(condition, &operand, at),
        };
        Ok(holds != negated)
    }

    /// The set of directives depends on the modules. Those of httpd's core are listed here.
    fn has_directive(&mut self, condition: &str, operand: &str, at: &Location) -> bool {
        let name = operand.to_ascii_lowercase();
        let name = if condition == "<ifsection" { format!("<{name}") } else { name };
        let of_mpm = mpm::knows(&self.modules, self.build.version, &name);
        let known = of_mpm.unwrap_or_else(|| super::known::is_of_core(&name));
        if !known && of_mpm.is_none() {
            self.warn(
                format!("{condition} {operand}>: taken as not there, as no core directive has that name"),
                Some(at),
            );
        }
        known
    }

    fn conditional(&mut self, name: &str, holds: bool, at: &Location) -> Result<(), ApacheError> {
        if holds {
            return self.opens(Open::Condition { name: name.to_owned(), at: at.clone() });
        }
        self.skip(name, at)
    }

    /// Skips everything up to the end of a section whose condition is false. Inner sections must be closed in order.
    fn skip(&mut self, name: &str, at: &Location) -> Result<(), ApacheError> {
        let mut open = vec![name.to_owned()];
        while let Some(innermost) = open.last() {
            let Some(line) = self.next_line()? else {
                return Err(ApacheError::line(
                    at,
                    format!("{innermost}> is not closed before the end of its file"),
                ));
            };
            let (word, rest) = next_word(&line.text);
            if let Some(closed) = word.strip_prefix("</") {
                let closed = closed.strip_suffix('>').unwrap_or(closed);
                if !closed.eq_ignore_ascii_case(&innermost[1..]) {
                    let (expected, number) = (&innermost[1..], line.at.line);
                    let problem = format!("</{closed}> in line {number} in place of </{expected}>");
                    return Err(ApacheError::line(at, problem));
                }
                self.reading.release(Limit::KeptBytes, kept(innermost.len()));
                open.pop();
            } else if word.starts_with('<') {
                let name = if rest.is_empty() { word.strip_suffix('>').unwrap_or(&word) } else { &word };
                self.reading.keep(name.len(), line.at.file())?;
                open.push(name.to_owned());
                self.reading.require(Limit::Sections, self.open.len() + open.len(), line.at.file())?;
            }
        }
        Ok(())
    }

    /// The end of a condition is compared with the whole line before any expansion.
    fn closes_condition(&mut self, text: &str) -> bool {
        let Some(Open::Condition { name, .. }) = self.innermost() else { return false };
        let closes = text.strip_prefix("</").and_then(|rest| rest.strip_suffix('>'));
        let closes = closes.is_some_and(|closed| closed.eq_ignore_ascii_case(&name[1..]));
        if closes {
            self.closes();
        }
        closes
    }

    /// Returns the last opened section of the current file.
    fn innermost(&self) -> Option<&Open> {
        let before = self.sources.last().map_or(0, |source| source.open_before);
        self.open.last().filter(|_| self.open.len() > before)
    }

    fn close(&mut self, word: &str, at: &Location) -> Result<(), ApacheError> {
        let closed = word[2..].strip_suffix('>').unwrap_or(&word[2..]);
        let Some(Open::Section { name, .. }) = self.innermost() else {
            return Err(ApacheError::line(at, format!("</{closed}> closes nothing")));
        };
        if !word.ends_with('>') {
            return Err(ApacheError::line(at, format!("</{closed} has no closing >")));
        }
        let expected = &name[1..];
        if !closed.eq_ignore_ascii_case(expected) {
            return Err(ApacheError::line(at, format!("</{closed}> in place of </{expected}>")));
        }
        self.closes();
        Ok(())
    }
}

/// Directives that take effect while the configuration is read.
impl Reader<'_> {
    fn define(&mut self, directive: &str, arguments: &str, at: &Location) -> Result<(), ApacheError> {
        let undefine = directive.eq_ignore_ascii_case("UnDefine");
        let words = words(arguments);
        let name =
            words.first().filter(|name| !name.is_empty() && words.len() <= if undefine { 1 } else { 2 });
        let takes = if undefine { "a name" } else { "a name and a value" };
        let name = name.ok_or_else(|| ApacheError::line(at, format!("{directive} takes {takes}")))?;
        if name.contains(':') {
            return Err(ApacheError::line(at, format!("the name {name} has a colon in it")));
        }
        if undefine {
            self.variables.undefine(name);
        } else {
            let value = words.get(1).map(String::as_str);
            // The name is stored twice.
            self.reading.keep(2 * name.len() + value.map_or(0, str::len), at.file())?;
            self.variables.define(name, value);
        }
        Ok(())
    }

    fn load_module(&mut self, arguments: &str, at: &Location) -> Result<(), ApacheError> {
        let words = words(arguments);
        let [identifier, file] = &words[..] else {
            return Err(ApacheError::line(at, "LoadModule takes a name and a file"));
        };
        self.reading.keep(2 * identifier.len() + file.len(), at.file())?;
        self.modules.load(identifier, file);
        Ok(())
    }

    fn set_server_root(&mut self, arguments: &str, at: &Location) -> Result<(), ApacheError> {
        let words = words(arguments);
        let [root] = &words[..] else {
            return Err(ApacheError::line(at, "ServerRoot takes one directory"));
        };
        let root = PathBuf::from(root);
        if self.reading.kind(&root) != Some(crate::FileKind::Directory) {
            return Err(ApacheError::line(at, format!("ServerRoot {} is not a directory", root.display())));
        }
        self.server_root = normal(&root);
        Ok(())
    }

    fn absolute(&self, path: &str) -> PathBuf {
        normal(&self.server_root.join(path))
    }

    fn include(&mut self, arguments: &str, optional: bool, at: &Location) -> Result<(), ApacheError> {
        let words = words(arguments);
        let [path] = &words[..] else {
            return Err(ApacheError::line(at, "Include takes one file, directory or pattern"));
        };
        let depth = self.sources.last().map_or(0, |source| source.depth) + 1;
        if depth > DEPTH_MAX {
            return Err(ApacheError::line(at, self.too_deep()));
        }
        let path = self.absolute(path);
        let mut included = Included::new(self.reading, optional);
        if self.build.version.is_2_2() { included.as_in_2_2(&path) } else { included.as_in_2_4(&path) }
            .map_err(|problem| problem.at(at))?;
        let open_before = self.open.len();
        let sources = included.paths.iter().rev();
        // The first one is read first.
        self.sources.extend(sources.map(|path| Source::included(path, at, depth, open_before)));
        Ok(())
    }

    /// Names the files that include each other, if that is the reason.
    fn too_deep(&self) -> String {
        let chain: Vec<&Path> = self.sources.iter().map(Source::name).collect();
        let last = chain.last().copied().unwrap_or(Path::new(""));
        let before = chain[..chain.len().saturating_sub(1)].iter().rposition(|name| *name == last);
        let Some(before) = before else {
            return format!("Include nests more than {DEPTH_MAX} files");
        };
        let names: Vec<String> = chain[before..].iter().map(|name| name.display().to_string()).collect();
        format!("Include never ends: {}", names.join(" includes "))
    }

    fn define_macro(&mut self, arguments: &str, at: &Location) -> Result<(), ApacheError> {
        let end = arguments.rfind('>').ok_or_else(|| ApacheError::line(at, "<Macro has no closing >"))?;
        let mut lines = Vec::new();
        let mut nested = 1;
        while nested > 0 {
            let line = self.next_line()?;
            let line = line
                .ok_or_else(|| ApacheError::line(at, "<Macro> is not closed before the end of its file"))?;
            let word = line.text.split(is_blank).next().unwrap_or_default().to_ascii_lowercase();
            match word.as_str() {
                "</macro>" => nested -= 1,
                "<macro" => nested += 1,
                _ => {}
            }
            self.reading.keep(line.text.len(), line.at.file())?;
            lines.push(line.text);
        }
        lines.pop();
        self.macros.define(&arguments[..end], lines).map_err(|problem| ApacheError::line(at, problem))
    }

    fn use_macro(&mut self, arguments: &str, at: &Location) -> Result<(), ApacheError> {
        let used = self.macros.used(arguments).map_err(|problem| ApacheError::line(at, problem))?;
        let name = used.name.clone();
        let inserted = self.sources.last_mut().map_or(Ok(()), |source| source.insert(used, at.line));
        inserted.map_err(|()| ApacheError::line(at, format!("macro {name} uses itself")))
    }
}

/// Removes `.` and `..` from a path textually, as httpd does.
pub(super) fn normal(path: &Path) -> PathBuf {
    let mut result = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::ParentDir => drop(result.pop()),
            Component::Normal(name) => result.push(name),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    result
}
