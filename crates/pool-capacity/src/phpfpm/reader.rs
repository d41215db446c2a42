//! Reads the files and checks the pools, as php-fpm does.

use std::collections::HashMap;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::config::Config;
use super::environment::Environment;
use super::error::{DEPTH_MAX, Error, PoolError};
use super::glob::glob;
use super::ini::{self, Line, Value};
use super::pool::{Manager, Pool};
use crate::text::short;
use crate::warnings::Warnings;
use crate::{BudgetError, ConfigError, FileKind, Limit, Reading};

/// A pool as configured.
#[derive(Debug, Default)]
struct Written {
    name: String,
    listen: String,
    manager: Option<Manager>,
    max_children: i64,
    start_servers: i64,
    min_spare_servers: i64,
    max_spare_servers: i64,
    user: Option<String>,
}

impl Config {
    /// Reads a configuration. A variable that the server's environment does not have is empty, as in php-fpm, with a warning.
    ///
    /// # Errors
    ///
    /// [`Error`] if a file cannot be read, if php-fpm would not start with it, or if a setting for the limit needs a variable
    /// of a hidden environment.
    pub fn read(reading: &Reading<'_>, path: &Path, environment: Environment<'_>) -> Result<Self, Error> {
        Reader::new(reading, environment).config(path)
    }
}

/// The state while files are read. An include does not end the section around it, and the lines after it belong to the last
/// section of the included file.
struct Reader<'a> {
    reading: &'a Reading<'a>,
    environment: Environment<'a>,
    pools: Vec<Written>,
    /// The index of each pool by its name in lower case.
    by_name: HashMap<String, usize>,
    /// The index in `pools`; `None` in `[global]`.
    current: Option<usize>,
    process_max: i64,
    warnings: Warnings,
    /// The files that are being read, the main one first.
    open: Vec<PathBuf>,
}

/// The location of a line.
#[derive(Clone, Copy)]
struct LineRef<'p> {
    path: &'p Path,
    line: usize,
}

impl LineRef<'_> {
    fn error(self, reason: impl Into<String>) -> Error {
        ConfigError::Line { path: self.path.to_owned(), line: self.line, reason: short(reason.into()) }.into()
    }
}

impl<'a> Reader<'a> {
    fn new(reading: &'a Reading<'a>, environment: Environment<'a>) -> Self {
        Self {
            reading,
            environment,
            pools: Vec::new(),
            by_name: HashMap::new(),
            current: None,
            process_max: 0,
            warnings: Warnings::default(),
            open: Vec::new(),
        }
    }

    fn config(mut self, path: &Path) -> Result<Config, Error> {
        let content = self.reading.read(path)?;
        self.file(path, &content)?;
        let Ok(process_max) = u32::try_from(self.process_max) else {
            return Err(Error::ProcessMax { path: path.to_owned() });
        };
        if self.pools.is_empty() {
            return Err(Error::NoPool { path: path.to_owned() });
        }
        let pools = self.pools.iter().map(|pool| self.checked(pool, path)).collect::<Result<Vec<_>, _>>()?;
        let mut config =
            Config { conf: path.to_owned(), pools, process_max, warnings: self.warnings.finish() };
        if config.limit() < config.written() {
            let text = format!(
                "process.max {process_max} is less than the sum of pm.max_children {}: no more workers run",
                config.written()
            );
            config.warnings.push(text);
        }
        self.reading.check(path)?;
        Ok(config)
    }

    fn checked(&self, pool: &Written, path: &Path) -> Result<Pool, Error> {
        self.reading.step(path)?;
        let listen_bytes = pool.listen_bytes();
        self.reading.require(Limit::LineBytes, listen_bytes, path)?;
        self.reading.keep(listen_bytes, path)?;
        pool.checked().map_err(|reason| Error::Pool {
            path: path.to_owned(),
            name: pool.name.clone(),
            reason,
        })
    }

