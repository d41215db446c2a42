//! php-fpm: reading its configuration, its running workers, and its memory.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use oomwatch_tests::debian::{Packages, Root};
use oomwatch_tests::fastcgi::Request;
use oomwatch_tests::{Limited, binaries, wait_until};
use pool_capacity::phpfpm::{Config, Environment};
use pool_capacity::{HostFiles, Reading};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use tempfile::TempDir;

const PROGRAM: &str = "usr/sbin/php-fpm8.2";
/// Limit on a loaded machine for work that takes a second.
const PATIENCE: Duration = Duration::from_secs(60);
const VARIABLE: (&str, &str) = ("OOMWATCH_TEST_CHILDREN", "6");

fn packages() -> Root {
    Packages::new("bookworm", &["php8.2-fpm"]).unpacked("php-fpm").unwrap()
}

/// A directory with a configuration; `{}` in it stands for the directory.
struct ConfigDirectory(TempDir);

impl ConfigDirectory {
    fn with(files: &[(&str, &str)]) -> Self {
        let directory = Self(tempfile::tempdir().unwrap());
        for (name, text) in files {
            let path = directory.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text.replace("{}", directory.0.path().to_str().unwrap())).unwrap();
        }
        directory
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self) -> Result<Config, String> {
        let environment =
            |name: &[u8]| (name == VARIABLE.0.as_bytes()).then(|| VARIABLE.1.as_bytes().to_vec());
        let files = HostFiles::below(Path::new("/"));
        Config::read(&Reading::new(&files), &self.path("fpm.conf"), Environment::Known(&environment))
            .map_err(|error| error.to_string())
    }

    fn command(&self, php: &Root) -> Command {
        let mut command = php.command(PROGRAM);
        command.env(VARIABLE.0, VARIABLE.1).args(["-n", "-R", "-y"]).arg(self.path("fpm.conf"));
        command
    }

    /// The output of `php-fpm -tt`: the values of each section; absent if it refuses the configuration.
    fn dumped(&self, php: &Root) -> Option<BTreeMap<String, BTreeMap<String, String>>> {
        let output = self.command(php).arg("-tt").output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        if !output.status.success() {
            return None;
        }
        let mut sections = BTreeMap::new();
        let mut section = String::new();
        for line in text.lines().filter_map(|line| line.split_once("NOTICE: ").map(|(_, line)| line)) {
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                name.clone_into(&mut section);
                sections.insert(section.clone(), BTreeMap::new());
            } else if let Some((name, value)) =
                line.strip_prefix('\t').and_then(|line| line.split_once(" = "))
            {
                let values: &mut BTreeMap<_, _> = sections.get_mut(&section).unwrap();
                values.insert(name.to_owned(), value.to_owned());
            }
        }
        Some(sections)
    }
}

/// Our result in the form of that output.
fn in_words(config: &Config) -> BTreeMap<String, BTreeMap<String, String>> {
    let owned = |pairs: Vec<(&str, String)>| pairs.into_iter().map(|(n, v)| (n.to_owned(), v)).collect();
    let mut sections = BTreeMap::new();
    sections.insert("global".to_owned(), owned(vec![("process.max", config.process_max.to_string())]));
    for pool in &config.pools {
        let values = owned(vec![
            ("listen", pool.listen.clone()),
            ("pm", pool.manager.as_str().to_owned()),
            ("pm.max_children", pool.max_children.to_string()),
            ("pm.start_servers", pool.start_servers.to_string()),
            ("user", pool.user.clone().unwrap_or_default()),
        ]);
        sections.insert(pool.name.clone(), values);
    }
    sections
}

const HEAD: &str = "[global]\nerror_log = {}/log\n";
const POOL: &str = "user = nobody\nlisten = {}/$pool.sock\npm = static\npm.max_children = 3\n";
const SPARES: &str =
    "pm = dynamic\npm.max_children = 9\npm.min_spare_servers = 2\npm.max_spare_servers = 5\n";

