//! Configurations of distributions, unchanged and as operators change them.

use oomwatch_tests::debian::Root;

use crate::machine::Machine;

/// Modules that Red Hat's packages load, by file: those of `httpd` itself and of the packages that usually accompany it.
const RED_HATS_MODULES: [(&str, &str); 8] = [
    (
        "00-base",
        "access_compat actions alias allowmethods auth_basic auth_digest authn_anon authn_core authn_dbd authn_dbm authn_file \
         authn_socache authz_core authz_dbd authz_dbm authz_groupfile authz_host authz_owner authz_user autoindex cache \
         cache_disk cache_socache data dbd deflate dir dumpio echo env expires ext_filter filter headers include info \
         log_config logio macro mime_magic mime negotiation remoteip reqtimeout request rewrite setenvif slotmem_plain \
         slotmem_shm socache_dbm socache_memcache socache_shmcb status substitute suexec unique_id unixd userdir version \
         vhost_alias watchdog",
    ),
    ("00-brotli", "brotli"),
    ("00-dav", "dav dav_fs dav_lock"),
    ("00-lua", "lua"),
    (
        "00-proxy",
        "proxy lbmethod_bybusyness lbmethod_byrequests lbmethod_bytraffic lbmethod_heartbeat proxy_ajp proxy_balancer \
         proxy_connect proxy_express proxy_fcgi proxy_fdpass proxy_ftp proxy_http proxy_hcheck proxy_scgi proxy_uwsgi \
         proxy_wstunnel",
    ),
    ("00-systemd", "systemd"),
    ("01-ldap", "ldap authnz_ldap"),
    ("01-session", "session session_cookie session_dbd auth_form"),
];

/// The main file of the releases 7 to 9 without comments: all have the same directives.
const RED_HATS_MAIN: &str = r#"ServerRoot "/etc/httpd"
Listen 80
Include conf.modules.d/*.conf
User apache
Group apache
ServerAdmin root@localhost
<Directory />
    AllowOverride none
    Require all denied
</Directory>
DocumentRoot "/var/www/html"
<Directory "/var/www">
    AllowOverride None
    Require all granted
</Directory>
<Directory "/var/www/html">
    Options Indexes FollowSymLinks
    AllowOverride None
    Require all granted
</Directory>
<IfModule dir_module>
    DirectoryIndex index.html
</IfModule>
<Files ".ht*">
    Require all denied
</Files>
ErrorLog "logs/error_log"
LogLevel warn
<IfModule log_config_module>
    LogFormat "%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-Agent}i\"" combined
    LogFormat "%h %l %u %t \"%r\" %>s %b" common
    <IfModule logio_module>
      LogFormat "%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-Agent}i\" %I %O" combinedio
    </IfModule>
    CustomLog "logs/access_log" combined
</IfModule>
<IfModule alias_module>
    ScriptAlias /cgi-bin/ "/var/www/cgi-bin/"
</IfModule>
<Directory "/var/www/cgi-bin">
    AllowOverride None
    Options None
    Require all granted
</Directory>
<IfModule mime_module>
    TypesConfig /etc/mime.types
    AddType application/x-compress .Z
    AddType application/x-gzip .gz .tgz
    AddType text/html .shtml
    AddOutputFilter INCLUDES .shtml
</IfModule>
AddDefaultCharset UTF-8
<IfModule mime_magic_module>
    MIMEMagicFile conf/magic
</IfModule>
EnableSendfile on
IncludeOptional conf.d/*.conf
"#;

/// The CGI module depends on the MPM: release 9 expresses this with `!`, releases 7 and 8 list them.
const CGI_OF_9: &str = "<IfModule !mpm_prefork_module>\n   LoadModule cgid_module modules/mod_cgid.so\n</IfModule>\n\
    <IfModule mpm_prefork_module>\n   LoadModule cgi_module modules/mod_cgi.so\n</IfModule>\n";
const CGI_OF_8: &str = "<IfModule mpm_worker_module>\n   LoadModule cgid_module modules/mod_cgid.so\n</IfModule>\n\
    <IfModule mpm_event_module>\n   LoadModule cgid_module modules/mod_cgid.so\n</IfModule>\n\
    <IfModule mpm_prefork_module>\n   LoadModule cgi_module modules/mod_cgi.so\n</IfModule>\n";

/// Red Hat's files of a release, with the given MPM: prefork is the default of 7, event that of 8 and 9. The directives
/// are those of its source packages.
pub(crate) fn red_hat(release: u8, mpm: &str) -> Machine {
    let load = |name: &str| format!("LoadModule {name}_module modules/mod_{name}.so\n");
    let mpms = ["prefork", "worker", "event"].map(|name| {
        let comment = if name == mpm { "" } else { "#" };
        format!("# {name}\n{comment}{}\n", load(&format!("mpm_{name}")))
    });
    let mut machine = Machine::empty()
        .file("/etc/httpd/conf/httpd.conf", RED_HATS_MAIN)
        .file("/etc/httpd/conf.modules.d/00-mpm.conf", &mpms.concat())
        .file("/etc/httpd/conf.modules.d/00-optional.conf", "#LoadModule asis_module modules/mod_asis.so\n")
        .file("/etc/httpd/conf.modules.d/01-cgi.conf", if release < 9 { CGI_OF_8 } else { CGI_OF_9 })
        .file("/etc/httpd/conf.modules.d/README", "Not read: MaxRequestWorkers 1\n")
        .file("/etc/httpd/conf.d/README", "Not read: MaxRequestWorkers 1\n")
        .file(
            "/etc/httpd/conf.d/userdir.conf",
            "<IfModule mod_userdir.c>\n    UserDir disabled\n</IfModule>\n<Directory \"/home/*/public_html\">\n    \
                AllowOverride FileInfo AuthConfig Limit Indexes\n    Require method GET POST OPTIONS\n</Directory>\n",
        )
        .file(
            "/etc/httpd/conf.d/welcome.conf",
            "<LocationMatch \"^/+$\">\n    Options -Indexes\n    ErrorDocument 403 /.noindex.html\n</LocationMatch>\n\
             Alias /.noindex.html /usr/share/httpd/noindex/index.html\n",
        );
    for (name, modules) in RED_HATS_MODULES {
        let text: String = modules.split_whitespace().map(load).collect();
        machine = machine.file(&format!("/etc/httpd/conf.modules.d/{name}.conf"), &text);
    }
    if release == 7 {
        machine = machine.file("/etc/sysconfig/httpd", "#\n#OPTIONS=\n\nLANG=C\n");
    }
    machine
}

