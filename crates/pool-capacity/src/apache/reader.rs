//! Reads a configuration as httpd does before it applies it: conditions, includes, variables and macros are processed line by
//! line, and the result is a list of directives.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::build::Build;
use super::directive::{Directive, Enclosure};
use super::error::{ApacheError, Location, Warning};
use super::include::{DEPTH_MAX, Included, Limits};
use super::macros::Macros;
use super::modules::Modules;
use super::mpm;
use super::source::{Line, Source};
use super::variables::Variables;
use super::version;
use super::words::{is_blank, next_word, words};
use crate::{FileError, Files};

/// Budget of one configuration. Every limit is far above what a real server uses.
const BYTES_MAX: usize = 64 << 20;
const LINES_MAX: usize = 1_000_000;
const SOURCES_MAX: usize = 50_000;
const KEPT_MAX: usize = 200_000;
const OPEN_MAX: usize = 1_000;
const WARNINGS_MAX: usize = 100;

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
    Condition {
        name: String,
        at: Location,
    },
    Section {
        name: Arc<str>,
        arguments: Arc<str>,
        at: Location,
    },
}

pub(super) struct Reader<'a> {
    files: &'a dyn Files,
    build: &'a Build,
    wanted: fn(&str) -> bool,
    server_root: PathBuf,
    variables: Variables,
    modules: Modules,
    macros: Macros,
    sources: Vec<Source>,
    open: Vec<Open>,
    limits: Limits,
    bytes: usize,
    lines: usize,
    read: Vec<PathBuf>,
    directives: Vec<Directive>,
    warnings: Vec<Warning>,
}

