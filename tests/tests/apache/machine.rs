//! The configuration files of a machine with an Apache.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use oomwatch_tests::debian::Root;
use pool_capacity::apache::{ApacheError, Invocation, Pool, read};
use pool_capacity::{HostFiles, Reading};
use tempfile::TempDir;

/// Files and symbolic links with their paths on the machine.
#[derive(Debug, Clone, Default)]
pub(crate) struct Machine {
    files: BTreeMap<String, String>,
    links: BTreeMap<String, String>,
    /// The main configuration file, if it is not at a usual path.
    configuration: Option<String>,
    /// Whether Debian's program is installed. Red Hat's program and others are not available.
    has_program: bool,
}

const ENABLED: &str = "access_compat alias auth_basic authn_core authn_file authz_core authz_host authz_user autoindex \
    deflate dir env filter mime negotiation reqtimeout setenvif status";
const DEFAULT_CONFS: &str = "charset localized-error-pages other-vhosts-access-log security serve-cgi-bin";

impl Machine {
    pub(crate) fn empty() -> Self {
        Self::default()
    }

    /// Debian's packages as installed, with another MPM instead of event.
    pub(crate) fn debian(apache: &Root, mpm: &str) -> Self {
        let mut machine = Self { has_program: true, ..Self::default() };
        machine.take(&apache.path().join("etc/apache2"), "/etc/apache2");
        for name in ENABLED.split(' ').chain([&*format!("mpm_{mpm}")]) {
            machine = machine.enabled("mods", name, &["load", "conf"]);
        }
        for name in DEFAULT_CONFS.split(' ') {
            machine = machine.enabled("conf", name, &["conf"]);
        }
        machine.link("/etc/apache2/sites-enabled/000-default.conf", "../sites-available/000-default.conf")
    }

    /// Debian's program with a configuration of a few lines.
    pub(crate) fn small(mpm: &str, body: &str) -> Self {
        let modules = "/usr/lib/apache2/modules";
        let text = format!(
            "ServerName localhost\nListen 80\nPidFile /var/run/apache2/apache2.pid\nErrorLog /var/log/apache2/error.log\n\
             User www-data\nGroup www-data\nLoadModule mpm_{mpm}_module {modules}/mod_mpm_{mpm}.so\n\
             LoadModule authz_core_module {modules}/mod_authz_core.so\n{body}\n"
        );
        Self { has_program: true, ..Self::default() }.file("/etc/apache2/apache2.conf", &text)
    }

    pub(crate) fn file(mut self, path: &str, text: &str) -> Self {
        self.files.insert(path.to_owned(), text.to_owned());
        self
    }

    pub(crate) fn append(mut self, path: &str, text: &str) -> Self {
        self.files.entry(path.to_owned()).or_default().push_str(text);
        self
    }

    pub(crate) fn link(mut self, path: &str, target: &str) -> Self {
        self.links.insert(path.to_owned(), target.to_owned());
        self
    }

    pub(crate) fn configured_by(mut self, path: &str) -> Self {
        self.configuration = Some(path.to_owned());
        self
    }

    /// Enables as `a2enmod`, `a2enconf` and `a2ensite` do.
    pub(crate) fn enabled(mut self, kind: &str, name: &str, extensions: &[&str]) -> Self {
        for extension in extensions {
            let available = format!("/etc/apache2/{kind}-available/{name}.{extension}");
            if self.files.contains_key(&available) {
                let target = format!("../{kind}-available/{name}.{extension}");
                self = self.link(&format!("/etc/apache2/{kind}-enabled/{name}.{extension}"), &target);
            }
        }
        self
    }

    /// Copies everything to another directory, which is Debian's way to a further instance.
    pub(crate) fn moved(mut self, from: &str, to: &str) -> Self {
        let moved = |path: String| match path.strip_prefix(from) {
            Some(rest) => format!("{to}{rest}"),
            None => path,
        };
        self.files = self.files.into_iter().map(|(path, text)| (moved(path), text)).collect();
        self.links = self.links.into_iter().map(|(path, target)| (moved(path), target)).collect();
        self
    }

    fn take(&mut self, directory: &Path, path: &str) {
        for entry in fs::read_dir(directory).unwrap().flatten() {
            let path = format!("{path}/{}", entry.file_name().to_str().unwrap());
            if entry.file_type().unwrap().is_dir() {
                self.take(&entry.path(), &path);
            } else if let Ok(text) = fs::read_to_string(entry.path()) {
                self.files.insert(path, text);
            }
        }
    }

    /// Copies a directory of this machine unchanged.
    pub(crate) fn read(&self, apache: &Root) -> (Invocation, Result<Pool, ApacheError>) {
        let root = tempfile::tempdir().unwrap();
        self.write(root.path(), str::to_owned);
        if self.has_program {
            let program = root.path().join("usr/sbin/apache2");
            fs::create_dir_all(program.parent().unwrap()).unwrap();
            fs::copy(apache.path().join("usr/sbin/apache2"), program).unwrap();
        }
        let files = HostFiles::below(root.path());
        let configuration = self.configuration.as_deref().map(Path::new);
        let invocation = Invocation::find(&Reading::new(&files), configuration, None).unwrap();
        let pool = read(&Reading::new(&files), &invocation);
        (invocation, pool)
    }