/// The first block of the incident's configuration.
const BLOCK: &str = "<IfModule prefork.c>\nStartServers       8\nMinSpareServers    5\nMaxSpareServers   20\nServerLimit      256\n\
                     MaxClients       256\nMaxRequestsPerChild  4000\n</IfModule>\n";
/// The file from httpd's own sources.
const EXTRA_MPM: &str = "<IfModule !mpm_netware_module>\n    PidFile \"/var/run/apache2/apache2.pid\"\n</IfModule>\n\
    <IfModule mpm_prefork_module>\n    StartServers 5\n    MaxRequestWorkers 250\n</IfModule>\n\
    <IfModule mpm_worker_module>\n    StartServers 3\n    MinSpareThreads 75\n    ThreadsPerChild 25\n    MaxRequestWorkers 400\n</IfModule>\n\
    <IfModule mpm_event_module>\n    StartServers 3\n    ThreadsPerChild 25\n    MaxRequestWorkers 350\n</IfModule>\n\
    <IfModule mpm_winnt_module>\n    ThreadsPerChild 150\n</IfModule>\n";

pub(crate) type Named = (&'static str, Machine);

/// Debian's stock files with usual changes.
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

/// Red Hat's stock files with usual changes.
pub(crate) fn of_red_hat() -> Vec<Named> {
    let tuned = |text: &str| red_hat(9, "event").file("/etc/httpd/conf.d/tuning.conf", text);
    vec![
        ("release 7: prefork", red_hat(7, "prefork")),
        ("release 7: worker", red_hat(7, "worker")),
        ("release 8: event", red_hat(8, "event")),
        ("release 8: prefork, for PHP as a module", red_hat(8, "prefork")),
        ("release 9: event", red_hat(9, "event")),
        ("release 9: worker", red_hat(9, "worker")),
        ("the old block goes on working", red_hat(7, "prefork").file("/etc/httpd/conf.d/mpm.conf", BLOCK)),
        (
            "the old block does nothing for event",
            red_hat(9, "event").file("/etc/httpd/conf.d/mpm.conf", BLOCK),
        ),
        (
            "the old block where the MPM is loaded",
            red_hat(7, "prefork").append("/etc/httpd/conf.modules.d/00-mpm.conf", BLOCK),
        ),
        ("blocks for all", red_hat(8, "worker").append("/etc/httpd/conf/httpd.conf", EXTRA_MPM)),
        (
            "an option of sysconfig",
            red_hat(7, "event")
                .file("/etc/httpd/conf.d/tuning.conf", "<IfDefine TUNED>\nThreadsPerChild 10\n</IfDefine>\n")
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

/// Limits that would make the server itself large: its configuration is only checked.
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

/// Every construct that decides which lines take effect.
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
        ("skipped sections are not read", small("<IfModule none>\n<IfModule >\n${NONE}\n</IfModule>\n<VirtualHost>\n<a b>\n</a>\n</VirtualHost>\nMaxRequestWorkers 1\n</IfModule>\nMaxRequestWorkers 4")),
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

/// Configurations that httpd refuses, each with the line of its error.
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
