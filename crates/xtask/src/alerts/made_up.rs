//! Made-up machines: directories that the plugin takes for the root of the watched machine, for states that cannot be provoked on a real one.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const APACHE: &str = "ServerName localhost\nLoadModule mpm_prefork_module /usr/lib/apache2/modules/mod_mpm_prefork.so\n\
                      MaxRequestWorkers 20\n";
const PHPFPM: &str = "[global]\nerror_log = /var/log/php8.2-fpm.log\n[www]\nuser = www-data\nlisten = /run/php/www.sock\n\
                      pm = static\npm.max_children = 4\n";
const MYSQL: &str = "[mysqld]\nmax_connections = 20\n";
const DPKG: &str =
    "Package: mariadb-server-core\nStatus: install ok installed\nVersion: 1:10.11.6-0+deb12u1\n\n";
/// Logs at the paths of Debian's packages.
pub(super) const SYSLOG: &str = "var/log/messages";
pub(super) const APACHE_LOG: &str = "var/log/apache2/error.log";
pub(super) const PHPFPM_LOG: &str = "var/log/php8.2-fpm.log";
pub(super) const ACCESS_LOG: &str = "var/log/apache2/other_vhosts_access.log";
/// Red Hat's, which the Classic template names.
pub(super) const ERROR_LOG: &str = "var/log/httpd/error_log";

pub(super) const APACHE_CONF: &str = "etc/apache2/apache2.conf";
pub(super) const PHPFPM_CONF: &str = "etc/php/8.2/fpm/php-fpm.conf";
pub(super) const MYSQL_CONF: &str = "etc/mysql/my.cnf";

/// Percentages of the memory and swap of a machine of 4 GiB each; some have no swap.
#[derive(Clone, Copy)]
pub(super) struct Left {
    pub(super) memory: f64,
    pub(super) swap: Option<f64>,
}

pub(super) const PLENTY: Left = Left { memory: 60.0, swap: Some(80.0) };

/// A machine that can be changed while it is watched.
#[derive(Clone)]
pub(super) struct MadeUp(PathBuf);

impl MadeUp {
    /// A healthy one: two processes, empty logs, no web server.
    pub(super) fn new(directory: &Path) -> io::Result<Self> {
        let machine = Self(directory.to_owned());
        machine.left(PLENTY)?;
        machine.write("proc/stat", "cpu 0 0 0 0\nbtime 1700000000\n")?;
        machine.write("proc/vmstat", "pgfault 1\noom_kill 0\n")?;
        machine.pressure(0.0)?;
        for (name, value) in [("panic_on_oom", "0"), ("overcommit_memory", "0"), ("overcommit_ratio", "50")] {
            machine.write(&format!("proc/sys/vm/{name}"), value)?;
        }
        machine.write("proc/sys/kernel/random/boot_id", "3c9ad6a0-6d26-4c34-a7a4-6f3a4f3e7a10\n")?;
        machine.process(1, "systemd", "/sbin/init\0")?;
        machine.process(100, "httpd", "/usr/sbin/httpd\0-DFOREGROUND\0")?;
        for log in [SYSLOG, APACHE_LOG, PHPFPM_LOG, ACCESS_LOG, ERROR_LOG] {
            machine.write(log, "")?;
        }
        Ok(machine)
    }

    /// With the configurations of Apache, php-fpm and MariaDB, none of which runs.
    pub(super) fn with_servers(self) -> io::Result<Self> {
        let files = [
            (APACHE_CONF, APACHE),
            (PHPFPM_CONF, PHPFPM),
            (MYSQL_CONF, MYSQL),
            ("var/lib/dpkg/status", DPKG),
        ];
        files.iter().try_for_each(|(path, text)| self.write(path, text))?;
        Ok(self)
    }

    pub(super) fn path(&self, inner: &str) -> PathBuf {
        self.0.join(inner)
    }

    /// Replaced at once, as `/proc` changes.
    pub(super) fn write(&self, inner: &str, text: &str) -> io::Result<()> {
        let (path, new) = (self.path(inner), self.path(&format!("{inner}.new")));
        fs::create_dir_all(path.parent().unwrap_or(&self.0))?;
        fs::write(&new, text)?;
        fs::rename(new, path)
    }

