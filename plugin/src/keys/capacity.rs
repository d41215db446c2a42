//! Keys of worker pools.

use super::key::{Field, Key, Returns, field};
use crate::handlers::capacity;
use crate::parameters::Parameter;

const CONF: Parameter = Parameter::text(
    "conf",
    "the configuration file; default: the option of the agent's configuration, else the running server's file, \
     else the installed file",
);

const RETURNS: Returns = Returns::Json {
    summary: "A field that is not known is absent: docs/capacity.md. An error if no configuration is found. An error \
              with file and line if the server would not start with its configuration. An error with file and limit if the \
              configuration exceeds a limit of docs/capacity.md.",
    fields: FIELDS,
};

const FIELDS: &[Field] = &[
    field("pool", "text", "`apache`, `php-fpm` or `mysql`"),
    field("conf", "text", "path of the configuration file"),
    field("running", "bool", "whether the server runs; absent if the processes of other users are hidden"),
    field("mpm", "text", "Apache's processing module: `prefork`, `worker` or `event`; Apache only"),
    field("limit", "count", "largest number of workers, as the server applies it"),
    field("limit_configured", "count", "the limit as the configuration gives it; absent if it gives none"),
    field("limit_setting", "text", "name of the setting, such as `MaxRequestWorkers`"),
    field("server_limit", "count", "`ServerLimit`; Apache only"),
    field("threads_per_child", "count", "`ThreadsPerChild`; Apache with threads only"),
    field("processes", "count", "processes of the server"),
    field("workers", "count", "workers that exist now"),
    field("busy", "count", "workers with a request; absent if it cannot be measured"),
    field("threads", "count", "all threads of the database server; MySQL only"),
    field("usage_percent", "%", "workers in use as a share of `limit`"),
    field("at_limit", "bool", "whether the limit is reached"),
    field("memory", "object", "memory of a worker"),
    field("memory.source", "text", "basis of the figures: `pss`, `rss_anon`, `rss` or `configured`"),
    field("memory.worker_bytes", "B", "average for each worker"),
    field("memory.private_bytes", "B", "private memory of a worker, on average"),
    field("memory.shared_bytes", "B", "memory that all workers share, counted once"),
    field("memory.rss_bytes", "B", "average resident memory of a worker; absent if it was not measured"),
    field("memory.largest_bytes", "B", "the largest worker; absent if it was not measured"),
    field("memory.accuracy", "text", "how far the figures may be off"),
    field("memory_at_limit_bytes", "B", "memory that the pool needs at its limit"),
    field("mem_total_bytes", "B", "memory of the machine"),
    field(
        "cgroup",
        "text",
        "memory cgroup of the server; absent if no cgroup limit is below the machine's memory",
    ),
    field("cgroup_max_bytes", "B", "limit of that cgroup; absent as `cgroup`"),
    field("limited_by", "text", "`machine` or `cgroup`: the smaller one; the next fields refer to it"),
    field("reserved_bytes", "B", "memory kept for everything else"),
    field("available_bytes", "B", "memory left for the pool"),
    field("fits", "bool", "whether `memory_at_limit_bytes` fits into `available_bytes`"),
    field("largest_limit", "count", "the largest limit that fits"),
    field("basis", "text", "the computation with its numbers"),
    field("warnings", "list", "texts: problems of the configuration"),
    field("notes", "list", "texts: values that cannot be measured now; absent if there are none"),
    field(
        "ignored",
        "list",
        "processes with the name of a server that do not count as one, at most 10; absent if there are none",
    ),
    field("ignored[].pid", "id", "process id"),
    field("ignored[].user", "text", "user who runs it"),
    field("ignored[].reason", "text", "why it does not count"),
    field("ignored_total", "count", "number of all such processes; absent if there are none"),
    field("pools", "list", "php-fpm's pools; php-fpm only"),
    field("pools[].name", "text", "name of the pool; characters with a meaning in Zabbix or HTML as `%XX`"),
    field("pools[].conf", "text", "file with the pool's section"),
    field("pools[].pm", "text", "process manager: `static`, `dynamic` or `ondemand`"),
    field("pools[].limit", "count", "`pm.max_children`"),
    field("pools[].processes", "count", "processes of the pool"),
    field("pools[].workers", "count", "workers of the pool"),
    field("pools[].busy", "count", "workers with a connection"),
    field("pools[].queued", "count", "connections that no worker has accepted yet"),
    field("pools[].usage_percent", "%", "workers in use as a share of the pool's limit"),
    field("pools[].at_limit", "bool", "whether the pool's limit is reached"),
    field("pools[].user", "text", "user that the pool runs as"),
];

pub(super) const KEYS: &[Key] = &[
    Key {
        name: "oomwatch.apache.capacity",
        parameters: &[CONF],
        summary: "The worker limit of Apache, and whether the machine has the memory for it.",
        returns: RETURNS,
        mirrors: None,
        source: "apache2.conf or httpd.conf and the files that it includes; the server's processes, mod_status if it is \
                 configured; proc_pid_smaps(5), proc_pid_status(5); /proc/meminfo",
        example: "oomwatch.apache.capacity",
        handler: capacity::apache,
    },
    Key {
        name: "oomwatch.phpfpm.capacity",
        parameters: &[CONF],
        summary: "The worker limit of php-fpm, and whether the machine has the memory for it.",
        returns: RETURNS,
        mirrors: None,
        source: "php-fpm.conf and the files that it includes; processes by their titles, /proc/PID/net/unix and tcp; \
                 proc_pid_smaps(5), proc_pid_status(5); /proc/meminfo",
        example: "oomwatch.phpfpm.capacity",
        handler: capacity::phpfpm,
    },
    Key {
        name: "oomwatch.mysql.capacity",
        parameters: &[CONF],
        summary: "The connection limit of MySQL or MariaDB, and whether the machine has the memory for their buffers.",
        returns: RETURNS,
        mirrors: None,
        source: "my.cnf and the files that it includes, the running server's arguments; /proc/PID/net/unix and tcp; \
                 /proc/meminfo",
        example: "oomwatch.mysql.capacity",
        handler: capacity::mysql,
    },
];