/// Main files: `HEAD` and the text. `inc.d/a.conf` has a pool `a`, `inc.d/b.conf` one called `b`.
fn main_files() -> Vec<String> {
    let x = format!("[x]\n{POOL}");
    let more = |text: &str| format!("{x}{text}\n");
    let value = |text: &str| format!("{x}pm.max_children = {text}\n");
    let mut files: Vec<String> = [
        "5",
        "\"5\"",
        "'5'",
        "5'6'",
        "\"5\" \"6\"",
        "\"5\"6",
        "5 6",
        "5 ; x \" '",
        "08",
        "1e2",
        "5K",
        "+5",
        "-5",
        "",
        "\"\"",
        "true",
        "off",
        "None",
        "$pool",
        "\"5",
        "'5",
        "== 6",
        "2147483648",
        "${OOMWATCH_TEST_CHILDREN}",
        "${OOMWATCH_TEST_CHILDREN}1",
        "\"${OOMWATCH_TEST_CHILDREN}1\"",
        "'${OOMWATCH_TEST_CHILDREN}1'",
        "${OOMWATCH_NO_SUCH}4",
        "${OOMWATCH_TEST_CHILDREN",
    ]
    .map(value)
    .into();
    files.extend([x.clone(), String::new()]);
    files.extend(
        [
            "[y]\nuser=nobody\nlisten={}/other\npm=Ondemand\npm.max_children=2\n[X]\nPM.Max_Children = 7",
            "[Global]\nprocess.max = 2",
            "[global]\nprocess.max = -2",
            "pm = fast",
            "# comment",
            "foo",
            "  [y]",
            "[y",
            "[y] junk",
            "env[PATH] = /bin\nphp_admin_value[memory_limit] = 32M",
            "include = {}/inc.d/*.conf",
            "include = {}/inc.d/*.conf\npm.max_children = 8",
            "include = \"{}/inc.d/[!a].conf\"\ninclude = {}/inc.d/a.conf",
            "include = {}/inc.d/[!a].conf",
            "include = {}/inc.d",
            "include = {}/none.conf",
            "include = {}/none/*.conf",
            "include = {}/fpm.conf",
            "include = {}/broken.conf",
            "pm.max_children = 4\r",
        ]
        .map(more),
    );
    let dynamic = |text: &str| format!("[x]\nuser = nobody\nlisten = 127.0.0.1:9\n{SPARES}{text}\n");
    files.extend(
        [
            "",
            "pm.start_servers = 5",
            "pm.start_servers = 6",
            "pm.start_servers = 1",
            "pm.start_servers = -1",
            "pm.max_spare_servers = 10",
            "pm.max_spare_servers = 1",
            "pm.min_spare_servers = 0",
            "pm.max_children = 0",
        ]
        .map(dynamic),
    );
    files.extend(
        [
            "[x]\nuser=nobody\npm=static\npm.max_children=4\n",
            "[x]\nuser=nobody\nlisten=9\npm.max_children=4\n",
        ]
        .map(Into::into),
    );
    files
}

#[test]
fn configurations_are_read_and_refused_as_by_php_fpm() {
    let php = packages();
    let mut refused = 0;
    for main in main_files() {
        let directory = ConfigDirectory::with(&[
            ("fpm.conf", &format!("{HEAD}{main}")),
            ("inc.d/a.conf", &format!("[a]\n{POOL}")),
            ("inc.d/b.conf", &format!("[b]\n{POOL}")),
            ("broken.conf", "[c]\nnonsense\n"),
        ]);
        let (dumped, read) = (directory.dumped(&php), directory.read());
        let Some(dumped) = dumped else {
            refused += 1;
            assert!(read.is_err(), "refused by php-fpm and read as {read:?}:\n{main}");
            continue;
        };
        let read = read.unwrap_or_else(|error| panic!("{error}, but php-fpm takes it:\n{main}"));
        let read = in_words(&read);
        assert_eq!(read.keys().collect::<Vec<_>>(), dumped.keys().collect::<Vec<_>>(), "{main}");
        for (section, values) in &read {
            for (name, value) in values {
                assert_eq!(Some(value), dumped[section].get(name), "[{section}] {name} of:\n{main}");
            }
        }
    }
    assert!((10..40).contains(&refused), "{refused} were refused");
}

#[test]
fn debian_stock_files() {
    let php = packages();
    let etc = php.path().join("etc/php/8.2/fpm");
    let main = fs::read_to_string(etc.join("php-fpm.conf")).unwrap();
    let main = main
        .replace("/etc/php/8.2/fpm/pool.d", "{}/pool.d")
        .replace("/var/log", "{}")
        .replace("/run/php", "{}");
    let www = fs::read_to_string(etc.join("pool.d/www.conf")).unwrap();
    let www = www
        .replace("= www-data", "= nobody")
        .replace("group = nobody", "group = nogroup")
        .replace("/run/php", "{}");
    let directory = ConfigDirectory::with(&[("fpm.conf", &main), ("pool.d/www.conf", &www)]);
    let (config, dumped) = (directory.read().unwrap(), directory.dumped(&php).unwrap());
    assert_eq!(config.limit(), 5);
    assert_eq!(in_words(&config)["www"]["pm.max_children"], dumped["www"]["pm.max_children"]);
    assert_eq!(in_words(&config)["www"]["pm.start_servers"], dumped["www"]["pm.start_servers"]);
}

