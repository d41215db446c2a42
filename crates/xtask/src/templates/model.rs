//! What templates are made of, in the words of Zabbix's export, without what differs between its versions.
//!
//! * A [`Text`] is said in both languages.
//! * A [`Template`] holds [`Item`]s, [`Trigger`]s, [`Discovery`] rules, [`Graph`]s, [`Macro`]s, [`ValueMap`]s and one [`Dashboard`].
//! * Everything has an `id`: its name in this source, by which its UUID is found and others refer to it. In expressions `@id` stands
//!   for an item.

/// The first item's last value, whole: servers cut a text to 20 characters where no function is applied to it.
pub(crate) const WHOLE: &str = "{{ITEM.LASTVALUE1}.regsub(\"(.*)\",\"\\1\")}";

/// A text in English and in Japanese.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) en: String,
    pub(crate) ja: String,
}

/// A text in both languages.
pub(crate) fn t(en: &str, ja: &str) -> Text {
    Text { en: en.to_owned(), ja: ja.to_owned() }
}

/// A text that is the same in both.
pub(crate) fn same(text: &str) -> Text {
    t(text, text)
}

impl Text {
    pub(crate) fn map(&self, change: impl Fn(&str) -> String) -> Self {
        Self { en: change(&self.en), ja: change(&self.ja) }
    }
}

/// Who asks: the server, or the agent by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    Passive,
    Active,
}

/// One template.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    /// Its name in this source and in file names.
    pub(crate) id: &'static str,
    pub(crate) check: Check,
    /// What it is about: "OomWatch Linux".
    pub(crate) subject: &'static str,
    pub(crate) description: Text,
    /// The template's tags `class` and `target`.
    pub(crate) class: &'static str,
    pub(crate) target: &'static str,
    pub(crate) macros: Vec<Macro>,
    pub(crate) valuemaps: Vec<ValueMap>,
    pub(crate) items: Vec<Item>,
    pub(crate) triggers: Vec<Trigger>,
    pub(crate) discoveries: Vec<Discovery>,
    pub(crate) graphs: Vec<Graph>,
    pub(crate) dashboard: Option<Dashboard>,
}

impl Template {
    pub(crate) fn name(&self) -> String {
        let active = if self.check == Check::Active { " active" } else { "" };
        format!("{} by Zabbix agent 2{active}", self.subject)
    }

    /// The name of its file, without a directory.
    pub(crate) fn file_name(&self) -> String {
        let active = if self.check == Check::Active { "_active" } else { "" };
        format!("oomwatch_{}_agent2{active}.yaml", self.id)
    }

    /// What the names of its UUIDs begin with.
    pub(crate) fn uuid_prefix(&self) -> String {
        let active = if self.check == Check::Active { "active" } else { "passive" };
        format!("{}.{active}", self.id)
    }

    /// The template's items and the prototypes of its rules.
    pub(crate) fn all_items(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().chain(self.discoveries.iter().flat_map(|rule| &rule.items))
    }

    /// The template's triggers and the prototypes of its rules.
    pub(crate) fn all_triggers(&self) -> impl Iterator<Item = &Trigger> {
        self.triggers.iter().chain(self.discoveries.iter().flat_map(|rule| &rule.triggers))
    }
}

/// A user macro with its default.
#[derive(Debug, Clone)]
pub(crate) struct Macro {
    pub(crate) name: &'static str,
    pub(crate) value: String,
    pub(crate) description: Text,
}

pub(crate) fn user_macro(name: &'static str, value: &str, description: Text) -> Macro {
    Macro { name, value: value.to_owned(), description }
}

/// That an item has said no for five minutes: the first values of a new one may be of a machine that is just starting.
pub(crate) fn says_no(item: &str) -> String {
    format!("max(@{item},5m)=0 and count(@{item},5m)>3")
}

/// As exports have them: by name.
pub(crate) fn sorted(mut macros: Vec<Macro>) -> Vec<Macro> {
    macros.sort_by_key(|user_macro| user_macro.name.trim_end_matches('}'));
    macros
}

/// Words for numbers.
#[derive(Debug, Clone)]
pub(crate) struct ValueMap {
    pub(crate) id: &'static str,
    pub(crate) name: Text,
    pub(crate) words: Vec<(&'static str, Text)>,
}

/// The type of an item's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Values {
    Unsigned,
    Float,
    /// At most 255 characters.
    Char,
    Text,
    Log,
}

