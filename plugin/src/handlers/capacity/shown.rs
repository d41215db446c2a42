//! The last step of a capacity value: what is added to every value, and what texts must not contain.

use std::path::Path;

use agent2_plugin::ItemError;

use super::context::Context;
use super::servers::Ignored;
use super::value::Capacity;
use crate::purpose::Purpose;
use crate::text::printable;

/// Adds the ignored processes and the files that were left out. If a file was read that not every user may read, texts that may
/// quote it are withheld from an agent: everyone who may poll the agent sees them.
pub(super) fn shown(
    result: Result<Capacity, ItemError>,
    context: &Context<'_>,
    ignored: Ignored,
) -> Result<Capacity, ItemError> {
    let private = context.trusted.private().filter(|_| context.plugin.purpose == Purpose::Serve);
    let mut capacity = match (result, &private) {
        (Ok(capacity), _) => capacity,
        (Err(_), Some(path)) => return Err(ItemError::new(withheld("an error", path))),
        (Err(error), None) => return Err(ItemError::new(printable(error.to_string().as_bytes()))),
    };
    if let Some(path) = private.filter(|_| !capacity.warnings.is_empty()) {
        capacity.warnings = vec![withheld("a warning", &path)];
    }
    let left_out = context.trusted.left_out();
    capacity.warnings.extend(left_out.iter().map(|file| format!("{file}: left out")));
    for text in capacity.warnings.iter_mut().chain(&mut capacity.notes).chain([&mut capacity.conf]) {
        *text = printable(text.as_bytes());
    }
    capacity.ignored = ignored.listed;
    capacity.ignored_total = Some(ignored.total).filter(|total| *total > 0);
    Ok(capacity)
}

fn withheld(what: &str, path: &Path) -> String {
    format!(
        "the configuration has {what} whose text is withheld, because not every user may read {}: run \
         zabbix-agent2-plugin-oomwatch capacity as root",
        printable(path.as_os_str().as_encoded_bytes())
    )
}
