//! Settings of the MPMs: defaults, corrections, names, and which MPM has which directive.

use pool_capacity::apache::{ApacheError, Build, Invocation, Mpm, Pool, read};
use pool_capacity::{Reading, Tree};

const MAIN: &str = "/etc/httpd/conf/httpd.conf";
const MPMS: [&str; 3] = ["prefork", "worker", "event"];

fn of_2_4(mpm: &str, body: &str) -> Result<Pool, ApacheError> {
    let load = format!("LoadModule mpm_{mpm}_module modules/mod_mpm_{mpm}.so\n");
    read(&Reading::new(&Tree::new().with(MAIN, load + body)), &Invocation::of_build(Build::red_hat_2_4()))
}

fn of_2_2(mpm: &str, body: &str) -> Result<Pool, ApacheError> {
    let build = Build::red_hat_2_2(&format!("{mpm}.c"));
    read(&Reading::new(&Tree::new().with(MAIN, body)), &Invocation::of_build(build))
}

#[test]
fn idle_workers_have_defaults_for_each_mpm() {
    for read in [of_2_2, of_2_4] {
        for (mpm, body, expected) in [
            ("prefork", "", (5, 5, 10)),
            ("worker", "", (3, 75, 250)),
            ("event", "", (3, 75, 250)),
            ("prefork", "StartServers 8\nMinSpareServers 6\nMaxSpareServers 20", (8, 6, 20)),
            ("worker", "StartServers 4\nMinSpareThreads 30\nMaxSpareThreads 90", (4, 30, 90)),
            ("event", "StartServers 2\nMinSpareThreads 25\nMaxSpareThreads 75", (2, 25, 75)),
        ] {
            let pool = read(mpm, body).unwrap();
            let found = (pool.start_servers, pool.min_spare, pool.max_spare);
            assert_eq!(found, expected, "{mpm} of {}: {body}", pool.version);
            assert!(pool.warnings.is_empty(), "{:?}", pool.warnings);
        }
    }
}

#[test]
fn corrections_of_idle_workers_name_the_mpms_directive() {
    for (mpm, name, code) in [
        ("prefork", "MinSpareServers", "AH00186"),
        ("worker", "MinSpareThreads", "AH00322"),
        ("event", "MinSpareThreads", "AH00519"),
    ] {
        let pool = of_2_4(mpm, &format!("{name} 0")).unwrap();
        let [warning] = &pool.warnings[..] else { panic!("{:?}", pool.warnings) };
        assert_eq!(warning.text, format!("{name} 0 is not allowed: raised to 1"));
        assert_eq!((warning.code, pool.min_spare), (Some(code), 1));
    }
}

#[test]
fn mpms_have_the_names_that_httpd_prints() {
    for (mpm, max_spare) in
        [("prefork", "MaxSpareServers"), ("worker", "MaxSpareThreads"), ("event", "MaxSpareThreads")]
    {
        let pool = of_2_4(mpm, "").unwrap();
        assert_eq!((pool.mpm.name(), pool.mpm.to_string().as_str()), (mpm, mpm));
        assert_eq!(pool.max_spare_name(), max_spare);
    }
    assert_eq!([Mpm::Prefork, Mpm::Worker, Mpm::Event].map(Mpm::name), MPMS);
}

/// The MPMs that have a directive, of 2.2 and of 2.4.
#[test]
fn directives_of_other_mpms_are_refused() {
    let all = &MPMS[..];
    let threads = &["worker", "event"][..];
    for (name, since_2_2, since_2_4) in [
        ("ServerLimit", all, all),
        ("StartServers", all, all),
        ("MaxClients", all, all),
        ("MaxRequestWorkers", &[], all),
        ("MaxRequestsPerChild", all, all),
        ("MaxConnectionsPerChild", &[], all),
        ("MinSpareServers", &["prefork"], &["prefork"]),
        ("MaxSpareServers", &["prefork"], &["prefork"]),
        ("MinSpareThreads", threads, threads),
        ("MaxSpareThreads", threads, threads),
        ("ThreadLimit", threads, threads),
        ("ThreadsPerChild", threads, threads),
        ("AsyncRequestWorkerFactor", &[], &["event"]),
    ] {
        for mpm in MPMS {
            let body = format!("{name} 7");
            for (pool, known) in [(of_2_2(mpm, &body), since_2_2), (of_2_4(mpm, &body), since_2_4)] {
                let problem = pool.err().map(|error| error.to_string());
                let is_refused = problem
                    .is_some_and(|text| text.contains(&format!("{name} is not a directive of {mpm} in 2.")));
                assert_eq!(is_refused, !known.contains(&mpm), "{name} and {mpm}");
            }
        }
    }
    assert_eq!(of_2_4("event", "AsyncRequestWorkerFactor 1.5").unwrap().async_factor, Some(1.5));
}

#[test]
fn variable_of_a_hidden_environment_is_refused_only_in_the_setting_that_counts() {
    let read = |body: &str, is_environment_hidden: bool| {
        let tree = Tree::new().with(MAIN, format!("LoadModule mpm_prefork_module m.so\n{body}"));
        read(
            &Reading::new(&tree),
            &Invocation { is_environment_hidden, ..Invocation::of_build(Build::red_hat_2_4()) },
        )
    };
    let overridden = "MaxRequestWorkers ${LIMIT}\nServerLimit 60\nMaxRequestWorkers 50\n";
    assert_eq!(read(overridden, true).unwrap().limit, 50);
    let counts = "MaxRequestWorkers 50\nMaxRequestWorkers ${LIMIT}\nServerLimit 60\n";
    assert_eq!(
        read(counts, true).unwrap_err().to_string(),
        format!(
            "{MAIN}, line 3: MaxRequestWorkers has ${{LIMIT}}, whose value is only in the server's environment, which may \
             not be read"
        )
    );
    // A server without this variable takes the text for 0.
    assert_eq!(read(counts, false).unwrap().limit, 1);
}
