use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::debian::{Lock, Packages, Root};
use crate::error::run;
use crate::{Error, Generation};

/// The database, PHP, and the libraries of both server versions.
const PACKAGES: [&str; 15] = [
    "postgresql-15",
    "zabbix-server-pgsql",
    "libevent-core-2.1-7",
    "libevent-extra-2.1-7",
    "libevent-pthreads-2.1-7",
    "php-cli",
    "php-pgsql",
    "php-gd",
    "php-mbstring",
    "php-xml",
    "php-bcmath",
    "php-curl",
    "fping",
    "fonts-vlgothic",
    "locales",
];
/// The path from which Debian's frontend reads its configuration.
const CONFIGURATION: &str = "'/etc/zabbix/zabbix.conf.php'";
/// A PHP constant that is defined before each page.
const CONFIGURATION_CONSTANT: &str = "OOMWATCH_FRONTEND_CONFIGURATION";
/// The font for graphs: the frontend's own font has no Japanese glyphs.
const GRAPH_FONT: &str = "usr/share/fonts/truetype/vlgothic/VL-PGothic-Regular.ttf";
const EXTENSIONS: &str = "usr/lib/php/20220829";

/// Downloads and unpacks both versions of server and frontend with the database and PHP below the target directory at
/// first use.
///
/// # Errors
///
/// Returns an error if apt knows no Debian archive or a package is not available.
pub(super) fn unpack() -> Result<Root, Error> {
    let mut packages = Packages::new("bookworm", &PACKAGES);
    for generation in Generation::ALL {
        for package in ["zabbix-server-pgsql", "zabbix-frontend-php"] {
            packages = packages.and_separately(generation.suite(), package, prefix(generation));
        }
    }
    packages.unpacked("zabbix")
}

fn prefix(generation: Generation) -> &'static str {
    match generation {
        Generation::V6_0 => "opt/zabbix-6.0",
        Generation::V7_0 => "opt/zabbix-7.0",
    }
}

/// A path of a version's own packages, relative to the root.
pub(super) fn directory(generation: Generation, path: &str) -> String {
    format!("{}/{path}", prefix(generation))
}

/// The frontend's directory.
pub(super) fn frontend(root: &Root, generation: Generation) -> PathBuf {
    root.path().join(directory(generation, "usr/share/zabbix"))
}

/// PHP with the configuration of this scratch directory only; see [`configure_frontend`].
pub(super) fn php(root: &Root, scratch: &Path) -> Command {
    let mut command = root.command("usr/bin/php8.2");
    command.arg("-n").arg("-c").arg(scratch.join("php.ini")).env("LOCPATH", root.cache().join("locales"));
    command
}

/// Writes PHP's configuration and the frontend's into the scratch directory.
pub(super) fn configure_frontend(
    root: &Root,
    scratch: &Path,
    database: u16,
    server: u16,
) -> Result<(), Error> {
    let write = |name: &str, text: String| {
        let path = scratch.join(name);
        fs::write(&path, text).map_err(Error::file(&path))
    };
    write("php.ini", php_ini(root, scratch)?)?;
    write("prepend.php", format!("<?php define('{CONFIGURATION_CONSTANT}', __DIR__.'/zabbix.conf.php');\n"))?;
    write("zabbix.conf.php", frontend_configuration(database, server))
}

fn php_ini(root: &Root, scratch: &Path) -> Result<String, Error> {
    let extensions = root.path().join(EXTENSIONS);
    let mut text = format!(
        "extension_dir={}\nauto_prepend_file={}/prepend.php\nsession.save_path={}\nmemory_limit=512M\n\
         post_max_size=16M\nmax_execution_time=300\nmax_input_time=300\ndate.timezone=UTC\n",
        extensions.display(),
        scratch.display(),
        scratch.display()
    );
    let entries = fs::read_dir(&extensions).map_err(Error::file(&extensions))?.flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    // Some extensions need others that come before them in the alphabet, except for these.
    names.sort_by_key(|name| (name.starts_with("xmlreader") || name.starts_with("xsl"), name.clone()));
    for name in names {
        let kind = if name == "opcache.so" { "zend_extension" } else { "extension" };
        let _ = writeln!(text, "{kind}={name}");
    }
    Ok(text)
}

fn frontend_configuration(database: u16, server: u16) -> String {
    let members =
        [("TYPE", "POSTGRESQL"), ("SERVER", "127.0.0.1"), ("DATABASE", "zabbix"), ("USER", "zabbix")];
    let mut text = "<?php\n".to_owned();
    for (name, value) in members {
        let _ = writeln!(text, "$DB['{name}'] = '{value}';");
    }
    let _ = write!(
        text,
        "$DB['PORT'] = '{database}';\n$DB['PASSWORD'] = 'zabbix';\n$DB['SCHEMA'] = '';\n$DB['ENCRYPTION'] = false;\n\
         $DB['DOUBLE_IEEE754'] = true;\n$ZBX_SERVER = '127.0.0.1';\n$ZBX_SERVER_PORT = '{server}';\n\
         $ZBX_SERVER_NAME = 'OomWatch';\n$IMAGE_FORMAT_DEFAULT = IMAGE_FORMAT_PNG;\n"
    );
    text
}

/// Replaces the packages' maintainer scripts: creates links to files of other packages, and makes the path of the configuration
/// variable. Only one process may call this at a time.
pub(super) fn complete(root: &Root, generation: Generation) -> Result<(), Error> {
    let frontend = frontend(root, generation);
    let class = frontend.join("include/classes/core/CConfigFile.php");
    let text = fs::read_to_string(&class).map_err(Error::file(&class))?;
    fs::write(&class, text.replace(CONFIGURATION, CONFIGURATION_CONSTANT)).map_err(Error::file(&class))?;
    // The link in the package points to the installed path. Graphs also contain Japanese text, so the font is replaced.
    let font = frontend.join("assets/fonts/DejaVuSans.ttf");
    let _ = fs::remove_file(&font);
    symlink(root.path().join(GRAPH_FONT), &font).map_err(Error::file(&font))?;
    make_locales(root)
}

/// A page in a language needs that language's locale on the web server. Both versions need the same locales.
fn make_locales(root: &Root) -> Result<(), Error> {
    let locales = root.cache().join("locales");
    fs::create_dir_all(&locales).map_err(Error::file(&locales))?;
    let _lock = Lock::take(&locales.join("lock"))?;
    for name in ["en_US", "ja_JP"] {
        let mut localedef = Command::new("localedef");
        localedef.env("I18NPATH", root.path().join("usr/share/i18n")).args(["--no-archive", "-i", name]);
        run(localedef.args(["-f", "UTF-8"]).arg(locales.join(format!("{name}.UTF-8"))))?;
    }
    Ok(())
}