    pub(super) fn append(&self, log: &str, lines: &str) -> io::Result<()> {
        writeln!(OpenOptions::new().append(true).create(true).open(self.path(log))?, "{lines}")
    }

    pub(super) fn remove(&self, inner: &str) -> io::Result<()> {
        fs::remove_file(self.path(inner))
    }

    pub(super) fn allow(&self, inner: &str, mode: u32) -> io::Result<()> {
        fs::set_permissions(self.path(inner), Permissions::from_mode(mode))
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "kilobytes of 4 GiB")]
    pub(super) fn left(&self, left: Left) -> io::Result<()> {
        const KB: f64 = 4_194_304.0;
        let part = |percent: f64| (KB * percent / 100.0) as u64;
        let memory = part(left.memory);
        let (swap_total, swap) = left.swap.map_or((0.0, 0), |swap| (KB, part(swap)));
        let text = format!(
            "MemTotal: {KB} kB\nMemFree: 100000 kB\nMemAvailable: {memory} kB\nSwapTotal: {swap_total} kB\nSwapFree: {swap} kB\n\
             CommitLimit: 6000000 kB\nCommitted_AS: 900000 kB\n"
        );
        self.write("proc/meminfo", &text)
    }

    /// All processes wait for memory this share of the time.
    pub(super) fn pressure(&self, percent: f64) -> io::Result<()> {
        let line =
            |name| format!("{name} avg10={percent:.2} avg60={percent:.2} avg300={percent:.2} total=1000\n");
        self.write("proc/pressure/memory", &[line("some"), line("full")].concat())
    }

    fn process(&self, pid: u32, name: &str, cmdline: &str) -> io::Result<()> {
        let stat = format!("{pid} ({name}) S 0 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 {pid} 900000000 9000 1\n");
        self.write(&format!("proc/{pid}/stat"), &stat)?;
        self.write(&format!("proc/{pid}/comm"), &format!("{name}\n"))?;
        self.write(&format!("proc/{pid}/cmdline"), cmdline)?;
        self.write(&format!("proc/{pid}/oom_score"), "667\n")?;
        let status = format!(
            "Name:\t{name}\nState:\tS (sleeping)\nUid:\t0\t0\t0\t0\nVmSize:\t204800 kB\nVmRSS:\t51200 kB\nRssAnon:\t40000 kB\n\
             RssFile:\t11200 kB\nRssShmem:\t0 kB\nVmSwap:\t0 kB\nThreads:\t1\n"
        );
        self.write(&format!("proc/{pid}/status"), &status)?;
        let maps = "55e0-7ffc ---p 00000000 00:00 0    [rollup]\nRss:  51200 kB\nPss:  11000 kB\nShared_Clean: 41200 kB\n\
                    Private_Clean: 0 kB\nPrivate_Dirty: 10000 kB\n";
        self.write(&format!("proc/{pid}/smaps_rollup"), maps)
    }

    /// The whole machine has run out of memory: the kernel's counter, and its report as rsyslog writes it.
    pub(super) fn global_kill(&self) -> io::Result<()> {
        let date = Command::new("date").arg("+%b %e %H:%M:%S").output()?;
        let date = String::from_utf8_lossy(&date.stdout).trim().to_owned();
        let report = [
            "httpd invoked oom-killer: gfp_mask=0x140dca(GFP_HIGHUSER_MOVABLE|__GFP_COMP|__GFP_ZERO), order=0, oom_score_adj=0",
            "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,\
             task_memcg=/system.slice/httpd.service,task=httpd,pid=4242,uid=48",
            "Out of memory: Killed process 4242 (httpd) total-vm:512000kB, anon-rss:51200kB, file-rss:1024kB, shmem-rss:0kB, \
             UID:48 pgtables:300kB oom_score_adj:0",
        ];
        let lines = report.map(|line| format!("{date} web kernel: [12345.678901] {line}"));
        self.write("proc/vmstat", "pgfault 1\noom_kill 1\n")?;
        self.append(SYSLOG, &lines.join("\n"))
    }
}