/// How an item gets its values.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    /// The agent answers the item's key.
    Agent { delay: &'static str },
    /// From another item's value.
    Dependent { master: &'static str },
}

/// An item or a prototype of one.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) id: &'static str,
    pub(crate) key: String,
    pub(crate) name: Text,
    pub(crate) description: Text,
    pub(crate) origin: Origin,
    pub(crate) values: Values,
    pub(crate) units: &'static str,
    pub(crate) history: &'static str,
    pub(crate) valuemap: Option<&'static str>,
    pub(crate) component: &'static str,
    pub(crate) steps: Vec<Step>,
}

/// A master: JSON that is not kept, for dependent items.
pub(crate) fn master(
    id: &'static str,
    key: &str,
    delay: &'static str,
    name: Text,
    description: Text,
) -> Item {
    let item = agent(id, key, delay, name, description).values(Values::Text);
    Item { history: "0", component: "raw", ..item }
}

/// An item that the agent answers.
pub(crate) fn agent(id: &'static str, key: &str, delay: &'static str, name: Text, description: Text) -> Item {
    Item { key: key.to_owned(), origin: Origin::Agent { delay }, ..dependent(id, "", name, description) }
}

/// An item whose value is a part of another's. Its key is its id.
pub(crate) fn dependent(id: &'static str, master: &'static str, name: Text, description: Text) -> Item {
    Item {
        id,
        key: format!("oomwatch.{id}"),
        name,
        description,
        origin: Origin::Dependent { master },
        values: Values::Unsigned,
        units: "",
        history: "31d",
        valuemap: None,
        component: "",
        steps: Vec::new(),
    }
}

impl Item {
    /// Another key than `oomwatch.` and the id.
    pub(crate) fn key(self, key: &str) -> Self {
        Self { key: key.to_owned(), ..self }
    }

    pub(crate) fn values(self, values: Values) -> Self {
        Self { values, ..self }
    }

    pub(crate) fn float(self, units: &'static str) -> Self {
        Self { values: Values::Float, units, ..self }
    }

    pub(crate) fn units(self, units: &'static str) -> Self {
        Self { units, ..self }
    }

    pub(crate) fn valuemap(self, valuemap: &'static str) -> Self {
        Self { valuemap: Some(valuemap), ..self }
    }

    pub(crate) fn component(self, component: &'static str) -> Self {
        Self { component, ..self }
    }

    pub(crate) fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// The member of the master's JSON; where it is absent there is no value.
    pub(crate) fn path(self, path: &str) -> Self {
        self.step(Step::JsonPath(path.to_owned(), OnFail::Discard))
    }

    /// As [`Item::path`], for true and false.
    pub(crate) fn truth(self, path: &str) -> Self {
        self.path(path).step(Step::BoolToDecimal)
    }

    /// Keeps what did not change only once in so long a time.
    pub(crate) fn heartbeat(self, every: &'static str) -> Self {
        self.step(Step::DiscardUnchanged(every))
    }
}

