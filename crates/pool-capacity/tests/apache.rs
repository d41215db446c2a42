//! Configurations of Apache that no server at hand can judge: those of 2.2, and hostile ones. The numbers are what a 2.2
//! built from its sources was seen to apply. What Debian's 2.4 makes of others is in `tests/tests/apache`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;

use pool_capacity::apache::{ApacheError, Build, Invocation, Mpm, Pool, read};
use pool_capacity::sizing::{Demand, Machine, Memory, Sizing};
use pool_capacity::{Reading, ServerProcess, Tree};
use proptest::prelude::*;

/// Red Hat 6: one main file with a block for each MPM that there is.
const RED_HAT_6: &str = "ServerTokens OS\nServerRoot \"/etc/httpd\"\nPidFile run/httpd.pid\nTimeout 60\nKeepAlive Off\n\
    <IfModule prefork.c>\nStartServers       8\nMinSpareServers    5\nMaxSpareServers   20\nServerLimit      256\n\
    MaxClients       256\nMaxRequestsPerChild  4000\n</IfModule>\n\
    <IfModule worker.c>\nStartServers         4\nMaxClients         300\nMinSpareThreads     25\nMaxSpareThreads     75\n\
    ThreadsPerChild     25\nMaxRequestsPerChild  0\n</IfModule>\n\
    Listen 80\nLoadModule auth_basic_module modules/mod_auth_basic.so\nLoadModule version_module modules/mod_version.so\n\
    LoadModule status_module modules/mod_status.so\nInclude conf.d/*.conf\nUser apache\nGroup apache\n";

/// Debian 7: the block in the main file, one program for each MPM.
const DEBIAN_7: &str = "LockFile ${APACHE_LOCK_DIR}/accept.lock\nPidFile ${APACHE_PID_FILE}\nTimeout 300\n\
    <IfModule mpm_prefork_module>\n    StartServers          5\n    MinSpareServers       5\n    MaxSpareServers      10\n\
        MaxClients          150\n    MaxRequestsPerChild   0\n</IfModule>\n\
    <IfModule mpm_worker_module>\n    StartServers          2\n    MinSpareThreads      25\n    MaxSpareThreads      75\n\
        ThreadLimit          64\n    ThreadsPerChild      25\n    MaxClients          150\n    MaxRequestsPerChild   0\n</IfModule>\n\
    <IfModule mpm_event_module>\n    StartServers          2\n    ThreadsPerChild      25\n    MaxClients          175\n</IfModule>\n\
    User ${APACHE_RUN_USER}\nInclude mods-enabled/*.load\nInclude mods-enabled/*.conf\nInclude httpd.conf\nInclude ports.conf\n\
    Include conf.d/\nInclude sites-enabled/\n";

fn red_hat_6() -> Tree {
    Tree::new()
        .with("/etc/httpd/conf/httpd.conf", RED_HAT_6)
        .with("/etc/httpd/conf.d/README", "not read")
        .with(
            "/etc/httpd/conf.d/welcome.conf",
            "<LocationMatch \"^/+$\">\nOptions -Indexes\n</LocationMatch>\n",
        )
        .with("/etc/sysconfig/httpd", "#HTTPD=/usr/sbin/httpd.worker\n#OPTIONS=\n")
}

fn debian_7() -> Tree {
    let envvars = "unset HOME\nexport APACHE_RUN_USER=www-data\nexport APACHE_PID_FILE=/var/run/apache2$SUFFIX.pid\n\
                   export APACHE_LOCK_DIR=/var/lock/apache2$SUFFIX\n";
    Tree::new()
        .with("/etc/apache2/apache2.conf", DEBIAN_7)
        .with("/etc/apache2/envvars", envvars)
        .with(
            "/etc/apache2/mods-enabled/dir.load",
            "LoadModule dir_module /usr/lib/apache2/modules/mod_dir.so\n",
        )
        .with("/etc/apache2/httpd.conf", "")
        .with("/etc/apache2/ports.conf", "Listen 80\n<IfModule mod_ssl.c>\nListen 443\n</IfModule>\n")
        .with("/etc/apache2/conf.d/charset", "#AddDefaultCharset UTF-8\n")
        .with("/etc/apache2/sites-enabled/000-default", "<VirtualHost *:80>\nServerName a\n</VirtualHost>\n")
}

