//! How the text of a configuration is read: conditions, includes, names, and the limits of one configuration.

use std::path::PathBuf;

use pool_capacity::apache::{ApacheError, Build, Invocation, Pool, read};
use pool_capacity::{Reading, Tree};

const MAIN: &str = "/etc/httpd/conf/httpd.conf";
const PREFORK: &str = "LoadModule mpm_prefork_module modules/mod_mpm_prefork.so\n";

fn read_tree(tree: &Tree) -> Result<Pool, ApacheError> {
    read(&Reading::new(tree), &Invocation::of_build(Build::red_hat_2_4()))
}

fn with_main(tree: Tree, body: &str) -> Tree {
    tree.with(MAIN, format!("{PREFORK}{body}"))
}

fn read_body(body: &str) -> Result<Pool, ApacheError> {
    read_tree(&with_main(Tree::new(), body))
}

fn warnings(pool: &Pool) -> Vec<String> {
    pool.warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn condition_that_is_not_closed_ends_with_its_file_and_warns() {
    let tree = Tree::new().with("/etc/httpd/a.conf", "<IfModule prefork.c>\nMaxRequestWorkers 5\n");
    let pool = read_tree(&with_main(tree, "Include a.conf\nServerLimit 9\n")).unwrap();
    assert_eq!((pool.limit, pool.server_limit), (5, 9));
    assert_eq!(
        warnings(&pool),
        ["<IfModule> is not closed; it ends with its file (/etc/httpd/a.conf, line 1)"]
    );
}

#[test]
fn comment_may_name_an_undefined_variable() {
    let pool = read_body("# MaxRequestWorkers ${LIMIT}\n#${LIMIT}\n\nMaxRequestWorkers 5 \n").unwrap();
    assert_eq!((pool.limit, warnings(&pool)), (5, Vec::new()));
    let pool = read_body("ServerAdmin ${ADMIN}\n").unwrap();
    assert_eq!(warnings(&pool), [format!("${{ADMIN}} is not defined ({MAIN}, line 2)")]);
    assert_eq!(pool.warnings[0].code, Some("AH00111"));
}

#[test]
fn conditions_on_directives_know_those_of_the_core_and_of_the_mpms() {
    for (condition, holds, warning) in [
        ("IfDirective Timeout", true, None),
        ("IfDirective ServerName", true, None),
        ("IfDirective !Timeout", false, None),
        ("IfSection VirtualHost", true, None),
        ("IfDirective MinSpareServers", true, None),
        // Directives of other MPMs.
        ("IfDirective ThreadsPerChild", false, None),
        ("IfDirective !ThreadsPerChild", true, None),
        ("IfDirective Nothing", false, Some("<ifdirective Nothing>: taken as not there")),
        ("IfSection Nothing", false, Some("<ifsection Nothing>: taken as not there")),
        // A section is not a directive.
        ("IfDirective VirtualHost", false, Some("<ifdirective VirtualHost>: taken as not there")),
    ] {
        let name = condition.split(' ').next().unwrap();
        let pool = read_body(&format!("<{condition}>\nMaxRequestWorkers 7\n</{name}>\n")).unwrap();
        assert_eq!(pool.limit == 7, holds, "{condition}");
        let found = warnings(&pool);
        assert_eq!(found.len(), usize::from(warning.is_some()), "{condition}: {found:?}");
        assert!(found.iter().all(|text| text.starts_with(warning.unwrap())), "{condition}: {found:?}");
    }
}

#[test]
fn relative_paths_begin_at_the_last_server_root() {
    let tree = Tree::new()
        .with("/etc/httpd/limit.conf", "MaxRequestWorkers 11\n")
        .with("/srv/web/limit.conf", "MaxRequestWorkers 12\n");
    for (body, limit, root) in [
        ("Include limit.conf\n", 11, "/etc/httpd"),
        ("ServerRoot /srv/web\nInclude limit.conf\n", 12, "/srv/web"),
        ("ServerRoot \"/srv/./web/\"\nInclude limit.conf\n", 12, "/srv/web"),
        ("Include limit.conf\nServerRoot /srv/web\n", 11, "/srv/web"),
    ] {
        let pool = read_tree(&with_main(tree.clone(), body)).unwrap();
        assert_eq!((pool.limit, pool.server_root), (limit, PathBuf::from(root)), "{body}");
    }
    for (body, problem) in [
        ("ServerRoot /none\n", "ServerRoot /none is not a directory"),
        ("ServerRoot /srv/web/limit.conf\n", "ServerRoot /srv/web/limit.conf is not a directory"),
        ("ServerRoot /srv /web\n", "ServerRoot takes one directory"),
        ("ServerRoot\n", "ServerRoot takes one directory"),
    ] {
        let error = read_tree(&with_main(tree.clone(), body)).unwrap_err().to_string();
        assert_eq!(error, format!("{MAIN}, line 2: {problem}"));
    }
}

#[test]
fn defined_names_are_listed_with_their_values() {
    let body = "Define TUNED\nDefine Limit 50\nDefine GONE 1\nUnDefine GONE\nMaxRequestWorkers ${LIMIT}\n";
    let mut invocation = Invocation::of_build(Build::red_hat_2_4());
    invocation.defines = vec!["SSL".to_owned()];
    let pool = read(&Reading::new(&with_main(Tree::new(), body)), &invocation).unwrap();
    let defines: Vec<_> =
        pool.defines.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
    assert_eq!(defines, [("Limit", Some("50")), ("SSL", None), ("TUNED", None)]);
    assert_eq!(pool.limit, 50);
}

/// The limit is 10,000 files with the main file.
#[test]
fn ten_thousand_files_are_read_and_one_more_is_refused() {
    let with_included = |included: usize| {
        let main = with_main(Tree::new(), "Include conf.d/*\nMaxRequestWorkers 6\n");
        let tree = (0..included).fold(main, |tree, n| tree.with(format!("/etc/httpd/conf.d/{n:05}"), ""));
        read_tree(&tree)
    };
    let pool = with_included(9_999).unwrap();
    assert_eq!((pool.files.len(), pool.limit), (10_000, 6));
    let error = with_included(10_000).unwrap_err().to_string();
    let expected =
        "/etc/httpd/conf.d/09999: the configuration has more than 10000 files and is not read further";
    assert!(error.starts_with(expected), "{error}");
}

/// Only directives that concern workers are kept and count for the limit of kept text.
#[test]
fn directives_of_other_subjects_are_not_kept() {
    let many = |line: &str| format!("{}MaxRequestWorkers 8\n", line.repeat(200_000));
    assert_eq!(read_body(&many("ServerAdmin a\n")).unwrap().limit, 8);
    let error = read_body(&many("MaxRequestWorkers 9\n")).unwrap_err().to_string();
    let expected = format!("{MAIN}: the configuration has more than 8 MiB of names, values and paths");
    assert!(error.starts_with(&expected), "{error}");
}
