//! `apache.capacity`, `phpfpm.capacity` and `mysql.capacity`: the limit of a server's workers, and whether the machine has the
//! memory for them.

mod apache;
mod context;
mod kind;
mod listening;
mod mysql;
mod phpfpm;
mod processes;
mod servers;
mod shown;
mod table;
mod value;

use std::path::PathBuf;

use agent2_plugin::{ItemError, Reply, Request};
use pool_capacity::{HostFiles, Reading, TrustedFiles};

use crate::deadline::reading_deadline;
use crate::json;
use crate::parameters::Arguments;
use crate::state::PluginState;
use context::Context;
use processes::Running;
use servers::Servers;
use value::Capacity;

pub(crate) use kind::Kind;
pub(crate) use table::table;

/// `apache.capacity[conf]`
pub(crate) fn apache(plugin: &PluginState, arguments: Arguments<'_>) -> Result<Reply, ItemError> {
    reply(plugin, Kind::Apache, arguments)
}

/// `phpfpm.capacity[conf]`
pub(crate) fn phpfpm(plugin: &PluginState, arguments: Arguments<'_>) -> Result<Reply, ItemError> {
    reply(plugin, Kind::PhpFpm, arguments)
}

/// `mysql.capacity[conf]`
pub(crate) fn mysql(plugin: &PluginState, arguments: Arguments<'_>) -> Result<Reply, ItemError> {
    reply(plugin, Kind::Mysql, arguments)
}

fn reply(plugin: &PluginState, kind: Kind, arguments: Arguments<'_>) -> Result<Reply, ItemError> {
    json::reply(&read(plugin, kind, arguments.filter(0), arguments.request())?)
}

/// Returns the capacity of the given configuration, else of the one in the agent's options, else of those at the usual paths.
pub(crate) fn read(
    plugin: &PluginState,
    kind: Kind,
    conf: Option<&str>,
    request: &Request,
) -> Result<Capacity, ItemError> {
    let conf = given(plugin, kind, conf)?;
    let running = Running::read(plugin, request)?;
    let Servers { processes, ignored, owners } = Servers::find(plugin, request, &running, kind)?;
    let trusted = TrustedFiles::new(HostFiles::below(plugin.host_root()), owners, conf.clone());
    let files = Reading::new(&trusted).until(reading_deadline(request));
    let context = Context { plugin, request, running, processes, trusted: &trusted, files };
    let result = match kind {
        Kind::Apache => apache::capacity(&context, conf.as_deref()),
        Kind::PhpFpm => phpfpm::capacity(&context, conf),
        Kind::Mysql => mysql::capacity(&context, conf),
    };
    shown::shown(result, &context, ignored)
}

fn given(plugin: &PluginState, kind: Kind, conf: Option<&str>) -> Result<Option<PathBuf>, ItemError> {
    let option = match kind {
        Kind::Apache => &plugin.confs.apache,
        Kind::PhpFpm => &plugin.confs.php_fpm,
        Kind::Mysql => &plugin.confs.mysql,
    };
    match conf.map(PathBuf::from) {
        Some(path) if path.is_absolute() => Ok(Some(path)),
        Some(path) => Err(ItemError::new(format!("{} is not an absolute path", path.display()))),
        None => Ok(option.clone()),
    }
}
