//! How the server is started: program, options and environment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::build::Build;
use super::error::ApacheError;
use super::shell;
use crate::{BudgetError, FileError, Reading, ServerProcess};

/// How a server is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// The program's build.
    pub build: Build,
    /// The main configuration file.
    pub configuration: PathBuf,
    /// The start of relative paths, until a `ServerRoot`.
    pub server_root: PathBuf,
    /// The names after `-D`.
    pub defines: Vec<String>,
    /// Directives after `-C`, read before the configuration.
    pub before: Vec<String>,
    /// Directives after `-c`, read after it.
    pub after: Vec<String>,
    /// The environment, for `${NAME}`.
    pub environment: BTreeMap<String, String>,
    /// Whether the running server's environment may not be read: variables that are absent in `environment` may exist.
    pub is_environment_hidden: bool,
}

/// The usual paths of the main configuration file: Debian, Red Hat, SUSE, Alpine, and builds from source.
const PLACES: [&str; 4] = [
    "/etc/apache2/apache2.conf",
    "/etc/httpd/conf/httpd.conf",
    "/etc/apache2/httpd.conf",
    "/usr/local/apache2/conf/httpd.conf",
];
const PROGRAMS: [&str; 7] = [
    "/usr/sbin/apache2",
    "/usr/sbin/httpd",
    "/usr/sbin/httpd-prefork",
    "/usr/sbin/httpd-worker",
    "/usr/sbin/httpd-event",
    "/usr/local/apache2/bin/httpd",
    "/usr/local/sbin/httpd",
];

impl Invocation {
    /// A start of a build without options, with its usual configuration file.
    #[must_use]
    pub fn of_build(build: Build) -> Self {
        Self {
            configuration: build.server_root.join(&build.configuration),
            server_root: build.server_root.clone(),
            build,
            defines: Vec::new(),
            before: Vec::new(),
            after: Vec::new(),
            environment: BTreeMap::new(),
            is_environment_hidden: false,
        }
    }

    /// Finds how the server of a configuration is started; without a path, the first configuration on the machine. `parent` is
    /// the running parent process if there is one, whose options are then used. Otherwise Debian's and Red Hat's start files
    /// are read.
    ///
    /// # Errors
    ///
    /// [`ApacheError::NotFound`] if there is no configuration at any usual path.
    pub fn find(
        files: &Reading<'_>,
        configuration: Option<&Path>,
        parent: Option<&ServerProcess>,
    ) -> Result<Self, ApacheError> {
        let options = parent.map(|parent| Options::parse(&parent.arguments)).unwrap_or_default();
        let configuration = match configuration.map(Path::to_owned).or_else(|| options.configuration(files)) {
            Some(known) => known,
            None => usual_place(files)?,
        };
        let mut start = StartFiles::read(files, &configuration)?;
        let own = parent.map(|parent| environment_of(files, parent.pid)).transpose()?;
        let is_environment_hidden = matches!(own, Some(None));
        start.environment.extend(own.flatten().unwrap_or_default());
        let build = build(files, &configuration, &options, &start);
        let mut invocation = Self::of_build(build);
        invocation.server_root = options.root.clone().unwrap_or_else(|| invocation.root_for(&configuration));
        invocation.configuration = configuration;
        invocation.environment = start.environment;
        invocation.is_environment_hidden = is_environment_hidden;
        invocation.take(if parent.is_some() { options } else { start.options });
        Ok(invocation)
    }

    fn take(&mut self, options: Options) {
        // Names that the program defines by itself belong to options like -X and -t.
        self.defines = options.defines;
        self.before = options.before;
        self.after = options.after;
    }

    /// Further instances on Debian (`/etc/apache2-NAME`) are started with their directory as the root.
    fn root_for(&self, configuration: &Path) -> PathBuf {
        let directory = configuration.parent().unwrap_or(Path::new("/"));
        if directory.to_string_lossy().starts_with("/etc/apache2-") || self.build.program.is_none() {
            let below = if self.build.configuration.starts_with("conf") {
                directory.parent()
            } else {
                Some(directory)
            };
            return below.unwrap_or(directory).to_owned();
        }
        self.build.server_root.clone()
    }
}

