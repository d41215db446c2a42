//! A server of one generation, with the hosts of all scenes.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oomwatch_tests::zabbix::{Host, ItemState, Zabbix};
use oomwatch_tests::{Generation, PluginSpec, RealAgent, binaries};
use serde_json::json;

use super::checks::Checks;
use super::failure::Failure;
use super::observe::Observed;
use super::scene::{ACTIVE_ONLY, STRANGER_UID, Scene, SceneAgents};

/// The agent's own keys that the Classic template uses.
const MIRRORED: [&str; 3] = ["proc.mem", "proc.num", "log"];

pub(super) struct World {
    pub(super) zabbix: Zabbix,
    pub(super) observed: Arc<Observed>,
}

impl World {
    /// Starts a server and imports every template.
    pub(super) fn start(generation: Generation) -> Result<Self, Failure> {
        let zabbix = Zabbix::start(generation)?;
        let directory = binaries::workspace().join("templates").join(generation.name());
        let mut files: Vec<_> = fs::read_dir(&directory)?.flatten().map(|entry| entry.path()).collect();
        files.retain(|path| path.extension().is_some_and(|end| end == "yaml"));
        files.sort();
        for file in &files {
            zabbix.api().import(&fs::read_to_string(file)?)?;
        }
        Ok(Self { zabbix, observed: Observed::new() })
    }

    pub(super) fn generation(&self) -> Generation {
        self.zabbix.generation()
    }

    /// Starts the scene's agent, and makes its two hosts.
    pub(super) fn add(
        &self,
        scene: &Scene,
        plugin: &Path,
        directory: &Path,
    ) -> Result<(RealAgent, PathBuf), Failure> {
        let state = directory.join(format!("state-{}-{}", scene.name, self.generation()));
        fs::create_dir(&state)?;
        // The plugin refuses a state directory that others can write to.
        fs::set_permissions(&state, Permissions::from_mode(0o750))?;
        if !scene.rights.is_empty() {
            chown(&state, Some(STRANGER_UID), None)?;
        }
        let agent = self.agent(scene, plugin, &state)?;
        for checks in Checks::BOTH {
            let name = self.host_of(agent.hostname(), scene.name, checks);
            let host = self.zabbix.api().create_host_at(&name, agent.address(), &[])?;
            // Before the templates, so that no item is polled with a default of another scene.
            for (name, value) in &scene.macros {
                self.zabbix.api().set_macro(&host, name, value)?;
            }
            self.link(scene, &host, checks)?;
        }
        Ok((agent, state))
    }

    fn agent(&self, scene: &Scene, plugin: &Path, state: &Path) -> Result<RealAgent, Failure> {
        let mut plugin = PluginSpec::new("OomWatch", plugin).option("StateDir", state.display().to_string());
        if let Some(root) = &scene.host_root {
            plugin = plugin.option("HostRoot", root.display().to_string());
        }
        let mut agent = RealAgent::builder(self.generation()).plugin(plugin).rights(scene.rights);
        agent = agent.active_server(self.zabbix.address()).line("RefreshActiveChecks=60");
        if scene.has_aliases {
            for key in MIRRORED {
                agent = agent.alias(&format!("{key}[*]"), &format!("oomwatch.{key}[*]"));
            }
        }
        Ok(agent.start()?)
    }

    fn link(&self, scene: &Scene, host: &Host, checks: Checks) -> Result<(), Failure> {
        let (ending, families) = match checks {
            Checks::Passive => {
                ("", scene.families.iter().filter(|family| !ACTIVE_ONLY.contains(family)).collect())
            }
            Checks::Active => (" active", scene.families.iter().collect::<Vec<_>>()),
        };
        let names = families.iter().map(|family| format!("OomWatch {family} by Zabbix agent 2{ending}"));
        let ids = names.map(|name| Ok(json!({"templateid": self.zabbix.api().template(&name)?})));
        let ids = ids.collect::<Result<Vec<_>, Failure>>()?;
        self.zabbix.api().call("host.update", json!({"hostid": host.id, "templates": ids}))?;
        Ok(())
    }

    fn host_of(&self, agent: &str, scene: &str, checks: Checks) -> String {
        match checks {
            Checks::Passive => format!("{scene} passive"),
            Checks::Active => agent.to_owned(),
        }
    }

    /// The name of a scene's host on this server.
    pub(super) fn host(&self, scene_agents: &SceneAgents, scene: &str, checks: Checks) -> String {
        let own = scene_agents.names.iter().find(|(generation, _)| *generation == self.generation());
        self.host_of(own.map_or("", |(_, name)| name), scene, checks)
    }

    fn known(&self, host: &str) -> Result<Host, Failure> {
        let wanted = json!({"output": ["hostid", "host"], "filter": {"host": host}});
        let found = self.zabbix.api().call("host.get", wanted)?;
        let id = found[0]["hostid"].as_str().unwrap_or_default().to_owned();
        Ok(Host { id, name: host.to_owned() })
    }

    /// The items and rules of a host.
    pub(super) fn items(&self, host: &str) -> Result<Vec<ItemState>, Failure> {
        let host = self.known(host)?;
        Ok([self.zabbix.api().items(&host)?, self.zabbix.api().rules_of(&host)?].concat())
    }

    /// Items whose values are kept, as the masters' are not, and which never had one.
    pub(super) fn without_a_value(&self, host: &str) -> Result<Vec<String>, Failure> {
        let host = self.known(host)?;
        let wanted = json!({"output": ["itemid"], "hostids": host.id, "filter": {"history": "0"}});
        let unkept = self.zabbix.api().call("item.get", wanted)?;
        let unkept: Vec<_> =
            unkept.as_array().into_iter().flatten().map(|row| row["itemid"].clone()).collect();
        let absent = self.zabbix.api().items(&host)?.into_iter().filter(|item| item.last.is_none());
        Ok(absent.filter(|item| !unkept.contains(&json!(item.id))).map(|item| item.name).collect())
    }
}