    fn write(&self, root: &Path, text_of: impl Fn(&str) -> String) {
        let at = |path: &str| {
            let path = root.join(path.trim_start_matches('/'));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            path
        };
        for (path, text) in &self.files {
            fs::write(at(path), text_of(text)).unwrap();
        }
        for (path, target) in &self.links {
            symlink(target, at(path)).unwrap();
        }
    }

    /// The same files for the real server: in a directory of their own, with changed paths and ports.
    pub(crate) fn materialised(&self, apache: &Root) -> Materialised {
        let directory = tempfile::tempdir().unwrap();
        let files = Materialised { directory, apache: apache.clone(), ports: RefCell::default() };
        for name in [
            "var/log/apache2",
            "var/run/apache2",
            "var/lock/apache2",
            "var/www/html",
            "run/httpd",
            "etc/httpd",
        ] {
            fs::create_dir_all(files.directory().join(name)).unwrap();
        }
        for name in ["var/log/apache2-intern", "var/run/apache2-intern", "var/lock/apache2-intern"] {
            symlink("apache2", files.directory().join(name)).unwrap();
        }
        let httpd = files.directory().join("etc/httpd");
        for (name, target) in [("logs", "../../var/log/apache2"), ("run", "../../run/httpd")] {
            symlink(target, httpd.join(name)).unwrap();
        }
        symlink(apache.path().join("usr/lib/apache2/modules"), httpd.join("modules")).unwrap();
        self.write(files.directory(), |text| files.rewritten_file(text));
        files
    }
}

/// A machine's files with the paths that the real server uses.
pub(crate) struct Materialised {
    directory: TempDir,
    pub(crate) apache: Root,
    ports: RefCell<Vec<u16>>,
}

/// Modules that are built into Debian's program and loaded by Red Hat's, one that only Red Hat has, and two that create
/// processes and threads beside the workers.
const NOT_TO_LOAD: [&str; 8] = [
    "cgid_module",
    "proxy_hcheck_module",
    "unixd_module",
    "version_module",
    "log_config_module",
    "logio_module",
    "watchdog_module",
    "systemd_module",
];

impl Materialised {
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The present location of a path of the machine.
    pub(crate) fn moved(&self, path: &Path) -> PathBuf {
        PathBuf::from(self.rewritten(path.to_str().unwrap()))
    }

    pub(crate) fn error_logs(&self) -> [PathBuf; 2] {
        ["error.log", "error_log"].map(|name| self.directory().join("var/log/apache2").join(name))
    }

    /// The first port of the configuration, in the order of the files' names.
    pub(crate) fn port(&self) -> u16 {
        self.ports.borrow()[0]
    }

    /// Replaces every path in a text by its present location.
    pub(crate) fn rewritten(&self, text: &str) -> String {
        let moved = self.directory().display().to_string();
        let unpacked = self.apache.path().display().to_string();
        let places = [("/usr/lib/apache2", &unpacked), ("/usr/share/", &unpacked)];
        let own =
            ["/etc/apache2", "/etc/httpd", "/etc/mime.types", "/var/", "/run/"].map(|place| (place, &moved));
        let mut result = String::new();
        let mut rest = text;
        while let Some(next) = rest.chars().next() {
            let place = places.iter().chain(&own).find(|(place, _)| rest.starts_with(place));
            let length = place.map_or(next.len_utf8(), |(place, root)| {
                result.push_str(root);
                place.len()
            });
            result.push_str(&rest[..length]);
            rest = &rest[length..];
        }
        result
    }

    fn rewritten_file(&self, text: &str) -> String {
        let lines = text.split_inclusive('\n').map(|line| self.rewritten_line(line));
        lines.collect()
    }

    /// Lines are replaced and not removed, so that line numbers stay the same.
    fn rewritten_line(&self, line: &str) -> String {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [name, _, ..] if name.eq_ignore_ascii_case("listen") => {
                format!("Listen 127.0.0.1:{}\n", self.new_port())
            }
            ["LoadModule", name, path] if NOT_TO_LOAD.contains(&name) && path.starts_with("modules/") => {
                "\n".to_owned()
            }
            [name @ ("User" | "Group"), "apache"] => format!("{name} www-data\n"),
            ["TypesConfig", _] => "TypesConfig /dev/null\n".to_owned(),
            ["MIMEMagicFile", _] => "\n".to_owned(),
            _ => self.rewritten(line),
        }
    }

    fn new_port(&self) -> u16 {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        self.ports.borrow_mut().push(port);
        port
    }
}
