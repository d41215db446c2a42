//! Memory stays bounded for any configuration. The test is alone in its process, because the kernel counts memory by process.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::unix::fs::symlink;
use std::path::Path;

use pool_capacity::apache::{Build, Invocation};
use pool_capacity::phpfpm::Environment;
use pool_capacity::{HostFiles, Reading, apache, mysql, phpfpm};

/// The bound for the whole process, with the test itself.
const PEAK_BYTES_MAX: usize = 64 << 20;

/// Returns the peak of this process's resident memory in bytes.
fn peak_bytes() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// A directory with configurations. They are written piece by piece, so that the test needs little memory.
struct Machine {
    root: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap() }
    }

    fn write(&self, path: &str, pieces: impl IntoIterator<Item = impl AsRef<[u8]>>) {
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = BufWriter::new(File::create(path).unwrap());
        pieces.into_iter().for_each(|piece| file.write_all(piece.as_ref()).unwrap());
        file.flush().unwrap();
    }

    fn apache(&self) -> String {
        self.apache_below(self.root.path(), Path::new("/conf"))
    }

    fn apache_below(&self, root: &Path, configuration: &Path) -> String {
        let files = HostFiles::below(root);
        let mut invocation = Invocation::of_build(Build::debian_2_4());
        invocation.configuration = configuration.into();
        match apache::read(&Reading::new(&files), &invocation) {
            Ok(pool) => format!("limit {}", pool.limit),
            Err(error) => error.to_string(),
        }
    }

    fn phpfpm(&self, value: &dyn Fn(&[u8]) -> Option<Vec<u8>>) -> String {
        let files = HostFiles::below(self.root.path());
        let environment = Environment::Known(value);
        match phpfpm::Config::read(&Reading::new(&files), Path::new("/conf"), environment) {
            Ok(config) => format!("limit {}", config.limit()),
            Err(error) => error.to_string(),
        }
    }

    fn mysql(&self) -> String {
        let files = HostFiles::below(self.root.path());
        let server = mysql::Server::UNKNOWN_MARIADB;
        match mysql::Config::read(&Reading::new(&files), &["/conf".into()], server, &[], 0) {
            Ok(config) => format!("limit {}", config.max_connections),
            Err(error) => error.to_string(),
        }
    }

    fn all(&self) -> [String; 3] {
        [self.apache(), self.phpfpm(&|_| None), self.mysql()]
    }
}

const APACHE: &str = "LoadModule mpm_prefork_module m.so\n";
const MIB: usize = 1 << 20;

/// Checks an answer, and that the peak stays below the bound.
fn assert_answer(answer: &str, expected: &str) {
    assert!(answer.contains(expected), "{answer} does not contain {expected}");
    let peak = peak_bytes();
    assert!(peak < PEAK_BYTES_MAX, "{} KiB after {answer}", peak >> 10);
}

#[test]
fn memory_is_bounded() {
    one_large_file();
    bytes_that_are_not_text();
    files_that_are_not_regular();
    directories();
    kept_text();
    sections_macros_and_variables();
    settings_and_pools();
}

fn one_large_file() {
    let machine = Machine::new();
    machine.write("conf", [""]);
    // One line of 1 GB, which takes no room on the disk.
    File::options().write(true).open(machine.root.path().join("conf")).unwrap().set_len(1 << 30).unwrap();
    for answer in machine.all() {
        assert_answer(&answer, "/conf: the configuration has more than 8 MiB in one file");
    }
}

/// A byte that is not UTF-8 takes three when it becomes text.
fn bytes_that_are_not_text() {
    let machine = Machine::new();
    let line = vec![0xff; MIB - 1];
    let lines = std::iter::repeat_n(&line, 7).flat_map(|line| [line.as_slice(), b"\n"]);
    for (start, include) in [(APACHE, "Include /a\n"), ("", "include=/a\n"), ("[mysqld]\n", "!include /a\n")]
    {
        let first = [start.as_bytes(), include.as_bytes()];
        machine.write("conf", first.into_iter().chain(lines.clone()));
        machine.write("a", [include.as_bytes()].into_iter().chain(lines.clone()));
        let answer = match start {
            APACHE => machine.apache(),
            "" => machine.phpfpm(&|_| None),
            _ => machine.mysql(),
        };
        assert_answer(&answer, "has more than 16 MiB in files that include each other");
    }
}

