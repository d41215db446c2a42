//! The causes of all problems in the templates, and the problems that they must raise.

use oomwatch_tests::zabbix::Problem;
use serde_json::{Value, json};

const TOTAL: &str = "oomwatch.oom.total";
const LIST: &str = "oomwatch.oom.list[20]";
const RISK: &str = "oomwatch.oom.risk";
const SOURCES: &str = "oomwatch.oom.sources";
const CGROUPS: &str = "oomwatch.oom.cgroups[100]";
const UNITS: &str = "oomwatch.systemd.units[100]";
const SITES: &str = "oomwatch.log.groups[{$OOMWATCH.SITES.LOG},{$OOMWATCH.SITES.PATTERN},,skip,,100]";

const INFO: u8 = 1;
const WARNING: u8 = 2;
const AVERAGE: u8 = 3;
const HIGH: u8 = 4;

/// A change of a reply.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// Sets members, by their JSON pointers.
    Set(Vec<(&'static str, Value)>),
    /// Increases counts by this much each minute.
    Grow(Vec<(&'static str, u64)>),
    /// Adds one report to the list.
    Report(Value),
    /// The agent reports the item as not supported.
    Unsupported(&'static str),
}

/// The cause of a problem: a change of one reply.
#[derive(Debug, Clone)]
pub(crate) struct Cause {
    pub(crate) key: &'static str,
    pub(crate) change: Change,
    /// It is not undone at the end of the scene: a kill cannot be undone.
    pub(crate) stays: bool,
    /// The minute of the scene in which it begins.
    pub(crate) minute: u64,
}

/// Lines of a log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lines {
    pub(crate) key: &'static str,
    /// Absent if the agent only reports matching lines.
    pub(crate) harmless: Option<&'static str>,
    pub(crate) cause: &'static str,
}

/// A cause and the one problem that it must raise.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    /// The trigger's name in the template.
    pub(crate) trigger: &'static str,
    pub(crate) causes: Vec<Cause>,
    pub(crate) lines: Option<Lines>,
    pub(crate) cause_minutes: u64,
    /// The minute by which it must have recovered.
    pub(crate) minutes_after: u64,
    /// The one further problem that the cause leads to.
    pub(crate) beside: Option<&'static str>,
    /// Whether its trigger uses several items.
    by_minute: bool,
    severity: u8,
    name: String,
    tags: Vec<&'static str>,
}

/// Lasts longer than the five minutes that most triggers evaluate, and ends at once.
fn scene(trigger: &'static str, severity: u8, name: &str) -> Scene {
    Scene {
        trigger,
        causes: Vec::new(),
        lines: None,
        cause_minutes: 7,
        minutes_after: 4,
        beside: None,
        by_minute: false,
        severity,
        name: name.to_owned(),
        tags: vec!["scope: "],
    }
}

impl Scene {
    fn cause(mut self, key: &'static str, change: Change) -> Self {
        self.causes.push(Cause { key, change, stays: false, minute: 0 });
        self
    }

    /// A cause that cannot be undone: such problems close after 21 values.
    fn for_ever(mut self, key: &'static str, change: Change) -> Self {
        self.causes.push(Cause { key, change, stays: true, minute: 0 });
        Self { minutes_after: 23, ..self }
    }

    /// For triggers on several items: the server must have evaluated all of them before it gets the next minute.
    fn by_minute(self) -> Self {
        Self { by_minute: true, ..self }
    }

    fn beside(self, name: &'static str) -> Self {
        Self { beside: Some(name), ..self }
    }

    fn minutes(self, cause_minutes: u64) -> Self {
        Self { cause_minutes, ..self }
    }

    fn tags(mut self, tags: &[&'static str]) -> Self {
        self.tags.extend(tags);
        self
    }

    /// The problem that follows somewhat later.
    fn then(self, minute: u64, key: &'static str, change: Change) -> Self {
        let mut scene = self.cause(key, change);
        scene.causes.last_mut().expect("a cause").minute = minute;
        scene
    }

    pub(crate) fn minutes_in_all(&self) -> u64 {
        self.cause_minutes + self.minutes_after
    }

    /// The numbers of minutes to send at a time. A server processes values of different items in any order, so it must have
    /// evaluated items that belong together before it gets the next minutes.
    pub(crate) fn portions(&self) -> Vec<u64> {
        if self.causes.iter().any(|cause| cause.stays) {
            // For the trigger on the total, the 18th minute is the last.
            return vec![1, 17, self.minutes_in_all() - 18];
        }
        if self.by_minute {
            return vec![1; self.minutes_in_all().try_into().expect("minutes")];
        }
        let first = self.cause_minutes.saturating_sub(3);
        let single = std::iter::repeat_n(1, (self.cause_minutes - first).try_into().expect("minutes"));
        std::iter::once(first).chain(single).chain([self.minutes_after]).collect()
    }

    pub(crate) fn keys(&self) -> Vec<&'static str> {
        self.causes.iter().map(|cause| cause.key).collect()
    }

    /// Returns whether this is the expected problem: name, severity, and tags that begin with the expected ones. An unresolved
    /// macro makes them differ.
    pub(crate) fn expects(&self, problem: &Problem) -> bool {
        let texts = || problem.tags.iter().chain([&problem.name, &problem.opdata]);
        let has_tag = |wanted: &&str| problem.tags.iter().any(|tag| tag.starts_with(*wanted));
        is_like(&problem.name, &self.name)
            && problem.severity == self.severity
            && self.tags.iter().all(has_tag)
            && !texts().any(|text| text.contains("UNKNOWN") || text.contains("{"))
    }
}

/// A star replaces a number that the server formats.
fn is_like(text: &str, pattern: &str) -> bool {
    let mut rest = Some(text);
    for (place, part) in pattern.split('*').enumerate() {
        let found = rest.and_then(|rest| rest.find(part)).filter(|at| place > 0 || *at == 0);
        rest = found.zip(rest).map(|(at, rest)| &rest[at + part.len()..]);
    }
    rest.is_some_and(|rest| rest.is_empty() || pattern.ends_with('*'))
}

/// Scenes that run on one host, one after the other.
pub(crate) struct Play {
    pub(crate) name: &'static str,
    /// The template.
    pub(crate) subject: &'static str,
    /// The number of triggers that discovery creates from the healthy replies.
    pub(crate) discovered: usize,
    pub(crate) scenes: Vec<Scene>,
}

/// All scenes whose triggers use the time stamps of the values.
pub(crate) fn plays() -> Vec<Play> {
    let play = |name, subject, discovered, scenes| Play { name, subject, discovered, scenes };
    vec![
        play("kills", "Linux", 4, reported_kills()),
        play("unreported", "Linux", 4, unreported_kills()),
        play("memory", "Linux", 4, memory()),
        play("access", "Linux", 4, [access(), limits()].concat()),
        play("apache", "Apache", 0, apache()),
        play("phpfpm", "PHP-FPM", 2, phpfpm()),
        play("mysql", "MySQL", 0, MYSQL.scenes()),
        play("sites", "Sites", 2, vec![site()]),
    ]
}

fn report(pid: u32, constraint: &str, cgroup: Option<&str>, unit: Option<&str>) -> Change {
    let mut report = json!({
        "time": "2026-11-24T20:31:44.602Z", "clock": 1_795_552_304, "killer": "kernel", "invoked_by": "mysqld",
        "constraint": constraint, "panic": false, "kills": 1, "tasks": [], "sources": ["kmsg", "journal"], "trust": "high",
        "victims": [{"pid": pid, "name": "httpd", "uid": 48, "total_vm_bytes": 134_246_656, "anon_rss_bytes": 52_428_800}],
    });
    for (member, value) in [("cgroup", cgroup), ("unit", unit)] {
        if let Some(value) = value {
            report[member] = json!(value);
        }
    }
    Change::Report(report)
}

/// The counts of the kernel and the sources after one more kill, with this total.
fn counted(scene: Scene, total: u64, reported: u64) -> Scene {
    let counts = vec![("/counts/kernel", json!(total)), ("/counts/reported", json!(reported))];
    let total = Change::Set(vec![("", json!(total))]);
    scene.for_ever(TOTAL, total).for_ever(SOURCES, Change::Set(counts))
}

fn kill(trigger: &'static str, severity: u8, pid: u32, change: Change) -> Scene {
    scene(trigger, severity, &format!("{trigger}: httpd (pid {pid}, uid 48, 50 MiB)"))
        .for_ever(LIST, change)
        .tags(&["source: kmsg,journal", "trust: high"])
}

fn global_kill(pid: u32) -> Scene {
    let report = report(pid, "none", None, Some("httpd.service"));
    kill("OOM killer was invoked", HIGH, pid, report)
}

fn reported_kills() -> Vec<Scene> {
    let httpd = "/system.slice/httpd.service";
    let pod = "/kubepods/burstable/pod1";
    let memcg = kill(
        "OOM kill in a memory cgroup",
        WARNING,
        4243,
        report(4243, "memcg", Some(httpd), Some("httpd.service")),
    );
    // At the next poll a kill outside the filter is the newest: it hides no other kill, and no other hides it.
    let memcg = memcg
        .for_ever(LIST, report(4240, "memcg", Some(pod), None))
        .beside("Expected OOM kill in a memory cgroup: httpd (pid 4240, uid 48, 50 MiB)");
    let expected =
        kill("Expected OOM kill in a memory cgroup", INFO, 4244, report(4244, "memcg", Some(pod), None));
    let reported_by_systemd = json!({
        "time": "2026-11-24T20:31:44.602Z", "clock": 1_795_552_304, "killer": "kernel", "unit": "shop.service", "sources": ["systemd"],
        "trust": "high", "victims": [], "tasks": [],
    });
    let of_a_service = scene("OOM killer was invoked", HIGH, "OOM killer was invoked: shop.service")
        .for_ever(LIST, Change::Report(reported_by_systemd));
    vec![
        counted(global_kill(4242), 4, 4).tags(&["oom: global", "unit: httpd.service"]),
        counted(memcg, 5, 5).tags(&[
            "oom: cgroup",
            "unit: httpd.service",
            "cgroup: /system.slice/httpd.service",
        ]),
        counted(expected, 6, 6).tags(&["oom: cgroup", "cgroup: /kubepods/burstable/pod1"]),
        counted(of_a_service, 7, 7).tags(&["source: systemd", "unit: shop.service"]),
    ]
}

fn unreported_kills() -> Vec<Scene> {
    const UNREPORTED: &str = "OOM killer was invoked: no source reports the victim";
    vec![
        counted(scene(UNREPORTED, HIGH, UNREPORTED), 4, 3).tags(&["oom: unknown"]),
        // The total alone: a counted kill that is not among the reports.
        counted(scene(UNREPORTED, HIGH, UNREPORTED), 5, 4).tags(&["oom: unknown"]),
        counted(incident(global_kill(4245)), 6, 5).tags(&["oom: global"]),
    ]
}

/// All consequences of an OOM kill of the whole machine are this one problem.
fn incident(kill: Scene) -> Scene {
    let out_of_memory = vec![
        ("/seconds_left", json!(60)),
        ("/mem_available_percent", json!(2.5)),
        ("/swap_free_bytes", json!(1_000_000)),
        ("/pressure/full/avg60", json!(80.0)),
    ];
    let down = vec![("/units/1/active_state", json!("failed")), ("/units/1/result", json!("oom-kill"))];
    kill.then(1, RISK, Change::Set(out_of_memory))
        .then(1, CGROUPS, Change::Set(vec![("/cgroups/0/percent", json!(99.9))]))
        .then(1, UNITS, Change::Set(down))
}

fn memory() -> Vec<Scene> {
    let risk =
        |trigger, severity, name, members| scene(trigger, severity, name).cause(RISK, Change::Set(members));
    vec![
        risk(
            "Memory: exhausted in less than {$OOMWATCH.HORIZON}",
            HIGH,
            "Memory: exhausted in 10m at the current rate",
            // Little memory is left as well: that is the same problem.
            vec![("/seconds_left", json!(600)), ("/mem_available_percent", json!(8.0))],
        )
        .by_minute(),
        risk(
            "Memory: less than {$OOMWATCH.MEM.PAVAIL.MIN} % available for 5m",
            AVERAGE,
            "Memory: less than 10 % available for 5m",
            vec![("/mem_available_percent", json!(6.0))],
        )
        .then(2, RISK, Change::Set(vec![("/swap_free_bytes", json!(10_000_000))]))
        // The trigger on swap uses two items, whose values reach the server one after the other.
        .then(8, RISK, Change::Set(vec![("/swap_free_bytes", json!(1_073_737_728))]))
        .minutes(9),
        risk(
            "Swap: less than {$OOMWATCH.SWAP.PFREE.MIN} % free for 5m",
            WARNING,
            "Swap: less than 10 % free for 5m",
            vec![("/swap_free_bytes", json!(10_000_000))],
        )
        .then(2, RISK, Change::Set(vec![("/pressure/full/avg60", json!(20.0))]))
        .minutes(9)
        .by_minute(),
        risk(
            "Memory: all processes wait more than {$OOMWATCH.PSI.FULL.MAX} % of the time for 5m",
            WARNING,
            "Memory: all processes wait more than 10 % of the time for 5m",
            vec![("/pressure/full/avg60", json!(40.0))],
        ),
        risk(
            "Kernel: panics when memory is exhausted (panic_on_oom)",
            WARNING,
            "Kernel: panics when memory is exhausted (panic_on_oom)",
            vec![("/panic_on_oom", json!(2))],
        ),
    ]
}

fn access() -> Vec<Scene> {
    let same = |trigger, severity| scene(trigger, severity, trigger);
    let set = |at, value| Change::Set(vec![(at, value)]);
    vec![
        same("OomWatch: polls hang for 10m", WARNING)
            .cause("oomwatch.self", set("/exports/running_past_deadline", json!(1)))
            .minutes(12),
        same("OomWatch: state is not durable", WARNING)
            .cause("oomwatch.self", set("/state/persistence", json!("memory"))),
        same("Agent: kernel messages cannot be read", WARNING).cause(SOURCES, set("/readable", json!(false))),
        same("Agent: processes of other users are not visible (hidepid)", WARNING)
            .cause(RISK, set("/others_visible", json!(false))),
        same("Agent: PSS of some processes cannot be read", INFO)
            .cause("oomwatch.proc.top[pss,100]", set("/unreadable", json!(5))),
    ]
}

fn limits() -> Vec<Scene> {
    let down = vec![("/units/1/active_state", json!("failed")), ("/units/1/result", json!("oom-kill"))];
    vec![
        scene(
            "Cgroup {#CGROUP}: memory near the limit",
            WARNING,
            "Cgroup /system.slice/system-php\\x2dfpm.slice/php-fpm@www.service: memory near the limit (over 95 % for 5m)",
        )
        .cause(CGROUPS, Change::Set(vec![("/cgroups/1/percent", json!(97.5))])),
        scene(
            "Service {#UNIT}: down since an OOM kill",
            HIGH,
            "Service mysqld.service: down since an OOM kill",
        )
        .cause(UNITS, Change::Set(down))
        .by_minute(),
    ]
}

/// Counts do not decrease.
fn site() -> Scene {
    let requests = Change::Grow(vec![("/count", 9000), ("/groups/0/count", 9000)]);
    scene(
        "Site {#SITE}: more than {$OOMWATCH.SITES.RATE.MAX:\"{#SITE}\"} requests per second for 5m",
        WARNING,
        "Site shop.example: more than 100 requests per second for 5m",
    )
    .for_ever(SITES, requests)
}

/// The names of one kind of pool: its key, and the triggers on its limit in this order.
struct Pool {
    key: &'static str,
    fits: [&'static str; 2],
    full: [&'static str; 2],
    usage: [&'static str; 2],
    found: &'static str,
    warnings: &'static str,
}

const APACHE: Pool = Pool {
    key: "oomwatch.apache.capacity[{$OOMWATCH.APACHE.CONF}]",
    fits: [
        "Apache: MaxRequestWorkers does not fit into memory",
        "Apache: MaxRequestWorkers 256 does not fit into memory (at most 61 fits)",
    ],
    full: ["Apache: worker limit reached for 5m", "Apache: worker limit reached for 5m (100 % of *)"],
    usage: [
        "Apache: at least {$OOMWATCH.APACHE.USAGE.MAX} % of the worker limit in use for 6m",
        "Apache: at least 90 % of the worker limit in use for 6m (95 % of *)",
    ],
    found: "Apache: configuration not found or not readable",
    warnings: "Apache: effective limit differs from the configured limit",
};

const PHPFPM: Pool = Pool {
    key: "oomwatch.phpfpm.capacity[{$OOMWATCH.PHPFPM.CONF}]",
    fits: [
        "PHP-FPM: pm.max_children does not fit into memory",
        "PHP-FPM: pm.max_children 256 does not fit into memory (at most 61 fits)",
    ],
    full: ["PHP-FPM: worker limit reached for 5m", "PHP-FPM: worker limit reached for 5m (100 % of *)"],
    usage: [
        "PHP-FPM: at least {$OOMWATCH.PHPFPM.USAGE.MAX} % of the worker limit in use for 6m",
        "PHP-FPM: at least 90 % of the worker limit in use for 6m (95 % of *)",
    ],
    found: "PHP-FPM: configuration not found or not readable",
    warnings: "PHP-FPM: effective limit differs from the configured limit",
};

const MYSQL: Pool = Pool {
    key: "oomwatch.mysql.capacity[{$OOMWATCH.MYSQL.CONF}]",
    fits: [
        "MySQL: max_connections does not fit into memory",
        "MySQL: max_connections 256 does not fit into memory (at most 61 fits)",
    ],
    full: ["MySQL: connection limit reached for 5m", "MySQL: connection limit reached for 5m (100 % of *)"],
    usage: [
        "MySQL: at least {$OOMWATCH.MYSQL.USAGE.MAX} % of the connection limit in use for 6m",
        "MySQL: at least 90 % of the connection limit in use for 6m (95 % of *)",
    ],
    found: "MySQL: configuration not found or not readable",
    warnings: "MySQL: effective limit differs from the configured limit",
};

impl Pool {
    fn scenes(&self) -> Vec<Scene> {
        let cause = |[trigger, name]: [&'static str; 2], severity, members| {
            scene(trigger, severity, name).cause(self.key, Change::Set(members))
        };
        let too_many = vec![("/limit", json!(256)), ("/largest_limit", json!(61)), ("/fits", json!(false))];
        let full = Change::Set(vec![("/usage_percent", json!(100.0))]);
        let lowered = "MaxRequestWorkers 300 exceeds ServerLimit 256: lowered to 256";
        vec![
            cause(self.fits, AVERAGE, too_many),
            cause(self.full, HIGH, vec![("/at_limit", json!(true))]).then(1, self.key, full).minutes(8),
            cause(self.usage, WARNING, vec![("/usage_percent", json!(95.0))]),
            cause([self.warnings; 2], INFO, vec![("/warnings", json!([lowered]))]),
            scene(self.found, INFO, self.found)
                .cause(self.key, Change::Unsupported("No configuration found at A, B, C.")),
        ]
    }
}

fn line(trigger: &'static str, severity: u8, key: &'static str, text: &str) -> Scene {
    let members = vec![("/count", json!(1)), ("/line", json!(text))];
    scene(trigger, severity, trigger).for_ever(key, Change::Set(members)).minutes(1)
}

/// The configuration exists all the time: without it no log would be expected.
fn unreadable(trigger: &'static str, key: &'static str, configuration: &'static str) -> Scene {
    scene(trigger, INFO, trigger)
        .cause(key, Change::Unsupported("Cannot open file: Permission denied."))
        .cause(configuration, Change::Set(Vec::new()))
        .by_minute()
}

fn apache() -> Vec<Scene> {
    const FULL: &str = "oomwatch.log.last[{$OOMWATCH.APACHE.LOG},{$OOMWATCH.APACHE.MAX.PATTERN},,skip]";
    const NEAR: &str = "oomwatch.log.last[{$OOMWATCH.APACHE.LOG},{$OOMWATCH.APACHE.NEAR.PATTERN},,skip]";
    let mut scenes = APACHE.scenes();
    scenes.extend([
        line("Apache: worker limit reached (error log)", HIGH, FULL, APACHE_LINE),
        line("Apache: worker limit nearly reached (error log)", WARNING, NEAR, APACHE_NEAR_LINE),
        unreadable("Apache: error log cannot be read", FULL, APACHE.key),
    ]);
    scenes
}

fn phpfpm() -> Vec<Scene> {
    const FULL: &str = "oomwatch.logrt.last[{$OOMWATCH.PHPFPM.LOG},{$OOMWATCH.PHPFPM.MAX.PATTERN},,skip]";
    let mut scenes = PHPFPM.scenes();
    scenes.extend([
        line("PHP-FPM: worker limit reached (log)", HIGH, FULL, PHPFPM_LINE),
        unreadable("PHP-FPM: log cannot be read", FULL, PHPFPM.key),
        scene(
            "PHP-FPM pool {#POOL}: worker limit reached for 5m",
            HIGH,
            "PHP-FPM pool shop: worker limit reached for 5m",
        )
        .cause(PHPFPM.key, Change::Set(vec![("/pools/1/at_limit", json!(true))])),
    ]);
    scenes
}

/// Items of an answer that have a value whenever it has, those of its triggers above all.
pub(crate) fn items_of(key: &str) -> &'static [&'static str] {
    match key {
        TOTAL => &["oomwatch.oom.total"],
        LIST => &["oomwatch.oom.event.global", "oomwatch.oom.event.memcg", "oomwatch.oom.event.expected"],
        RISK => &[
            "oomwatch.memory.pavailable",
            "oomwatch.swap.total",
            "oomwatch.swap.pfree",
            "oomwatch.psi.full",
            "oomwatch.others_visible",
        ],
        SOURCES => &["oomwatch.oom.readable", "oomwatch.oom.unreported"],
        "oomwatch.self" => &["oomwatch.self.hanging"],
        "oomwatch.proc.top[pss,100]" => &["oomwatch.proc.pss.unreadable"],
        "oomwatch.proc.top[rss,100]" => &["oomwatch.proc.rss.total"],
        CGROUPS => &["oomwatch.cgroups.total", "oomwatch.cgroup.percent[/system.slice/httpd.service]"],
        UNITS => &["oomwatch.unit.state[mysqld.service]", "oomwatch.unit.result[mysqld.service]"],
        SITES => &["oomwatch.sites.rate", "oomwatch.sites.site.rate[shop.example]"],
        key if key.contains("APACHE.MAX") => &["oomwatch.apache.log.readable"],
        key if key.contains("APACHE.NEAR") => &["oomwatch.apache.near.line"],
        key if key.contains("PHPFPM.MAX") => &["oomwatch.phpfpm.log.readable"],
        key if key.contains("APACHE.CONF") => &["oomwatch.apache.found"],
        key if key.contains("PHPFPM.CONF") => &["oomwatch.phpfpm.found"],
        _ => &["oomwatch.mysql.found"],
    }
}

const APACHE_LINE: &str = "[mpm_prefork:error] [pid 1] AH00161: server reached MaxRequestWorkers setting, consider raising the MaxRequestWorkers setting";
const APACHE_NEAR_LINE: &str = "[mpm_event:error] [pid 1:tid 1] AH10159: server is within MinSpareThreads of MaxRequestWorkers, consider raising the MaxRequestWorkers setting";
const PHPFPM_LINE: &str =
    "WARNING: [pool www] server reached pm.max_children setting (5), consider raising it";
const KERNEL_LINE: &str = "Nov 24 10:00:00 web kernel: httpd invoked oom-killer: gfp_mask=0x100cca(GFP_HIGHUSER_MOVABLE), order=0, oom_score_adj=0";

/// Everything that is judged by the server's clock.
pub(crate) fn live_scenes() -> Vec<Scene> {
    let log = |trigger, key: &'static str, cause| {
        // The plugin returns only matching lines; the built-in item returns all lines.
        let harmless = key.starts_with("log[").then_some(HARMLESS);
        Scene { lines: Some(Lines { key, harmless, cause }), ..scene(trigger, HIGH, trigger) }
    };
    vec![
        scene("OomWatch: no data for {$OOMWATCH.NODATA}", AVERAGE, "OomWatch: no data for 30s"),
        log(
            "Log: OOM killer was invoked",
            "oomwatch.log[{$OOMWATCH.SYSLOG},{$OOMWATCH.OOM.PATTERN},,,skip]",
            KERNEL_LINE,
        ),
        log(
            "Log: Apache worker limit reached",
            "oomwatch.log[{$OOMWATCH.APACHE.LOG},{$OOMWATCH.APACHE.MAX.PATTERN},,,skip]",
            APACHE_LINE,
        ),
        log(
            "Log: PHP-FPM worker limit reached",
            "oomwatch.logrt[{$OOMWATCH.PHPFPM.LOG},{$OOMWATCH.PHPFPM.MAX.PATTERN},,,skip]",
            PHPFPM_LINE,
        ),
        log("OOM killer was invoked (messages)", CLASSIC_MESSAGES, KERNEL_LINE),
        log("Apache: process limit reached (error_log)", CLASSIC_ERROR_LOG, APACHE_LINE),
    ]
}

const CLASSIC_MESSAGES: &str = "log[/var/log/messages]";
const CLASSIC_ERROR_LOG: &str = "log[/var/log/httpd/error_log]";
const HARMLESS: &str = "Nov 24 09:59:00 web sshd[7]: session opened for user root";