/// The environment of a running server, if this user may read it.
fn environment_of(files: &Reading<'_>, pid: u32) -> Result<Option<BTreeMap<String, String>>, BudgetError> {
    let path = PathBuf::from(format!("/proc/{pid}/environ"));
    let content = match files.read(&path) {
        Ok(content) => content,
        Err(FileError::Budget(error)) => return Err(error),
        Err(_) => return Ok(None),
    };
    let mut environment = BTreeMap::new();
    for pair in content.split(|byte| *byte == 0) {
        files.step(&path)?;
        if let Some((name, value)) = std::str::from_utf8(pair).ok().and_then(|pair| pair.split_once('=')) {
            files.keep(pair.len(), &path)?;
            environment.insert(name.to_owned(), value.to_owned());
        }
    }
    Ok(Some(environment))
}

fn usual_place(files: &Reading<'_>) -> Result<PathBuf, ApacheError> {
    let places = PLACES.map(PathBuf::from);
    let found = places.iter().find(|place| files.kind(place).is_some());
    found.cloned().ok_or(ApacheError::NotFound { places: places.to_vec() })
}

/// The start files of the distribution.
#[derive(Debug, Default)]
struct StartFiles {
    environment: BTreeMap<String, String>,
    options: Options,
    program: Option<PathBuf>,
}

impl StartFiles {
    fn read(files: &Reading<'_>, configuration: &Path) -> Result<Self, BudgetError> {
        let directory = configuration.parent().unwrap_or(Path::new("/"));
        let known = [("APACHE_CONFDIR", directory.display().to_string()), ("LANG", "C".to_owned())];
        let known: BTreeMap<String, String> = known.map(|(name, value)| (name.to_owned(), value)).into();
        let envvars = text(files, &directory.join("envvars"));
        let sysconfig =
            text(files, Path::new("/etc/sysconfig/httpd")).filter(|_| directory.starts_with("/etc/httpd"));
        let script = envvars.or(sysconfig).unwrap_or_default();
        let mut environment = shell::assignments(&script, known, files, configuration)?;
        if directory.starts_with("/etc/httpd") {
            of_unit(files, &mut environment)?;
        }
        let words = |name: &str| environment.get(name).map(|value| shell::options(value)).unwrap_or_default();
        let arguments: Vec<Vec<u8>> = [words("APACHE_ARGUMENTS"), words("OPTIONS")]
            .concat()
            .into_iter()
            .map(String::into_bytes)
            .collect();
        Ok(Self {
            options: Options::parse_words(&arguments),
            program: environment.get("HTTPD").map(PathBuf::from),
            environment,
        })
    }
}

/// Reads `Environment=` in an operator's drop-in for the service of Red Hat 8 and later, which have no sysconfig file.
fn of_unit(files: &Reading<'_>, environment: &mut BTreeMap<String, String>) -> Result<(), BudgetError> {
    let directory = Path::new("/etc/systemd/system/httpd.service.d");
    let names = files.list(directory).unwrap_or_default();
    let texts = names.iter().filter(|name| name.to_string_lossy().ends_with(".conf"));
    for text in texts.filter_map(|name| text(files, &directory.join(name))) {
        let lines = text.lines().filter_map(|line| line.trim().strip_prefix("Environment="));
        // `"OPTIONS=-D A -D B" LANG=C` has two words.
        for assignment in lines.flat_map(shell::options) {
            if let Some((name, value)) = assignment.split_once('=') {
                files.keep(assignment.len(), directory)?;
                environment.insert(name.to_owned(), value.to_owned());
            }
        }
    }
    files.check(directory)
}

fn text(files: &Reading<'_>, path: &Path) -> Option<String> {
    files.read(path).ok().map(|content| String::from_utf8_lossy(&content).into_owned())
}

fn build(files: &Reading<'_>, configuration: &Path, options: &Options, start: &StartFiles) -> Build {
    let named = options.program.iter().chain(&start.program).cloned();
    let programs = named.chain(PROGRAMS.map(PathBuf::from)).filter(|program| program.is_absolute());
    let mut builds = programs.filter_map(|program| Build::of_program(files, &program));
    let fits =
        |build: &Build| options.program.is_some() || start.program.is_some() || is_of(build, configuration);
    builds.find(fits).unwrap_or_else(|| by_layout(files, configuration, start))
}

/// Returns whether a program reads this file, or one beside it.
fn is_of(build: &Build, configuration: &Path) -> bool {
    let own = build.server_root.join(&build.configuration);
    configuration.starts_with(&build.server_root) || configuration.file_name() == own.file_name()
}