    fn file(&mut self, path: &Path, content: &[u8]) -> Result<(), Error> {
        self.reading.spend(Limit::NestedBytes, content.len(), path)?;
        self.open.push(path.to_owned());
        let text = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
        for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
            self.reading.line(line.len(), path)?;
            self.line(LineRef { path, line: index + 1 }, line)?;
        }
        self.open.pop();
        self.reading.release(Limit::NestedBytes, content.len());
        Ok(())
    }

    fn line(&mut self, place: LineRef<'_>, line: &[u8]) -> Result<(), Error> {
        match ini::parse(line, self.environment).map_err(|why| place.error(why))? {
            Line::Nothing => Ok(()),
            Line::Section(name) => Ok(self.section(&name, place.path)?),
            Line::Entry { key, value } => {
                self.reading.spend(Limit::Settings, 1, place.path)?;
                if key.eq_ignore_ascii_case(b"include") {
                    self.include(place, value)
                } else {
                    self.entry(place, &key.to_ascii_lowercase(), &value)
                }
            }
        }
    }

    fn section(&mut self, name: &[u8], path: &Path) -> Result<(), BudgetError> {
        if name.eq_ignore_ascii_case(b"global") {
            self.current = None;
            return Ok(());
        }
        let name = String::from_utf8_lossy(name).into_owned();
        let key = name.to_ascii_lowercase();
        if let Some(&known) = self.by_name.get(&key) {
            self.current = Some(known);
            return Ok(());
        }
        self.reading.spend(Limit::Pools, 1, path)?;
        self.reading.keep(name.len().saturating_mul(2), path)?;
        self.current = Some(self.pools.len());
        self.by_name.insert(key, self.pools.len());
        self.pools.push(Written { name, ..Written::default() });
        Ok(())
    }

    fn include(&mut self, place: LineRef<'_>, value: Value) -> Result<(), Error> {
        if value.expression {
            return Err(place.error("the pattern has signs of an expression and is not in quotes"));
        }
        let pattern = PathBuf::from(std::ffi::OsString::from_vec(value.text));
        let unreadable = |error| ConfigError::include(place.path, place.line, error);
        if pattern.is_relative() {
            // A relative path starts at php-fpm's built-in prefix, `/usr` in distributions, and never at this file.
            let text = format!(
                "{}:{}: include={} is not absolute: php-fpm looks for it below its prefix, here it is left out",
                place.path.display(),
                place.line,
                pattern.display()
            );
            self.warnings.push(text);
            return Ok(());
        }
        let mut paths = glob(self.reading, &pattern).map_err(unreadable)?;
        paths.retain(|path| self.reading.kind(path) != Some(FileKind::Directory));
        if paths.is_empty() {
            let (path, line, pattern) = (place.path.display(), place.line, pattern.display());
            self.warnings.push(format!("{path}:{line}: include={pattern} matches no file"));
        }
        for path in paths {
            self.check_depth(place, &path)?;
            let content = self.reading.read(&path).map_err(unreadable)?;
            self.file(&path, &content)?;
        }
        Ok(())
    }

    fn check_depth(&self, place: LineRef<'_>, next: &Path) -> Result<(), Error> {
        if self.open.len() >= DEPTH_MAX {
            let chain = self.open.iter().map(PathBuf::as_path).chain([next]);
            let chain: Vec<_> = chain.map(|path| path.display().to_string()).collect();
            let (path, line) = (place.path.to_owned(), place.line);
            return Err(Error::Depth { path, line, chain: chain.join(" includes ") });
        }
        Ok(())
    }

    /// Entries that do not concern the limit are ignored, because other versions have others.
    fn entry(&mut self, place: LineRef<'_>, key: &[u8], value: &Value) -> Result<(), Error> {
        self.check_known(place, key, value)?;
        let Some(pool) = self.current.and_then(|index| self.pools.get_mut(index)) else {
            if key == b"process.max" {
                self.process_max = integer(place, "process.max", value, &mut self.warnings)?;
            }
            return Ok(());
        };
        let text = match key {
            b"listen" => Some(&mut pool.listen),
            b"user" => Some(pool.user.get_or_insert_default()),
            _ => None,
        };
        if let Some(text) = text {
            self.reading.keep(value.text.len(), place.path)?;
            *text = String::from_utf8_lossy(&value.text).into_owned();
            return Ok(());
        }
        let (name, number) = match key {
            b"pm" => {
                pool.manager = Some(manager(place, value)?);
                return Ok(());
            }
            b"pm.max_children" => ("pm.max_children", &mut pool.max_children),
            b"pm.start_servers" => ("pm.start_servers", &mut pool.start_servers),
            b"pm.min_spare_servers" => ("pm.min_spare_servers", &mut pool.min_spare_servers),
            b"pm.max_spare_servers" => ("pm.max_spare_servers", &mut pool.max_spare_servers),
            _ => return Ok(()),
        };
        *number = integer(place, name, value, &mut self.warnings)?;
        Ok(())
    }
}

