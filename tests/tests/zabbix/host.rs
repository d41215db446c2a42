//! A host with the plugin and its templates.

use std::time::Duration;

use oomwatch_tests::zabbix::{Host, Zabbix};
use oomwatch_tests::{Error, PluginSpec, RealAgent, binaries, wait_until};
use tempfile::TempDir;

use crate::triggers::wait_for_cache;

/// Limit for the effect of a value to appear.
pub(crate) const SOON: Duration = Duration::from_secs(90);
/// One item for each of the plugin's replies: the master items themselves are not stored.
const FIRST: [&str; 5] = [
    "oomwatch.oom.total",
    "oomwatch.oom.event.memcg",
    "oomwatch.memory.available",
    "oomwatch.oom.readable",
    "oomwatch.self.version",
];

/// A host with the plugin. Passive and active templates are imported, all of one kind linked and polled often.
pub(crate) struct HostUnderTest {
    pub(crate) agent: RealAgent,
    pub(crate) host: Host,
    _state: TempDir,
}

impl HostUnderTest {
    pub(crate) fn new(zabbix: &Zabbix, templates: &[&str], macros: &[(&str, &str)]) -> Result<Self, Error> {
        let state = tempfile::tempdir().expect("a directory");
        let plugin = PluginSpec::new("OomWatch", binaries::find(binaries::PLUGIN)?);
        let plugin = plugin.option("StateDir", state.path().display().to_string());
        let agent = RealAgent::builder(zabbix.generation()).timeout(Duration::from_secs(10)).plugin(plugin);
        let mut agent = agent.active_server(zabbix.address()).start()?;
        let host = zabbix.api().create_host(&agent, templates)?;
        for (name, value) in macros {
            zabbix.api().set_macro(&host, name, value)?;
        }
        zabbix.api().poll_every(&host, "2s")?;
        wait_for_cache(zabbix, &host, "agent.ping")?;
        // The agent asked for active checks before the host existed, and would only ask again after minutes.
        agent.restart()?;
        Ok(Self { agent, host, _state: state })
    }

    /// On a machine without a problem every item is supported.
    pub(crate) fn plain(zabbix: &Zabbix, template: &str) -> Result<Self, Error> {
        let watched = Self::new(zabbix, &[template], &[])?;
        assert_eq!(watched.unsupported(zabbix)?, Vec::<String>::new(), "{}", zabbix.generation());
        Ok(watched)
    }

    pub(crate) fn seen(&self, zabbix: &Zabbix) -> String {
        format!("{:#?}\n{:#?}", zabbix.api().problems(&self.host), zabbix.api().items(&self.host))
    }

    /// Items that the server reports as not supported, with the reasons, after each of the plugin's replies was stored.
    pub(crate) fn unsupported(&self, zabbix: &Zabbix) -> Result<Vec<String>, Error> {
        let known = || {
            let items = zabbix.api().items(&self.host).unwrap_or_default();
            let known = items.into_iter().filter(|item| item.last.is_some() || item.error.is_some());
            known.map(|item| item.key).collect::<Vec<_>>()
        };
        let missing = || FIRST.iter().copied().filter(|key| !known().iter().any(|other| other == key));
        let all = wait_until(SOON, || missing().next().is_none());
        assert!(all, "no value: {:?}\n{}", missing().collect::<Vec<_>>(), self.agent.log());
        let all = [zabbix.api().items(&self.host)?, zabbix.api().rules_of(&self.host)?].concat();
        Ok(all.into_iter().filter_map(|item| Some(format!("{}: {}", item.key, item.error?))).collect())
    }
}
