//! The capacity keys on machines that are made up below `Plugins.OomWatch.HostRoot`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod documented;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Output};

use agent2_plugin::{FakeAgent, LaunchMode};
use serde_json::Value;
use tempfile::TempDir;

use documented::assert_documented;

const MIB: u64 = 1 << 20;

/// A machine of 4 GiB.
struct Machine {
    root: TempDir,
}

impl Machine {
    fn new(files: &[(&str, &str)]) -> Self {
        let machine = Self { root: tempfile::tempdir().unwrap() };
        machine.write("proc/stat", "cpu 0 0 0 0\n");
        machine.write(
            "proc/meminfo",
            "MemTotal: 4194304 kB\nMemAvailable: 3072000 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n",
        );
        // If process 1 is visible, no processes are hidden.
        machine.process(1, 0, "systemd", "/sbin/init\0", 4);
        files.iter().for_each(|(path, text)| machine.write(path, text));
        machine
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Changes the real uid of a process.
    fn give(&self, pid: u32, uid: u32) {
        let path = self.root.path().join(format!("proc/{pid}/status"));
        let status = fs::read_to_string(&path).unwrap();
        fs::write(path, status.replace("Uid:\t0\t", &format!("Uid:\t{uid}\t"))).unwrap();
    }

    /// A process of root with so much anonymous memory.
    fn process(&self, pid: u32, ppid: u32, name: &str, cmdline: &str, anon_mib: u64) {
        let stat =
            format!("{pid} ({name}) S {ppid} 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 {pid} 900000000 9000 1\n");
        self.write(&format!("proc/{pid}/stat"), &stat);
        self.write(&format!("proc/{pid}/cmdline"), cmdline);
        let (anon, rss) = (anon_mib << 10, (anon_mib + 8) << 10);
        let status = format!(
            "Name:\t{name}\nState:\tS (sleeping)\nUid:\t0\t0\t0\t0\nVmRSS:\t{rss} kB\nRssAnon:\t{anon} kB\nRssFile:\t8192 kB\n\
             RssShmem:\t0 kB\nVmSwap:\t0 kB\n"
        );
        self.write(&format!("proc/{pid}/status"), &status);
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let conf = self.root.path().join("agent.conf");
        fs::write(&conf, format!("Plugins.OomWatch.HostRoot={}\n", self.root.path().display())).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_zabbix-agent2-plugin-oomwatch"));
        command.arg("-c").arg(conf).args(arguments).output().unwrap()
    }

    fn answer(&self, key: &str) -> Value {
        let output = self.run(&["get", key]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let reply = serde_json::from_slice(&output.stdout).unwrap();
        assert_documented(key.split('[').next().unwrap(), &reply);
        reply
    }

    fn complaint(&self, key: &str) -> String {
        let output = self.run(&["get", key]);
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    }
}

const HTTPD: &str = "ServerRoot /etc/httpd\nLoadModule mpm_prefork_module modules/mod_mpm_prefork.so\n\
    <IfModule mpm_prefork_module>\nStartServers 8\nMinSpareServers 5\nMaxSpareServers 20\nServerLimit 256\n\
    MaxRequestWorkers 256\nMaxConnectionsPerChild 4000\n</IfModule>\n";

/// Twenty workers of 50 MiB run, and 256 may.
fn incident() -> Machine {
    let machine = Machine::new(&[("/etc/httpd/conf/httpd.conf", HTTPD)]);
    let cmdline = "/usr/sbin/httpd\0-f\0/etc/httpd/conf/httpd.conf\0-DFOREGROUND\0";
    machine.process(100, 1, "httpd", cmdline, 0);
    for pid in 101..=120 {
        machine.process(pid, 100, "httpd", cmdline, 50);
    }
    machine
}

#[test]
fn the_incident_does_not_fit_and_71_would() {
    let answer = incident().answer("apache.capacity");
    let expected =
        [("limit", 256), ("processes", 20), ("workers", 20), ("largest_limit", 71), ("server_limit", 256)];
    for (member, value) in expected {
        assert_eq!(answer[member], value, "{member} of {answer}");
    }
    assert_eq!(
        (&answer["mpm"], &answer["fits"], &answer["at_limit"]),
        (&"prefork".into(), &false.into(), &false.into())
    );
    assert_eq!(answer["memory"]["source"], "rss_anon", "{answer}");
    assert_eq!(
        (&answer["memory"]["private_bytes"], &answer["memory"]["shared_bytes"]),
        (&(50 * MIB).into(), &(8 * MIB).into())
    );
    assert_eq!(answer["memory_at_limit_bytes"], 256 * 50 * MIB + 8 * MIB);
    assert_eq!(answer["usage_percent"], 7.81);
    assert!(answer["busy"].is_null() && answer["warnings"] == Value::Array(vec![]), "{answer}");
    assert_eq!((&answer["limited_by"], &answer["cgroup_max_bytes"]), (&"machine".into(), &Value::Null));
}

/// As `MemoryMax=` in a unit makes it: the service's slice allows more, and the machine more again.
#[test]
fn memory_limit_of_a_unit_counts_if_it_is_smaller() {
    let machine = incident();
    let slice = "sys/fs/cgroup/web.slice";
    machine.write("sys/fs/cgroup/cgroup.controllers", "cpu memory\n");
    machine.write("proc/100/cgroup", "0::/web.slice/httpd.service\n");
    machine.write(&format!("{slice}/memory.max"), &(3_u64 << 30).to_string());
    machine.write(&format!("{slice}/httpd.service/memory.max"), "max\n");
    let roomy = machine.answer("apache.capacity");
    assert_eq!((&roomy["cgroup"], &roomy["cgroup_max_bytes"]), (&"/web.slice".into(), &(3_u64 << 30).into()));
    machine.write(&format!("{slice}/httpd.service/memory.max"), &(2_u64 << 30).to_string());
    let current = (1_100 * MIB).to_string();
    machine.write(&format!("{slice}/httpd.service/memory.current"), &current);
    machine.write(&format!("{slice}/httpd.service/memory.stat"), "inactive_file 104857600\nactive_file 0\n");
    let answer = machine.answer("apache.capacity");
    assert_eq!(
        (&answer["limited_by"], &answer["cgroup"]),
        (&"cgroup".into(), &"/web.slice/httpd.service".into())
    );
    // The pool has 1,000 MiB of it, and nothing else has any: an eighth is kept.
    assert_eq!(
        (&answer["mem_total_bytes"], &answer["reserved_bytes"]),
        (&(4_u64 << 30).into(), &(256 * MIB).into())
    );
    assert_eq!((&answer["largest_limit"], &answer["fits"]), (&35.into(), &false.into()), "{answer}");
    let basis = answer["basis"].as_str().unwrap();
    assert!(
        basis.contains("2.0 GiB that cgroup /web.slice/httpd.service may have less 256.0 MiB"),
        "{basis}"
    );

    machine.write("proc/100/cgroup", "0::/../hidden\n");
    let hidden = machine.answer("apache.capacity");
    assert_eq!((&hidden["limited_by"], &hidden["cgroup"]), (&"machine".into(), &Value::Null));
    assert!(hidden["warnings"].to_string().contains("memory cgroup /../hidden is not below"), "{hidden}");
}

#[test]
fn capacity_recommends_a_limit() {
    let machine = incident();
    let output = machine.run(&["capacity"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && text.starts_with("apache (/etc/httpd/conf/httpd.conf), running\n"),
        "{text}"
    );
    assert!(text.contains("  so            DOES NOT FIT: set MaxRequestWorkers to 71 or less\n"), "{text}");
    assert!(text.contains("no php-fpm configuration found at /etc/php/*/fpm/php-fpm.conf"), "{text}");
    let lines = String::from_utf8(machine.run(&["capacity", "--json"]).stdout).unwrap();
    assert_eq!(lines.lines().count(), 1);
    assert_eq!(serde_json::from_str::<Value>(&lines).unwrap()["pool"], "apache");
    let nothing = machine.run(&["capacity", "mysql"]);
    assert!(!nothing.status.success() && nothing.stdout.is_empty());
}

/// Two versions run, each with a pool called www; a third is only installed.
#[test]
fn versions_of_php_fpm_side_by_side_are_one_value() {
    let conf = |version: &str| format!("/etc/php/{version}/fpm/php-fpm.conf");
    let pool = |children: u32, pm: &str| {
        format!("[www]\nuser = www-data\nlisten = /run/php.sock\npm = {pm}\npm.max_children = {children}\n")
    };
    let texts = [pool(4, "ondemand"), pool(12, "ondemand"), pool(99, "static")];
    let machine =
        Machine::new(&[(&conf("7.4"), &texts[0]), (&conf("8.2"), &texts[1]), (&conf("8.4"), &texts[2])]);
    for (pid, version, workers, mib) in [(200, "7.4", 4, 20), (300, "8.2", 3, 100)] {
        machine.process(pid, 1, "php-fpm", &format!("php-fpm: master process ({})", conf(version)), 1);
        for worker in 1..=workers {
            machine.process(pid + worker, pid, "php-fpm", "php-fpm: pool www", mib);
        }
    }
    let answer = machine.answer("phpfpm.capacity");
    assert_eq!(answer["conf"], format!("{}, {}", conf("7.4"), conf("8.2")));
    assert_eq!((&answer["limit"], &answer["workers"]), (&16.into(), &7.into()), "{answer}");
    let names: Vec<&str> =
        answer["pools"].as_array().unwrap().iter().map(|pool| pool["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["www", &format!("www ({})", conf("8.2"))]);
    // Each pool with what its own workers take: 4 times 20 and 12 times 100 MiB.
    assert_eq!(answer["memory"]["private_bytes"], 80 * MIB, "{answer}");
    assert_eq!(
        (&answer["pools"][0]["at_limit"], &answer["pools"][1]["at_limit"]),
        (&true.into(), &false.into())
    );
    assert_eq!((&answer["at_limit"], &answer["pools"][0]["busy"]), (&true.into(), &Value::Null));

    let named = machine.answer(&format!("phpfpm.capacity[{}]", conf("8.4")));
    assert_eq!((&named["limit"], &named["running"]), (&99.into(), &false.into()), "{named}");
    assert!(
        named["memory"].is_null() && named["fits"].is_null() && named["usage_percent"].is_null(),
        "{named}"
    );
}

/// All workers may stay idle, so their number does not show load, and the number of busy workers is not known.
#[test]
fn idle_workers_that_never_end_do_not_reach_the_limit() {
    let conf = HTTPD.replace("MaxSpareServers 20", "MaxSpareServers 256");
    let machine = Machine::new(&[("/etc/httpd/conf/httpd.conf", &conf)]);
    let cmdline = "/usr/sbin/httpd\0-DFOREGROUND\0-f\0/etc/httpd/conf/httpd.conf\0";
    machine.process(100, 1, "httpd", cmdline, 0);
    (101..=356).for_each(|pid| machine.process(pid, 100, "httpd", cmdline, 5));
    let answer = machine.answer("apache.capacity");
    assert_eq!((&answer["workers"], &answer["limit"]), (&256.into(), &256.into()), "{answer}");
    assert!(answer["at_limit"].is_null() && answer["usage_percent"].is_null(), "{answer}");
    assert!(answer["notes"].to_string().contains("MaxSpareServers 256"), "{answer}");
    assert_eq!(answer["warnings"], Value::Array(vec![]), "{answer}");
}

#[test]
fn dynamic_pool_that_never_ends_a_worker_is_judged_by_its_busy_ones() {
    let pool = "[www]\nlisten = /run/php.sock\npm = dynamic\npm.max_children = 3\npm.start_servers = 3\n\
                pm.min_spare_servers = 1\npm.max_spare_servers = 3\n";
    let machine = Machine::new(&[("/etc/php-fpm.conf", pool)]);
    machine.process(200, 1, "php-fpm", "php-fpm: master process (/etc/php-fpm.conf)", 1);
    (201..=203).for_each(|pid| machine.process(pid, 200, "php-fpm", "php-fpm: pool www", 20));
    machine.write("proc/200/net/unix", "Num\n0: 2 0 10000 0001 01 9 /run/php.sock\n");
    let answer = machine.answer("phpfpm.capacity");
    assert_eq!((&answer["workers"], &answer["busy"]), (&3.into(), &0.into()), "{answer}");
    assert_eq!((&answer["at_limit"], &answer["usage_percent"]), (&false.into(), &0.0.into()), "{answer}");
}

/// A version that was removed while it ran, and any process with the same title.
#[test]
fn master_with_a_missing_file_does_not_hide_the_others() {
    let machine = Machine::new(&[(
        "/etc/php-fpm.conf",
        "[www]\nlisten = /run/php.sock\npm = ondemand\npm.max_children = 4\n",
    )]);
    machine.process(200, 1, "php-fpm", "php-fpm: master process (/etc/php-fpm.conf)", 1);
    machine.process(201, 200, "php-fpm", "php-fpm: pool www", 20);
    machine.process(300, 1, "php-fpm", "php-fpm: master process (/nowhere.conf)", 1);
    let answer = machine.answer("phpfpm.capacity");
    assert_eq!((&answer["limit"], &answer["conf"]), (&4.into(), &"/etc/php-fpm.conf".into()), "{answer}");
    let warning = answer["warnings"][0].as_str().unwrap();
    assert!(warning.starts_with("cannot read /nowhere.conf") && warning.ends_with("left out"), "{answer}");
    fs::remove_file(machine.root.path().join("etc/php-fpm.conf")).unwrap();
    assert!(machine.complaint("phpfpm.capacity").contains("cannot read "));
}

/// In a container: it has another number there, and files of its own.
#[test]
fn servers_in_containers_are_not_those_of_this_machine_s_files() {
    let pool = "[www]\nlisten = /run/php.sock\npm = ondemand\npm.max_children = 4\n";
    let machine = incident();
    machine.write("/etc/php-fpm.conf", pool);
    machine.write("/etc/my.cnf", "[mysqld]\nmax_connections = 50\n");
    machine.process(60, 1, "httpd", "httpd\0-f\0/etc/httpd/conf/httpd.conf\0", 1);
    machine.process(61, 60, "httpd", "httpd\0-f\0/etc/httpd/conf/httpd.conf\0", 1);
    machine.process(70, 1, "php-fpm", "php-fpm: master process (/etc/php-fpm.conf)", 1);
    machine.process(80, 1, "mysqld", "mysqld\0--max-connections=7\0", 1);
    for pid in [60, 61, 70, 80] {
        let status = fs::read_to_string(machine.root.path().join(format!("proc/{pid}/status"))).unwrap();
        machine.write(&format!("proc/{pid}/status"), &format!("{status}NSpid:\t{pid}\t1\n"));
    }
    assert_eq!(machine.answer("apache.capacity")["processes"], 20);
    let [php, mysql] = ["phpfpm.capacity", "mysql.capacity"].map(|key| machine.answer(key));
    assert_eq!((&php["running"], &php["limit"]), (&false.into(), &4.into()), "{php}");
    assert_eq!((&mysql["running"], &mysql["limit"]), (&false.into(), &50.into()), "{mysql}");
}

#[test]
fn variable_of_the_servers_environment_is_not_a_number() {
    let machine = Machine::new(&[(
        "/etc/httpd/conf/httpd.conf",
        &HTTPD.replace("MaxRequestWorkers 256", "MaxRequestWorkers ${MAXW}"),
    )]);
    machine.process(100, 1, "httpd", "/usr/sbin/httpd\0-f\0/etc/httpd/conf/httpd.conf\0", 0);
    let error = machine.complaint("apache.capacity");
    let place = "/etc/httpd/conf/httpd.conf, line 8: MaxRequestWorkers has ${MAXW}, whose value is only in the server's environment";
    assert!(error.contains(place), "{error}");
    machine.write("proc/100/environ", "A=1\0MAXW=30\0");
    assert_eq!(machine.answer("apache.capacity")["limit"], 30);

    let pool = "[www]\nlisten = /run/php.sock\npm = ondemand\npm.max_children = ${CHILDREN}\n";
    machine.write("/etc/php-fpm.conf", pool);
    machine.process(200, 1, "php-fpm", "php-fpm: master process (/etc/php-fpm.conf)", 1);
    let error = machine.complaint("phpfpm.capacity");
    let place = "/etc/php-fpm.conf:4: pm.max_children has ${CHILDREN}, whose value is only in the server's environment";
    assert!(error.contains(place), "{error}");
    machine.write("proc/200/environ", "CHILDREN=6\0");
    assert_eq!(machine.answer("phpfpm.capacity")["limit"], 6);
}

#[test]
fn connections_of_mysql_are_counted_in_the_servers_network_namespace() {
    let machine =
        Machine::new(&[("/etc/my.cnf", "[mysqld]\nmax_connections = 500\nsocket = /run/my.sock\n")]);
    machine.write("/usr/share/mysql-8.0/charsets/README", "");
    machine.process(400, 1, "mysqld", "/usr/sbin/mysqld\0--port=3307\0", 700);
    machine.give(400, 33);
    machine.write("proc/400/limits", "Limit Soft Limit Hard Limit Units\nMax open files            1024                 4096                 files\n");
    machine.write("proc/400/net/unix", "Num\n0: 3 0 0 0001 03 7 /run/my.sock\n0: 3 0 0 0001 03 8 /run/my.sock\n0: 2 0 10000 0001 01 9 /run/my.sock\n");
    machine.write("proc/400/net/tcp", "sl\n0: 0100007F:0CEB 0100007F:D431 01 0:0 0:0 0 33 0 77 1\n1: 0200007F:0CEB 0200007F:D432 01 0:0 0:0 0 1000 0 78 1\n");
    let answer = machine.answer("mysql.capacity");
    assert_eq!((&answer["limit"], &answer["limit_configured"]), (&214.into(), &500.into()), "{answer}");
    assert_eq!(
        (&answer["workers"], &answer["threads"], &answer["at_limit"]),
        (&3.into(), &1.into(), &false.into()),
        "{answer}"
    );
    assert_eq!(answer["memory"]["source"], "configured");
    assert!(answer["warnings"][0].as_str().unwrap().contains("lowered to 214"), "{answer}");
    assert!(answer["basis"].as_str().unwrap().contains("214 connections with"), "{answer}");
}

#[test]
fn database_server_without_option_files_has_its_defaults() {
    let machine = Machine::new(&[]);
    machine.process(400, 1, "mariadbd", "/usr/sbin/mariadbd\0--max-connections=80\0", 200);
    let answer = machine.answer("mysql.capacity");
    assert_eq!((&answer["conf"], &answer["limit"]), (&"no option file".into(), &80.into()), "{answer}");
    assert!(answer["warnings"].to_string().contains("defaults are those of MariaDB 10.11"), "{answer}");
}

#[test]
fn capacity_without_a_configuration_lists_the_paths() {
    let machine = Machine::new(&[]);
    let output = machine.run(&["capacity"]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && output.stdout.is_empty());
    for name in ["Apache", "php-fpm", "MySQL"] {
        assert!(text.contains(&format!("no {name} configuration found at /etc/")), "{text}");
    }
    assert_eq!(text.lines().count(), 3, "{text}");
}

#[test]
fn errors_name_the_missing_or_wrong_file() {
    let machine = Machine::new(&[("/etc/php-fpm.conf", "[www]\npm = static\n"), ("/etc/my.cnf", "x=1\n")]);
    assert!(
        machine
            .complaint("apache.capacity")
            .contains("no Apache configuration found at /etc/apache2/apache2.conf, ")
    );
    assert!(machine.complaint("phpfpm.capacity").contains("/etc/php-fpm.conf: pool www: listen is missing"));
    assert!(
        machine
            .complaint("mysql.capacity")
            .contains("/etc/my.cnf:1: an option stands before the first group")
    );
    assert!(machine.complaint("mysql.capacity[my.cnf]").contains("my.cnf is not an absolute path"));
    assert!(machine.complaint("phpfpm.capacity[/nowhere]").contains("cannot read /nowhere"));
    assert!(!Path::new("/nowhere").exists());
}

/// An ordinary user.
const USER: u32 = 54_398;
const PHP: &str = "[www]\nlisten = /run/php.sock\npm = ondemand\npm.max_children = 4\n";

/// Returns the only entry of `ignored`.
fn only_ignored(answer: &Value) -> (u64, String, String) {
    let [ignored] = answer["ignored"].as_array().unwrap().as_slice() else { panic!("{answer}") };
    assert_eq!(answer["ignored_total"], 1);
    let text = |name: &str| ignored[name].as_str().unwrap().to_owned();
    (ignored["pid"].as_u64().unwrap(), text("user"), text("reason"))
}

#[test]
fn users_apache_with_a_lower_pid_does_not_shadow_roots() {
    let machine = incident();
    machine.write("/home/u/httpd.conf", &HTTPD.replace("256", "7"));
    for pid in [50, 51] {
        machine.process(
            pid,
            50 * u32::from(pid == 51),
            "httpd",
            "/home/u/httpd\0-f\0/home/u/httpd.conf\0",
            900,
        );
        machine.give(pid, USER);
    }
    let answer = machine.answer("apache.capacity");
    assert_eq!((&answer["limit"], &answer["processes"]), (&256.into(), &20.into()), "{answer}");
    let reason = "it belongs to a user and runs in no system service".to_owned();
    assert_eq!(only_ignored(&answer), (50, USER.to_string(), reason));
    assert_eq!(answer["memory"]["private_bytes"], 50 * MIB, "{answer}");
    let page = String::from_utf8(machine.run(&["capacity", "apache"]).stdout).unwrap();
    assert!(page.contains("  ignored       process 50 of 54398: it belongs to a user"), "{page}");
}

#[test]
fn master_and_server_of_a_user_are_ignored_and_their_files_not_read() {
    let machine =
        Machine::new(&[("/etc/php-fpm.conf", PHP), ("/etc/my.cnf", "[mysqld]\nmax_connections = 50\n")]);
    machine.write("/home/u/fpm.conf", &PHP.replace("= 4", "= 99"));
    machine.process(60, 1, "php-fpm", "php-fpm: master process (/home/u/fpm.conf)", 1);
    machine.process(61, 60, "php-fpm", "php-fpm: pool www", 900);
    machine.process(70, 1, "mysqld", "mysqld\0--max-connections=9999\0", 1);
    [60, 61, 70].into_iter().for_each(|pid| machine.give(pid, USER));
    let [php, mysql] = ["phpfpm.capacity", "mysql.capacity"].map(|key| machine.answer(key));
    assert_eq!(
        (&php["limit"], &php["running"], &php["workers"]),
        (&4.into(), &false.into(), &0.into()),
        "{php}"
    );
    assert_eq!((&mysql["limit"], &mysql["running"]), (&50.into(), &false.into()), "{mysql}");
    assert_eq!((only_ignored(&php).0, only_ignored(&mysql).0), (60, 70));
}

#[test]
fn processes_named_as_workers_do_not_count_without_a_trusted_master() {
    let machine = incident();
    machine.write("/etc/php-fpm.conf", PHP);
    machine.process(200, 1, "php-fpm", "php-fpm: master process (/etc/php-fpm.conf)", 1);
    machine.process(201, 200, "php-fpm", "php-fpm: pool www", 20);
    for pid in 300..330 {
        machine.process(pid, 1, "httpd", "/usr/sbin/httpd\0-f\0/etc/httpd/conf/httpd.conf\0", 900);
        machine.process(pid + 100, 1, "php-fpm", "php-fpm: pool www", 900);
        [pid, pid + 100].into_iter().for_each(|pid| machine.give(pid, USER));
    }
    let [apache, php] = ["apache.capacity", "phpfpm.capacity"].map(|key| machine.answer(key));
    assert_eq!((&apache["processes"], &php["workers"]), (&20.into(), &1.into()), "{apache} {php}");
    assert_eq!(
        (&apache["memory"]["private_bytes"], &php["memory"]["private_bytes"]),
        (&(50 * MIB).into(), &(20 * MIB).into())
    );
    let listed = apache["ignored"].as_array().unwrap().len();
    assert_eq!((listed, &apache["ignored_total"], &php["ignored_total"]), (10, &30.into(), &Value::Null));
}

#[test]
fn zombie_does_not_hide_the_server_and_is_no_worker() {
    let machine = incident();
    for (pid, ppid) in [(40, 1), (121, 100)] {
        machine.process(pid, ppid, "httpd", "", 0);
        let path = machine.root.path().join(format!("proc/{pid}/stat"));
        let stat = fs::read_to_string(&path).unwrap().replace(") S ", ") Z ");
        fs::write(path, stat).unwrap();
    }
    let answer = machine.answer("apache.capacity");
    assert_eq!((&answer["running"], &answer["processes"]), (&true.into(), &20.into()), "{answer}");
    assert_eq!(answer["ignored"], Value::Null);
}

#[test]
fn root_in_a_users_session_counts_only_if_no_service_runs() {
    let machine = Machine::new(&[("/etc/my.cnf", "[mysqld]\nmax_connections = 50\n")]);
    machine.process(70, 1, "mysqld", "mysqld\0--max-connections=7\0", 1);
    machine.write("proc/70/cgroup", "0::/user.slice/user-1000.slice/session-1.scope\n");
    let alone = machine.answer("mysql.capacity");
    assert_eq!(
        (&alone["limit"], &alone["running"], &alone["ignored"]),
        (&7.into(), &true.into(), &Value::Null)
    );
    machine.process(80, 1, "mysqld", "mysqld\0--max-connections=30\0", 1);
    machine.write("proc/80/cgroup", "0::/system.slice/mysqld.service\n");
    machine.give(80, 27);
    let answer = machine.answer("mysql.capacity");
    assert_eq!((&answer["limit"], only_ignored(&answer).0), (&30.into(), 70), "{answer}");
}

#[test]
fn service_of_an_ordinary_account_counts_with_files_of_root_only() {
    let machine = Machine::new(&[("/etc/php-fpm.conf", PHP), ("/home/u/fpm.conf", PHP)]);
    for (pid, conf) in [(200, "/etc/php-fpm.conf"), (300, "/home/u/fpm.conf")] {
        machine.process(pid, 1, "php-fpm", &format!("php-fpm: master process ({conf})"), 1);
        machine.give(pid, USER);
        machine.write(&format!("proc/{pid}/cgroup"), "0::/system.slice/php-fpm@u.service\n");
    }
    chown(machine.root.path().join("home/u/fpm.conf"), Some(USER), None).unwrap();
    let answer = machine.answer("phpfpm.capacity");
    assert_eq!(
        (&answer["conf"], &answer["running"]),
        (&"/etc/php-fpm.conf".into(), &true.into()),
        "{answer}"
    );
    let (pid, _, reason) = only_ignored(&answer);
    assert_eq!(pid, 300);
    assert!(reason.contains("/home/u/fpm.conf belongs to uid 54398"), "{reason}");
}

#[test]
fn included_file_of_a_user_is_left_out_with_a_warning() {
    let included = "[shop]\nlisten = /run/x.sock\npm = ondemand\npm.max_children = 900\n";
    let machine = Machine::new(&[
        ("/etc/php-fpm.conf", &format!("include=/home/*/pool.conf\n{PHP}")),
        ("/home/u/pool.conf", included),
    ]);
    chown(machine.root.path().join("home/u/pool.conf"), Some(USER), None).unwrap();
    let answer = machine.answer("phpfpm.capacity");
    assert_eq!(answer["limit"], 4, "{answer}");
    let warnings = answer["warnings"].to_string();
    assert!(
        warnings.contains("/home/u/pool.conf belongs to uid 54398") && warnings.contains("left out"),
        "{warnings}"
    );
}

#[test]
fn pool_names_with_markup_quotes_and_control_characters_are_escaped() {
    let names = ["<script>alert(1)</script>", "{#MACRO}", "a`b&c", "tab\there", "plain", "a%60b%26c"];
    let pool = |(number, name): (usize, &&str)| {
        format!("[{name}]\nlisten = /run/{number}.sock\npm = ondemand\npm.max_children = 4\n")
    };
    let conf: String = names.iter().enumerate().map(pool).collect();
    let machine = Machine::new(&[]);
    let mut bytes = conf.into_bytes();
    bytes.extend(b"[\xff\xfe]\nlisten = /run/last.sock\npm = ondemand\npm.max_children = 4\n");
    fs::write(machine.root.path().join("etc-php-fpm"), bytes).unwrap();
    machine.write("/etc/php-fpm.conf", "");
    fs::rename(machine.root.path().join("etc-php-fpm"), machine.root.path().join("etc/php-fpm.conf"))
        .unwrap();
    let answer = machine.answer("phpfpm.capacity");
    let shown: Vec<&str> =
        answer["pools"].as_array().unwrap().iter().map(|pool| pool["name"].as_str().unwrap()).collect();
    assert_eq!(
        shown[..6],
        [
            "%3Cscript%3Ealert(1)%3C/script%3E",
            "%7B#MACRO%7D",
            "a%60b%26c",
            "tab%09here",
            "plain",
            "a%2560b%2526c",
        ]
    );
    assert_eq!(shown[6], "%EF%BF%BD%EF%BF%BD", "{answer}");
}

/// Everyone who may poll an agent sees its errors; at the terminal, the user could read the file as well.
#[test]
fn content_of_a_private_file_is_shown_at_the_terminal_and_withheld_from_an_agent() {
    let machine = Machine::new(&[("/etc/my.cnf", "[mysqld]\nmax_connections = secret\n")]);
    let error_for_an_agent = |mode: u32| {
        let path = machine.root.path().join("etc/my.cnf");
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        let program = Path::new(env!("CARGO_BIN_EXE_zabbix-agent2-plugin-oomwatch"));
        let mut agent = FakeAgent::launch(program, "OomWatch", LaunchMode::Serve).unwrap();
        let options = format!("Plugins.OomWatch.HostRoot={}", machine.root.path().display());
        agent.configure(&options, 3).unwrap();
        agent.export("oomwatch.mysql.capacity", &[]).unwrap().unwrap_err()
    };
    assert!(error_for_an_agent(0o644).contains("secret"));
    let withheld = error_for_an_agent(0o600);
    assert!(
        !withheld.contains("secret") && withheld.contains("not every user may read /etc/my.cnf"),
        "{withheld}"
    );
    assert!(machine.complaint("mysql.capacity").contains("secret"));
}
