//! What an ordinary user of the host can do to the capacity keys: a real agent in a memory cgroup, a real Apache of root, and
//! processes of `nobody` with the names and titles of servers, which name files and a port of that user.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use oomwatch_tests::actors::{Activity, Actor, Role, Stage};
use oomwatch_tests::{Generation, Key, Limited, PluginSpec, RealAgent, Reply, cost, free_port, wait_until};
use serde_json::Value;
use tempfile::TempDir;

use crate::machine::{Machine, Materialised};
use crate::plugin;
use crate::server::{PATIENCE, Server, packages};

const NOBODY: u32 = 65_534;
/// The agent's user, without files.
const AGENT: [&str; 5] = ["--reuid", "54398", "--regid", "54398", "--clear-groups"];
const CGROUP_BYTES: u64 = 300 << 20;
const PLUGIN_BYTES_MAX: u64 = 64 << 20;
const STATUS: &str = "LoadModule status_module /usr/lib/apache2/modules/mod_status.so\n\
                      <Location \"/server-status\">\nSetHandler server-status\n</Location>\n";
const WORKERS: u32 = 3;
const FAKE_WORKERS: usize = 12;

/// A directory whose files belong to one user.
struct Files {
    directory: TempDir,
    uid: u32,
}

impl Files {
    fn of(uid: u32) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        chown(directory.path(), Some(uid), None).unwrap();
        Self { directory, uid }
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        fs::write(&path, text).unwrap();
        chown(&path, Some(self.uid), None).unwrap();
        path
    }
}

fn fpm(name: &str, pools: u32) -> String {
    let pool = |number: u32| {
        format!("[{name}{number}]\nlisten = /run/{name}{number}.sock\npm = static\npm.max_children = 77\n")
    };
    (0..pools).map(pool).collect()
}

/// 1,900,000 settings that no server knows, and an include of the file itself.
fn endless_options(path: &Path) -> String {
    format!("[mysqld]\n{}!include {}\n", "a=1\n".repeat(1_900_000), path.display())
}

/// The processes of `nobody`, which run until this is dropped.
struct Attack {
    files: Files,
    port: u16,
    stage: Stage,
    actors: Vec<Actor>,
}

impl Attack {
    fn start() -> Self {
        let files = Files::of(NOBODY);
        let port = free_port().unwrap();
        let mut attack = Self { files, port, stage: Stage::new().unwrap(), actors: Vec::new() };
        let modules = packages().path().join("usr/lib/apache2/modules");
        let httpd = format!(
            "ServerRoot /tmp\nListen 127.0.0.1:{port}\nMaxRequestWorkers 7\n\
             LoadModule mpm_prefork_module {0}/mod_mpm_prefork.so\n{1}",
            modules.display(),
            STATUS.replace("/usr/lib/apache2/modules", &modules.display().to_string())
        );
        let httpd = attack.files.write("httpd.conf", &httpd);
        let fpm = attack.files.write("fpm.conf", &fpm("nobodys", 50_000));
        let options = attack.files.directory.path().join("my.cnf");
        attack.files.write("my.cnf", &endless_options(&options));
        attack.play(
            &Role::named("apache2").argv(["apache2", "-f", httpd.to_str().unwrap()]).listen(port).mib(40),
        );
        attack
            .play(&Role::named("php-fpm8.2").argv([format!("php-fpm: master process ({})", fpm.display())]));
        attack.play(
            &Role::named("mysqld").argv(["mysqld".into(), format!("--defaults-file={}", options.display())]),
        );
        attack
    }

    fn play(&mut self, role: &Role) {
        self.actors.push(self.stage.play(&role.clone().owner(NOBODY, NOBODY)).unwrap());
    }

    /// Starts processes with the names and titles of workers.
    fn add_fake_workers(&mut self) {
        for _ in 0..FAKE_WORKERS {
            self.play(&Role::named("apache2").argv(["/usr/sbin/apache2", "-k", "start"]).mib(2));
            self.play(&Role::named("php-fpm8.2").argv(["php-fpm: pool roots0"]).mib(2));
        }
    }

    /// Returns whether a connection to the port was ever made: it would be in the queue still.
    fn has_a_connection(&self) -> bool {
        let local = format!(":{:04X} ", self.port);
        let table = fs::read_to_string("/proc/net/tcp").unwrap();
        let of_port =
            |line: &&str| line.split_whitespace().nth(1).is_some_and(|at| format!("{at} ").ends_with(&local));
        table.lines().filter(of_port).count() > 1
    }

    /// Checks that the reply is not about a server of `nobody`, and that one is named as ignored.
    fn is_ignored_in(&self, answer: &Value, process: usize) {
        let conf = answer["conf"].as_str().unwrap();
        assert!(!conf.contains(self.files.directory.path().to_str().unwrap()), "{answer}");
        let pid = u64::from(self.actors[process].pid());
        let ignored = answer["ignored"].as_array().unwrap();
        let own = ignored.iter().find(|one| one["pid"] == pid);
        assert!(own.is_some_and(|one| one["user"] == "nobody"), "{pid}: {answer}");
    }
}

/// The servers of root.
struct Roots {
    apache: Server,
    conf: PathBuf,
    files: Materialised,
    own: Files,
    fpm: PathBuf,
    options: PathBuf,
    stage: Stage,
    actors: Vec<Actor>,
}

