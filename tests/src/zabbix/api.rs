use std::collections::HashMap;
use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use ureq::Agent;

use crate::{Error, Generation, RealAgent};

/// Limit for an import of a large template, or one that recalculates thousands of items.
const REQUEST_LIMIT: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(250);
/// The frontend's error if the database rolled a statement back, as it does with one of two transactions that wait for each
/// other. The server's discovery writes into the same tables. Nothing was stored, so the call is repeated.
const ROLLED_BACK: &str = "SQL statement execution has failed";
const REPETITIONS_MAX: u32 = 10;
/// The API's value for "supported".
const SUPPORTED: &str = "0";
/// Object and source of a trigger's event.
const BY_TRIGGER: u8 = 0;

/// The frontend's JSON-RPC, with the calls that tests need.
#[derive(Debug)]
pub struct Api {
    generation: Generation,
    address: SocketAddr,
    agent: Agent,
    token: Option<String>,
}

/// A host that was created for an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Its `hostid`.
    pub id: String,
    /// Its technical name.
    pub name: String,
}

/// The state of an item on the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemState {
    /// Its `itemid`.
    pub id: String,
    /// Its key.
    pub key: String,
    /// Its name.
    pub name: String,
    /// The reason why it is not supported; absent if it is supported.
    pub error: Option<String>,
    /// The last value and its time in seconds since 1970; absent before the first one.
    pub last: Option<(String, u64)>,
    /// Whether low-level discovery created it.
    pub discovered: bool,
}

/// A problem as the frontend lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The event's id.
    pub event: String,
    /// The trigger's id.
    pub trigger: String,
    /// The event's name.
    pub name: String,
    /// The operational data with resolved macros.
    pub opdata: String,
    /// The severity, from 0 (not classified) to 5 (disaster).
    pub severity: u8,
    /// The start time, in seconds since 1970.
    pub clock: u64,
    /// Whether it is resolved.
    pub recovered: bool,
    /// The recovery event's id; empty while the problem lasts.
    pub end: String,
    /// Its tags, as `name: value`.
    pub tags: Vec<String>,
}