fn found(tree: &Tree) -> Pool {
    let reading = Reading::new(tree);
    read(&reading, &Invocation::find(&reading, None, None).unwrap()).unwrap()
}

fn of_2_2(source: &str, body: &str) -> Result<Pool, ApacheError> {
    let tree = Tree::new().with("/etc/httpd/conf/httpd.conf", body);
    read(&Reading::new(&tree), &Invocation::of_build(Build::red_hat_2_2(source)))
}

fn warnings(pool: &Pool) -> Vec<String> {
    pool.warnings.iter().map(|warning| warning.text.clone()).collect()
}

#[test]
fn red_hats_stock_files_of_2_2() {
    let pool = found(&red_hat_6());
    assert_eq!((pool.mpm, pool.limit, pool.limit_configured), (Mpm::Prefork, 256, Some(256)));
    assert_eq!((pool.limit_setting, pool.server_limit, pool.start_servers), ("MaxClients", 256, 8));
    assert_eq!(
        (pool.connections_per_child, pool.pid_file.as_path()),
        (4000, Path::new("/etc/httpd/run/httpd.pid"))
    );
    assert!(pool.warnings.is_empty(), "{:?}", pool.warnings);
    let tree = red_hat_6().with("/etc/sysconfig/httpd", "HTTPD=/usr/sbin/httpd.worker\n");
    let pool = found(&tree);
    assert_eq!((pool.mpm, pool.limit, pool.threads_per_child, pool.processes), (Mpm::Worker, 300, 25, 12));
}

#[test]
fn red_hats_options_of_2_2_and_what_operators_add() {
    let tuned = "<IfDefine TUNED>\nMaxClients 90\n</IfDefine>\n<IfVersion >= 2.4>\nMaxRequestWorkers 5\n</IfVersion>\n\
                 <IfVersion < 2.4>\nServerLimit 100\n</IfVersion>\n";
    let tree = red_hat_6().with("/etc/httpd/conf.d/tuned.conf", tuned);
    assert_eq!(found(&tree).limit, 100);
    let tree = tree.with("/etc/sysconfig/httpd", "OPTIONS=\"-DTUNED\"\n");
    assert_eq!(found(&tree).limit, 90);
}

#[test]
fn debians_stock_files_of_2_2() {
    let pool = found(&debian_7());
    assert_eq!((pool.mpm, pool.limit, pool.listen.len()), (Mpm::Prefork, 150, 1));
    assert_eq!(pool.pid_file, Path::new("/var/run/apache2.pid"));
    for (package, mpm, limit) in [("mpm-worker", Mpm::Worker, 150), ("mpm-event", Mpm::Event, 175)] {
        let pool = found(&debian_7().with(format!("/usr/lib/apache2/{package}/apache2"), "program"));
        assert_eq!((pool.mpm, pool.limit, pool.threads_per_child), (mpm, limit, 25));
    }
}