/// A step of preprocessing.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// What to do when the agent answers with an error. Must be the first.
    NotSupported(OnFail),
    JsonPath(String, OnFail),
    /// It cannot fail softly: a script that may have no value answers JSON without the member that the next step wants.
    JavaScript(&'static str),
    BoolToDecimal,
    ChangePerSecond,
    DiscardUnchanged(&'static str),
}

/// What becomes of a value whose step fails.
#[derive(Debug, Clone)]
pub(crate) enum OnFail {
    /// The item is not supported, and says why.
    Error,
    Discard,
    Value(&'static str),
}

/// As Zabbix has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Severity {
    Info,
    Warning,
    Average,
    High,
}

/// A trigger or a prototype of one.
#[derive(Debug, Clone)]
pub(crate) struct Trigger {
    pub(crate) id: &'static str,
    pub(crate) severity: Severity,
    /// The tag `scope`.
    pub(crate) scope: &'static str,
    pub(crate) name: Text,
    /// Empty: as the name.
    pub(crate) event_name: Text,
    pub(crate) opdata: Text,
    pub(crate) description: Text,
    pub(crate) expression: String,
    /// Empty: when the expression is no longer true.
    pub(crate) recovery: String,
    pub(crate) manual_close: bool,
    pub(crate) depends_on: Vec<&'static str>,
    pub(crate) tags: Vec<(&'static str, &'static str)>,
}

pub(crate) fn trigger(
    id: &'static str,
    severity: Severity,
    scope: &'static str,
    name: Text,
    expression: &str,
) -> Trigger {
    Trigger {
        id,
        severity,
        scope,
        name,
        event_name: same(""),
        opdata: same(""),
        description: same(""),
        expression: expression.to_owned(),
        recovery: String::new(),
        manual_close: false,
        depends_on: Vec::new(),
        tags: Vec::new(),
    }
}

impl Trigger {
    pub(crate) fn event_name(self, event_name: Text) -> Self {
        Self { event_name, ..self }
    }

    pub(crate) fn opdata(self, opdata: Text) -> Self {
        Self { opdata, ..self }
    }

    pub(crate) fn about(self, description: Text) -> Self {
        Self { description, ..self }
    }

    pub(crate) fn recovery(self, expression: &str) -> Self {
        Self { recovery: expression.to_owned(), ..self }
    }

    pub(crate) fn manual_close(self) -> Self {
        Self { manual_close: true, ..self }
    }

    pub(crate) fn depends_on(self, ids: &[&'static str]) -> Self {
        Self { depends_on: ids.to_vec(), ..self }
    }

    pub(crate) fn tags(self, tags: &[(&'static str, &'static str)]) -> Self {
        Self { tags: tags.to_vec(), ..self }
    }
}

/// A low-level discovery rule over a master's JSON.
#[derive(Debug, Clone)]
pub(crate) struct Discovery {
    pub(crate) id: &'static str,
    pub(crate) name: Text,
    pub(crate) description: Text,
    pub(crate) master: &'static str,
    pub(crate) steps: Vec<Step>,
    /// Macro and where its value is in a row.
    pub(crate) paths: Vec<(&'static str, &'static str)>,
    pub(crate) filter: Vec<Condition>,
    pub(crate) items: Vec<Item>,
    pub(crate) triggers: Vec<Trigger>,
    pub(crate) graphs: Vec<Graph>,
}

/// A condition that rows must meet.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    pub(crate) lld_macro: &'static str,
    pub(crate) matches: bool,
    pub(crate) regexp: &'static str,
}

/// A graph or a prototype of one.
#[derive(Debug, Clone)]
pub(crate) struct Graph {
    pub(crate) id: &'static str,
    pub(crate) name: Text,
    /// Items in the order of the legend.
    pub(crate) lines: Vec<Line>,
}

/// An item in a graph.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) item: &'static str,
    pub(crate) draw: Draw,
    pub(crate) right: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Draw {
    Line,
    Bold,
    Gradient,
}

pub(crate) fn line(item: &'static str) -> Line {
    Line { item, draw: Draw::Line, right: false }
}

pub(crate) fn bold(item: &'static str) -> Line {
    Line { draw: Draw::Bold, ..line(item) }
}

pub(crate) fn gradient(item: &'static str) -> Line {
    Line { draw: Draw::Gradient, ..line(item) }
}

impl Line {
    pub(crate) fn right(self) -> Self {
        Self { right: true, ..self }
    }
}

/// Pages with rows of widgets.
#[derive(Debug, Clone)]
pub(crate) struct Dashboard {
    pub(crate) id: &'static str,
    pub(crate) name: Text,
    pub(crate) pages: Vec<Page>,
}

/// A page of a dashboard. Only one among several needs a name.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    pub(crate) name: Text,
    pub(crate) rows: Vec<Row>,
}

/// The only page.
pub(crate) fn page(rows: Vec<Row>) -> Vec<Page> {
    vec![Page { name: same(""), rows }]
}

/// Widgets beside each other, of equal width.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) height: usize,
    pub(crate) widgets: Vec<Widget>,
}

#[derive(Debug, Clone)]
pub(crate) enum Widget {
    Graph(&'static str),
    GraphPrototype {
        graph: &'static str,
        columns: usize,
        rows: usize,
    },
    /// An item's last value.
    Item {
        item: &'static str,
        name: Text,
    },
    /// An item's last values as a list.
    History {
        item: &'static str,
        name: Text,
    },
    /// 7.0: items whose names match, as a honeycomb; 6.0 has nothing like it.
    Honeycomb {
        pattern: Text,
        name: Text,
    },
    /// 7.0: the host's problems.
    Problems {
        name: Text,
    },
}