fn files_that_are_not_regular() {
    let machine = Machine::new();
    let path = |name: &str| machine.root.path().join(name);
    let mode = rustix::fs::Mode::RWXU;
    rustix::fs::mkfifoat(rustix::fs::CWD, path("conf"), mode).unwrap();
    for answer in machine.all() {
        assert_answer(&answer, "/conf is not a regular file");
    }
    fs::rename(path("conf"), path("fifo")).unwrap();
    fs::create_dir(path("directory")).unwrap();
    symlink("loop", path("loop")).unwrap();
    for name in ["fifo", "directory/../fifo", "loop"] {
        machine.write("conf", [format!("{APACHE}Include /{name}\n")]);
        let expected = if name == "loop" { "limit 256" } else { "fifo is not a regular file" };
        let answer = machine.apache();
        assert!(answer.contains(expected) || answer.contains("cannot read /loop"), "{answer}");
        machine.write("conf", [format!("[mysqld]\n!include /{name}\nmax_connections=44\n")]);
        assert_answer(&machine.mysql(), "limit 44");
    }
    machine.write("conf", ["include=/fifo\n"]);
    assert_answer(&machine.phpfpm(&|_| None), "/conf:1: /fifo is not a regular file");
    machine.write("conf", ["[mysqld]\n!include /directory\nmax_connections=45\n"]);
    assert_answer(&machine.mysql(), "limit 45");

    // The machine itself has devices.
    fs::remove_file(path("conf")).unwrap();
    symlink("/dev/zero", path("zero")).unwrap();
    let files = HostFiles::below(Path::new("/"));
    let server = mysql::Server::UNKNOWN_MARIADB;
    let zero = [path("zero")];
    let error = mysql::Config::read(&Reading::new(&files), &zero, server, &[], 0).unwrap_err().to_string();
    assert_answer(&error, "zero is not a regular file");
}

fn directories() {
    let machine = Machine::new();
    fs::create_dir(machine.root.path().join("d")).unwrap();
    let create = |names: std::ops::Range<u32>| {
        // Long names need the most memory.
        let long = "n".repeat(240);
        for n in names {
            File::create(machine.root.path().join(format!("d/{long}{n}.cnf"))).unwrap();
        }
    };
    let answers = || {
        machine.write("conf", [format!("{APACHE}Include /d/*.cnf\n")]);
        let apache = machine.apache();
        machine.write("conf", ["include=/d/*.cnf\n"]);
        let phpfpm = machine.phpfpm(&|_| None);
        machine.write("conf", ["[mysqld]\n!includedir /d\n"]);
        [apache, phpfpm, machine.mysql()]
    };
    create(0..30_000);
    let [apache, phpfpm, mysql] = answers();
    assert_answer(&apache, "has more than 8 MiB of names, values and paths");
    assert_answer(&phpfpm, "has more than 8 MiB of names, values and paths");
    assert_answer(&mysql, "has more than 10000 files");
    // Names beyond the limit are not even listed.
    create(30_000..32_769);
    for answer in answers() {
        assert_answer(&answer, "/d: the configuration has more than 32768 entries");
    }

    // A directory that contains itself twice.
    let machine = Machine::new();
    let directory = machine.root.path().join("d");
    fs::create_dir(&directory).unwrap();
    for name in ["a", "b"] {
        symlink(&directory, directory.join(name)).unwrap();
    }
    machine.write("conf", [format!("{APACHE}Include {}\n", directory.display())]);
    let answer = machine.apache_below(Path::new("/"), &machine.root.path().join("conf"));
    assert_answer(&answer, "has more than 32768 entries");
}

