//! Configurations of Apache, php-fpm and MySQL.
//!
//! An input is the compact form of files that may have megabytes. A line `=== PATH` begins a file; text before the first such
//! line is the main file. A line `*COUNT*TEXT` is written COUNT times, with `~` in it as a line end and `@` as the number of
//! the copy.

use std::error::Error;
use std::path::Path;

use pool_capacity::apache::{self, Build, Invocation};
use pool_capacity::mysql::{self, Flavour, Server};
use pool_capacity::phpfpm::{self, Environment};
use pool_capacity::{Reading, ServerProcess, Tree};

/// Limit of all files together.
const BYTES_MAX: usize = 4 << 20;
/// Limit of the steps of one read, which replaces a clock. The limits of a read permit a million lines.
const STEPS_MAX: u64 = 4_000_000;

/// Files that are written into a tree up to the limit.
struct Expansion {
    tree: Tree,
    path: String,
    content: Vec<u8>,
    bytes_left: usize,
}

impl Expansion {
    fn of(input: &[u8], main: &str) -> Tree {
        let mut expansion =
            Self { tree: Tree::new(), path: main.to_owned(), content: Vec::new(), bytes_left: BYTES_MAX };
        for line in input.split(|byte| *byte == b'\n') {
            match line.strip_prefix(b"=== ") {
                Some(path) => expansion.begin(&String::from_utf8_lossy(path)),
                None => expansion.line(line),
            }
        }
        expansion.begin("");
        expansion.tree
    }

    fn begin(&mut self, next: &str) {
        let path = std::mem::replace(&mut self.path, format!("/{}", next.trim_start_matches('/')));
        self.tree = std::mem::take(&mut self.tree).with(path, std::mem::take(&mut self.content));
    }

    fn line(&mut self, line: &[u8]) {
        let Some((count, text)) = repeated(line) else { return self.append(line) };
        for number in 0..count {
            if self.bytes_left == 0 {
                break;
            }
            let mut copy = Vec::with_capacity(text.len() + 8);
            for &byte in text {
                match byte {
                    b'~' => copy.push(b'\n'),
                    b'@' => copy.extend_from_slice(number.to_string().as_bytes()),
                    _ => copy.push(byte),
                }
            }
            self.append(&copy);
        }
    }

    fn append(&mut self, text: &[u8]) {
        let text = &text[..text.len().min(self.bytes_left)];
        self.content.extend_from_slice(text);
        self.content.push(b'\n');
        self.bytes_left = self.bytes_left.saturating_sub(text.len() + 1);
    }
}

/// Splits `*COUNT*TEXT`.
fn repeated(line: &[u8]) -> Option<(u32, &[u8])> {
    let rest = line.strip_prefix(b"*")?;
    let end = rest.iter().position(|byte| *byte == b'*')?;
    let count = std::str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
    Some((count, &rest[end + 1..]))
}

/// Reads the files as the servers of four layouts do, and those that are found without knowing the layout.
pub fn apache(input: &[u8]) {
    let builds = [
        Build::debian_2_4(),
        Build::debian_2_2("prefork.c"),
        Build::red_hat_2_4(),
        Build::red_hat_2_2("worker.c"),
    ];
    // Each input is read in one layout, which its length chooses, because a large one takes long.
    let build = builds[input.len() % builds.len()].clone();
    let main = build.server_root.join(&build.configuration);
    let tree = Expansion::of(input, &main.to_string_lossy());
    let reading = Reading::new(&tree);
    check(apache::read(&reading, &Invocation::of_build(build)), &reading);
    let arguments = input.split(|byte| *byte == b'\n').next().unwrap_or_default().split(|byte| *byte == b' ');
    let arguments = std::iter::once(b"/usr/sbin/apache2".as_slice()).chain(arguments).map(<[u8]>::to_vec);
    let parent = ServerProcess {
        pid: 7,
        name: b"apache2".to_vec(),
        arguments: arguments.collect(),
        ..ServerProcess::default()
    };
    let reading = Reading::new(&tree);
    let found = Invocation::find(&reading, None, Some(&parent));
    check(found.and_then(|invocation| apache::read(&reading, &invocation)), &reading);
}

/// Reads the files as php-fpm does.
pub fn phpfpm(input: &[u8]) {
    let main = "/etc/php/8.2/fpm/php-fpm.conf";
    let tree = Expansion::of(input, main);
    let variable = |name: &[u8]| name.len().is_multiple_of(2).then(|| name.to_owned());
    let reading = Reading::new(&tree);
    let config = phpfpm::Config::read(&reading, Path::new(main), Environment::Known(&variable));
    if let Some(config) = check(config, &reading) {
        assert!(config.limit() <= config.written());
    }
}

/// Reads the files, and the first lines as arguments, as one of three servers does.
pub fn mysql(input: &[u8]) {
    let main = "/etc/mysql/my.cnf";
    let tree = Expansion::of(input, main);
    let arguments: Vec<Vec<u8>> = input.split(|byte| *byte == b'\n').take(3).map(<[u8]>::to_vec).collect();
    let old = Server { flavour: Flavour::MySql, major: 5, minor: 0 };
    let servers = [Server::UNKNOWN_MARIADB, Server::UNKNOWN_MYSQL, old];
    let server = servers[input.len() % servers.len()];
    for arguments in [&[][..], &arguments] {
        let reading = Reading::new(&tree);
        if let Some(config) =
            check(mysql::Config::read(&reading, &[main.into()], server, arguments, 16 << 30), &reading)
        {
            assert!(config.max_connections > 0);
        }
    }
}

fn check<T, E: Error>(outcome: Result<T, E>, reading: &Reading<'_>) -> Option<T> {
    assert!(reading.steps() <= STEPS_MAX, "{} steps", reading.steps());
    outcome.inspect_err(|error| assert!(!error.to_string().is_empty())).ok()
}