/// Concludes the build from the files around the configuration, if there is no program.
fn by_layout(files: &Reading<'_>, configuration: &Path, start: &StartFiles) -> Build {
    let directory = configuration.parent().unwrap_or(Path::new("/"));
    let exists = |path: PathBuf| files.kind(&path).is_some();
    let debian = configuration.file_name().is_some_and(|name| name == "apache2.conf");
    let main = text(files, configuration).unwrap_or_default();
    let loads =
        |name: &str| main.lines().any(|line| line.trim().starts_with("LoadModule") && line.contains(name));
    let is_2_4 = exists(directory.join("mods-available/mpm_prefork.load"))
        || exists(directory.join("mods-available/authz_core.load"))
        || exists(directory.parent().unwrap_or(directory).join("conf.modules.d"))
        || loads("authz_core_module")
        || loads("mpm_")
        || main.contains("IncludeOptional");
    match (debian, is_2_4) {
        (true, true) => Build::debian_2_4(),
        (true, false) => Build::debian_2_2(debian_mpm(files)),
        (false, true) => Build::red_hat_2_4(),
        (false, false) => Build::red_hat_2_2(red_hat_mpm(start)),
    }
}

/// Debian's 2.2 has one package for each MPM.
fn debian_mpm(files: &Reading<'_>) -> &'static str {
    let installed =
        |mpm: &str| files.kind(&Path::new("/usr/lib/apache2").join(mpm).join("apache2")).is_some();
    match () {
        () if installed("mpm-worker") => "worker.c",
        () if installed("mpm-event") => "event.c",
        () => "prefork.c",
    }
}

fn red_hat_mpm(start: &StartFiles) -> &'static str {
    let program = start.program.as_deref().unwrap_or(Path::new("")).to_string_lossy();
    match () {
        () if program.ends_with(".worker") => "worker.c",
        () if program.ends_with(".event") => "event.c",
        () => "prefork.c",
    }
}

/// The options of an httpd.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Options {
    program: Option<PathBuf>,
    file: Option<PathBuf>,
    root: Option<PathBuf>,
    defines: Vec<String>,
    before: Vec<String>,
    after: Vec<String>,
}

impl Options {
    /// Parses a command line, its program first.
    pub(super) fn parse(arguments: &[Vec<u8>]) -> Self {
        let Some((program, rest)) = arguments.split_first() else { return Self::default() };
        let program = PathBuf::from(lossy(program));
        Self { program: Some(program), ..Self::parse_words(rest) }
    }

    fn parse_words(words: &[Vec<u8>]) -> Self {
        let mut options = Self::default();
        let mut words = words.iter().map(|word| lossy(word));
        while let Some(word) = words.next() {
            let Some(letter) = word.strip_prefix('-').and_then(|rest| rest.chars().next()) else { continue };
            if !"DfdCckeE".contains(letter) {
                continue;
            }
            let attached = &word[1 + letter.len_utf8()..];
            let value =
                if attached.is_empty() { words.next().unwrap_or_default() } else { attached.to_owned() };
            options.set(letter, value);
        }
        options
    }

    fn set(&mut self, letter: char, value: String) {
        match letter {
            'D' => self.defines.push(value),
            'f' => self.file = Some(value.into()),
            'd' => self.root = Some(value.into()),
            'C' => self.before.push(value),
            'c' => self.after.push(value),
            _ => {}
        }
    }

    /// Returns the absolute paths of the options.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        let file = match (&self.root, &self.file) {
            (Some(root), Some(file)) => Some(root.join(file)),
            (None, file) => file.clone(),
            (Some(_), None) => None,
        };
        let all = self.program.iter().chain(&self.root).cloned().chain(file);
        all.filter(|path| path.is_absolute()).collect()
    }

    /// Returns the main configuration file of the options and the program. `-f` is relative to the root.
    pub(super) fn configuration(&self, files: &Reading<'_>) -> Option<PathBuf> {
        let build = || Build::of_program(files, self.program.as_deref()?);
        match (&self.file, &self.root) {
            (Some(file), Some(root)) => Some(root.join(file)),
            (Some(file), None) if file.is_absolute() => Some(file.clone()),
            (Some(file), None) => Some(build()?.server_root.join(file)),
            (None, Some(root)) => Some(root.join(build()?.configuration)),
            (None, None) => build().map(|build| build.server_root.join(build.configuration)),
        }
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