impl<'a> Reader<'a> {
    /// `wanted` selects the directives to keep by their lower-case names.
    pub(super) fn new(
        files: &'a dyn Files,
        build: &'a Build,
        server_root: &Path,
        variables: Variables,
        wanted: fn(&str) -> bool,
    ) -> Self {
        Self {
            files,
            build,
            wanted,
            server_root: server_root.to_owned(),
            variables,
            modules: Modules::of(build),
            macros: Macros::default(),
            sources: Vec::new(),
            open: Vec::new(),
            limits: Limits::default(),
            bytes: 0,
            lines: 0,
            read: Vec::new(),
            directives: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Reads the main file.
    pub(super) fn main_file(&mut self, path: &Path) -> Result<(), ApacheError> {
        let source = self.opened(path, 0)?;
        self.run(source)
    }

    /// Reads lines from the command line.
    pub(super) fn command_line(&mut self, lines: &[String]) -> Result<(), ApacheError> {
        let text = lines.join("\n");
        self.run(Source::new(Path::new("the command line"), text.as_bytes(), false, 0))
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

    fn opened(&mut self, path: &Path, depth: usize) -> Result<Source, FileError> {
        let content = self.files.read(path)?;
        self.bytes = self.bytes.saturating_add(content.len());
        if self.bytes > BYTES_MAX {
            return Err(FileError::TooLarge { path: path.to_owned(), limit_bytes: BYTES_MAX as u64 });
        }
        self.read.push(path.to_owned());
        Ok(Source::new(path, &content, self.build.version.is_2_2(), depth))
    }

    fn next_line(&mut self) -> Result<Option<Line>, ApacheError> {
        let line = self.sources.last_mut().and_then(Source::next);
        if let Some(line) = &line {
            self.spend(0, 1, &line.at)?;
        }
        Ok(line)
    }

    /// httpd refuses sections that are open at the end of a file, unless they are inside a condition that is true.
    fn end_of_source(&mut self) -> Result<(), ApacheError> {
        let Some(source) = self.sources.pop() else { return Ok(()) };
        let unclosed = self.open.split_off(source.open_before.min(self.open.len()));
        match unclosed.first() {
            Some(Open::Section { name, at, .. }) => {
                return Err(ApacheError::line(at, format!("{name}> is not closed")));
            }
            Some(Open::Condition { name, at }) => {
                let text = format!("{name}> is not closed; it ends with its file");
                self.warn(text, Some(at.clone()));
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
        let expanded = self.variables.expand(&line.text);
        let expanded = expanded.ok_or_else(|| ApacheError::line(&line.at, "the line becomes too long"))?;
        self.spend(expanded.line.len().saturating_sub(line.text.len()), 0, &line.at)?;
        for name in expanded.unknown {
            self.warn(format!("${{{name}}} is not defined"), Some(line.at.clone()));
            if let Some(warning) = self.warnings.last_mut() {
                warning.code = Some("AH00111");
            }
        }
        Ok(expanded.line)
    }

    fn directive(&mut self, word: &str, arguments: &str, at: &Location) -> Result<(), ApacheError> {
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
            section if section.starts_with('<') => {
                self.opens(Open::Section { name: word.into(), arguments: arguments.into(), at: at.clone() })
            }
            other => self.keep(other, word, arguments, at),
        }
    }

    fn keep(&mut self, name: &str, word: &str, arguments: &str, at: &Location) -> Result<(), ApacheError> {
        if !(self.wanted)(name) {
            return Ok(());
        }
        if self.directives.len() == KEPT_MAX {
            return Err(too_large(at));
        }
        let (name, written, arguments) = (name.to_owned(), word.to_owned(), arguments.to_owned());
        self.directives.push(Directive { name, written, arguments, at: at.clone(), place: self.place() });
        Ok(())
    }

    fn warn(&mut self, text: String, at: Option<Location>) {
        if self.warnings.len() < WARNINGS_MAX {
            self.warnings.push(Warning { text, at, code: None });
        }
    }

    fn place(&self) -> Enclosure {
        let mut place = Enclosure::default();
        for open in &self.open {
            let Open::Section { name, arguments, .. } = open else { continue };
            place.section.get_or_insert_with(|| Arc::clone(name));
            match name.to_ascii_lowercase().as_str() {
                "<virtualhost" => place.virtual_host = Some(Arc::clone(arguments)),
                "<location" => place.location = Some(Arc::clone(arguments)),
                _ => {}
            }
        }
        place
    }

    fn opens(&mut self, open: Open) -> Result<(), ApacheError> {
        if self.open.len() == OPEN_MAX {
            let (Open::Condition { at, .. } | Open::Section { at, .. }) = &open;
            return Err(too_large(at));
        }
        self.open.push(open);
        Ok(())
    }

    /// Subtracts the next line from the budget.
    fn spend(&mut self, bytes: usize, lines: usize, at: &Location) -> Result<(), ApacheError> {
        self.bytes = self.bytes.saturating_add(bytes);
        self.lines = self.lines.saturating_add(lines);
        if self.bytes > BYTES_MAX || self.lines > LINES_MAX { Err(too_large(at)) } else { Ok(()) }
    }
}

fn too_large(at: &Location) -> ApacheError {
    ApacheError::line(at, "the configuration is too large to be read")
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
            "<iffile" => self.files.kind(&self.absolute(&operand)).is_some(),
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
                Some(at.clone()),
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
                open.pop();
            } else if word.starts_with('<') {
                let name = if rest.is_empty() { word.strip_suffix('>').unwrap_or(&word) } else { &word };
                open.push(name.to_owned());
                if open.len() > OPEN_MAX {
                    return Err(too_large(&line.at));
                }
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
            self.open.pop();
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
        self.open.pop();
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
        } else if !self.variables.define(name, words.get(1).map(String::as_str)) {
            return Err(too_large(at));
        }
        Ok(())
    }

    fn load_module(&mut self, arguments: &str, at: &Location) -> Result<(), ApacheError> {
        let words = words(arguments);
        let [identifier, file] = &words[..] else {
            return Err(ApacheError::line(at, "LoadModule takes a name and a file"));
        };
        self.modules.load(identifier, file);
        Ok(())
    }

    fn set_server_root(&mut self, arguments: &str, at: &Location) -> Result<(), ApacheError> {
        let words = words(arguments);
        let [root] = &words[..] else {
            return Err(ApacheError::line(at, "ServerRoot takes one directory"));
        };
        let root = PathBuf::from(root);
        if self.files.kind(&root) != Some(crate::FileKind::Directory) {
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
        let mut included = Included::new(self.files, &mut self.limits, optional);
        if self.build.version.is_2_2() { included.as_in_2_2(&path) } else { included.as_in_2_4(&path) }
            .map_err(|problem| problem.at(at))?;
        let paths = included.paths;
        self.push(&paths, depth, at)
    }

    /// Adds files as sources; the first one is read first. All are opened at once: httpd reads them one after the other, but no
    /// file can change another one.
    fn push(&mut self, paths: &[PathBuf], depth: usize, at: &Location) -> Result<(), ApacheError> {
        if self.read.len() + paths.len() > SOURCES_MAX {
            return Err(too_large(at));
        }
        let open_before = self.open.len();
        let first = self.sources.len();
        for path in paths {
            let source = self.opened(path, depth);
            let mut source = source.map_err(|reason| ApacheError::Include { at: at.clone(), reason })?;
            source.open_before = open_before;
            self.sources.push(source);
        }
        self.sources[first..].reverse();
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
            lines.push(line.text);
        }
        lines.pop();
        self.macros.define(&arguments[..end], lines).map_err(|problem| ApacheError::line(at, problem))
    }

    fn use_macro(&mut self, arguments: &str, at: &Location) -> Result<(), ApacheError> {
        let (name, lines) = self.macros.used(arguments).map_err(|problem| ApacheError::line(at, problem))?;
        self.spend(lines.iter().map(String::len).sum(), lines.len(), at)?;
        let inserted = self.sources.last_mut().map_or(Ok(()), |source| source.insert(&name, lines, at.line));
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