/// 2.2 reads everything twice and keeps `ServerLimit` in between: its place does not matter.
#[test]
fn numbers_that_2_2_corrects() {
    let cases = [
        ("prefork.c", "MaxClients 300\nServerLimit 400", 300, None),
        ("prefork.c", "MaxClients 300", 256, Some("MaxClients 300 exceeds ServerLimit 256: lowered to 256")),
        ("prefork.c", "ServerLimit 105", 105, None),
        ("prefork.c", "ServerLimit 500", 500, None),
        ("prefork.c", "MaxClients 0", 1, Some("MaxClients 0 is not allowed: raised to 1")),
        (
            "prefork.c",
            "ServerLimit 200001\nMaxClients 7",
            7,
            Some("ServerLimit 200001 exceeds httpd's own limit of 200000: lowered to 200000"),
        ),
        (
            "prefork.c",
            "ServerLimit 9\nMaxClients 9\nServerLimit 5",
            5,
            Some(
                "ServerLimit 5 stands behind MaxClients, which needs 9 processes: httpd 2.2 crashes when it needs more than 5",
            ),
        ),
        (
            "prefork.c",
            "ServerLimit 5\nMaxClients 9\nServerLimit 9",
            5,
            Some("MaxClients 9 exceeds ServerLimit 5: lowered to 5"),
        ),
        ("prefork.c", "MaxClients 14workers", 14, None),
        ("prefork.c", "MaxClients 4294967306", 10, None),
        ("worker.c", "", 400, None),
        ("worker.c", "ServerLimit 10", 250, None),
        ("worker.c", "ThreadsPerChild 10", 160, None),
        ("worker.c", "MaxClients 100\nThreadsPerChild 50", 100, None),
        ("worker.c", "MaxClients 60\nThreadsPerChild 30\nThreadsPerChild 20", 40, None),
        (
            "worker.c",
            "MaxClients 80\n<IfModule worker.c>\nThreadsPerChild 40\n</IfModule>\nThreadsPerChild 10",
            20,
            None,
        ),
        ("worker.c", "ThreadsPerChild 100\nThreadLimit 100\nMaxClients 300", 300, None),
        (
            "worker.c",
            "MaxClients 110",
            100,
            Some("MaxClients 110 is not a multiple of ThreadsPerChild 25: lowered to 100"),
        ),
        (
            "worker.c",
            "MaxClients 500",
            400,
            Some("MaxClients 500 needs 20 processes and exceeds ServerLimit 16: lowered to 400"),
        ),
        (
            "event.c",
            "MaxClients 3\nThreadsPerChild 5",
            5,
            Some("MaxClients 3 is below ThreadsPerChild 5: raised to 5"),
        ),
    ];
    for (source, body, limit, warning) in cases {
        let pool = of_2_2(source, body).unwrap();
        assert_eq!(pool.limit, limit, "{source}: {body}");
        assert_eq!(warnings(&pool), warning.into_iter().collect::<Vec<_>>(), "{source}: {body}");
    }
}

#[test]
fn what_only_2_4_knows_is_refused_for_2_2() {
    for body in [
        "MaxRequestWorkers 5",
        "MaxConnectionsPerChild 5",
        "Include /etc/*/a*/b",
        "IncludeOptional none.conf",
    ] {
        let error = of_2_2("prefork.c", body).unwrap_err().to_string();
        assert!(error.starts_with("/etc/httpd/conf/httpd.conf, line 1: "), "{error}");
    }
    assert_eq!(of_2_2("prefork.c", "Include /etc/httpd/none*.conf\nMaxClients 5").unwrap().limit, 5);
}

/// The machine of the incident: 4 GB, and 50 MB for each worker.
fn sized(tree: &Tree) -> Sizing {
    let pool = found(tree);
    let demand = Demand { limit: pool.limit.into(), workers_per_process: pool.threads_per_child.into() };
    let machine = Machine { mem_total_bytes: 4_000_000_000, mem_available_bytes: 4_000_000_000 };
    Sizing::new(&Memory::configured(50_000_000, 0), demand, machine)
}

#[test]
fn the_incident() {
    let before = sized(&red_hat_6());
    assert!(!before.fits);
    assert_eq!((before.memory_at_limit_bytes, before.largest_limit), (12_800_000_000, 70));
    let text = RED_HAT_6.replacen("ServerLimit      256", "ServerLimit 105", 1).replacen("256", "100", 1);
    let after = red_hat_6().with("/etc/httpd/conf/httpd.conf", text);
    let pool = found(&after);
    assert_eq!((pool.limit, pool.server_limit, pool.warnings.len()), (100, 105, 0));
    let after = sized(&after);
    // A hundred workers of that size were still too many. The operator's server survived because most pages are shared.
    assert_eq!((after.fits, after.memory_at_limit_bytes, after.largest_limit), (false, 5_000_000_000, 70));
    let text = RED_HAT_6.replacen("MaxClients       256", "MaxClients 70", 1);
    assert!(sized(&red_hat_6().with("/etc/httpd/conf/httpd.conf", text)).fits);
}

/// Red Hat's parent, as it is seen running.
fn parent(arguments: &[&str]) -> ServerProcess {
    let arguments = arguments.iter().map(|word| word.as_bytes().to_vec()).collect();
    ServerProcess { pid: 7, ppid: 1, name: b"httpd".to_vec(), arguments, threads: 1, uid: Some(0) }
}

