//! Configurations of php-fpm as php-fpm 8.2 reads them. `tests/tests/pools/phpfpm.rs` compares with the real one.

use std::path::{Path, PathBuf};

use pool_capacity::phpfpm::{Config, Environment, Error, Manager, PoolError};
use pool_capacity::{Reading, Tree};

const MAIN: &str = "/etc/php/8.2/fpm/php-fpm.conf";
const POOL: &str = "user=www-data\nlisten=/run/$pool.sock\npm=static\npm.max_children=3\n";

fn read(tree: &Tree) -> Result<Config, Error> {
    Config::read(&Reading::new(tree), Path::new(MAIN), Environment::Known(&|_| None))
}

fn with_main(text: &str) -> Tree {
    Tree::new().with(MAIN, text)
}

fn find(tree: &Tree) -> Vec<PathBuf> {
    pool_capacity::phpfpm::find(&Reading::new(tree)).expect("no limit is reached")
}

fn limits(config: &Config) -> Vec<(&str, u32)> {
    config.pools.iter().map(|pool| (pool.name.as_str(), pool.max_children)).collect()
}

#[test]
fn debians_stock_files() {
    let main = "[global]\npid = /run/php/php8.2-fpm.pid\nerror_log = /var/log/php8.2-fpm.log\n\
                include=/etc/php/8.2/fpm/pool.d/*.conf\n";
    let www = "; Start a new pool named 'www'.\n[www]\nuser = www-data\ngroup = www-data\n\
               listen = /run/php/php8.2-fpm.sock\nlisten.owner = www-data\npm = dynamic\npm.max_children = 5\n\
               pm.start_servers = 2\npm.min_spare_servers = 1\npm.max_spare_servers = 3\n";
    let tree = with_main(main).with("/etc/php/8.2/fpm/pool.d/www.conf", www);
    assert_eq!(find(&tree), [Path::new(MAIN)]);
    let config = read(&tree).unwrap();
    assert_eq!((limits(&config), config.limit()), (vec![("www", 5)], 5));
    let pool = &config.pools[0];
    assert_eq!(
        (pool.manager, pool.start_servers, pool.user.as_deref()),
        (Manager::Dynamic, 2, Some("www-data"))
    );
    assert_eq!(pool.listen, "/run/php/php8.2-fpm.sock");
    assert!(config.warnings.is_empty());
}

#[test]
fn red_hats_stock_files_beside_those_of_a_collection() {
    let pool = "[www]\nuser = apache\nlisten = /run/php-fpm/www.sock\nlisten.acl_users = apache,nginx\npm = dynamic\n\
                pm.max_children = 50\npm.start_servers = 5\npm.min_spare_servers = 5\npm.max_spare_servers = 35\n\
                php_admin_value[error_log] = /var/log/php-fpm/www-error.log\n";
    let tree = Tree::new()
        .with("/etc/php-fpm.conf", "include=/etc/php-fpm.d/*.conf\n\n[global]\ndaemonize = yes\n")
        .with("/etc/php-fpm.d/www.conf", pool)
        .with("/etc/opt/remi/php74/php-fpm.conf", "include=/etc/opt/remi/php74/php-fpm.d/*.conf\n[global]\n")
        .with("/etc/opt/remi/php74/php-fpm.d/www.conf", pool);
    assert_eq!(find(&tree), [Path::new("/etc/php-fpm.conf"), Path::new("/etc/opt/remi/php74/php-fpm.conf")]);
    for path in find(&tree) {
        assert_eq!(
            Config::read(&Reading::new(&tree), &path, Environment::Known(&|_| None)).unwrap().limit(),
            50
        );
    }
}

#[test]
fn an_include_leaves_its_last_section_open() {
    let tree = with_main(&format!("[x]\n{POOL}include=/pool.d/*.conf\npm.max_children = 9\n"))
        .with("/pool.d/inc.conf", format!("[inc]\n{POOL}"));
    assert_eq!(limits(&read(&tree).unwrap()), [("x", 3), ("inc", 9)]);
}

#[test]
fn the_last_value_counts_and_sections_come_again() {
    let text =
        format!("[x]\n{POOL}[y]\n{POOL}[X]\nPM.Max_Children = \"5\"\npm.max_children=${{N}}2 ; more\n");
    let config = Config::read(
        &Reading::new(&with_main(&text)),
        Path::new(MAIN),
        Environment::Known(&|name| (name == b"N").then(|| b"4".to_vec())),
    );
    assert_eq!(limits(&config.unwrap()), [("x", 42), ("y", 3)]);
    let unknown = read(&with_main(&text)).unwrap();
    assert_eq!(limits(&unknown), [("x", 2), ("y", 3)]);
    assert!(unknown.warnings[0].contains(":13: pm.max_children has ${N}"), "{:?}", unknown.warnings);
}

