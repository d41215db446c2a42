//! Every limit of a read: what is exactly at it is read, and one more is an error that names the file and the limit.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::cell::Cell;
use std::ffi::OsString;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use pool_capacity::apache::{Build, Invocation};
use pool_capacity::phpfpm::Environment;
use pool_capacity::{FileError, FileKind, Files, Limit, Reading, Tree, apache, mysql, phpfpm};

const CONF: &str = "/etc/server.conf";
/// The start of each configuration, so that the server would start with it.
const APACHE: &str = "LoadModule mpm_prefork_module m.so\n";
const PHP: &str = "[www]\nlisten=1\npm=static\npm.max_children=3\n";
const MYSQL: &str = "[mysqld]\n";

/// Reads a configuration. The three readers have the same limits.
type Reader = fn(&Reading<'_>) -> Result<(), String>;

fn read_apache(reading: &Reading<'_>) -> Result<(), String> {
    let mut invocation = Invocation::of_build(Build::debian_2_4());
    invocation.configuration = CONF.into();
    apache::read(reading, &invocation).map(drop).map_err(|error| error.to_string())
}

fn read_phpfpm(reading: &Reading<'_>) -> Result<(), String> {
    let environment = Environment::Known(&|_| None);
    phpfpm::Config::read(reading, Path::new(CONF), environment).map(drop).map_err(|error| error.to_string())
}

fn read_mysql(reading: &Reading<'_>) -> Result<(), String> {
    let server = mysql::Server::UNKNOWN_MARIADB;
    mysql::Config::read(reading, &[CONF.into()], server, &[], 0).map(drop).map_err(|error| error.to_string())
}

/// A reader, the start of its configuration, and its words for "include this file" with the file's path after them.
const READERS: [(Reader, &str, &str); 3] =
    [(read_apache, APACHE, "Include "), (read_phpfpm, PHP, "include="), (read_mysql, MYSQL, "!include ")];

/// The character that begins a comment.
fn comment(start: &str) -> char {
    if start == PHP { ';' } else { '#' }
}

/// Returns a text of `bytes` bytes: `start`, then comments.
fn padded(start: &str, comment: char, bytes: u64) -> String {
    let mut text = start.to_owned();
    let left = usize::try_from(bytes).unwrap() - start.len();
    let line = format!("{comment}{}\n", "x".repeat(998));
    text.push_str(&line.repeat(left / 1000));
    text.push_str(&"\n".repeat(left % 1000));
    text
}

/// Checks that a configuration of exactly the limit is read, and that one more is refused in file `path`.
fn assert_limit(limit: Limit, path: &str, read: Reader, tree: impl Fn(u64) -> Tree) {
    let exact = tree(limit.max());
    assert_eq!(read(&Reading::new(&exact)), Ok(()), "{limit:?}");
    let above = tree(limit.max() + 1);
    let reading = Reading::new(&above);
    let error = read(&reading).unwrap_err();
    let expected = format!("{path}: the configuration has more than {limit} and is not read further");
    assert!(error.starts_with(&expected), "{error}");
    assert!(error.chars().count() <= 300, "{error}");
    // Nothing more is read: the next access has the same error, without a step that counts.
    assert_eq!(read(&reading), Err(error));
}

fn one_file(text: String) -> Tree {
    Tree::new().with(CONF, text)
}

#[test]
fn bytes_of_one_file() {
    for (read, start, _) in READERS {
        assert_limit(Limit::FileBytes, CONF, read, |bytes| one_file(padded(start, comment(start), bytes)));
    }
}

#[test]
fn bytes_of_all_files_together() {
    let part = Limit::FileBytes.max() / 2;
    for (read, start, include) in READERS {
        assert_limit(Limit::TotalBytes, "/etc/last", read, |bytes| {
            let include_all: String = (0..7).map(|n| format!("{include}/etc/{n}\n")).collect();
            let main = format!("{start}{include_all}{include}/etc/last\n");
            let last = bytes - 7 * part - main.len() as u64;
            let comment = comment(start);
            let tree = one_file(main).with("/etc/last", padded("", comment, last));
            (0..7).fold(tree, |tree, n| tree.with(format!("/etc/{n}"), padded("", comment, part)))
        });
    }
}

#[test]
fn bytes_of_files_that_include_each_other() {
    for (read, start, include) in READERS {
        assert_limit(Limit::NestedBytes, "/etc/b", read, |bytes| {
            let comment = comment(start);
            let part = Limit::FileBytes.max() - 1000;
            let tree = one_file(padded(&format!("{start}{include}/etc/a\n"), comment, part));
            tree.with("/etc/a", padded(&format!("{include}/etc/b\n"), comment, part))
                .with("/etc/b", padded("", comment, bytes - 2 * part))
        });
        // One after the other, they are not in memory at the same time.
        let part = padded("", comment(start), Limit::FileBytes.max());
        let includes: String = (0..3).map(|n| format!("{include}/etc/{n}\n")).collect();
        let tree = (0..3).fold(one_file(format!("{start}{includes}")), |tree, n| {
            tree.with(format!("/etc/{n}"), part.clone())
        });
        assert_eq!(read(&Reading::new(&tree)), Ok(()));
    }
}

#[test]
fn bytes_of_one_line() {
    for (read, start, _) in READERS {
        assert_limit(Limit::LineBytes, CONF, read, |bytes| {
            let comment = comment(start);
            one_file(format!("{start}{comment}{}\n", "x".repeat(usize::try_from(bytes).unwrap() - 1)))
        });
    }
    // A line of Apache may be continued, and variables count.
    assert_limit(Limit::LineBytes, CONF, read_apache, |bytes| {
        let half = usize::try_from(bytes).unwrap() / 2;
        let rest = usize::try_from(bytes).unwrap() - half - 1;
        one_file(format!("{APACHE}#{}\\\n{}\n", "x".repeat(half), "x".repeat(rest)))
    });
    assert_limit(Limit::LineBytes, CONF, read_apache, |bytes| {
        let value = "x".repeat(1000);
        let [thousands, rest] = [bytes / 1000, bytes % 1000].map(|n| usize::try_from(n).unwrap());
        let line = format!("A {}{}", "${V}".repeat(thousands), "y".repeat(rest - 2));
        one_file(format!("{APACHE}Define V {value}\n{line}\n"))
    });
}

#[test]
fn files() {
    for (read, start, include) in READERS {
        assert_limit(Limit::Files, "/etc/last", read, |files| {
            let includes = format!("{include}/etc/a\n").repeat(usize::try_from(files).unwrap() - 2);
            let tree = one_file(format!("{start}{includes}{include}/etc/last\n"));
            tree.with("/etc/a", "").with("/etc/last", "")
        });
    }
}

#[test]
fn entries_of_listed_directories() {
    let includes = [
        (READERS[0].0, format!("{APACHE}Include /etc/d/*.conf\n")),
        (READERS[1].0, format!("{PHP}include=/etc/d/*.conf\n")),
        (READERS[2].0, format!("{MYSQL}!includedir /etc/d\n")),
    ];
    for (read, main) in includes {
        assert_limit(Limit::Entries, "/etc/d", read, |entries| {
            let tree = one_file(main.clone()).with("/etc/d/1.conf", "");
            (1..entries).fold(tree, |tree, n| tree.with(format!("/etc/d/{n}.txt"), ""))
        });
    }
}

#[test]
fn lines() {
    for (read, start, _) in READERS {
        // Apache has no line after the last newline.
        let last = u64::from(start != APACHE);
        assert_limit(Limit::Lines, CONF, read, |lines| {
            let empty = lines - start.lines().count() as u64 - last;
            one_file(format!("{start}{}", "\n".repeat(usize::try_from(empty).unwrap())))
        });
    }
}

#[test]
fn settings() {
    for (read, start, _) in READERS {
        let (line, own) =
            if start == APACHE { ("A b\n", 1) } else { ("a=1\n", if start == PHP { 3 } else { 0 }) };
        assert_limit(Limit::Settings, CONF, read, |settings| {
            one_file(format!("{start}{}", line.repeat(usize::try_from(settings - own).unwrap())))
        });
    }
    // Settings of other programs are not counted: no memory and little time is needed for them.
    let client = format!("[client]\n{}", "a=1\n".repeat(600_000));
    assert_eq!(read_mysql(&Reading::new(&one_file(client))), Ok(()));
}

#[test]
fn pools() {
    assert_limit(Limit::Pools, CONF, read_phpfpm, pools_of);
}

fn pools_of(count: u64) -> Tree {
    let pool = |n: u64| format!("[p{n}]\nlisten={n}\npm=static\npm.max_children=1\n");
    one_file((0..count).map(pool).collect())
}

#[test]
fn sections_within_each_other() {
    for (open, close) in [
        ("<IfDefine !X>\n", "</IfDefine>\n"),
        ("<Location />\n", "</Location>\n"),
        ("<IfDefine X>\n", "</IfDefine>\n"),
    ] {
        assert_limit(Limit::Sections, CONF, read_apache, |sections| {
            let count = usize::try_from(sections).unwrap();
            one_file(format!("{APACHE}{}{}", open.repeat(count), close.repeat(count)))
        });
    }
}

/// A name costs 128 bytes beside its text. Definitions keep the name twice.
#[test]
fn kept_bytes() {
    let defines = |bytes: u64| {
        let main = 128 + CONF.len() as u64;
        let module = 128 + 2 * "mpm_prefork_module".len() as u64 + "m.so".len() as u64;
        let left = bytes - main - module;
        let cost = 128 + 2 * "N10".len() as u64 + 500_000;
        let value = |bytes: u64| "v".repeat(usize::try_from(bytes).unwrap());
        let equal: String =
            (10..10 + left / cost).map(|n| format!("Define N{n} {}\n", value(500_000))).collect();
        let rest = left % cost - 128 - 2 * "LAST".len() as u64;
        one_file(format!("{APACHE}{equal}Define LAST {}\n", value(rest)))
    };
    assert_limit(Limit::KeptBytes, CONF, read_apache, defines);
}

#[test]
fn warnings_are_a_hundred_and_a_note() {
    let relative = |count: usize| one_file(format!("{PHP}{}", "include=x\n".repeat(count)));
    let environment = Environment::Known(&|_| None);
    for (count, expected) in [(99, 99), (100, 100), (101, 101), (5000, 101)] {
        let tree = relative(count);
        let php = phpfpm::Config::read(&Reading::new(&tree), Path::new(CONF), environment).unwrap();
        let tree = one_file(format!("{MYSQL}{}", "!include x\n".repeat(count)));
        let server = mysql::Server::UNKNOWN_MYSQL;
        let mysql = mysql::Config::read(&Reading::new(&tree), &[CONF.into()], server, &[], 0).unwrap();
        for warnings in [php.warnings, mysql.warnings] {
            assert_eq!(warnings.len(), expected, "{count}");
            assert_eq!(
                warnings[expected - 1].contains("the others are left out"),
                count > 100,
                "{warnings:?}"
            );
        }
    }
    let long = one_file(format!("{PHP}include={}\n", "x".repeat(1_000_000)));
    let long = phpfpm::Config::read(&Reading::new(&long), Path::new(CONF), environment).unwrap();
    assert!(long.warnings[0].chars().count() <= 303, "{}", long.warnings[0].len());
}

#[test]
fn expansion_of_a_pools_name_and_of_variables_ends() {
    let name = "n".repeat(1 << 16);
    let listen = "$pool".repeat(10_000);
    let tree = one_file(format!("[{name}]\nlisten={listen}\npm=static\npm.max_children=1\n"));
    let error = read_phpfpm(&Reading::new(&tree)).unwrap_err();
    assert!(error.contains("has more than 1 MiB in one line"), "{error}");

    let large = |name: &[u8]| (name == b"V").then(|| vec![b'x'; 1 << 16]);
    for (line, is_read) in
        [(format!("a={}\n", "${V}".repeat(16)), true), (format!("a={}\n", "${V}".repeat(17)), false)]
    {
        let tree = one_file(format!("{PHP}{line}"));
        let config = phpfpm::Config::read(&Reading::new(&tree), Path::new(CONF), Environment::Known(&large));
        let error = config.err().map(|error| error.to_string());
        assert_eq!(error.is_none(), is_read, "{error:?}");
        let expected = format!("{CONF}:5: the value is longer than 1 MiB with its variables");
        assert!(error.is_none_or(|error| error.starts_with(&expected)));
    }
}

/// A user's text in an error does not make it longer than an item's error may be.
#[test]
fn errors_of_lines_are_short() {
    let long = "x".repeat(1 << 19);
    for (read, text) in [
        (READERS[0].0, format!("{APACHE}Include /{long}\n")),
        (READERS[0].0, format!("{APACHE}<IfDefine X>\n</{long}>\n")),
        (READERS[0].0, format!("{APACHE}Use {long}\n")),
        (READERS[1].0, format!("{PHP}pm={long}\n")),
        (READERS[1].0, format!("[{long}]\nlisten=1\n")),
        (READERS[2].0, format!("{MYSQL}max_connections={long}\n")),
    ] {
        let error = read(&Reading::new(&one_file(text))).unwrap_err();
        assert!(error.chars().count() <= 300, "{}: {}", error.len(), &error[..300]);
        assert!(error.contains(CONF), "{error}");
    }
}

/// Files that are read until the deadline has passed.
struct Slow {
    tree: Tree,
    reads: Cell<u32>,
    slow_read: u32,
    takes: Duration,
}

impl Files for Slow {
    fn read(&self, path: &Path) -> Result<Vec<u8>, FileError> {
        self.reads.set(self.reads.get() + 1);
        if self.reads.get() == self.slow_read {
            thread::sleep(self.takes);
        }
        self.tree.read(path)
    }

    fn list(&self, directory: &Path) -> Result<Vec<OsString>, FileError> {
        self.tree.list(directory)
    }

    fn kind(&self, path: &Path) -> Option<FileKind> {
        self.tree.kind(path)
    }

    fn is_link(&self, _: &Path) -> bool {
        false
    }
}

#[test]
fn nothing_is_computed_after_the_deadline() {
    for (read, start, include) in READERS {
        let comment = comment(start);
        let main = format!("{start}{}", format!("{include}/etc/a\n").repeat(20));
        let tree = one_file(main).with("/etc/a", format!("{comment}\n").repeat(1000));
        let takes = Duration::from_secs(1);
        let files = Slow { tree, reads: Cell::new(0), slow_read: 3, takes };
        let reading = Reading::new(&files).until(Instant::now() + takes);
        let error = read(&reading).unwrap_err();
        assert!(error.starts_with("/etc/a: the time for this item ended while"), "{error}");
        // The main file and one included file before it, and at most 16 lines after it.
        assert_eq!(files.reads.get(), 3);
        assert!(reading.steps() < 1100, "{}", reading.steps());
    }
}

#[test]
fn nothing_is_read_if_the_deadline_has_passed_before() {
    for (read, start, _) in READERS {
        let files = Slow {
            tree: one_file(start.to_owned()),
            reads: Cell::new(0),
            slow_read: 0,
            takes: Duration::ZERO,
        };
        let reading = Reading::new(&files).until(Instant::now());
        assert!(read(&reading).unwrap_err().starts_with(&format!("{CONF}: the time for this item ended")));
        assert_eq!((files.reads.get(), reading.kind(Path::new(CONF))), (0, None));
        assert!(Invocation::find(&reading, None, None).is_err() && phpfpm::find(&reading).is_err());
    }
}

/// Counted in steps, because the time depends on the machine.
#[test]
fn cost_grows_in_proportion_to_the_configuration() {
    let defines = |n: u64| {
        one_file(format!(
            "{APACHE}{}",
            (0..n).map(|i| format!("Define N{i} ${{N{i}}}\n")).collect::<String>()
        ))
    };
    let sites = |n: u64| {
        let site =
            |i: u64| format!("<VirtualHost *:{i}>\nSetHandler x\n</VirtualHost>\nMaxRequestWorkers {i}\n");
        one_file(format!("{APACHE}{}", (0..n).map(site).collect::<String>()))
    };
    let includes = |n: u64| {
        let tree = one_file(format!("{PHP}include=/d/*.conf\n"));
        (0..n).fold(tree, |tree, i| {
            tree.with(format!("/d/{i}.conf"), format!("[p{i}]\nlisten={i}\npm=static\npm.max_children=1\n"))
        })
    };
    let options = |n: u64| {
        one_file(format!("{MYSQL}{}", (0..n).map(|i| format!("unknown_{i} = {i}\n")).collect::<String>()))
    };
    let cases: [(Reader, &dyn Fn(u64) -> Tree); 5] = [
        (read_apache, &defines),
        (read_apache, &sites),
        (read_phpfpm, &pools_of),
        (read_phpfpm, &includes),
        (read_mysql, &options),
    ];
    for (index, (read, tree)) in cases.into_iter().enumerate() {
        let steps = |n: u64| {
            let tree = tree(n);
            let reading = Reading::new(&tree);
            read(&reading).unwrap();
            reading.steps()
        };
        let (one, two) = (steps(1000), steps(2000));
        assert!(one >= 1000 && two > one && two <= 2 * one, "case {index}: {one} and {two} steps");
    }
}

#[test]
fn hundred_and_fifty_thousand_pools_are_refused_at_once() {
    let tree = pools_of(150_000);
    let reading = Reading::new(&tree);
    let error = read_phpfpm(&reading).unwrap_err();
    assert!(error.contains("has more than 10000 pools and is not read further"), "{error}");
    assert_eq!(reading.steps(), 4 * 10_000 + 1);
}

#[test]
fn unknown_settings_with_self_includes_are_refused() {
    let text = format!("[mysqld]\n!include {CONF}\n{}!include {CONF}\n", "unknown=1\n".repeat(400_000));
    let error = read_mysql(&Reading::new(&one_file(text))).unwrap_err();
    assert!(error.starts_with(&format!("{CONF}: the configuration has more than ")), "{error}");
}
