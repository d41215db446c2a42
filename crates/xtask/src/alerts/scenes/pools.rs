//! The triggers of the templates about workers, and of "OomWatch log" about the same lines.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use super::super::failure::Failure;
use super::super::made_up::{APACHE_CONF, APACHE_LOG, MYSQL_CONF, MadeUp, PHPFPM_CONF, PHPFPM_LOG};
use super::super::programs::{Kind, Program, mpm, pool};
use super::super::scene::{Cause, End, Family, Scene, by};
use super::scene_entry::Make;

pub(super) const SCENES: &[Make] = &[
    ("apache-full", apache_full),
    ("apache-full-unseen", apache_full_unseen),
    ("apache-usage", apache_usage),
    ("apache-near", apache_near),
    ("apache-huge", apache_huge),
    ("phpfpm-full", phpfpm_full),
    ("phpfpm-full-unseen", phpfpm_full_unseen),
    ("phpfpm-usage", phpfpm_usage),
    ("phpfpm-pool", phpfpm_pool),
    ("phpfpm-huge", phpfpm_huge),
    ("mysql-full", mysql_full),
    ("mysql-usage", mysql_usage),
    ("mysql-huge", mysql_huge),
    ("odd", odd),
    ("gone", gone),
];

/// Problems that are raised after five minutes. The cause lasts longer, so that dependent triggers are evaluated as well.
const WELL_OVER_FIVE_MINUTES: u64 = 400;
const TEN_MINUTES: &str = "the connections end; closes ten minutes after the line";

const REAL: &str = "this machine, the agent is root";
const APACHE_FULL: &str = "Apache: worker limit reached (error log)";
const PHPFPM_FULL: &str = "PHP-FPM: worker limit reached (log)";
/// The programs here are unpacked and not installed, so that the plugin finds no release of the server.
const MYSQL_ODD: &str = "MySQL: effective limit differs from the configured limit";

fn prefork(limit: u32) -> String {
    format!(
        "{}StartServers 1\nMinSpareServers 1\nMaxSpareServers 2\nServerLimit {limit}\nMaxRequestWorkers {limit}\n",
        mpm("prefork")
    )
}

/// A real Apache on the real machine, whose log is watched.
fn apache(
    name: &'static str,
    directory: &Path,
    configuration: &str,
) -> Result<(Scene, Arc<Program>), Failure> {
    let program = Program::start(Kind::Apache, directory.to_owned(), configuration)?;
    let scene = Scene::new(name, REAL, &["Apache"])
        .with("{$OOMWATCH.APACHE.CONF}", program.conf().display().to_string())
        .with("{$OOMWATCH.APACHE.LOG}", program.log().display().to_string());
    Ok((scene, program))
}

fn phpfpm(
    name: &'static str,
    directory: &Path,
    configuration: &str,
) -> Result<(Scene, Arc<Program>), Failure> {
    let program = Program::start(Kind::PhpFpm, directory.to_owned(), configuration)?;
    let scene = Scene::new(name, REAL, &["PHP-FPM"])
        .with("{$OOMWATCH.PHPFPM.CONF}", program.conf().display().to_string())
        .with("{$OOMWATCH.PHPFPM.LOG}", format!("{}/^error[.]log$", directory.display()));
    Ok((scene, program))
}

fn mysql(
    name: &'static str,
    directory: &Path,
    configuration: &str,
) -> Result<(Scene, Arc<Program>), Failure> {
    let program = Program::start(Kind::MariaDb, directory.to_owned(), configuration)?;
    let scene = Scene::new(name, REAL, &["MySQL"])
        .with("{$OOMWATCH.MYSQL.CONF}", program.conf().display().to_string());
    Ok((scene.expecting(&[MYSQL_ODD]), program))
}

