//! A scene: a kind of host, the causes on it, and the problems that they must raise.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use oomwatch_tests::{Generation, RealAgent};

use super::failure::Done;
use super::made_up::MadeUp;

/// Something that is done to a scene's host.
pub(super) type Act = Box<dyn Fn(&SceneAgents) -> Done + Send + Sync>;

/// Templates by their subject: `OomWatch FAMILY by Zabbix agent 2`.
pub(super) type Family = &'static str;

/// The user of agents that run without rights.
pub(super) const STRANGER_UID: u32 = 54_398;
/// Those whose items need active checks.
pub(super) const ACTIVE_ONLY: [Family; 2] = ["log", "Classic"];
pub(super) const ALL: [Family; 7] = ["Linux", "Apache", "PHP-FPM", "MySQL", "Sites", "log", "Classic"];
pub(super) const BOTH_WAYS: [Family; 5] = ["Linux", "Apache", "PHP-FPM", "MySQL", "Sites"];

/// A kind of host, watched by agents of both generations, by passive and by active checks.
pub(super) struct Scene {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// The directory that the plugin uses as the machine's root; `None` for the real one.
    pub(super) host_root: Option<PathBuf>,
    /// Arguments of setpriv(1) for the agent.
    pub(super) rights: &'static [&'static str],
    pub(super) families: Vec<Family>,
    pub(super) macros: Vec<(&'static str, String)>,
    /// Whether the plugin returns the values of the agent's own keys.
    pub(super) has_aliases: bool,
    /// Problems that such a host has from the beginning, or may get from other activity on this machine.
    pub(super) expected: Vec<&'static str>,
    /// Whether the page lists its items without a value.
    pub(super) is_host: bool,
    pub(super) causes: Vec<Cause>,
}

/// A cause, and the problems that it must raise.
pub(super) struct Cause {
    pub(super) what: &'static str,
    /// Triggers by the template that they are of.
    pub(super) raises: Vec<(Family, &'static str)>,
    /// How long it lasts at least, so that dependent triggers had their chance.
    pub(super) lasts: Duration,
    pub(super) begin: Act,
    pub(super) end: End,
}

pub(super) enum End {
    /// Problems that close some time after they were raised.
    ByItself(&'static str),
    /// As before, and every kill on this machine that comes later prolongs it.
    AfterTheLastKill,
    /// As before, and an earlier kill on this machine counts as the cause.
    AfterAnyKill,
    By(&'static str, Act),
}

impl End {
    pub(super) fn description(&self) -> &'static str {
        match self {
            Self::ByItself(how) | Self::By(how, _) => how,
            Self::AfterTheLastKill | Self::AfterAnyKill => "nothing: ten minutes without a kill",
        }
    }
}

/// A scene's agents, one of each generation, and the files of their state.
pub(super) struct SceneAgents {
    pub(super) agents: Vec<Mutex<RealAgent>>,
    pub(super) states: Vec<PathBuf>,
    /// The host names of the agents at the servers of each generation.
    pub(super) names: Vec<(Generation, String)>,
}

impl SceneAgents {
    pub(super) fn agents(&self) -> impl Iterator<Item = MutexGuard<'_, RealAgent>> {
        self.agents.iter().map(|agent| agent.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Starts the agents again, with these rights from now on.
    pub(super) fn restart(&self, rights: &[&str]) -> Done {
        for mut agent in self.agents() {
            agent.set_rights(rights);
            agent.restart()?;
        }
        Ok(())
    }
}

impl Scene {
    /// Creates a scene without causes: a host with this root, watched by an agent of root.
    pub(super) fn new(name: &'static str, about: &'static str, families: &[Family]) -> Self {
        Self {
            name,
            about,
            host_root: None,
            rights: &[],
            families: families.to_vec(),
            macros: Vec::new(),
            has_aliases: false,
            expected: Vec::new(),
            is_host: false,
            causes: Vec::new(),
        }
    }

    pub(super) fn on(mut self, machine: &MadeUp) -> Self {
        self.host_root = Some(machine.path(""));
        self
    }

    pub(super) fn rights(mut self, rights: &'static [&'static str]) -> Self {
        self.rights = rights;
        self
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.macros.push((name, value.into()));
        self
    }

    pub(super) fn aliases(mut self) -> Self {
        self.has_aliases = true;
        self
    }

    pub(super) fn expecting(mut self, names: &[&'static str]) -> Self {
        self.expected.extend(names);
        self
    }

    pub(super) fn host(mut self) -> Self {
        self.is_host = true;
        self
    }

    pub(super) fn cause(mut self, cause: Cause) -> Self {
        self.causes.push(cause);
        self
    }
}

impl Cause {
    pub(super) fn new(
        what: &'static str,
        raises: &[(Family, &'static str)],
        begin: impl Fn(&SceneAgents) -> Done + Send + Sync + 'static,
        end: End,
    ) -> Self {
        Self { what, raises: raises.to_vec(), lasts: Duration::ZERO, begin: Box::new(begin), end }
    }

    /// Sets the minimum duration.
    pub(super) fn lasting(mut self, seconds: u64) -> Self {
        self.lasts = Duration::from_secs(seconds);
        self
    }
}

pub(super) fn by(how: &'static str, act: impl Fn(&SceneAgents) -> Done + Send + Sync + 'static) -> End {
    End::By(how, Box::new(act))
}

/// Whether a trigger of a host is the one with this name, or of the prototype with this name.
pub(super) fn is_named(trigger: &str, name: &str) -> bool {
    let (Some((before, _)), Some((_, last))) = (name.split_once("{#"), name.rsplit_once("{#")) else {
        return trigger == name;
    };
    let after = last.split_once('}').map_or("", |(_, after)| after);
    trigger.len() > before.len() + after.len() && trigger.starts_with(before) && trigger.ends_with(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn triggers_of_prototypes_are_known_by_what_is_around_the_macros() {
        let prototype = "Site {#SITE} has over {$MAX:\"{#SITE}\"} requests";
        assert!(is_named("Site a.example has over {$MAX:\"a.example\"} requests", prototype));
        assert!(
            is_named("Pool www is full", "Pool {#POOL} is full")
                && !is_named("Pool is full", "Pool {#POOL} is full")
        );
        assert!(is_named("Full", "Full") && !is_named("Full, for 5m", "Full"));
    }
}
