//! Configurations as they are found: what distributions install, and what operators make of it.

use oomwatch_tests::debian::Root;

use crate::machine::Machine;

/// Red Hat's files, written down from what its packages are documented to hold.
pub(crate) fn red_hat(mpm: &str) -> Machine {
    let main = "ServerRoot \"/etc/httpd\"\nListen 80\nInclude conf.modules.d/*.conf\nUser apache\nGroup apache\n\
                ServerAdmin root@localhost\n<Directory />\n    AllowOverride none\n    Require all denied\n</Directory>\n\
                DocumentRoot \"/var/www/html\"\n<IfModule dir_module>\n    DirectoryIndex index.html\n</IfModule>\n\
                <Files \".ht*\">\n    Require all denied\n</Files>\nErrorLog \"logs/error_log\"\nLogLevel warn\n\
                <IfModule log_config_module>\n    LogFormat \"%h %l %u %t \\\"%r\\\" %>s %b\" common\n\
                    <IfModule logio_module>\n      LogFormat \"%h %I %O\" combinedio\n    </IfModule>\n\
                    CustomLog \"logs/access_log\" common\n</IfModule>\n<IfModule mime_module>\n    TypesConfig /etc/mime.types\n\
                </IfModule>\nAddDefaultCharset UTF-8\n<IfModule mime_magic_module>\n    MIMEMagicFile conf/magic\n</IfModule>\n\
                EnableSendfile on\nIncludeOptional conf.d/*.conf\n";
    let base = [
        "access_compat",
        "alias",
        "authz_core",
        "authz_host",
        "dir",
        "log_config",
        "logio",
        "mime",
        "setenvif",
    ]
    .into_iter()
    .chain(["socache_shmcb", "status", "unixd", "version"])
    .map(|name| format!("LoadModule {name}_module modules/mod_{name}.so\n"))
    .collect::<String>();
    let mpms = ["prefork", "worker", "event"].map(|name| {
        let comment = if name == mpm { "" } else { "#" };
        format!(
            "# {name} MPM: see: http://httpd.apache.org/docs/2.4/mod/{name}.html\n\
                 {comment}LoadModule mpm_{name}_module modules/mod_mpm_{name}.so\n\n"
        )
    });
    Machine::empty()
        .file("/etc/httpd/conf/httpd.conf", main)
        .file("/etc/httpd/conf.modules.d/00-base.conf", &base)
        .file("/etc/httpd/conf.modules.d/00-mpm.conf", &mpms.concat())
        .file(
            "/etc/httpd/conf.modules.d/00-systemd.conf",
            "LoadModule systemd_module modules/mod_systemd.so\n",
        )
        .file(
            "/etc/httpd/conf.d/README",
            "This directory holds configuration files; not read: MaxRequestWorkers 1\n",
        )
        .file(
            "/etc/httpd/conf.d/welcome.conf",
            "<LocationMatch \"^/+$\">\n    Options -Indexes\n</LocationMatch>\n",
        )
}

/// The incident's first block.
const BLOCK: &str = "<IfModule prefork.c>\nStartServers       8\nMinSpareServers    5\nMaxSpareServers   20\nServerLimit      256\n\
                     MaxClients       256\nMaxRequestsPerChild  4000\n</IfModule>\n";
/// What comes with httpd's own sources.
const EXTRA_MPM: &str = "<IfModule !mpm_netware_module>\n    PidFile \"/var/run/apache2/apache2.pid\"\n</IfModule>\n\
    <IfModule mpm_prefork_module>\n    StartServers 5\n    MaxRequestWorkers 250\n</IfModule>\n\
    <IfModule mpm_worker_module>\n    StartServers 3\n    MinSpareThreads 75\n    ThreadsPerChild 25\n    MaxRequestWorkers 400\n</IfModule>\n\
    <IfModule mpm_event_module>\n    StartServers 3\n    ThreadsPerChild 25\n    MaxRequestWorkers 350\n</IfModule>\n\
    <IfModule mpm_winnt_module>\n    ThreadsPerChild 150\n</IfModule>\n";