/// Keeps this number of workers busy, and releases them at the end.
fn busy(
    program: &Arc<Program>,
    (count, pool): (usize, &'static str),
    what: &'static str,
    raises: &[(Family, &'static str)],
    ended: &'static str,
) -> Cause {
    let (begin, end) = (Arc::clone(program), Arc::clone(program));
    let end = by(ended, move |_| Ok(end.release()?));
    Cause::new(what, raises, move |_| Ok(begin.occupy(count, pool)?), end).lasting(WELL_OVER_FIVE_MINUTES)
}

fn apache_full(name: &'static str, directory: &Path) -> Result<Scene, Failure> {
    let (mut scene, program) = apache(name, directory, &prefork(8))?;
    scene.families.push("log");
    let raises = [("Apache", APACHE_FULL), ("log", "Log: Apache worker limit reached")];
    Ok(scene.cause(busy(
        &program,
        (12, ""),
        "12 slow requests to a real Apache with 8 workers",
        &raises,
        TEN_MINUTES,
    )))
}

/// The log is not watched, so only the number of workers shows the problem.
fn apache_full_unseen(name: &'static str, directory: &Path) -> Result<Scene, Failure> {
    let (mut scene, program) = apache(name, directory, &prefork(8))?;
    let log = directory.join("other.log");
    File::create(&log)?;
    let raises = [("Apache", "Apache: worker limit reached for 5m")];
    let what = "12 slow requests to a real Apache with 8 workers, the log is not watched";
    scene.macros.retain(|(name, _)| *name != "{$OOMWATCH.APACHE.LOG}");
    let scene = scene.with("{$OOMWATCH.APACHE.LOG}", log.display().to_string());
    let scene = scene.cause(busy(&program, (12, ""), what, &raises, "the connections end"));
    let (begin, end) = (log.clone(), log);
    let end = by("the log is there again", move |_| Ok(File::create(&end).map(drop)?));
    let raises = [("Apache", "Apache: error log cannot be read")];
    Ok(scene.cause(Cause::new("the log is removed", &raises, move |_| Ok(fs::remove_file(&begin)?), end)))
}

fn apache_usage(name: &'static str, directory: &Path) -> Result<Scene, Failure> {
    let (scene, program) = apache(name, directory, &prefork(20))?;
    let raises =
        [("Apache", "Apache: at least {$OOMWATCH.APACHE.USAGE.MAX} % of the worker limit in use for 6m")];
    let what = "17 slow requests to a real Apache with 20 workers, of which it keeps one or two idle";
    Ok(scene.cause(busy(&program, (17, ""), what, &raises, "the connections end")))
}

/// Few idle threads are left, and no further process may be started.
fn apache_near(name: &'static str, directory: &Path) -> Result<Scene, Failure> {
    let threads = "StartServers 1\nServerLimit 3\nThreadLimit 5\nThreadsPerChild 5\nMaxRequestWorkers 15\nMinSpareThreads 4\n\
                   MaxSpareThreads 9\n";
    let (scene, program) = apache(name, directory, &format!("{}{threads}", mpm("event")))?;
    let raises = [("Apache", "Apache: worker limit nearly reached (error log)")];
    let what = "13 slow requests to a real Apache with 15 threads (event)";
    let mut cause = busy(&program, (13, ""), what, &raises, TEN_MINUTES);
    cause.lasts = std::time::Duration::from_secs(60);
    Ok(scene.cause(cause))
}

/// A real server is restarted with another configuration, and with the first one at the end.
fn reconfigured(
    program: &Arc<Program>,
    what: &'static str,
    raises: (Family, &'static str),
    steps: [String; 2],
) -> Cause {
    let [then, before] = steps;
    let (begin, end) = (Arc::clone(program), Arc::clone(program));
    let end = by("it has its old limit again", move |_| Ok(end.run(&before)?));
    Cause::new(what, &[raises], move |_| Ok(begin.run(&then)?), end)
}

fn apache_huge(name: &'static str, directory: &Path) -> Result<Scene, Failure> {
    let (scene, program) = apache(name, directory, &prefork(20))?;
    let raises = ("Apache", "Apache: MaxRequestWorkers does not fit into memory");
    let what = "a real Apache is started with MaxRequestWorkers 190000";
    Ok(scene.cause(reconfigured(&program, what, raises, [prefork(190_000), prefork(20)])))
}

const SPARES: &str =
    "pm = dynamic\npm.start_servers = 1\npm.min_spare_servers = 1\npm.max_spare_servers = 2\n";

fn dynamic(limit: u32) -> String {
    pool("www", &format!("{SPARES}pm.max_children = {limit}"))
}

fn fixed(name: &str, limit: u32) -> String {
    pool(name, &format!("pm = static\npm.max_children = {limit}"))
}

fn phpfpm_full(name: &'static str, directory: &Path) -> Result<Scene, Failure> {
    let (mut scene, program) = phpfpm(name, directory, &dynamic(4))?;
    scene.families.push("log");
    let raises = [("PHP-FPM", PHPFPM_FULL), ("log", "Log: PHP-FPM worker limit reached")];
    Ok(scene.cause(busy(
        &program,
        (6, "www"),
        "6 slow scripts on a real php-fpm with 4 workers",
        &raises,
        TEN_MINUTES,
    )))
}

/// A static pool logs nothing at its limit.
fn phpfpm_full_unseen(name: &'static str, directory: &Path) -> Result<Scene, Failure> {
    let (mut scene, program) = phpfpm(name, directory, &fixed("www", 3))?;
    let raises = [("PHP-FPM", "PHP-FPM: worker limit reached for 5m")];
    let scene_cause = busy(
        &program,
        (5, "www"),
        "5 slow scripts on a real php-fpm with 3 static workers",
        &raises,
        "the scripts end",
    );
    scene.macros.retain(|(name, _)| *name != "{$OOMWATCH.PHPFPM.LOG}");
    let [here, away] = ["logs", "logs-away"].map(|name| directory.join(name));
    fs::create_dir(&here)?;
    File::create(here.join("other.log"))?;
    let scene =
        scene.with("{$OOMWATCH.PHPFPM.LOG}", format!("{}/^other[.]log$", here.display())).cause(scene_cause);
    let (from, to) = (here.clone(), away.clone());
    let end = by("it is there again", move |_| Ok(fs::rename(&away, &here)?));
    let raises = [("PHP-FPM", "PHP-FPM: log cannot be read")];
    let begin = move |_: &_| Ok(fs::rename(&from, &to)?);
    Ok(scene.cause(Cause::new("the log's directory is removed", &raises, begin, end)))
}

fn phpfpm_usage(name: &'static str, directory: &Path) -> Result<Scene, Failure> {
    let (scene, program) = phpfpm(name, directory, &fixed("www", 10))?;
    let raises =
        [("PHP-FPM", "PHP-FPM: at least {$OOMWATCH.PHPFPM.USAGE.MAX} % of the worker limit in use for 6m")];
    let what = "9 slow scripts on a real php-fpm with 10 static workers";
    Ok(scene.cause(busy(&program, (9, "www"), what, &raises, "the scripts end")))
}

/// One pool of two is full, and the other idle.
fn phpfpm_pool(name: &'static str, directory: &Path) -> Result<Scene, Failure> {
    let (scene, program) = phpfpm(name, directory, &[fixed("shop", 2), fixed("www", 8)].concat())?;
    let raises = [("PHP-FPM", "PHP-FPM pool {#POOL}: worker limit reached for 5m")];
    let what = "3 slow scripts on a pool with 2 static workers; the other pool is idle";
    Ok(scene.cause(busy(&program, (3, "shop"), what, &raises, "the scripts end")))
}

fn phpfpm_huge(name: &'static str, directory: &Path) -> Result<Scene, Failure> {
    let (scene, program) = phpfpm(name, directory, &dynamic(4))?;
    let raises = ("PHP-FPM", "PHP-FPM: pm.max_children does not fit into memory");
    let what = "a real php-fpm is started with pm.max_children = 400000";
    Ok(scene.cause(reconfigured(&program, what, raises, [dynamic(400_000), dynamic(4)])))
}

fn mysql_full(name: &'static str, directory: &Path) -> Result<Scene, Failure> {
    let (scene, program) = mysql(name, directory, "max_connections=10")?;
    let raises = [("MySQL", "MySQL: connection limit reached for 5m")];
    let what = "10 connections to a real MariaDB that allows 10";
    Ok(scene.cause(busy(&program, (10, ""), what, &raises, "the connections end")))
}

fn mysql_usage(name: &'static str, directory: &Path) -> Result<Scene, Failure> {
    let (scene, program) = mysql(name, directory, "max_connections=20")?;
    let raises =
        [("MySQL", "MySQL: at least {$OOMWATCH.MYSQL.USAGE.MAX} % of the connection limit in use for 6m")];
    let what = "19 connections to a real MariaDB that allows 20";
    Ok(scene.cause(busy(&program, (19, ""), what, &raises, "the connections end")))
}

/// The configuration file of a made-up machine is replaced for a while.
fn changed(
    machine: &MadeUp,
    (file, text): (&'static str, &'static str),
    what: &'static str,
    raises: (Family, &'static str),
) -> Result<Cause, Failure> {
    let before = fs::read_to_string(machine.path(file))?;
    let (begin, end) = (machine.clone(), machine.clone());
    let end = by("it is as it was", move |_| Ok(end.write(file, &before)?));
    Ok(Cause::new(what, &[raises], move |_| Ok(begin.write(file, text)?), end))
}

fn mysql_huge(name: &'static str, directory: &Path) -> Result<Scene, Failure> {
    let machine = MadeUp::new(directory)?.with_servers()?;
    let text = "[mysqld]\nmax_connections = 20\nsort_buffer_size = 512M\n";
    let raises = ("MySQL", "MySQL: max_connections does not fit into memory");
    let cause =
        changed(&machine, (MYSQL_CONF, text), "sort_buffer_size = 512M for each of 20 connections", raises)?;
    Ok(Scene::new(name, "made-up machine of 4 GiB", &["MySQL"]).on(&machine).cause(cause))
}

/// Configurations whose effective limits differ from the configured ones.
fn odd(name: &'static str, directory: &Path) -> Result<Scene, Failure> {
    let machine = MadeUp::new(directory)?.with_servers()?;
    let apache = "ServerName localhost\nLoadModule mpm_prefork_module /usr/lib/apache2/modules/mod_mpm_prefork.so\n\
                  MaxRequestWorkers 500\n";
    let apache = changed(
        &machine,
        (APACHE_CONF, apache),
        "MaxRequestWorkers 500 without a ServerLimit (256)",
        ("Apache", "Apache: effective limit differs from the configured limit"),
    )?;
    let phpfpm = "[global]\nprocess.max = 2\nerror_log = /var/log/php8.2-fpm.log\n[www]\nuser = www-data\nlisten = /run/php/www.sock\n\
                  pm = dynamic\npm.max_children = 4\npm.min_spare_servers = 1\npm.max_spare_servers = 2\n";
    let phpfpm = changed(
        &machine,
        (PHPFPM_CONF, phpfpm),
        "process.max = 2 below pm.max_children = 4",
        ("PHP-FPM", "PHP-FPM: effective limit differs from the configured limit"),
    )?;
    let mysql = changed(
        &machine,
        (MYSQL_CONF, "[mysqld]\nmax_connections = 1\n"),
        "max_connections = 1, which the server raises to 10",
        ("MySQL", "MySQL: effective limit differs from the configured limit"),
    )?;
    let scene =
        Scene::new(name, "made-up machine, no server runs", &["Apache", "PHP-FPM", "MySQL"]).on(&machine);
    Ok(scene.cause(apache).cause(phpfpm).cause(mysql))
}

/// Configuration and log disappear together: that is one problem.
fn gone(name: &'static str, directory: &Path) -> Result<Scene, Failure> {
    let machine = MadeUp::new(directory)?.with_servers()?;
    let mut scene =
        Scene::new(name, "made-up machine, no server runs", &["Apache", "PHP-FPM", "MySQL"]).on(&machine);
    let software = [
        ("Apache", "Apache: configuration not found or not readable", &[APACHE_CONF, APACHE_LOG][..]),
        ("PHP-FPM", "PHP-FPM: configuration not found or not readable", &[PHPFPM_CONF, PHPFPM_LOG]),
        ("MySQL", "MySQL: configuration not found or not readable", &[MYSQL_CONF]),
    ];
    for (family, trigger, files) in software {
        let (begin, end) = (machine.clone(), machine.clone());
        let texts: Vec<_> =
            files.iter().map(|file| fs::read_to_string(machine.path(file)).unwrap_or_default()).collect();
        let begin = move |_: &_| Ok(files.iter().try_for_each(|file| begin.remove(file))?);
        let end: End = by("they are there again", move |_| {
            Ok(files.iter().zip(&texts).try_for_each(|(file, text)| end.write(file, text))?)
        });
        let what = "the configuration is removed, and the log";
        scene =
            scene.cause(Cause::new(what, &[(family, trigger)], begin, end).lasting(WELL_OVER_FIVE_MINUTES));
    }
    Ok(scene)
}