impl Api {
    pub(super) fn new(generation: Generation, address: SocketAddr) -> Self {
        let config = Agent::config_builder().timeout_global(Some(REQUEST_LIMIT)).proxy(None);
        let agent = config.http_status_as_error(false).build().into();
        Self { generation, address, agent, token: None }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn log_in(&mut self, user: &str, password: &str) -> Result<(), Error> {
        let token = self.call("user.login", json!({"username": user, "password": password}))?;
        self.token = token.as_str().map(ToOwned::to_owned);
        Ok(())
    }

    /// Calls a method of the API and returns its result.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no answer, or the API's own error.
    #[expect(clippy::needless_pass_by_value, reason = "parameters are written where they are used")]
    pub fn call(&self, method: &str, parameters: Value) -> Result<Value, Error> {
        let mut answer = self.call_once(method, &parameters);
        for _ in 0..REPETITIONS_MAX {
            match &answer {
                Err(Error::Refused { answer: text, .. }) if text.contains(ROLLED_BACK) => {}
                _ => break,
            }
            sleep(PAUSE);
            answer = self.call_once(method, &parameters);
        }
        answer
    }

    fn call_once(&self, method: &str, parameters: &Value) -> Result<Value, Error> {
        let mut body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters});
        let mut request = self.agent.post(format!("http://{}/api_jsonrpc.php", self.address));
        // This is the only method that must be called without authorization.
        let token = self.token.as_ref().filter(|_| method != "apiinfo.version");
        match (token, self.generation) {
            (Some(token), Generation::V6_0) => body["auth"] = json!(token),
            (Some(token), _) => request = request.header("Authorization", format!("Bearer {token}")),
            (None, _) => {}
        }
        let failed = |source| Error::Http { request: method.to_owned(), source: Box::new(source) };
        let refused = |answer: String| Error::Refused { request: method.to_owned(), answer };
        let request = request.header("Content-Type", "application/json-rpc");
        let mut response = request.send(body.to_string()).map_err(failed)?;
        let text = response.body_mut().read_to_string().map_err(failed)?;
        // PHP prints warnings before the answer; the harness treats them as errors.
        let mut answer: Value = serde_json::from_str(&text).map_err(|_| refused(text))?;
        match answer.get_mut("result") {
            Some(result) => Ok(result.take()),
            None => Err(refused(answer["error"].to_string())),
        }
    }

    fn rows(&self, method: &str, parameters: Value) -> Result<Vec<Value>, Error> {
        match self.call(method, parameters)? {
            Value::Array(rows) => Ok(rows),
            Value::Object(rows) => Ok(rows.into_iter().map(|(_, row)| row).collect()),
            other => Err(Error::Refused { request: method.to_owned(), answer: other.to_string() }),
        }
    }

    fn first_id(&self, method: &str, ids: &str, parameters: Value) -> Result<String, Error> {
        let result = self.call(method, parameters)?;
        let id = result[ids][0].as_str().or_else(|| result[0][ids.trim_end_matches('s')].as_str());
        id.map(ToOwned::to_owned)
            .ok_or_else(|| Error::Refused { request: method.to_owned(), answer: result.to_string() })
    }

    /// Imports templates from the text of a YAML file, and deletes objects that the file does not contain.
    ///
    /// # Errors
    ///
    /// Returns an error if the server refuses the file.
    pub fn import(&self, yaml: &str) -> Result<(), Error> {
        let parameters = json!({"format": "yaml", "source": yaml, "rules": self.rules()});
        self.call("configuration.import", parameters).map(drop)
    }

    /// The changes that an import would make: an empty list if there are none.
    ///
    /// # Errors
    ///
    /// Returns an error if the server refuses the file.
    pub fn compare_import(&self, yaml: &str) -> Result<Value, Error> {
        let parameters = json!({"format": "yaml", "source": yaml, "rules": self.rules()});
        self.call("configuration.importcompare", parameters)
    }

    fn rules(&self) -> Value {
        let all = json!({"createMissing": true, "updateExisting": true, "deleteMissing": true});
        let some = json!({"createMissing": true, "updateExisting": true});
        let mut rules = json!({
            "templates": some, "templateDashboards": all, "templateLinkage": {"createMissing": true, "deleteMissing": true},
            "items": all, "discoveryRules": all, "triggers": all, "graphs": all, "httptests": all, "valueMaps": all,
        });
        match self.generation {
            Generation::V6_0 => rules["groups"] = some,
            Generation::V7_0 => (rules["template_groups"], rules["host_groups"]) = (some.clone(), some),
        }
        rules
    }

    /// Exports templates with these names.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no such template.
    pub fn export(&self, templates: &[&str]) -> Result<String, Error> {
        let ids = templates.iter().map(|name| self.template(name)).collect::<Result<Vec<_>, _>>()?;
        let parameters = json!({"format": "yaml", "options": {"templates": ids}});
        let text = self.call("configuration.export", parameters)?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// The `templateid` of a template by its technical name.
    ///
    /// # Errors
    ///
    /// Returns an error if there is none.
    pub fn template(&self, name: &str) -> Result<String, Error> {
        let parameters = json!({"output": ["templateid"], "filter": {"host": name}});
        self.first_id("template.get", "templateids", parameters)
    }

    /// Creates a host for an agent, with its interface for passive checks and linked templates.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no such template, or a host of this name exists.
    pub fn create_host(&self, agent: &RealAgent, templates: &[&str]) -> Result<Host, Error> {
        self.create_host_at(agent.hostname(), agent.address(), templates)
    }

    /// Creates a host of this name whose agent listens at `address`.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no such template, or a host of this name exists.
    pub fn create_host_at(&self, name: &str, at: SocketAddr, templates: &[&str]) -> Result<Host, Error> {
        let ids = templates.iter().map(|name| self.template(name)).collect::<Result<Vec<_>, _>>()?;
        let links: Vec<Value> = ids.iter().map(|id| json!({"templateid": id})).collect();
        let interface = json!({"type": 1, "main": 1, "useip": 1, "ip": at.ip().to_string(), "dns": "",
            "port": at.port().to_string()});
        let group =
            self.first_id("hostgroup.get", "groupids", json!({"filter": {"name": "Linux servers"}}))?;
        let parameters = json!({"host": name, "groups": [{"groupid": group}], "interfaces": [interface],
            "templates": links});
        let id = self.first_id("host.create", "hostids", parameters)?;
        Ok(Host { id, name: name.to_owned() })
    }

    /// Links one more template.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no such template, or it cannot be linked.
    pub fn link(&self, host: &Host, template: &str) -> Result<(), Error> {
        let id = self.template(template)?;
        let parameters = json!({"hosts": [{"hostid": host.id}], "templates": [{"templateid": id}]});
        self.call("host.massadd", parameters).map(drop)
    }

    /// Sets a user macro of a host, such as `{$OOMWATCH.HORIZON}`.
    ///
    /// # Errors
    ///
    /// Returns an error if the server refuses it.
    pub fn set_macro(&self, host: &Host, name: &str, value: &str) -> Result<(), Error> {
        let wanted = json!({"hostids": host.id, "filter": {"macro": name}});
        match self.first_id("usermacro.get", "hostmacroids", wanted) {
            Ok(id) => self.call("usermacro.update", json!({"hostmacroid": id, "value": value})),
            Err(_) => {
                self.call("usermacro.create", json!({"hostid": host.id, "macro": name, "value": value}))
            }
        }
        .map(drop)
    }

    /// Sets the update interval of all items and discovery rules of a host, such as `2s`. Dependent items follow their masters.
    ///
    /// # Errors
    ///
    /// Returns an error if the server refuses it.
    pub fn poll_every(&self, host: &Host, delay: &str) -> Result<(), Error> {
        for (kind, id) in [("item", "itemid"), ("discoveryrule", "itemid")] {
            let wanted = json!({"output": ["itemid", "delay", "type"], "hostids": host.id});
            let rows = self.rows(&format!("{kind}.get"), wanted)?;
            let own = rows.iter().filter(|row| !matches!(text(row, "delay").as_str(), "" | "0"));
            for row in own {
                self.call(&format!("{kind}.update"), json!({id: row[id], "delay": delay}))?;
            }
        }
        Ok(())
    }

    /// Waits for a problem of a host with these words in its name, and returns the newest; absent if the time is over.
    ///
    /// # Errors
    ///
    /// Returns an error if the API refuses.
    pub fn wait_for_problem(
        &self,
        host: &Host,
        words: &str,
        limit: Duration,
    ) -> Result<Option<Problem>, Error> {
        let start = Instant::now();
        loop {
            let found = self.problems(host)?.into_iter().rfind(|problem| problem.name.contains(words));
            if found.is_some() || start.elapsed() > limit {
                return Ok(found);
            }
            sleep(PAUSE);
        }
    }

    /// Executes items now instead of at their next poll. This is not possible for items of active checks.
    ///
    /// # Errors
    ///
    /// Returns an error if the server refuses it.
    pub fn check_now(&self, item_ids: &[String]) -> Result<(), Error> {
        let tasks: Vec<Value> =
            item_ids.iter().map(|id| json!({"type": 6, "request": {"itemid": id}})).collect();
        self.call("task.create", json!(tasks)).map(drop)
    }

    /// The enabled items of a host, discovered ones included, without discovery rules and prototypes.
    ///
    /// # Errors
    ///
    /// Returns an error if the API refuses.
    pub fn items(&self, host: &Host) -> Result<Vec<ItemState>, Error> {
        let output = json!(["itemid", "key_", "name", "state", "error", "lastvalue", "lastclock", "flags"]);
        let parameters = json!({"output": output, "hostids": host.id, "filter": {"status": 0}});
        Ok(self.rows("item.get", parameters)?.iter().map(ItemState::from_row).collect())
    }

    /// The low-level discovery rules of a host. A rule has no value.
    ///
    /// # Errors
    ///
    /// Returns an error if the API refuses.
    pub fn rules_of(&self, host: &Host) -> Result<Vec<ItemState>, Error> {
        let output = json!(["itemid", "key_", "name", "state", "error"]);
        let parameters = json!({"output": output, "hostids": host.id, "filter": {"status": 0}});
        Ok(self.rows("discoveryrule.get", parameters)?.iter().map(ItemState::from_row).collect())
    }

    /// All problems of a host so far, the oldest first.
    ///
    /// # Errors
    ///
    /// Returns an error if the API refuses.
    pub fn problems(&self, host: &Host) -> Result<Vec<Problem>, Error> {
        let parameters = json!({"output": ["eventid", "objectid", "name", "opdata", "severity", "clock", "r_eventid"],
            "hostids": host.id, "source": BY_TRIGGER, "object": BY_TRIGGER, "value": 1, "selectTags": "extend",
            "sortfield": ["clock", "eventid"], "sortorder": "ASC"});
        Ok(self.rows("event.get", parameters)?.iter().map(Problem::from_row).collect())
    }

    /// The times of a host's recovery events, in seconds since 1970, by their ids.
    ///
    /// # Errors
    ///
    /// Returns an error if the API refuses.
    pub fn recovery_times(&self, host: &Host) -> Result<HashMap<String, u64>, Error> {
        let parameters = json!({"output": ["eventid", "clock"], "hostids": host.id, "source": BY_TRIGGER,
            "object": BY_TRIGGER, "value": 0});
        let rows = self.rows("event.get", parameters)?;
        Ok(rows.iter().map(|row| (text(row, "eventid"), number(&text(row, "clock")))).collect())
    }

    /// The names of a template's triggers and trigger prototypes, without resolved macros.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no such template.
    pub fn triggers_of(&self, template: &str) -> Result<Vec<String>, Error> {
        let wanted = json!({"output": ["description"], "templateids": self.template(template)?});
        let rows = ["trigger.get", "triggerprototype.get"].map(|method| self.rows(method, wanted.clone()));
        let [triggers, prototypes] = rows;
        Ok(triggers?.iter().chain(&prototypes?).map(|row| text(row, "description")).collect())
    }

    /// The number of a host's triggers that low-level discovery created.
    ///
    /// # Errors
    ///
    /// Returns an error if the API refuses.
    pub fn discovered_triggers(&self, host: &Host) -> Result<usize, Error> {
        const DISCOVERED: &str = "4";
        let wanted = json!({"output": ["triggerid"], "hostids": host.id, "filter": {"flags": DISCOVERED}});
        Ok(self.rows("trigger.get", wanted)?.len())
    }

    /// The times of the last values of some items of a host, in seconds since 1970, by their keys.
    ///
    /// # Errors
    ///
    /// Returns an error if the API refuses.
    pub fn last_clocks(&self, host: &Host, keys: &[&str]) -> Result<HashMap<String, u64>, Error> {
        let wanted = json!({"output": ["key_", "lastclock"], "hostids": host.id, "filter": {"key_": keys}});
        let rows = self.rows("item.get", wanted)?;
        Ok(rows.iter().map(|row| (text(row, "key_"), number(&text(row, "lastclock")))).collect())
    }

    /// Creates a super administrator who sees the frontend in a language, such as `ja_JP`.
    ///
    /// # Errors
    ///
    /// Returns an error if the server refuses the name or the password.
    pub fn add_administrator(&self, name: &str, password: &str, language: &str) -> Result<(), Error> {
        const SUPER_ADMIN: &str = "3";
        let group = json!({"filter": {"name": "Zabbix administrators"}});
        let group = self.first_id("usergroup.get", "usrgrpids", group)?;
        let user = json!({"username": name, "passwd": password, "lang": language, "roleid": SUPER_ADMIN,
            "usrgrps": [{"usrgrpid": group}]});
        self.call("user.create", user).map(drop)
    }

    /// Adds an active item of unsigned numbers to a host.
    ///
    /// # Errors
    ///
    /// Returns an error if the server refuses it.
    pub fn add_item(&self, host: &Host, key: &str) -> Result<(), Error> {
        const ACTIVE: u8 = 7;
        const UNSIGNED: u8 = 3;
        let item = json!({"hostid": host.id, "name": key, "key_": key, "type": ACTIVE, "value_type": UNSIGNED, "delay": "1h"});
        self.call("item.create", item).map(drop)
    }

    /// The values of an item in the server's history, the oldest first, with their times in seconds since 1970.
    ///
    /// # Errors
    ///
    /// Returns an error if the API refuses.
    pub fn history(&self, item_id: &str) -> Result<Vec<(u64, String)>, Error> {
        let item = self.rows("item.get", json!({"output": ["value_type"], "itemids": item_id}))?;
        let kind = text(item.first().unwrap_or(&Value::Null), "value_type");
        let parameters = json!({"itemids": item_id, "history": number(&kind), "sortfield": "clock"});
        let mut rows = self.rows("history.get", parameters)?;
        // 6.0 does not sort by nanoseconds.
        let moment = |row: &Value| (number(&text(row, "clock")), number(&text(row, "ns")));
        rows.sort_by_key(moment);
        Ok(rows.iter().map(|row| (moment(row).0, text(row, "value"))).collect())
    }
}

