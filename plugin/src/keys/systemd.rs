//! Keys of systemd's services.

use super::key::{Field, Key, Returns, field};
use crate::handlers::oom;
use crate::parameters::Parameter;

const COUNT: Parameter = Parameter::text("count", "the number of services, 50 by default, at most 1000");
const SOURCE: &str = "org.freedesktop.systemd1 on the system bus (D-Bus): ListUnitsByPatterns, the properties of \
    org.freedesktop.systemd1.Service and their changes";

const FIELDS: &[Field] = &[
    field(
        "bus",
        "text",
        "`connected`; `off`; `unreachable:` and the reason, in which case the values are older",
    ),
    field(
        "oom_kills",
        "count",
        "kills of all services. It only grows and is kept in `Plugins.OomWatch.StateDir`. A kill with a restart between \
         two polls counts",
    ),
    field("units", "list", "services with a memory limit or with kills first, then the largest"),
    field("units[].unit", "text", "name of the unit"),
    field("units[].active_state", "text", "ActiveState"),
    field("units[].sub_state", "text", "SubState"),
    field("units[].result", "text", "Result"),
    field("units[].oom_kills", "count", "kills of this service"),
    field("units[].last_oom_kill", "Unix time", "the last kill; absent if there is none"),
    field("units[].restarts", "count", "NRestarts"),
    field("units[].memory_current_bytes", "B", "memory in use"),
    field("units[].memory_peak_bytes", "B", "largest use so far (systemd 256)"),
    field("units[].memory_max_bytes", "B", "MemoryMax"),
    field("units[].oom_policy", "text", "OOMPolicy (systemd 243)"),
    field(
        "units[].managed_oom_swap",
        "text",
        "`kill` if systemd-oomd watches the service's swap (systemd 247)",
    ),
    field(
        "units[].managed_oom_memory_pressure",
        "text",
        "`kill` if systemd-oomd watches the service's memory pressure (systemd 247)",
    ),
    field(
        "units[].managed_oom_memory_pressure_limit_percent",
        "%",
        "threshold of the pressure (systemd 248)",
    ),
    field(
        "units[].managed_oom_memory_pressure_duration_seconds",
        "s",
        "duration above the threshold (systemd 257)",
    ),
    field("units[].managed_oom_preference", "text", "`avoid` or `omit` (systemd 248)"),
];

pub(super) const KEYS: &[Key] = &[
    Key {
        name: "oomwatch.systemd.units",
        parameters: &[COUNT],
        summary: "Services of systemd, their memory, and how often they ended in an OOM kill.",
        returns: Returns::Json {
            summary: "A field that is not set is absent. A kill is an end of the service with the result oom-kill. With \
                      OOMPolicy=continue a service survives the kill of one of its processes, and systemd does not \
                      report it. Then the kills that the service's cgroup has counted are used (memory.events, in v1 \
                      memory.oom_control). They are read with each poll of a key about units, for the units listed. \
                      Kills that were not read before the service ended are only in `oom.total`. No kill counts twice, \
                      because with OOMPolicy=continue the result is never oom-kill. An error if systemd has not \
                      replied yet.",
            fields: FIELDS,
        },
        mirrors: None,
        source: SOURCE,
        example: "oomwatch.systemd.units[10]",
        handler: oom::services,
    },
    Key {
        name: "oomwatch.systemd.units.discovery",
        parameters: &[COUNT],
        summary: "Low-level discovery of the services that oomwatch.systemd.units lists.",
        returns: Returns::List {
            summary: "An error if systemd has not replied yet.",
            fields: &[
                field("{#UNIT}", "text", "name of the unit"),
                field("{#LIMITED}", "0 or 1", "1 if the unit has a memory limit"),
            ],
        },
        mirrors: None,
        source: SOURCE,
        example: "oomwatch.systemd.units.discovery[10]",
        handler: oom::services_discovery,
    },
];