fn kept_text() {
    let machine = Machine::new();
    let value = "v".repeat(100);
    let defines = (0..40_000).map(|n| format!("Define N{n} {value}\n"));
    machine.write("conf", [APACHE.to_owned()].into_iter().chain(defines));
    assert_answer(&machine.apache(), "has more than 8 MiB of names, values and paths");
    let pools =
        (0..9_000).map(|n| format!("[p{n}]\nlisten={}\npm=static\npm.max_children=1\n", "x".repeat(800)));
    machine.write("conf", pools);
    assert_answer(&machine.phpfpm(&|_| None), "has more than 8 MiB of names, values and paths");
    let warnings = std::iter::repeat_n(format!("!include {}\n", "x".repeat(70_000)), 110);
    machine.write("conf", ["[mysqld]\n".to_owned()].into_iter().chain(warnings));
    assert_answer(&machine.mysql(), "limit 151");
}

fn sections_macros_and_variables() {
    let machine = Machine::new();
    for opening in ["<a>\n", "<IfDefine !X>\n", "<IfModule core.c>\n"] {
        machine.write("conf", std::iter::repeat_n(opening, (8 * MIB / opening.len()).min(1_000_000)));
        assert_answer(&machine.apache(), "has more than 1000 sections within each other");
    }
    let doubling = std::iter::repeat_n("Define A \"${A}${A}\"\n", 1000);
    machine.write("conf", ["Define A aaaaaaaa\n"].into_iter().chain(doubling));
    assert_answer(&machine.apache(), "has more than 1 MiB in one line");

    let macros =
        (0..100).map(|n| format!("<Macro M{n}>\n{}</Macro>\n", format!("Use M{}\n", n + 1).repeat(300)));
    machine.write("conf", macros.chain(["<Macro M100>\n#\n</Macro>\nUse M0\n".to_owned()]));
    assert_answer(&machine.apache(), "has more than 1000000 lines");
    let arguments = "x".repeat(900_000);
    let uses = std::iter::repeat_n(format!("Use M {arguments}\n"), 8);
    machine.write("conf", ["<Macro M $a>\n$a\n</Macro>\n".to_owned()].into_iter().chain(uses));
    assert_answer(&machine.apache(), "is longer than 8191 bytes with its arguments");

    let large = |_: &[u8]| Some(vec![b'x'; MIB / 2]);
    machine.write("conf", std::iter::repeat_n(format!("a={}\n", "${V}".repeat(100_000)), 10));
    assert_answer(&machine.phpfpm(&large), "the value is longer than 1 MiB with its variables");
    let name = "n".repeat(MIB / 2);
    machine.write(
        "conf",
        [format!("[{name}]\nlisten={}\npm=static\npm.max_children=1\n", "$pool".repeat(100_000))],
    );
    assert_answer(&machine.phpfpm(&|_| None), "has more than 1 MiB in one line");
}

fn settings_and_pools() {
    let machine = Machine::new();
    let settings = std::iter::repeat_n("u=1\n", 1_900_000);
    machine.write("conf", ["[mysqld]\n!include /conf\n"].into_iter().chain(settings));
    assert_answer(
        &machine.mysql(),
        "/conf: the configuration has more than 16 MiB in files that include each other",
    );
    let settings = std::iter::repeat_n("u=1\n", 1_900_000);
    machine.write("conf", ["[mysqld]\n"].into_iter().chain(settings).chain(["!include /conf\n"]));
    assert_answer(&machine.mysql(), "/conf: the configuration has more than 500000 settings");
    machine
        .write("conf", (0..150_000).map(|n| format!("[p{n}]\nlisten={n}\npm=static\npm.max_children=1\n")));
    assert_answer(&machine.phpfpm(&|_| None), "/conf: the configuration has more than 10000 pools");
    // As many as are allowed.
    machine.write("conf", (0..10_000).map(|n| format!("[p{n}]\nlisten={n}\npm=static\npm.max_children=1\n")));
    assert_answer(&machine.phpfpm(&|_| None), "limit 10000");
    let limits = std::iter::repeat_n("MaxRequestWorkers 9\n", 40_000);
    machine.write("conf", [APACHE].into_iter().chain(limits));
    assert_answer(&machine.apache(), "limit 9");
}