#[test]
fn a_running_servers_options_count() {
    let tree = Tree::new()
        .with("/srv/web/my.conf", "LoadModule mpm_event_module x/mod_mpm_event.so\n<IfDefine ONE>\nInclude more.conf\n</IfDefine>\n")
        .with("/srv/web/more.conf", "MaxRequestWorkers 50\n");
    let parent = parent(&[
        "/opt/httpd",
        "-d",
        "/srv/web",
        "-f",
        "my.conf",
        "-DONE",
        "-c",
        "ServerLimit 1",
        "-k",
        "start",
    ]);
    let reading = Reading::new(&tree);
    let invocation = Invocation::find(&reading, None, Some(&parent)).unwrap();
    assert_eq!(
        (invocation.configuration.as_path(), &invocation.defines[..]),
        (Path::new("/srv/web/my.conf"), &["ONE".to_owned()][..])
    );
    assert_eq!(invocation.after, ["ServerLimit 1"]);
    assert_eq!(read(&reading, &invocation).unwrap().limit, 25);
}

fn hostile(files: &[(&str, String)]) -> String {
    let mut tree = Tree::new();
    for (path, text) in files {
        tree = tree.with(*path, text.as_str());
    }
    let tree = tree.with("/etc/httpd/conf.modules.d/x", "");
    let reading = Reading::new(&tree);
    match read(&reading, &Invocation::find(&reading, None, None).unwrap()) {
        Ok(pool) => pool.limit.to_string(),
        Err(error) => error.to_string(),
    }
}

const MAIN: &str = "/etc/httpd/conf/httpd.conf";
const PREFORK: &str = "LoadModule mpm_prefork_module modules/mod_mpm_prefork.so\n";

#[test]
fn endless_includes_end() {
    let main = format!("ServerRoot /etc/httpd\nInclude b\nInclude b\n{PREFORK}");
    let error = hostile(&[
        (MAIN, main.clone()),
        ("/etc/httpd/b", "Include c\nInclude c\n".into()),
        ("/etc/httpd/c", "Include b\n".into()),
    ]);
    assert!(error.contains("Include never ends: /etc/httpd/"), "{error}");
    assert!(error.contains("/etc/httpd/b includes /etc/httpd/c"), "{error}");
    // Without a cycle, but with 2^100 files.
    let steps: Vec<(String, String)> =
        (0..100).map(|n| (format!("/etc/httpd/{n}"), format!("Include {0}\nInclude {0}\n", n + 1))).collect();
    let mut files: Vec<(&str, String)> =
        steps.iter().map(|(path, text)| (path.as_str(), text.clone())).collect();
    files.extend([
        (MAIN, "ServerRoot /etc/httpd\nInclude 0\n".to_owned()),
        ("/etc/httpd/100", "#\n".to_owned()),
    ]);
    let error = hostile(&files);
    assert!(error.contains("has more than 10000 files and is not read further"), "{error}");
}

#[test]
fn large_and_deep_ones_are_read_or_refused() {
    let repeated = |text: &str, count: usize| format!("{PREFORK}{}", text.repeat(count));
    let defines: String = (0..50_000).map(|n| format!("Define N{n} {n}\n")).collect();
    assert_eq!(hostile(&[(MAIN, format!("{PREFORK}{defines}MaxRequestWorkers ${{N7}}\n"))]), "7");
    let numbers = repeated("MaxRequestWorkers 9\n", 40_000);
    assert_eq!(hostile(&[(MAIN, numbers)]), "9");
    for opening in ["<IfDefine !X>\n", "<VirtualHost *>\n", "<IfDefine X>\n"] {
        let error = hostile(&[(MAIN, repeated(opening, 300_000))]);
        assert!(error.contains("has more than 1000 sections within each other"), "{error}");
    }
    let long = format!("{PREFORK}ServerAdmin {}\nMaxRequestWorkers 8\n", "x ${y} ".repeat(140_000));
    assert_eq!(hostile(&[(MAIN, long)]), "8");
    let doubling = repeated("Define A \"${A}${A}\"\n", 100).replacen("${A}${A}", "aaaa", 1);
    assert!(hostile(&[(MAIN, doubling)]).contains("has more than 1 MiB in one line"));
    let macros: String =
        (0..60).map(|n| format!("<Macro M{n}>\nUse M{0}\nUse M{0}\n</Macro>\n", n + 1)).collect();
    let error = hostile(&[(MAIN, format!("{macros}<Macro M60>\n#\n</Macro>\nUse M0\n"))]);
    assert!(error.contains("has more than 500000 settings"), "{error}");
}

