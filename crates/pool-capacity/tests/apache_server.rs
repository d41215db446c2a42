//! The program of a server, how it is started, and its running processes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};

use pool_capacity::apache::{Build, Invocation, Pool, Running, Version, parents, read};
use pool_capacity::sockets::Address;
use pool_capacity::{Reading, ServerProcess, Tree};

/// Strings as a linker puts them into a program, between bytes of machine code.
fn program(root: &str, configuration: &str) -> Vec<u8> {
    let settings = [
        "Apache/2.4.62 (Unix)".to_owned(),
        format!(" -D HTTPD_ROOT=\"{root}\""),
        format!(" -D SERVER_CONFIG_FILE=\"{configuration}\""),
        " -D DEFAULT_PIDLOG=\"run/web.pid\"".to_owned(),
        "mod_log_config.c".to_owned(),
        "/build/httpd-2.4.62/server/mpm/event/event.c".to_owned(),
        "mod_other.h".to_owned(),
        "other.c".to_owned(),
    ];
    let mut content = b"\x7fELF\x02\x01\xff\xfe\0".to_vec();
    for setting in settings {
        content.extend_from_slice(setting.as_bytes());
        content.extend_from_slice(b"\0\xe8\x90");
        content.push(0);
    }
    content
}

fn process(pid: u32, ppid: u32, name: &str, threads: u32) -> ServerProcess {
    let arguments = vec![name.as_bytes().to_vec()];
    ServerProcess { pid, ppid, name: name.as_bytes().to_vec(), arguments, threads, uid: None }
}

#[test]
fn build_is_read_from_the_strings_of_the_program() {
    let tree = Tree::new()
        .with("/opt/web/bin/httpd", program("/opt/web", "etc/my.conf"))
        .with("/opt/web/etc/my.conf", "MaxRequestWorkers 50\n");
    let parent = process(7, 1, "/opt/web/bin/httpd", 1);
    let invocation = Invocation::find(&Reading::new(&tree), None, Some(&parent)).unwrap();
    assert_eq!(invocation.configuration, Path::new("/opt/web/etc/my.conf"));
    let sources = ["core.c", "event.c", "http_core.c", "mod_log_config.c", "mod_so.c"];
    assert_eq!(
        invocation.build,
        Build {
            version: Version { major: 2, minor: 4, patch: 62 },
            server_root: "/opt/web".into(),
            configuration: "etc/my.conf".into(),
            pid_file: "run/web.pid".into(),
            sources: sources.map(str::to_owned).to_vec(),
            program: Some("/opt/web/bin/httpd".into()),
        }
    );
    let pool = read(&Reading::new(&tree), &invocation).unwrap();
    assert_eq!((pool.limit, pool.pid_file), (50, PathBuf::from("/opt/web/run/web.pid")));
}

#[test]
fn relative_paths_of_a_further_instance_begin_in_its_directory() {
    let program = program("/etc/apache2", "apache2.conf");
    let debian = Tree::new().with("/usr/sbin/apache2", program);
    let no_program = Tree::new().with("/srv/web/conf.modules.d/mpm.conf", "");
    for (tree, configuration, root) in [
        (&debian, "/etc/apache2/apache2.conf", "/etc/apache2"),
        (&debian, "/etc/apache2-intranet/apache2.conf", "/etc/apache2-intranet"),
        (&debian, "/srv/web/apache2.conf", "/etc/apache2"),
        (&no_program, "/srv/web/conf/httpd.conf", "/srv/web"),
        (&no_program, "/srv/web/apache2.conf", "/srv/web"),
    ] {
        let tree = tree.clone().with(configuration, "");
        let invocation =
            Invocation::find(&Reading::new(&tree), Some(Path::new(configuration)), None).unwrap();
        assert_eq!(invocation.server_root, Path::new(root), "{configuration}");
    }
}

fn pool(mpm: &str) -> Pool {
    let main = format!("LoadModule mpm_{mpm}_module modules/mod_mpm_{mpm}.so\nPidFile /run/httpd.pid\n");
    let tree = Tree::new().with("/etc/httpd/conf/httpd.conf", main);
    read(&Reading::new(&tree), &Invocation::of_build(Build::red_hat_2_4())).unwrap()
}

#[test]
fn parents_are_the_httpds_whose_parent_is_none() {
    let processes = [
        process(1, 0, "systemd", 1),
        process(7, 1, "httpd", 1),
        process(8, 7, "httpd", 27),
        process(9, 7, "rotatelogs", 1),
        process(20, 1, "apache2", 1),
        process(21, 20, "apache2", 1),
    ];
    let found: Vec<u32> = parents(&processes).map(|process| process.pid).collect();
    assert_eq!(found, [7, 20]);
}

#[test]
fn children_with_another_task_are_no_workers() {
    let files = Tree::new().with("/run/httpd.pid", "7\n");
    let wsgi = ServerProcess { arguments: vec![b"(wsgi:shop)".to_vec()], ..process(11, 7, "httpd", 20) };
    let processes = [
        process(1, 0, "systemd", 1),
        process(7, 1, "httpd", 1),
        process(8, 7, "httpd", 27),
        process(9, 7, "httpd", 1),
        process(10, 7, "rotatelogs", 1),
        wsgi,
        process(20, 1, "apache2", 1),
        process(21, 20, "apache2", 27),
    ];
    for (mpm, children, others, workers) in [
        ("worker", vec![8], vec![9, 11], 25),
        ("event", vec![8], vec![9, 11], 25),
        ("prefork", vec![8, 9], vec![11], 2),
    ] {
        let pool = pool(mpm);
        let running = Running::find(&Reading::new(&files), &pool, &processes).unwrap();
        assert_eq!(running, Running { parent: 7, children, others }, "{mpm}");
        assert_eq!(running.workers(&pool), workers, "{mpm}");
    }
}

#[test]
fn connections_are_in_the_tables_of_the_address() {
    assert_eq!(Address::Path("/run/php.sock".into()).tables(), ["unix"]);
    assert_eq!(Address::Port(9000).tables(), ["tcp", "tcp6"]);
}
