//! A template as an export of Zabbix 6.0 or 7.0, in English or Japanese.

use std::io;

use super::model::{
    Check, DiscoveryRule, Graph, Item, LineStyle, OnFail, Origin, Severity, Step, Template, Text, Trigger,
    UserMacro, ValueMap, ValueType,
};
use super::uuids::Uuids;
use super::yaml::Yaml;

/// The version of Zabbix that a file is for. Servers newer than 7.0 import the files for 7.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V6,
    V7,
}

impl Version {
    pub(crate) fn name(self) -> &'static str {
        if self == Self::V6 { "6.0" } else { "7.0" }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    English,
    Japanese,
}

const GROUP: &str = "Templates/OomWatch";
/// Colours of the lines of a graph, in their order.
const COLORS: [&str; 6] = ["1A7C11", "F63100", "2774A4", "A54F10", "FC6EA3", "6C59DC"];

/// Writes one template as a document.
pub(crate) struct Exporter<'a> {
    pub(crate) template: &'a Template,
    pub(crate) version: Version,
    pub(crate) language: Language,
    pub(crate) uuids: &'a mut Uuids,
}

impl Exporter<'_> {
    pub(crate) fn document(&mut self) -> io::Result<String> {
        let groups = if self.version == Version::V6 { "groups" } else { "template_groups" };
        let group = Yaml::map().set("uuid", self.uuids.uuid_of("group")?).set("name", GROUP);
        let template = self.template()?;
        let triggers = self.triggers_of_several_items()?;
        let graphs = self.graphs(&self.template.graphs)?;
        let export = Yaml::map()
            .set("version", self.version.name())
            .set_list(groups, vec![group])
            .set_list("templates", vec![template])
            .set_list("triggers", triggers)
            .set_list("graphs", graphs);
        Ok(Yaml::map().set("zabbix_export", export).document())
    }

    pub(super) fn uuid(&mut self, kind: &str, id: &str) -> io::Result<String> {
        self.uuids.uuid_of(&format!("{}/{kind}/{id}", self.template.uuid_prefix()))
    }

    pub(super) fn translate<'t>(&self, text: &'t Text) -> &'t str {
        if self.language == Language::English { &text.en } else { &text.ja }
    }

    fn template(&mut self) -> io::Result<Yaml> {
        let template = self.template;
        let name = template.name();
        let mut yaml = Yaml::map()
            .set("uuid", self.uuid("template", template.id)?)
            .set("template", name.as_str())
            .set("name", name.as_str())
            .set("description", self.translate(&template.description));
        if self.version == Version::V7 {
            yaml = yaml.set("vendor", Yaml::map().set("name", "OomWatch").set("version", "7.0-1"));
        }
        let items = self.each(&template.items, Self::item)?;
        let rules = self.each(&template.discovery_rules, Self::discovery_rule)?;
        let dashboards = self.dashboards()?;
        let value_maps = self.each(&template.value_maps, Self::value_map)?;
        let macros = template.macros.iter().map(|user_macro| self.user_macro(user_macro)).collect();
        Ok(yaml
            .set_list("groups", vec![Yaml::map().set("name", GROUP)])
            .set_list("items", items)
            .set_list("discovery_rules", rules)
            .set_list("tags", vec![tag("class", template.class), tag("target", template.target)])
            .set_list("macros", macros)
            .set_list("dashboards", dashboards)
            .set_list("valuemaps", value_maps))
    }

    fn each<T>(
        &mut self,
        parts: &[T],
        write: impl Fn(&mut Self, &T) -> io::Result<Yaml>,
    ) -> io::Result<Vec<Yaml>> {
        parts.iter().map(|part| write(self, part)).collect()
    }

    fn item(&mut self, item: &Item) -> io::Result<Yaml> {
        let yaml = self.item_body(item, "item")?;
        let template = self.template;
        let triggers = self.triggers(&template.triggers, "trigger", |trigger| uses_only(trigger, item))?;
        Ok(yaml.set_list("triggers", triggers))
    }

    /// Returns the members that items and item prototypes have in common.
    fn item_body(&mut self, item: &Item, kind: &str) -> io::Result<Yaml> {
        let (kind_word, delay) = match (&item.origin, self.template.check) {
            (Origin::Dependent { .. }, _) => ("DEPENDENT", "0"),
            (Origin::Agent { delay }, Check::Active) => ("ZABBIX_ACTIVE", *delay),
            (Origin::Agent { delay }, Check::Passive) => ("ZABBIX_PASSIVE", *delay),
        };
        let numeric = matches!(item.value_type, ValueType::Unsigned | ValueType::Float);
        let trends = if numeric { "365d" } else { "0" };
        let default_history = if self.version == Version::V6 { "90d" } else { "31d" };
        let mut yaml = Yaml::map()
            .set("uuid", self.uuid(kind, item.id)?)
            .set("name", self.translate(&item.name))
            .set_unless("ZABBIX_PASSIVE", "type", kind_word)
            .set("key", item.key.as_str())
            .set_unless("1m", "delay", delay)
            .set_unless(default_history, "history", item.history)
            .set_unless("365d", "trends", trends)
            .set_unless("UNSIGNED", "value_type", value_type_name(item.value_type))
            .set_unless("", "units", item.units)
            .set_unless("", "description", self.translate(&item.description));
        if let Some(value_map) = item.value_map {
            yaml = yaml.set("valuemap", Yaml::map().set("name", self.value_map_name(value_map)));
        }
        yaml = yaml.set_list("preprocessing", self.steps(&item.steps));
        if let Origin::Dependent { master } = item.origin {
            yaml = yaml.set("master_item", Yaml::map().set("key", self.key_of(master)));
        }
        Ok(yaml.set_list("tags", vec![tag("component", item.component)]))
    }

    fn value_map_name(&self, id: &str) -> &str {
        let found = self.template.value_maps.iter().find(|value_map| value_map.id == id);
        self.translate(&found.unwrap_or_else(|| panic!("{} has no value map {id}", self.template.id)).name)
    }

    pub(super) fn key_of(&self, id: &str) -> &str {
        let found = self.template.all_items().find(|item| item.id == id);
        &found.unwrap_or_else(|| panic!("{} has no item {id}", self.template.id)).key
    }

    fn steps(&self, steps: &[Step]) -> Vec<Yaml> {
        steps.iter().map(|step| self.step(step)).collect()
    }

    fn step(&self, step: &Step) -> Yaml {
        let any_error = if self.version == Version::V6 { "" } else { "-1" };
        let (kind, parameter, on_fail) = match step {
            Step::NotSupported(on_fail) => ("CHECK_NOT_SUPPORTED", any_error, Some(on_fail)),
            Step::JsonPath(path, on_fail) => ("JSONPATH", path.as_str(), Some(on_fail)),
            Step::JavaScript(code) => ("JAVASCRIPT", *code, None),
            Step::BoolToDecimal => ("BOOL_TO_DECIMAL", "", None),
            Step::ChangePerSecond => ("CHANGE_PER_SECOND", "", None),
            Step::DiscardUnchanged(every) => ("DISCARD_UNCHANGED_HEARTBEAT", *every, None),
        };
        let yaml = Yaml::map().set("type", kind).set_list("parameters", vec![Yaml::from(parameter)]);
        match on_fail {
            None | Some(OnFail::Error) => yaml,
            // It is the step's default, so exports omit it.
            Some(OnFail::Discard) if kind == "CHECK_NOT_SUPPORTED" => yaml,
            Some(OnFail::Discard) => yaml.set("error_handler", "DISCARD_VALUE"),
            Some(OnFail::Value(value)) => {
                yaml.set("error_handler", "CUSTOM_VALUE").set("error_handler_params", *value)
            }
        }
    }

    fn triggers_of_several_items(&mut self) -> io::Result<Vec<Yaml>> {
        let template = self.template;
        self.triggers(&template.triggers, "trigger", |trigger| ids_in(trigger).len() > 1)
    }

    /// Returns the wanted triggers, sorted by name as in exports.
    fn triggers(
        &mut self,
        triggers: &[Trigger],
        kind: &str,
        wanted: impl Fn(&Trigger) -> bool,
    ) -> io::Result<Vec<Yaml>> {
        let mut sorted: Vec<_> = triggers.iter().filter(|trigger| wanted(trigger)).collect();
        sorted.sort_by_key(|trigger| self.translate(&trigger.name).to_lowercase());
        sorted.into_iter().map(|trigger| self.trigger(trigger, kind)).collect()
    }

    fn trigger(&mut self, trigger: &Trigger, kind: &str) -> io::Result<Yaml> {
        let yaml = Yaml::map()
            .set("uuid", self.uuid(kind, trigger.id)?)
            .set("expression", self.expression(&trigger.expression))
            .set_unless(
                "TRIGGER",
                "recovery_mode",
                if trigger.recovery.is_empty() { "TRIGGER" } else { "RECOVERY_EXPRESSION" },
            )
            .set_unless("", "recovery_expression", &self.expression(&trigger.recovery))
            .set("name", self.translate(&trigger.name))
            .set_unless("", "event_name", &self.event_text(self.translate(&trigger.event_name)))
            .set_unless("", "opdata", &self.event_text(self.translate(&trigger.opdata)))
            .set("priority", severity(trigger.severity))
            .set("description", self.translate(&trigger.description))
            .set_unless("NO", "manual_close", if trigger.manual_close { "YES" } else { "NO" });
        let mut dependencies: Vec<_> = trigger.depends_on.iter().map(|id| self.dependency(id)).collect();
        dependencies.sort_by_key(|dependency| dependency.sort_key("name"));
        let own = trigger.tags.iter().map(|(name, value)| tag(name, value));
        let mut tags: Vec<_> = std::iter::once(tag("scope", trigger.scope)).chain(own).collect();
        tags.sort_by_key(|tag| tag.sort_key("tag"));
        Ok(yaml.set_list("dependencies", dependencies).set_list("tags", tags))
    }

    fn dependency(&self, id: &str) -> Yaml {
        let found = self.template.all_triggers().find(|trigger| trigger.id == id);
        let on = found.unwrap_or_else(|| panic!("{} has no trigger {id}", self.template.id));
        Yaml::map()
            .set("name", self.translate(&on.name))
            .set("expression", self.expression(&on.expression))
            .set_unless("", "recovery_expression", &self.expression(&on.recovery))
    }

    /// Replaces each `@id` of an expression by the item of this template.
    fn expression(&self, text: &str) -> String {
        self.with_items(text, &format!("/{}/", self.template.name()))
    }

    /// Replaces each `@id` of an event's text by the item of the host.
    fn event_text(&self, text: &str) -> String {
        self.with_items(text, "//")
    }

    fn with_items(&self, text: &str, before: &str) -> String {
        let mut parts = text.split('@');
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |out, part| {
            let (id, rest) = part.split_at(id_length(part));
            out + before + self.key_of(id) + rest
        })
    }

    fn discovery_rule(&mut self, rule: &DiscoveryRule) -> io::Result<Yaml> {
        // Rules discover the largest of a list. An object that leaves the list often returns a minute later, so it is kept enabled.
        let (lifetime, disabled) = match self.version {
            Version::V6 => ("7d", ""),
            Version::V7 => ("", "DISABLE_NEVER"),
        };
        let yaml = Yaml::map()
            .set("uuid", self.uuid("rule", rule.id)?)
            .set("name", self.translate(&rule.name))
            .set("type", "DEPENDENT")
            .set("key", format!("oomwatch.{}", rule.id))
            .set("delay", "0");
        let items = self.each(&rule.items, |exporter, item| exporter.item_prototype(rule, item))?;
        let triggers =
            self.triggers(&rule.triggers, "trigger_prototype", |trigger| ids_in(trigger).len() > 1)?;
        let graphs = self.graphs(&rule.graphs)?;
        let paths =
            rule.paths.iter().map(|(name, path)| Yaml::map().set("lld_macro", *name).set("path", *path));
        let yaml = if rule.filter.is_empty() { yaml } else { yaml.set("filter", filter(rule)) };
        Ok(yaml
            .set_unless("", "lifetime", lifetime)
            .set_unless("", "enabled_lifetime_type", disabled)
            .set("description", self.translate(&rule.description))
            .set_list("item_prototypes", items)
            .set_list("trigger_prototypes", triggers)
            .set_list("graph_prototypes", graphs)
            .set("master_item", Yaml::map().set("key", self.key_of(rule.master)))
            .set_list("lld_macro_paths", paths.collect())
            .set_list("preprocessing", self.steps(&rule.steps)))
    }

    fn item_prototype(&mut self, rule: &DiscoveryRule, item: &Item) -> io::Result<Yaml> {
        let yaml = self.item_body(item, "item_prototype")?;
        let triggers =
            self.triggers(&rule.triggers, "trigger_prototype", |trigger| uses_only(trigger, item))?;
        Ok(yaml.set_list("trigger_prototypes", triggers))
    }

    fn graphs(&mut self, graphs: &[Graph]) -> io::Result<Vec<Yaml>> {
        self.each(graphs, |exporter, graph| {
            let lines = (0..graph.lines.len()).map(|index| exporter.graph_item(graph, index)).collect();
            Ok(Yaml::map()
                .set("uuid", exporter.uuid("graph", graph.id)?)
                .set("name", exporter.translate(&graph.name))
                .set("ymin_type_1", "FIXED")
                .set_list("graph_items", lines))
        })
    }

    fn graph_item(&self, graph: &Graph, index: usize) -> Yaml {
        let line = &graph.lines[index];
        let style = match line.style {
            LineStyle::Line => "SINGLE_LINE",
            LineStyle::Bold => "BOLD_LINE",
            LineStyle::Gradient => "GRADIENT_LINE",
        };
        let item = Yaml::map().set("host", self.template.name()).set("key", self.key_of(line.item));
        Yaml::map()
            .set_unless("0", "sortorder", &index.to_string())
            .set_unless("SINGLE_LINE", "drawtype", style)
            .set("color", COLORS[index % COLORS.len()])
            .set_unless("LEFT", "yaxisside", if line.right { "RIGHT" } else { "LEFT" })
            .set("item", item)
    }

    fn value_map(&mut self, value_map: &ValueMap) -> io::Result<Yaml> {
        let words = value_map.words.iter();
        let words = words
            .map(|(value, word)| Yaml::map().set("value", *value).set("newvalue", self.translate(word)))
            .collect();
        Ok(Yaml::map()
            .set("uuid", self.uuid("valuemap", value_map.id)?)
            .set("name", self.translate(&value_map.name))
            .set_list("mappings", words))
    }

    fn user_macro(&self, user_macro: &UserMacro) -> Yaml {
        Yaml::map()
            .set("macro", user_macro.name)
            .set_unless("", "value", &user_macro.value)
            .set("description", self.translate(&user_macro.description))
    }
}