pub(crate) type Named = (&'static str, Machine);

/// Debian's stock files and what is done to them.
pub(crate) fn of_debian(apache: &Root) -> Vec<Named> {
    let stock = |mpm: &str| Machine::debian(apache, mpm);
    let tuned = |text: &str| stock("event").file("/etc/apache2/conf-enabled/zz-tuning.conf", text);
    let site = |text: &str| {
        stock("prefork").file("/etc/apache2/sites-available/shop.conf", text).enabled(
            "sites",
            "shop",
            &["conf"],
        )
    };
    vec![
        ("stock event", stock("event")),
        ("stock worker", stock("worker")),
        ("stock prefork", stock("prefork")),
        ("a later file wins", tuned("MaxRequestWorkers 50\n")),
        ("processes limit threads", tuned("ServerLimit 3\n")),
        (
            "a variable",
            site(
                "Define WORKERS 7\nMaxRequestWorkers ${workers}\n<VirtualHost *:80>\n  ServerName s\n</VirtualHost>\n",
            ),
        ),
        (
            "an argument of envvars",
            tuned("<IfDefine BIG>\nMaxRequestWorkers 175\nServerLimit 7\n</IfDefine>\n")
                .append("/etc/apache2/envvars", "export APACHE_ARGUMENTS='-D BIG'\n"),
        ),
        (
            "a variable of envvars",
            tuned("MaxRequestWorkers ${SHOP_WORKERS}\n")
                .append("/etc/apache2/envvars", "export SHOP_WORKERS=\"1${SUFFIX}00\"\n"),
        ),
        (
            "backup files are passed over",
            tuned("MaxRequestWorkers 25\n")
                .file("/etc/apache2/conf-enabled/zzz.conf~", "MaxRequestWorkers 50\n")
                .file("/etc/apache2/conf-enabled/zzz.conf.dpkg-old", "MaxRequestWorkers 75\n")
                .file("/etc/apache2/conf-enabled/.zzz.conf", "MaxRequestWorkers 100\n"),
        ),
        (
            "backup files in a directory that is included as a whole",
            tuned("Include /etc/apache2/local\n")
                .file("/etc/apache2/local/b/c.conf", "MaxRequestWorkers 75\n")
                .file("/etc/apache2/local/a", "MaxRequestWorkers 50\n")
                .file("/etc/apache2/local/b/d.conf~", "MaxRequestWorkers 100\n")
                .file("/etc/apache2/local/z.dpkg-dist", "MaxRequestWorkers 125\n"),
        ),
        (
            "another instance",
            stock("prefork")
                .append("/etc/apache2/conf-available/security.conf", "MaxRequestWorkers 11\n")
                .moved("/etc/apache2", "/etc/apache2-intern")
                .configured_by("/etc/apache2-intern/apache2.conf"),
        ),
    ]
}

/// Red Hat's stock files and what is done to them.
pub(crate) fn of_red_hat() -> Vec<Named> {
    let tuned = |text: &str| red_hat("event").file("/etc/httpd/conf.d/tuning.conf", text);
    vec![
        ("release 7: prefork", red_hat("prefork")),
        ("release 7: worker", red_hat("worker")),
        ("releases 8 and 9: event", red_hat("event")),
        ("the old block goes on working", red_hat("prefork").file("/etc/httpd/conf.d/mpm.conf", BLOCK)),
        ("the old block does nothing for event", red_hat("event").file("/etc/httpd/conf.d/mpm.conf", BLOCK)),
        ("blocks for all", red_hat("worker").append("/etc/httpd/conf/httpd.conf", EXTRA_MPM)),
        (
            "an option of sysconfig",
            tuned("<IfDefine TUNED>\nThreadsPerChild 10\n</IfDefine>\n")
                .file("/etc/sysconfig/httpd", "#\nOPTIONS=\"-D OTHER -DTUNED\"\nLANG=C\n"),
        ),
        (
            "an option of the service",
            tuned("<IfDefine TUNED>\nMaxRequestWorkers 100\n</IfDefine>\n").file(
                "/etc/systemd/system/httpd.service.d/override.conf",
                "[Service]\nEnvironment=\"OPTIONS=-D TUNED\" LANG=C\n",
            ),
        ),
    ]
}

/// Numbers that httpd corrects.
pub(crate) fn of_corrections() -> Vec<Named> {
    let prefork = |body: &str| Machine::small("prefork", body);
    let worker = |body: &str| Machine::small("worker", body);
    let event = |body: &str| Machine::small("event", body);
    vec![
        ("prefork: more than ServerLimit", prefork("ServerLimit 20\nMaxRequestWorkers 30")),
        ("prefork: more than the default ServerLimit", prefork("MaxClients 300")),
        ("prefork: ServerLimit alone", prefork("ServerLimit 12")),
        ("prefork: ServerLimit 0", prefork("ServerLimit 0\nMaxRequestWorkers 5")),
        ("prefork: 0", prefork("MaxRequestWorkers 0")),
        ("prefork: below 0", prefork("MaxRequestWorkers -5\nStartServers 0\nMinSpareServers -1")),
        ("prefork: not all of it a number", prefork("MaxRequestWorkers 14workers")),
        ("prefork: no number", prefork("MaxRequestWorkers many")),
        ("prefork: 32 bits and ten", prefork("MaxRequestWorkers 4294967306")),
        ("event: no multiple", event("MaxRequestWorkers 60")),
        ("event: fewer than threads", event("MaxRequestWorkers 10")),
        ("event: more than ServerLimit", event("ServerLimit 2\nMaxRequestWorkers 100")),
        ("event: no multiple and more than ServerLimit", event("ServerLimit 2\nMaxRequestWorkers 110")),
        ("event: more threads than ThreadLimit", event("ThreadsPerChild 70\nMaxRequestWorkers 70")),
        ("event: ThreadLimit raised", event("ThreadLimit 90\nThreadsPerChild 90\nMaxRequestWorkers 180")),
        ("event: ThreadLimit 0", event("ThreadLimit 0")),
        ("event: no threads", event("ThreadsPerChild 0\nMaxRequestWorkers 6\nMinSpareThreads 0")),
        ("event: the default does not follow", event("ThreadsPerChild 64")),
        ("worker: ServerLimit alone", worker("ServerLimit 3")),
        ("worker: fewer threads", worker("ThreadsPerChild 5\nMaxClients 52")),
        ("worker: below 0", worker("MaxRequestWorkers -1\nServerLimit -1\nStartServers 0")),
    ]
}

/// Bounds that would make the server itself large: it is only asked what it says of them.
pub(crate) fn of_large_corrections() -> Vec<Named> {
    vec![
        (
            "prefork: beyond httpd's own limit",
            Machine::small("prefork", "ServerLimit 200001\nMaxRequestWorkers 200001"),
        ),
        (
            "worker: beyond httpd's own limits",
            Machine::small(
                "worker",
                "ServerLimit 20001\nThreadLimit 20001\nThreadsPerChild 20001\nMaxRequestWorkers 7",
            ),
        ),
        (
            "event: beyond httpd's own limits",
            Machine::small("event", "ServerLimit 20001\nThreadLimit 100001\nThreadsPerChild 100001"),
        ),
    ]
}

/// Everything that decides which lines count.
pub(crate) fn of_language() -> Vec<Named> {
    let small = |body: &str| Machine::small("prefork", body);
    let include = |directive: &str| small(directive).file("/etc/apache2/a/1/x.conf", "MaxRequestWorkers 3\n");
    vec![
        ("names know no case", small("mAXrEQUESTwORKERS   \"6\"")),
        ("continued lines", small("MaxRequest\\\nWorkers \\\n   7\n# no comment ends here \\\nMaxRequestWorkers 9")),
        ("blanks and returns", small("\t MaxRequestWorkers\t'8' \r\n\r\n")),
        ("nested modules", small("<IfModule !worker.c>\n<IfModule prefork.c>\n<IfModule mod_mpm_prefork.c>\nMaxRequestWorkers 1\n</IfModule>\n<IfModule \"core.c\">\nMaxRequestWorkers 6\n</IfModule>\n</IfModule>\n</IfModule>\n<IfModule mod_so.c>\nServerLimit 9\n</IfModule>")),
        ("modules from here on", small("<IfModule dir_module>\nMaxRequestWorkers 1\n</IfModule>\nLoadModule dir_module /usr/lib/apache2/modules/mod_dir.so\n<IfModule mod_dir.c>\nMaxRequestWorkers 5\n</IfModule>")),
        ("defined or not", small("Define A\nDefine B 4\nUnDefine A\n<IfDefine A>\nMaxRequestWorkers 1\n</IfDefine>\n<IfDefine !A>\n<IfDefine b>\nMaxRequestWorkers 2\n</IfDefine>\n<IfDefine B>\nMaxRequestWorkers ${b}\n</IfDefine>\n</IfDefine>")),
        ("versions", small("<IfVersion >= 2.4>\nMaxRequestWorkers 4\n</IfVersion>\n<IfVersion < 2.4.0>\nMaxRequestWorkers 1\n</IfVersion>\n<IfVersion ~ ^2\\.4\\.>\nServerLimit 6\n</IfVersion>\n<IfVersion !~ \"^2\">\nServerLimit 2\n</IfVersion>\n<IfVersion = /^2.2/>\nServerLimit 1\n</IfVersion>")),
        ("files", small("<IfFile apache2.conf>\nMaxRequestWorkers 4\n</IfFile>\n<IfFile \"/etc/apache2/none\">\nMaxRequestWorkers 1\n</IfFile>\n<IfFile !none>\nServerLimit 5\n</IfFile>")),
        ("directives", small("<IfDirective MaxRequestWorkers>\nMaxRequestWorkers 4\n</IfDirective>\n<IfDirective ThreadsPerChild>\nThreadsPerChild 4\n</IfDirective>\n<IfSection VirtualHost>\nServerLimit 6\n</IfSection>\n<IfDirective !NoSuchThing>\nStartServers 2\n</IfDirective>")),
        ("a condition that ends with its file", small("Include open.conf\nMaxRequestWorkers 5").file("/etc/apache2/open.conf", "<IfModule prefork.c>\nServerLimit 6\n")),
        ("what is skipped is not looked at", small("<IfModule none>\n<IfModule >\n${NONE}\n</IfModule>\n<VirtualHost>\n<a b>\n</a>\n</VirtualHost>\nMaxRequestWorkers 1\n</IfModule>\nMaxRequestWorkers 4")),
        ("sections", small("<VirtualHost *:80>\n<Directory \"/var/www\">\n<If \"%{HTTP_HOST} == 'a'\">\nErrorDocument 404 \"</Directory>\"\n</If>\n</Directory>\n<IfModule prefork.c>\nServerName b\n</IfModule>\n</VirtualHost>\nMaxRequestWorkers 4")),
        ("macros", small("LoadModule macro_module /usr/lib/apache2/modules/mod_macro.so\n<Macro Workers $n $name>\nDefine $name $n\nMaxRequestWorkers $n\n</Macro>\n<Macro Both $a>\nUse WORKERS $a both\nServerLimit 9\n</Macro>\nUse Both 6")),
        ("a variable without a value", small("Define LIST \"${NOTHING} ${ALSO}\"\nMaxRequestWorkers 4")),
        ("a directory", include("Include a\nServerLimit 5").file("/etc/apache2/a/2", "MaxRequestWorkers 4\n")),
        ("patterns in every part", include("Include a/?/[x-z]*.conf").file("/etc/apache2/a/2/y.conf", "MaxRequestWorkers 5\n").file("/etc/apache2/a/22/z.conf", "MaxRequestWorkers 6\n")),
        ("a linked directory under a pattern", include("Include a/*/x.conf").link("/etc/apache2/a/2", "../b").file("/etc/apache2/b/x.conf", "MaxRequestWorkers 7\n")),
        ("a linked directory by its name", include("Include a/2/*.conf").link("/etc/apache2/a/2", "../b").file("/etc/apache2/b/x.conf", "MaxRequestWorkers 7\n")),
        ("nothing to include", small("IncludeOptional none.conf\nIncludeOptional none/*.conf\nIncludeOptional a*/b*/c*\nMaxRequestWorkers 4")),
        ("the last one wins", include("MaxRequestWorkers 9\nInclude a/1/x.conf\nMaxRequestWorkers 5\nInclude a/1/../1/./x.conf")),
        ("another ServerRoot", include("ServerRoot /etc/apache2/a\nInclude 1/x.conf\nServerLimit 6")),
        ("a file that includes itself once", small("Include self.conf").file("/etc/apache2/self.conf", "<IfDefine !DONE>\nDefine DONE\nInclude self.conf\nMaxRequestWorkers 5\n</IfDefine>\nServerLimit 6\n")),
    ]
}

/// Configurations that httpd refuses, each with the line at which it does.
pub(crate) fn broken() -> Vec<Named> {
    let small = |body: &str| Machine::small("prefork", body);
    vec![
        ("a section that is not closed", small("<VirtualHost *:80>\nServerName a")),
        ("a skipped section that is not closed", small("<IfModule none>\n<IfModule b>\n</IfModule>")),
        ("an end without a beginning", small("</VirtualHost>")),
        ("ends crossed", small("<VirtualHost *:80>\n<Directory />\n</VirtualHost>\n</Directory>")),
        ("ends crossed in what is skipped", small("<IfModule none>\n<A>\n</IfModule>\n</A>")),
        ("an end with a comment", small("<IfModule prefork.c>\nServerLimit 2\n</IfModule> # prefork")),
        (
            "a section across files",
            small("Include open.conf\n</VirtualHost>").file("/etc/apache2/open.conf", "<VirtualHost *>\n"),
        ),
        ("a missing file", small("Include none.conf")),
        ("a pattern without a match", small("Include none*.conf")),
        ("two files in one Include", small("Include a b")),
        (
            "files that include each other",
            small("Include a.conf")
                .file("/etc/apache2/a.conf", "Include b.conf\n")
                .file("/etc/apache2/b.conf", "#\nInclude a.conf\n"),
        ),
        ("a file that includes itself", small("Include apache2.conf")),
        ("a device", small("Include /dev/zero")),
        ("a limit in a section", small("<VirtualHost *:80>\nMaxRequestWorkers 3\n</VirtualHost>")),
        ("a limit without a number", small("MaxRequestWorkers")),
        ("a limit with two", small("MaxRequestWorkers 3 4")),
        ("another MPM's directive", small("ThreadsPerChild 3")),
        ("no bracket", small("<IfModule prefork.c\nServerLimit 3\n</IfModule>")),
        ("nothing asked", small("<IfDefine>\n</IfDefine>")),
        ("no version", small("<IfVersion x>\n</IfVersion>")),
        ("a name with a colon", small("Define a:b c")),
        ("no such directory", small("ServerRoot /etc/none")),
        (
            "an undefined macro",
            small(
                "LoadModule macro_module /usr/lib/apache2/modules/mod_macro.so\n<Macro A>\n</Macro>\nUse B",
            ),
        ),
        (
            "a macro that uses itself",
            small(
                "LoadModule macro_module /usr/lib/apache2/modules/mod_macro.so\n<Macro A>\nUse A\n</Macro>\nUse A",
            ),
        ),
        ("two MPMs", small("LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so")),
        (
            "no MPM",
            Machine::small("prefork", "").file("/etc/apache2/apache2.conf", "ServerName a\nListen 80\n"),
        ),
    ]
}
