//! Requests by virtual host, from the access logs that real servers write: Apache and nginx.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use oomwatch_tests::debian::Packages;
use oomwatch_tests::{Key, binaries, free_port, wait_until};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;

use crate::machine::Machine;
use crate::server::{PATIENCE, Server, packages};

/// The template's pattern for `NAME:PORT` at the beginning of a line.
const BY_SITE: &str = "^([^ :]+):[0-9]+ ";
/// The pattern for the status in the `combined` format.
const BY_STATUS: &str = r#"^\S+ \S+ \S+ \[[^]]+\] "[^"]*" ([0-9]{3}) "#;
/// The requests: host, number, and site that answers. The first site answers for unknown hosts.
const REQUESTS: [(&str, usize, &str); 4] = [
    ("shop.example", 7, "shop.example"),
    ("blog.example", 4, "blog.example"),
    ("www.shop.example", 2, "shop.example"),
    ("no-such-site.example", 3, "first.example"),
];

/// Sends all requests, each after the answer to the previous one, and one for a missing page.
fn send_requests(port: u16) {
    for (host, count, _) in REQUESTS {
        (0..count).for_each(|_| assert_eq!(status_of(port, host, "/"), 200, "{host}"));
    }
    assert_eq!(status_of(port, "blog.example", "/none"), 404);
}

fn status_of(port: u16, host: &str, path: &str) -> u16 {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {host}\r\nUser-Agent: a \"b\" [c]:80\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

/// The plugin's counts for a file, by value.
fn groups(log: &Path, pattern: &str) -> BTreeMap<String, u64> {
    let key = Key::new("log.groups").params([log.to_str().unwrap(), pattern, "", "all"]);
    let plugin = binaries::find(binaries::PLUGIN).unwrap();
    let output = Command::new(plugin).arg("get").arg(String::from(key)).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&answer["exact"], &answer["other"]), (&true.into(), &0.into()), "{answer}");
    let groups = answer["groups"].as_array().unwrap();
    groups
        .iter()
        .map(|group| (group["value"].as_str().unwrap().to_owned(), group["count"].as_u64().unwrap()))
        .collect()
}

fn sites() -> BTreeMap<String, u64> {
    let mut sites = BTreeMap::from([("blog.example".to_owned(), 1)]);
    for (_, count, site) in REQUESTS {
        *sites.entry(site.to_owned()).or_default() += count as u64;
    }
    sites
}

/// Servers write a line after they have sent the answer.
fn are_counted(by_site: &Path, combined: &Path) {
    let lines = usize::try_from(sites().values().sum::<u64>()).unwrap();
    let written = |log: &Path| fs::read_to_string(log).unwrap_or_default().lines().count() == lines;
    assert!(wait_until(PATIENCE, || written(by_site) && written(combined)));
    assert_eq!(groups(by_site, BY_SITE), sites());
    let by_status = BTreeMap::from([("200".to_owned(), lines as u64 - 1), ("404".to_owned(), 1)]);
    assert_eq!(groups(combined, BY_STATUS), by_status);
}

#[test]
fn requests_are_counted_by_apache_virtual_host() {
    let apache = packages();
    let site = |name: &str, alias: &str| {
        format!(
            "<VirtualHost *:80>\nServerName {name}\n{alias}\nDocumentRoot /var/www/html\n</VirtualHost>\n"
        )
    };
    let formats = r#"LogFormat "%v:%p %h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\"" vhost_combined
LogFormat "%h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\"" combined
CustomLog /var/log/apache2/other_vhosts_access.log vhost_combined
CustomLog /var/log/apache2/access.log combined
"#;
    let hosts = [
        site("first.example", ""),
        site("shop.example", "ServerAlias www.shop.example"),
        site("blog.example", ""),
    ];
    let body = format!("StartServers 1\n{formats}{}", hosts.concat());
    let machine = Machine::small("event", &body).file("/var/www/html/index.html", "x");
    let machine = machine.append("/etc/apache2/apache2.conf", DIRECTORY_INDEX);
    let (invocation, pool) = machine.read(&apache);
    pool.unwrap();
    let files = machine.materialised(&apache);
    // Virtual hosts accept any port here, because port 80 of the configuration was replaced.
    let configuration = files.moved(Path::new("/etc/apache2/apache2.conf"));
    let text = fs::read_to_string(&configuration).unwrap().replace("<VirtualHost *:80>", "<VirtualHost *>");
    fs::write(&configuration, text).unwrap();
    // The workers run as another user.
    fs::set_permissions(files.directory(), fs::Permissions::from_mode(0o755)).unwrap();
    let _server = Server::start(&files, &invocation, &[]);
    send_requests(files.port());
    let log = |name: &str| files.moved(Path::new("/var/log/apache2")).join(name);
    are_counted(&log("other_vhosts_access.log"), &log("access.log"));
}

const DIRECTORY_INDEX: &str = "LoadModule dir_module /usr/lib/apache2/modules/mod_dir.so\nDirectoryIndex index.html\n\
    LoadModule authz_host_module /usr/lib/apache2/modules/mod_authz_host.so\n";

/// A running nginx in a directory of its own. It ends, with its children, when this is dropped.
struct Nginx {
    child: Child,
    directory: tempfile::TempDir,
    port: u16,
}

/// The format of docs/capacity.md, which equals Apache's `vhost_combined`.
const NGINX: &str = r#"error_log {}/error.log; pid {}/pid; worker_processes 2; daemon off;
events { worker_connections 64; }
http {
    client_body_temp_path {}/t1; proxy_temp_path {}/t2; fastcgi_temp_path {}/t3; uwsgi_temp_path {}/t4; scgi_temp_path {}/t5;
    log_format vhost_combined '$server_name:$server_port $remote_addr - $remote_user [$time_local] "$request" $status '
                              '$body_bytes_sent "$http_referer" "$http_user_agent"';
    access_log {}/vhosts.log vhost_combined;
    access_log {}/access.log combined;
    server { listen 127.0.0.1:PORT default_server; server_name first.example; location / { return 404; } location = / { return 200 "x"; } }
    server { listen 127.0.0.1:PORT; server_name shop.example www.shop.example; location / { return 404; } location = / { return 200 "x"; } }
    server { listen 127.0.0.1:PORT; server_name blog.example; location / { return 404; } location = / { return 200 "x"; } }
}
"#;

impl Nginx {
    fn start() -> Self {
        let nginx = Packages::new("bookworm", &["nginx"]).unpacked("nginx").unwrap();
        let directory = tempfile::tempdir().unwrap();
        let port = free_port().unwrap();
        let here = directory.path().to_str().unwrap();
        let conf = directory.path().join("nginx.conf");
        fs::write(&conf, NGINX.replace("{}", here).replace("PORT", &port.to_string())).unwrap();
        let mut command = nginx.command("usr/sbin/nginx");
        command
            .arg("-p")
            .arg(directory.path())
            .arg("-c")
            .arg(conf)
            .arg("-e")
            .arg(directory.path().join("error.log"));
        let errors = fs::File::create(directory.path().join("stderr")).unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors).process_group(0);
        let server = Self { child: command.spawn().unwrap(), directory, port };
        let up = wait_until(PATIENCE, || TcpStream::connect(("127.0.0.1", port)).is_ok());
        assert!(up, "{}", fs::read_to_string(server.path("stderr")).unwrap());
        server
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}

#[test]
fn requests_are_counted_by_nginx_server() {
    let server = Nginx::start();
    send_requests(server.port);
    are_counted(&server.path("vhosts.log"), &server.path("access.log"));
}