/// Lines that are nearly right, in any order.
fn line() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "<IfModule prefork.c>",
        "<IfModule !worker.c>",
        "</IfModule>",
        "<IfDefine A>",
        "<IfDefine !A>",
        "</IfDefine>",
        "<IfVersion >= 2.4>",
        "</IfVersion>",
        "<IfFile /etc>",
        "</IfFile>",
        "<VirtualHost *:80>",
        "</VirtualHost>",
        "<Location /s>",
        "</Location>",
        "SetHandler server-status",
        "Define A b",
        "UnDefine A",
        "Define ${A} ${A}${B}",
        "Include /etc/httpd/conf/httpd.conf",
        "Include /etc/httpd/*",
        "IncludeOptional /etc/[a-z]*/*",
        "Include b",
        "ServerRoot /etc",
        "MaxRequestWorkers ${A}",
        "MaxRequestWorkers 2147483648",
        "ServerLimit -1",
        "ThreadLimit 1e9",
        "ThreadsPerChild 0",
        "MaxRequestWorkers 0",
        "Listen [::]:80",
        "<Macro M $a>",
        "</Macro>",
        "Use M x",
        "Use M",
        "LoadModule mpm_event_module m",
        "LoadModule mpm_prefork_module m",
        "LoadModule",
        "# a \\",
        "\\",
        "<",
        ">",
        "</",
        "\"",
    ]);
    prop_oneof![8 => words.prop_map(ToOwned::to_owned), 1 => ".{0,40}", 1 => "[<>/\"'\\\\$}{*a-c ]{0,30}"]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any text gives a limit within httpd's own bounds, or an error.
    #[test]
    fn no_text_is_too_odd(main in prop::collection::vec(line(), 0..40), other in prop::collection::vec(line(), 0..20), old in any::<bool>()) {
        let tree = Tree::new().with(MAIN, main.join("\n")).with("/etc/httpd/b", other.join("\r\n")).with("/etc/b", other.concat());
        let build = if old { Build::red_hat_2_2("worker.c") } else { Build::red_hat_2_4() };
        if let Ok(pool) = read(&Reading::new(&tree), &Invocation::of_build(build)) {
            prop_assert!(pool.limit >= 1);
            prop_assert!(pool.processes <= pool.server_limit && pool.threads_per_child <= pool.thread_limit);
            prop_assert_eq!(pool.limit, pool.processes * pool.threads_per_child);
        }
    }

    #[test]
    fn no_bytes_are_too_odd(main in prop::collection::vec(any::<u8>(), 0..400), arguments in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..8), 0..8)) {
        let tree = Tree::new().with(MAIN, main.clone()).with("/etc/sysconfig/httpd", main);
        let parent = ServerProcess { arguments, ..parent(&[]) };
        let reading = Reading::new(&tree);
        let invocation = Invocation::find(&reading, Some(Path::new(MAIN)), Some(&parent)).unwrap();
        let _ = read(&reading, &invocation);
        let _ = read(&reading, &Invocation::find(&reading, None, None).unwrap());
    }
}

/// A caller that prints an error with its sources must not print the same text twice.
#[test]
fn reason_is_reported_once() {
    let tree = Tree::new().with(MAIN, "ServerName a\nInclude /none\n");
    let included = read(&Reading::new(&tree), &Invocation::of_build(Build::red_hat_2_4())).unwrap_err();
    let main = read(&Reading::new(&Tree::new()), &Invocation::of_build(Build::red_hat_2_4())).unwrap_err();
    assert_eq!(
        included.to_string(),
        "/etc/httpd/conf/httpd.conf, line 2: cannot read /none: entity not found"
    );
    assert_eq!(main.to_string(), "cannot read /etc/httpd/conf/httpd.conf: entity not found");
    assert!(std::error::Error::source(&included).is_none() && std::error::Error::source(&main).is_none());
}

#[test]
fn warnings_of_one_configuration_are_at_most_a_hundred() {
    for (lines, wanted) in [(99, 99), (100, 100), (101, 100), (5000, 100)] {
        let text: String = (0..lines).map(|n| format!("ServerAdmin ${{UNKNOWN_{n}}}\n")).collect();
        let tree = red_hat_6().with("/etc/httpd/conf.d/many.conf", text);
        let warnings = found(&tree).warnings;
        let unknown = warnings.iter().filter(|warning| warning.text.contains("${UNKNOWN_")).count();
        assert_eq!(unknown, wanted, "{lines} lines");
    }
}