/// Returns the length of the id at the beginning of a text.
fn id_length(text: &str) -> usize {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && !"._".contains(c)).unwrap_or(text.len());
    text[..end].trim_end_matches('.').len()
}

/// Returns the ids of the items in a trigger's expressions, each once.
pub(super) fn ids_in(trigger: &Trigger) -> Vec<String> {
    let both = format!("{} {}", trigger.expression, trigger.recovery);
    let mut ids: Vec<_> = both.split('@').skip(1).map(|part| part[..id_length(part)].to_owned()).collect();
    ids.sort();
    ids.dedup();
    ids
}

/// Returns whether a trigger uses only this item. Exports contain such a trigger as a part of the item.
fn uses_only(trigger: &Trigger, item: &Item) -> bool {
    ids_in(trigger) == [item.id]
}

fn tag(name: &str, value: &str) -> Yaml {
    Yaml::map().set("tag", name).set_unless("", "value", value)
}

fn value_type_name(value_type: ValueType) -> &'static str {
    match value_type {
        ValueType::Unsigned => "UNSIGNED",
        ValueType::Float => "FLOAT",
        ValueType::Char => "CHAR",
        ValueType::Text => "TEXT",
        ValueType::Log => "LOG",
    }
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "INFO",
        Severity::Warning => "WARNING",
        Severity::Average => "AVERAGE",
        Severity::High => "HIGH",
    }
}

fn filter(rule: &DiscoveryRule) -> Yaml {
    let letters = ["A", "B", "C", "D"];
    let conditions = rule.filter.iter().zip(letters).map(|(condition, letter)| {
        let operator = if condition.matches { "MATCHES_REGEX" } else { "NOT_MATCHES_REGEX" };
        Yaml::map()
            .set("macro", condition.lld_macro)
            .set("value", condition.regexp)
            .set_unless("MATCHES_REGEX", "operator", operator)
            .set("formulaid", letter)
    });
    Yaml::map().set("evaltype", "AND").set_list("conditions", conditions.collect())
}