impl ItemState {
    fn from_row(row: &Value) -> Self {
        let clock = number(&text(row, "lastclock"));
        Self {
            id: text(row, "itemid"),
            key: text(row, "key_"),
            name: text(row, "name"),
            error: (text(row, "state") != SUPPORTED).then(|| text(row, "error")),
            last: (clock > 0).then(|| (text(row, "lastvalue"), clock)),
            discovered: text(row, "flags") == "4",
        }
    }
}

impl Problem {
    fn from_row(row: &Value) -> Self {
        let tags = row["tags"].as_array().into_iter().flatten();
        Self {
            event: text(row, "eventid"),
            trigger: text(row, "objectid"),
            name: text(row, "name"),
            opdata: text(row, "opdata"),
            severity: u8::try_from(number(&text(row, "severity"))).unwrap_or_default(),
            clock: number(&text(row, "clock")),
            recovered: !matches!(text(row, "r_eventid").as_str(), "" | "0"),
            end: Some(text(row, "r_eventid")).filter(|id| id != "0").unwrap_or_default(),
            tags: tags.map(|tag| format!("{}: {}", text(tag, "tag"), text(tag, "value"))).collect(),
        }
    }

    /// Seconds from a time to this problem's start. The server stores whole seconds, so the result may be one too low.
    #[must_use]
    pub fn seconds_after(&self, cause: SystemTime) -> u64 {
        let cause = cause.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.clock.saturating_sub(cause)
    }
}

/// The API writes numbers as text.
fn text(row: &Value, member: &str) -> String {
    match &row[member] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or_default()
}