/// The entries that concern the limit or the load.
const NEEDED: [&[u8]; 6] =
    [b"listen", b"pm", b"pm.max_children", b"pm.max_spare_servers", b"pm.min_spare_servers", b"process.max"];

impl Reader<'_> {
    fn check_known(&self, place: LineRef<'_>, key: &[u8], value: &Value) -> Result<(), Error> {
        let (Environment::Hidden, Some(variable)) = (self.environment, &value.unknown_variable) else {
            return Ok(());
        };
        if !NEEDED.contains(&key) {
            return Ok(());
        }
        let (name, variable) = (String::from_utf8_lossy(key), String::from_utf8_lossy(variable));
        Err(place.error(format!(
            "{name} has ${{{variable}}}, whose value is only in the server's environment, which may not be read"
        )))
    }
}

fn manager(place: LineRef<'_>, value: &Value) -> Result<Manager, Error> {
    let managers = [Manager::Static, Manager::Dynamic, Manager::Ondemand];
    let found = managers.into_iter().find(|one| value.text.eq_ignore_ascii_case(one.as_str().as_bytes()));
    found.ok_or_else(|| {
        let text = String::from_utf8_lossy(&value.text);
        place.error(format!("pm = {text} is not static, dynamic or ondemand"))
    })
}

/// Parses digits with a minus; a number that is too large wraps as in C.
fn integer(place: LineRef<'_>, name: &str, value: &Value, warnings: &mut Warnings) -> Result<i64, Error> {
    let text = String::from_utf8_lossy(&value.text);
    if value.expression {
        return Err(place.error(format!("{name} = {text} is an expression, which is not evaluated here")));
    }
    if let Some(variable) = &value.unknown_variable {
        let variable = String::from_utf8_lossy(variable);
        let (path, line) = (place.path.display(), place.line);
        warnings.push(format!(
            "{path}:{line}: {name} has ${{{variable}}}, which the server's environment does not have: taken as empty"
        ));
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
        return Err(place.error(format!("{name} = {text} is not a number")));
    }
    let digits = text.strip_prefix('-').unwrap_or(&text);
    let digits = digits.split('-').next().unwrap_or_default();
    let number = digits.parse::<i64>().unwrap_or(if digits.is_empty() { 0 } else { i64::MAX });
    let number = if text.starts_with('-') { -number } else { number };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "atoi of the server's C library keeps the low 32 bits"
    )]
    let wrapped = number as i32;
    Ok(wrapped.into())
}

impl Written {
    /// The size of `listen` with the pool's name for each `$pool`.
    fn listen_bytes(&self) -> usize {
        let names = self.listen.matches("$pool").count();
        self.listen.len().saturating_add(names.saturating_mul(self.name.len()))
    }

    fn checked(&self) -> Result<Pool, PoolError> {
        if self.listen.is_empty() {
            return Err(PoolError::NoListen);
        }
        let manager = self.manager.ok_or(PoolError::NoManager)?;
        let max_children = u32::try_from(self.max_children).ok().filter(|&children| children > 0);
        let max_children = max_children.ok_or(PoolError::MaxChildren(self.max_children))?;
        let (start, max_spare) = match manager {
            Manager::Dynamic => (self.checked_spares()?, self.max_spare_servers),
            _ => (self.start_servers, 0),
        };
        Ok(Pool {
            name: self.name.clone(),
            manager,
            max_children,
            start_servers: u32::try_from(start).unwrap_or(0),
            max_spare_servers: u32::try_from(max_spare).unwrap_or(0),
            user: self.user.clone(),
            listen: self.listen.replace("$pool", &self.name),
        })
    }

    /// The number of workers with which a dynamic pool starts.
    fn checked_spares(&self) -> Result<i64, PoolError> {
        let (min, max, children) = (self.min_spare_servers, self.max_spare_servers, self.max_children);
        for (name, value) in [("pm.min_spare_servers", min), ("pm.max_spare_servers", max)] {
            if value <= 0 {
                return Err(PoolError::Spare { name, value });
            }
        }
        if min > children || max > children {
            return Err(PoolError::SpareAboveChildren { min, max, children });
        }
        if max < min {
            return Err(PoolError::SpareCrossed { min, max });
        }
        match self.start_servers {
            start if start <= 0 => Ok(min + (max - min) / 2),
            start if start < min || start > max => Err(PoolError::Start { start, min, max }),
            start => Ok(start),
        }
    }
}