impl Roots {
    fn start() -> Self {
        let packages = packages();
        let body = format!(
            "StartServers {WORKERS}\nMinSpareServers 1\nServerLimit 20\nMaxRequestWorkers 20\n{STATUS}"
        );
        let machine = Machine::small("prefork", &body);
        let (invocation, _) = machine.read(&packages);
        let files = machine.materialised(&packages);
        fs::set_permissions(files.directory(), fs::Permissions::from_mode(0o755)).unwrap();
        let apache = Server::start(&files, &invocation, &[]);
        let conf = files.moved(Path::new("/etc/apache2/apache2.conf"));
        let own = Files::of(0);
        let fpm = own.write("fpm.conf", &fpm("roots", 1));
        let options = own.write("my.cnf", "[mysqld]\nmax_connections = 55\n");
        let mut roots =
            Self { apache, conf, files, own, fpm, options, stage: Stage::new().unwrap(), actors: Vec::new() };
        roots.play(
            &Role::named("php-fpm8.2").argv([format!("php-fpm: master process ({})", roots.fpm.display())]),
        );
        roots.play(
            &Role::named("mysqld")
                .argv(["mysqld".into(), format!("--defaults-file={}", roots.options.display())]),
        );
        roots
    }

    fn play(&mut self, role: &Role) {
        self.actors.push(self.stage.play(role).unwrap());
    }
}

/// An agent of an ordinary account in a memory cgroup, and the plugin as its child.
struct Watched {
    agent: RealAgent,
    // After the agent, because a cgroup with a process in it cannot be removed.
    _cgroup: Limited,
}

impl Watched {
    fn start(name: &str) -> Self {
        let cgroup = Limited::new(&format!("{name}-{}", std::process::id()), CGROUP_BYTES).unwrap();
        let starting = cgroup.starting(&AGENT);
        let rights: Vec<&str> = starting.iter().map(String::as_str).collect();
        let plugin = PluginSpec::new("OomWatch", plugin::program());
        let agent = RealAgent::builder(Generation::V7_0).rights(&rights).plugin(plugin).start().unwrap();
        let in_cgroup = fs::read_to_string(format!("/proc/{}/cgroup", agent.pid())).unwrap();
        assert!(in_cgroup.contains(cgroup.path()), "{in_cgroup}");
        Self { agent, _cgroup: cgroup }
    }

    fn answer(&self, key: Key) -> Value {
        let reply = self.agent.get(key).unwrap();
        serde_json::from_str(reply.value().unwrap_or_else(|| panic!("{reply:?}"))).unwrap()
    }

    /// The agent lives, and no process of the plugin ever had more memory than it may.
    fn is_unharmed(&mut self) {
        assert!(self.agent.is_alive());
        assert_eq!(self.agent.get(Key::new("agent.ping")).unwrap(), Reply::Value("1".to_owned()));
        let mut below = cost::children(self.agent.pid());
        assert!(!below.is_empty());
        let mut peaks = 0;
        while let Some(pid) = below.pop() {
            below.extend(cost::children(pid));
            peaks += cost::peak_rss_bytes(pid).unwrap();
        }
        assert!(0 < peaks && peaks < PLUGIN_BYTES_MAX, "{peaks}");
    }
}

fn capacity(server: &str) -> Key {
    Key::new(format!("oomwatch.{server}.capacity"))
}

#[test]
fn servers_of_nobody_neither_shadow_those_of_root_nor_get_a_request() {
    plugin::program();
    let mut attack = Attack::start();
    let zombie = attack.stage.play(&Role::named("apache2").activity(Activity::Ended)).unwrap();
    let roots = Roots::start();
    assert!(attack.actors[0].pid() < roots.apache.pid() && zombie.pid() < roots.apache.pid());
    let settled = wait_until(PATIENCE, || roots.apache.children().len() == WORKERS as usize);
    assert!(settled, "{}", roots.apache.log());
    let mut watched = Watched::start("ow-attack");

    // Without a parameter, the value may be about the server of another test, but never about one of `nobody`.
    for (process, server) in ["apache", "phpfpm", "mysql"].into_iter().enumerate() {
        attack.is_ignored_in(&watched.answer(capacity(server)), process);
    }
    attack.add_fake_workers();
    let apache = watched.answer(capacity("apache").param(roots.conf.to_str().unwrap()));
    assert_eq!((&apache["limit"], &apache["processes"]), (&20.into(), &WORKERS.into()), "{apache}");
    assert_eq!(apache["running"], true);
    // mod_status of root's server has answered.
    assert!(apache["busy"].is_u64() && apache["notes"].is_null(), "{apache} {}", roots.files.port());
    let php = watched.answer(capacity("phpfpm").param(roots.fpm.to_str().unwrap()));
    assert_eq!(
        (&php["limit"], &php["workers"], &php["running"]),
        (&77.into(), &0.into(), &true.into()),
        "{php}"
    );
    assert_eq!(php["pools"][0]["name"], "roots0", "{}", roots.own.directory.path().display());
    let mysql = watched.answer(capacity("mysql").param(roots.options.to_str().unwrap()));
    assert_eq!((&mysql["limit"], &mysql["running"]), (&55.into(), &true.into()), "{mysql}");

    assert!(!attack.has_a_connection());
    let _connection = TcpStream::connect(("127.0.0.1", attack.port)).unwrap();
    assert!(attack.has_a_connection(), "a connection would have been seen");
    watched.is_unharmed();
    assert_eq!(roots.actors.len(), 2);
}

/// The operator may name any file. Its size must not matter.
#[test]
fn configurations_without_end_cost_a_bounded_amount_of_memory() {
    plugin::program();
    let attack = Attack::start();
    let mut watched = Watched::start("ow-endless");
    for (server, name) in [("mysql", "my.cnf"), ("phpfpm", "fpm.conf")] {
        let path = attack.files.directory.path().join(name);
        let reply = watched.agent.get(capacity(server).param(path.to_str().unwrap())).unwrap();
        let Reply::NotSupported(error) = reply else { panic!("{server}: {reply:?}") };
        assert!(error.contains(path.to_str().unwrap()) && error.chars().count() <= 300, "{error}");
        watched.is_unharmed();
    }
}