#[test]
fn a_variable_of_a_hidden_environment_is_no_empty_value() {
    let hidden =
        |text: &str| Config::read(&Reading::new(&with_main(text)), Path::new(MAIN), Environment::Hidden);
    for (number, line) in [(6, "pm.max_children=${N}2"), (6, "pm = ${PM}"), (6, "listen=${SOCKET}")] {
        let error = hidden(&format!("[x]\n{POOL}{line}\n")).unwrap_err().to_string();
        let name = line.split(['=', ' ']).next().unwrap();
        assert!(error.starts_with(&format!("{MAIN}:{number}: {name} has ${{")), "{error}");
    }
    let other = hidden(&format!("[x]\n{POOL}user=${{USER}}\nenv[A]=${{B}}\npm.max_children=${{N:-7}}\n"));
    assert_eq!(limits(&other.unwrap()), [("x", 7)]);
}

#[test]
fn process_max_bounds_all_pools_together() {
    let config = read(&with_main(&format!("[x]\n{POOL}[y]\n{POOL}[Global]\nprocess.max = 4\n"))).unwrap();
    assert_eq!((config.written(), config.limit()), (6, 4));
    assert!(config.warnings[0].starts_with("process.max 4 is less than"), "{:?}", config.warnings);
}

#[test]
fn start_servers_lie_between_the_spare_ones() {
    let pool = |more: &str| {
        let spares =
            "listen=9000\npm=dynamic\npm.max_children=9\npm.min_spare_servers=2\npm.max_spare_servers=5\n";
        read(&with_main(&format!("[x]\n{spares}{more}"))).map(|config| config.pools[0].start_servers)
    };
    assert_eq!(pool("").unwrap(), 3);
    assert_eq!(pool("pm.start_servers=5\n").unwrap(), 5);
    let error = pool("pm.start_servers=6\n").unwrap_err();
    assert!(
        matches!(error, Error::Pool { reason: PoolError::Start { start: 6, min: 2, max: 5 }, .. }),
        "{error}"
    );
}

#[test]
fn pools_that_would_not_start_are_named() {
    for (pool, expected) in [
        ("pm=static\npm.max_children=4\n", "pool x: listen is missing"),
        ("listen=1\npm.max_children=4\n", "pool x: pm is missing"),
        ("listen=1\npm=static\n", "pool x: pm.max_children must be positive and is 0"),
        ("listen=1\npm=static\npm.max_children=-5\n", "pm.max_children must be positive and is -5"),
        ("listen=1\npm=static\npm.max_children=2147483648\n", "must be positive and is -2147483648"),
        ("listen=1\npm=static\npm.max_children=\n", "must be positive and is 0"),
        ("listen=1\npm=dynamic\npm.max_children=4\n", "pm.min_spare_servers must be positive and is 0"),
        (
            "listen=1\npm=dynamic\npm.max_children=4\npm.min_spare_servers=2\npm.max_spare_servers=5\n",
            "must not be greater than pm.max_children (4)",
        ),
        (
            "listen=1\npm=dynamic\npm.max_children=4\npm.min_spare_servers=3\npm.max_spare_servers=2\n",
            "pm.max_spare_servers (2) must not be less than pm.min_spare_servers (3)",
        ),
        ("listen=1\npm=fast\n", "php-fpm.conf:3: pm = fast is not static, dynamic or ondemand"),
        ("listen=1\npm=static\npm.max_children=5K\n", "php-fpm.conf:4: pm.max_children = 5K is not a number"),
        ("listen=1\npm=static\n# comment\n", "php-fpm.conf:4: there is no `=`"),
        ("listen=\"1\npm=static\n", "php-fpm.conf:2: the double quotes are not closed"),
    ] {
        let error = read(&with_main(&format!("[x]\n{pool}"))).unwrap_err().to_string();
        assert!(error.starts_with(MAIN) && error.contains(expected), "{error}");
    }
    assert!(matches!(read(&with_main("[global]\n")), Err(Error::NoPool { .. })));
    assert!(matches!(read(&with_main("process.max=-2\n[x]\n")), Err(Error::ProcessMax { .. })));
    assert_eq!(read(&Tree::new()).unwrap_err().to_string(), format!("cannot read {MAIN}: entity not found"));
}

#[test]
fn includes_that_are_broken_or_go_round_are_errors_with_file_and_line() {
    let cyclic = with_main("include=/a.conf\n").with("/a.conf", format!("[x]\n{POOL}\ninclude={MAIN}\n"));
    let error = read(&cyclic).unwrap_err();
    assert!(matches!(&error, Error::Depth { line: 1, .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("/a.conf includes /etc/php/8.2/fpm/php-fpm.conf includes /a.conf"), "{text}");

    let broken = with_main("\ninclude=/pool.d/*.conf\n").with("/pool.d/x.conf", "[x]\nfoo\n");
    assert_eq!(read(&broken).unwrap_err().to_string(), "/pool.d/x.conf:2: there is no `=`");
    let nowhere = read(&with_main("\ninclude=/nowhere/*.conf\n")).unwrap_err().to_string();
    assert_eq!(nowhere, format!("{MAIN}:2: cannot read /nowhere: entity not found"));
    // One file that is missing is a warning to php-fpm, and so is a directory.
    let tree = with_main(&format!("[x]\n{POOL}include=/etc/none.conf\ninclude=/etc/php\n"));
    assert_eq!(read(&tree).unwrap().warnings.len(), 2);
    let relative = read(&with_main(&format!("[x]\n{POOL}include=pool.d/*.conf\n"))).unwrap();
    assert!(relative.warnings[0].contains("is not absolute"), "{:?}", relative.warnings);
}