/// A running php-fpm. It ends, with its children, when this is dropped.
struct Server {
    child: Child,
    directory: ConfigDirectory,
    script: PathBuf,
    /// The executable is found once, because it may have to be built.
    plugin: PathBuf,
}

impl Server {
    fn start(php: &Root, pools: &str) -> Self {
        let head = format!("{HEAD}daemonize = no\n");
        let directory = ConfigDirectory::with(&[
            ("fpm.conf", &format!("{head}{pools}")),
            ("slow.php", "<?php sleep(600);"),
        ]);
        let mut command = directory.command(php);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.process_group(0).spawn().unwrap();
        let plugin = binaries::find(binaries::PLUGIN).unwrap();
        let server = Self { child, script: directory.path("slow.php"), directory, plugin };
        let up = wait_until(PATIENCE, || server.log().contains("ready to handle connections"));
        assert!(up, "not started: {}", server.log());
        server
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path("log")).unwrap_or_default()
    }

    fn children(&self) -> usize {
        let pid = self.child.id();
        let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        text.split_whitespace().count()
    }

    /// Sends requests to a pool with this limit of workers. Each waits for its worker, as long as a further one is allowed:
    /// a pool on demand starts a single worker for all connections that arrive at the same time.
    fn requests(&self, &Flood { pool, count, workers }: &Flood) -> Vec<Request> {
        let socket = self.directory.path(&format!("{pool}.sock"));
        let before = self.busy();
        let send = |number: usize| {
            let request = Request::send(socket.to_str().unwrap(), &self.script).unwrap();
            let wanted = before + number.min(workers);
            assert!(wait_until(PATIENCE, || self.busy() >= wanted), "{number}: {}", self.capacity());
            request
        };
        (1..=count).map(send).collect()
    }

    fn busy(&self) -> usize {
        usize::try_from(self.capacity()["busy"].as_u64().unwrap()).unwrap()
    }

    /// The plugin's value for the server.
    fn capacity(&self) -> Value {
        let key = format!("phpfpm.capacity[{}]", self.directory.path("fpm.conf").display());
        let output = Command::new(&self.plugin).args(["get", &key]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}

fn pool(name: &str, rules: &str) -> String {
    // Only root has to name a user.
    let user = if rustix::process::getuid().is_root() { "user = root\ngroup = root\n" } else { "" };
    format!("[{name}]\n{user}listen = {{}}/{name}.sock\n{rules}\n")
}

/// Requests to a pool, and the number of workers they get.
#[derive(Clone)]
struct Flood {
    pool: &'static str,
    count: usize,
    workers: usize,
}

const fn flood(pool: &'static str, count: usize, workers: usize) -> Flood {
    Flood { pool, count, workers }
}

/// More requests than workers.
struct Saturation {
    pools: String,
    floods: Vec<Flood>,
    /// The number of workers at the end.
    limit: usize,
    /// The server's log message.
    message: Option<&'static str>,
}

fn saturations() -> [Saturation; 4] {
    let fixed = pool("www", "pm = static\npm.max_children = 3");
    let spares = "pm.min_spare_servers = 1\npm.max_spare_servers = 2";
    let dynamic = pool("www", &format!("pm = dynamic\npm.max_children = 4\n{spares}"));
    let shop = pool("shop", "pm = ondemand\npm.max_children = 2");
    let www = pool("www", "pm = ondemand\npm.max_children = 4");
    let case = |pools: String, floods: &[Flood], limit, message| Saturation {
        pools,
        floods: floods.to_vec(),
        limit,
        message,
    };
    [
        case(fixed, &[flood("www", 5, 3)], 3, None),
        case(dynamic.clone(), &[flood("www", 6, 4)], 4, Some("reached pm.max_children setting (4)")),
        case(
            format!("{shop}{dynamic}"),
            &[flood("shop", 4, 2), flood("www", 6, 4)],
            6,
            Some("reached max_children setting (2)"),
        ),
        case(
            format!("[global]\nprocess.max = 3\n{shop}{www}"),
            &[flood("shop", 2, 2), flood("www", 4, 1)],
            3,
            None,
        ),
    ]
}

#[test]
fn running_server_has_the_configured_workers_and_they_are_reported_busy() {
    let php = packages();
    for Saturation { pools, floods, limit, message } in saturations() {
        let server = Server::start(&php, &pools);
        assert_eq!(server.directory.read().unwrap().limit(), limit as u64, "{pools}");
        let under_way: Vec<_> = floods.iter().map(|flood| server.requests(flood)).collect();
        let reached = wait_until(PATIENCE, || {
            server.children() == limit && message.is_none_or(|message| server.log().contains(message))
        });
        assert!(reached, "{} workers, not {limit}: {}\n{pools}", server.children(), server.log());
        // A worker accepts its request shortly after its start.
        let all_busy = || server.capacity()["busy"] == limit;
        assert!(wait_until(PATIENCE, all_busy), "{}", server.capacity());
        let capacity = server.capacity();
        assert_eq!(
            [&capacity["limit"], &capacity["workers"], &capacity["processes"]],
            [limit; 3],
            "{capacity}"
        );
        assert_eq!((&capacity["running"], &capacity["at_limit"]), (&true.into(), &true.into()), "{capacity}");
        let sum = |member: &str| -> u64 {
            let pools = capacity["pools"].as_array().unwrap();
            pools.iter().map(|pool| pool[member].as_u64().unwrap()).sum()
        };
        let sent: usize = floods.iter().map(|flood| flood.count).sum();
        assert_eq!(sum("busy") + sum("queued"), sent as u64, "{capacity}");
        assert_eq!(server.children(), limit, "more than the limit");
        drop(under_way);
    }
}

#[test]
fn memory_of_workers_equals_that_of_their_maps() {
    let php = packages();
    let server = Server::start(&php, &pool("www", "pm = static\npm.max_children = 4"));
    assert!(wait_until(PATIENCE, || server.children() == 4));
    let pid = server.child.id();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let of = |pid: &str| {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
        let amount = |name: &str| -> u64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().next().unwrap().parse::<u64>().unwrap() << 10
        };
        [amount("Pss:"), amount("Private_Clean:") + amount("Private_Dirty:")]
    };
    // Other processes with the same libraries change PSS when they start or end, so the two may need a second look.
    let close = |a: u64, b: u64| a.abs_diff(b) <= b / 10 + (64 << 10);
    let mut seen = String::new();
    let are_equal = wait_until(PATIENCE, || {
        let sums = children.split_whitespace().map(of).fold([0; 2], |[a, b], [x, y]| [a + x, b + y]);
        let master = of(&pid.to_string());
        let capacity = server.capacity();
        let memory = |member: &str| capacity["memory"][member].as_u64().unwrap();
        assert_eq!(capacity["memory"]["source"], "pss", "{capacity}");
        seen = format!("{capacity} {sums:?} {master:?}");
        close(memory("private_bytes"), sums[1] / 4)
            && close(memory("worker_bytes"), sums[0] / 4)
            && close(memory("shared_bytes"), sums[0] - sums[1] + master[0])
    });
    assert!(are_equal, "{seen}");
    let capacity = server.capacity();
    let memory = |member: &str| capacity["memory"][member].as_u64().unwrap();
    // This is why RSS must not be multiplied.
    assert!(memory("rss_bytes") > 5 * memory("private_bytes"), "{capacity}");
    assert!(capacity["cgroup"].is_null() || capacity["cgroup_max_bytes"].is_u64(), "{capacity}");
    is_judged_by_its_cgroup(&server);
}

/// The running server is moved into a cgroup that allows less than the server would need.
fn is_judged_by_its_cgroup(server: &Server) {
    let limit_bytes = 64 << 20;
    let name = format!("oomwatch-pools-{}", server.child.id());
    let limited = Limited::new(&name, limit_bytes).expect("this test needs root and a memory cgroup");
    limited.take_in(server.child.id()).unwrap();
    let capacity = server.capacity();
    assert_eq!(
        (&capacity["limited_by"], &capacity["cgroup"]),
        (&"cgroup".into(), &limited.path().into()),
        "{capacity}"
    );
    assert_eq!(capacity["cgroup_max_bytes"], limit_bytes, "{capacity}");
    assert_eq!(capacity["available_bytes"], limit_bytes / 8 * 7, "{capacity}");
    let basis = capacity["basis"].as_str().unwrap();
    assert!(basis.contains(&format!("64.0 MiB that cgroup {} may have", limited.path())), "{basis}");
    limited.let_go(server.child.id()).unwrap();
}
