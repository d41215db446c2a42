//! Dashboards: rows of widgets, on the 24 columns of 6.0 or the 72 of 7.0.

use std::io;

use super::export::{Exporter, Version};
use super::model::{Graph, Text, ValueType, Widget, WidgetRow};
use super::yaml::Yaml;

/// The label of a honeycomb's cell: the part of the item's name between the first word and the last colon, and of a path only the
/// end, because a cell has room for one word. The default label is the host's name, which is the same in all cells. The slash is
/// written as `\x2f`, because frontends take a slash for the end of the expression.
const CELL_LABEL: &str = r#"{{ITEM.NAME}.regsub("^[^ ]+ (.*\x2f)?(.*): ","\2")}"#;

/// The units of a rate in bytes per second.
const RATE: &str = "Bps";

impl Exporter<'_> {
    pub(super) fn dashboards(&mut self) -> io::Result<Vec<Yaml>> {
        let template = self.template;
        let Some(dashboard) = &template.dashboard else { return Ok(Vec::new()) };
        let mut pages = Vec::new();
        for (number, page) in dashboard.pages.iter().enumerate() {
            let widgets = self.widgets(&page.rows, number);
            let name = self.translate(&page.name);
            pages.push(Yaml::map().set_unless("", "name", name).set_list("widgets", widgets));
        }
        let yaml = Yaml::map()
            .set("uuid", self.uuid("dashboard", dashboard.id)?)
            .set("name", self.translate(&dashboard.name));
        // A slide show of several pages would interrupt the reader.
        let auto_start = if pages.len() > 1 { "NO" } else { "YES" };
        Ok(vec![yaml.set_unless("YES", "auto_start", auto_start).set_list("pages", pages)])
    }

    fn widgets(&self, rows: &[WidgetRow], page: usize) -> Vec<Yaml> {
        let (mut placed, mut top) = (Vec::new(), 0);
        for row in rows {
            let shown = self.supported(row);
            let columns = if self.version == Version::V6 { 24 } else { 72 };
            let width = columns / shown.len().max(1);
            for (column, widget) in shown.iter().enumerate() {
                placed.push((*widget, [column * width, top, width, row.height]));
            }
            top += if shown.is_empty() { 0 } else { row.height };
        }
        // Exports sort widgets by position, those of 6.0 by name.
        placed.sort_by_key(|(_, position)| *position);
        if self.version == Version::V6 {
            placed.sort_by_key(|(widget, _)| {
                self.content(widget).1.map(|name| self.translate(name).to_lowercase())
            });
        }
        let numbered = placed.into_iter().enumerate();
        numbered
            .map(|(number, (widget, position))| self.widget(widget, position, &reference(page, number)))
            .collect()
    }

    /// Returns the widgets of a row that this version supports on a template's dashboard.
    fn supported<'r>(&self, row: &'r WidgetRow) -> Vec<&'r Widget> {
        let newer = |widget: &Widget| matches!(widget, Widget::Honeycomb { .. } | Widget::Problems { .. });
        row.widgets.iter().filter(|widget| self.version == Version::V7 || !newer(widget)).collect()
    }

    fn widget(&self, widget: &Widget, [x, y, width, height]: [usize; 4], reference: &str) -> Yaml {
        let (kind, name, mut fields) = self.content(widget);
        if self.version == Version::V7 && !matches!(widget, Widget::Item { .. }) {
            fields.push(field("STRING", "reference", reference));
        }
        if self.version == Version::V7 {
            fields.sort_by_key(|field| field.sort_key("name"));
        }
        Yaml::map()
            .set("type", kind)
            .set_unless("", "name", name.map_or("", |name| self.translate(name)))
            .set_unless("0", "x", &x.to_string())
            .set_unless("0", "y", &y.to_string())
            .set("width", width.to_string())
            .set("height", height.to_string())
            .set_list("fields", fields)
    }

    /// Returns the type, the name and the fields of a widget.
    fn content<'w>(&self, widget: &'w Widget) -> (&'static str, Option<&'w Text>, Vec<Yaml>) {
        let old = self.version == Version::V6;
        let pick = |six: &'static str, seven: &'static str| if old { six } else { seven };
        match widget {
            Widget::Graph(id) => {
                let graph = field("GRAPH", pick("graphid", "graphid.0"), self.graph_name(id));
                (pick("GRAPH_CLASSIC", "graph"), None, vec![graph])
            }
            Widget::GraphPrototype { graph, columns, rows } => {
                let graph = field("GRAPH_PROTOTYPE", pick("graphid", "graphid.0"), self.graph_name(graph));
                let size = [("columns", columns), ("rows", rows)];
                let size = size.map(|(name, number)| field("INTEGER", name, number.to_string()));
                let fields = size.into_iter().chain([graph]).collect();
                (pick("GRAPH_PROTOTYPE", "graphprototype"), None, fields)
            }
            Widget::Item { item, name } => {
                let mut fields = self.number_format(item);
                fields.push(field("ITEM", pick("itemid", "itemid.0"), self.item_name(item)));
                (pick("ITEM", "item"), Some(name), fields)
            }
            Widget::History { item, name } if old => {
                let lines = field("INTEGER", "show_lines", "10");
                ("PLAIN_TEXT", Some(name), vec![lines, field("ITEM", "itemids", self.item_name(item))])
            }
            Widget::History { item, name } => {
                let item = field("ITEM", "columns.0.itemid", self.item_name(item));
                let column = field("STRING", "columns.0.name", self.translate(name));
                ("itemhistory", Some(name), vec![item, column])
            }
            Widget::Honeycomb { pattern, name } => {
                let label = field("STRING", "primary_label", CELL_LABEL);
                let places = field("INTEGER", "secondary_label_decimal_places", "0");
                (
                    "honeycomb",
                    Some(name),
                    vec![field("STRING", "items.0", self.translate(pattern)), label, places],
                )
            }
            Widget::Problems { name } => ("problems", Some(name), Vec::new()),
        }
    }

    /// Returns the number format of an item widget, which has no room for two decimal places and a unit. A count has no decimal places.
    fn number_format(&self, id: &str) -> Vec<Yaml> {
        let places = |places| field("INTEGER", "decimal_places", places);
        if self.units(id) != RATE {
            return vec![places(if self.is_count(id) { "0" } else { "1" })];
        }
        // A rate has a sign and a long unit. The change indicator is omitted: it would show the change of a change.
        let names = if self.version == Version::V6 { ["show"; 3] } else { ["show.0", "show.1", "show.2"] };
        let shown = names.into_iter().zip(["1", "2", "3"]).map(|(name, what)| field("INTEGER", name, what));
        [places("0")].into_iter().chain(shown).chain([field("INTEGER", "units_size", "25")]).collect()
    }

    fn units(&self, id: &str) -> &str {
        self.template.items.iter().find(|item| item.id == id).map_or("", |item| item.units)
    }

    fn graph_name(&self, id: &str) -> Yaml {
        let rules = self.template.discovery_rules.iter().flat_map(|rule| &rule.graphs);
        let found: Option<&Graph> = self.template.graphs.iter().chain(rules).find(|graph| graph.id == id);
        let graph = found.unwrap_or_else(|| panic!("{} has no graph {id}", self.template.id));
        Yaml::map().set("host", self.template.name()).set("name", self.translate(&graph.name))
    }

    fn is_count(&self, id: &str) -> bool {
        let item = self.template.items.iter().find(|item| item.id == id);
        item.is_some_and(|item| item.units.is_empty() && matches!(item.value_type, ValueType::Unsigned))
    }

    fn item_name(&self, id: &str) -> Yaml {
        Yaml::map().set("host", self.template.name()).set("key", self.key_of(id))
    }
}

/// Returns the name by which other widgets refer to a widget: five letters.
fn reference(page: usize, widget: usize) -> String {
    let letter = |number: usize| char::from(b'A' + u8::try_from(number % 26).unwrap_or_default());
    format!("OOM{}{}", letter(page), letter(widget))
}

fn field(kind: &str, name: &'static str, value: impl Into<Yaml>) -> Yaml {
    Yaml::map().set("type", kind).set("name", name).set("value", value)
}
