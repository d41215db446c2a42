//! The program with configurations that exceed every limit, with at most 64 MiB for its data.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::process::Command;

use tempfile::TempDir;

/// A machine without processes but the first one.
struct Machine {
    root: TempDir,
}

impl Machine {
    fn new() -> Self {
        let machine = Self { root: tempfile::tempdir().unwrap() };
        machine.write("proc/stat", ["cpu 0 0 0 0\n"]);
        let meminfo = "MemTotal: 4194304 kB\nMemAvailable: 3072000 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n";
        machine.write("proc/meminfo", [meminfo]);
        machine.write(
            "proc/1/stat",
            ["1 (systemd) S 0 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 1 900000000 9000 1\n"],
        );
        machine.write("proc/1/cmdline", ["/sbin/init\0"]);
        machine
    }

    fn write(&self, path: &str, pieces: impl IntoIterator<Item = impl AsRef<[u8]>>) {
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = BufWriter::new(File::create(path).unwrap());
        pieces.into_iter().for_each(|piece| file.write_all(piece.as_ref()).unwrap());
        file.flush().unwrap();
    }

    /// Returns the value and the error. The shell's limit in KiB holds for the heap and all other private memory.
    fn get(&self, key: &str) -> (String, String) {
        let conf = self.root.path().join("agent.conf");
        fs::write(&conf, format!("Plugins.OomWatch.HostRoot={}\n", self.root.path().display())).unwrap();
        let mut command = Command::new("sh");
        let program = env!("CARGO_BIN_EXE_zabbix-agent2-plugin-oomwatch");
        command.args(["-c", "ulimit -d 65536 && exec \"$0\" -c \"$1\" get \"$2\"", program]);
        let output = command.arg(conf).arg(key).output().unwrap();
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).into()
    }

    fn assert_error(&self, key: &str, expected: &str) {
        let (value, error) = self.get(key);
        assert!(value.is_empty() && error.contains(expected), "{key}: {error}");
        // The program's name and a newline stand around an item's error of at most 300 characters.
        assert!(error.chars().count() <= 400, "{error}");
    }
}

#[test]
fn mysql_settings_and_self_includes_are_an_error_with_file_and_limit() {
    let machine = Machine::new();
    let settings = || std::iter::repeat_n("u=1\n", 1_900_000);
    machine
        .write("etc/my.cnf", ["[mysqld]\n"].into_iter().chain(settings()).chain(["!include /etc/my.cnf\n"]));
    machine.assert_error("mysql.capacity", "/etc/my.cnf: the configuration has more than 500000 settings");
    let nested = ["[mysqld]\n!include /etc/my.cnf\n"].into_iter().chain(settings());
    machine.write("etc/my.cnf", nested);
    machine.assert_error(
        "mysql.capacity",
        "/etc/my.cnf: the configuration has more than 16 MiB in files that include",
    );
}

#[test]
fn php_fpm_pools_are_read_up_to_the_limit() {
    let machine = Machine::new();
    let pools =
        |count: u32| (0..count).map(|n| format!("[p{n}]\nlisten={n}\npm=static\npm.max_children=1\n"));
    machine.write("etc/php-fpm.conf", pools(150_000));
    machine.assert_error("phpfpm.capacity", "/etc/php-fpm.conf: the configuration has more than 10000 pools");
    machine.write("etc/php-fpm.conf", pools(10_000));
    let (value, error) = machine.get("phpfpm.capacity");
    let value: serde_json::Value = serde_json::from_str(&value).expect(&error);
    assert_eq!((&value["limit"], value["pools"].as_array().unwrap().len()), (&10_000.into(), 10_000));
}

#[test]
fn apache_sections_and_one_line_of_a_gigabyte_are_errors() {
    let machine = Machine::new();
    machine.write("etc/httpd/conf/httpd.conf", std::iter::repeat_n("<IfModule core.c>\n", 400_000));
    machine.assert_error(
        "apache.capacity",
        "httpd.conf: the configuration has more than 1000 sections within each other",
    );
    let path = machine.root.path().join("etc/httpd/conf/httpd.conf");
    File::create(path).unwrap().set_len(1 << 30).unwrap();
    machine.assert_error("apache.capacity", "httpd.conf: the configuration has more than 8 MiB in one file");
}

/// Any user may give a process a server's name and a long command line.
#[test]
fn crowd_of_processes_with_a_servers_name_needs_little_memory() {
    let machine = Machine::new();
    machine.write("etc/my.cnf", ["[mysqld]\nmax_connections=44\n"]);
    for pid in 1000..1100 {
        let stat = format!("{pid} (mysqld) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 {pid} 900000000 9000 1\n");
        machine.write(&format!("proc/{pid}/stat"), [stat]);
        machine.write(&format!("proc/{pid}/cmdline"), std::iter::repeat_n("a\0", 40_000));
        machine.write(&format!("proc/{pid}/status"), ["Name:\tmysqld\nUid:\t1000\t1000\t1000\t1000\n"]);
        let directory = machine.root.path().join(format!("proc/{pid}"));
        std::os::unix::fs::chown(directory, Some(1000), Some(1000)).unwrap();
    }
    let (value, error) = machine.get("mysql.capacity");
    let value: serde_json::Value = serde_json::from_str(&value).expect(&error);
    assert_eq!((&value["limit"], &value["ignored_total"]), (&44.into(), &100.into()), "{value}");
}
