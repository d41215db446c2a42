//! Dashboards: rows of widgets, on the 24 columns of 6.0 or the 72 of 7.0.

use std::io;

use super::export::{Exporter, Version};
use super::model::{Graph, Row, Text, Values, Widget};
use super::yaml::Yaml;

/// Cells have room for one word: what stands between the kind and the figure in an item's name, and of a path its end. All are of
/// one host, whose name the label would be otherwise. (Frontends take a slash for the end of the expression.)
const CELL_LABEL: &str = r#"{{ITEM.NAME}.regsub("^[^ ]+ (.*\x2f)?(.*): ","\2")}"#;

/// Bytes in a second.
const RATE: &str = "Bps";

impl Exporter<'_> {
    pub(super) fn dashboards(&mut self) -> io::Result<Vec<Yaml>> {
        let template = self.template;
        let Some(dashboard) = &template.dashboard else { return Ok(Vec::new()) };
        let mut pages = Vec::new();
        for (number, page) in dashboard.pages.iter().enumerate() {
            let widgets = self.widgets(&page.rows, number);
            let name = self.say(&page.name);
            pages.push(Yaml::map().set_unless("", "name", name).set_list("widgets", widgets));
        }
        let yaml = Yaml::map()
            .set("uuid", self.uuid("dashboard", dashboard.id)?)
            .set("name", self.say(&dashboard.name));
        // Whoever reads one page does not want it to turn by itself.
        let is_read = pages.len() > 1;
        let yaml =
            yaml.set_unless("YES", "auto_start", if is_read { "NO" } else { "YES" }).set_list("pages", pages);
        Ok(vec![yaml])
    }

    fn widgets(&self, rows: &[Row], page: usize) -> Vec<Yaml> {
        let (mut placed, mut top) = (Vec::new(), 0);
        for row in rows {
            let shown = self.shown(row);
            let columns = if self.version == Version::V6 { 24 } else { 72 };
            let width = columns / shown.len().max(1);
            for (place, widget) in shown.iter().enumerate() {
                placed.push((*widget, [place * width, top, width, row.height]));
            }
            top += if shown.is_empty() { 0 } else { row.height };
        }
        // As exports have them: by column, and in 6.0 by name.
        placed.sort_by_key(|(_, place)| *place);
        if self.version == Version::V6 {
            placed
                .sort_by_key(|(widget, _)| self.content(widget).1.map(|name| self.say(name).to_lowercase()));
        }
        let numbered = placed.into_iter().enumerate();
        numbered
            .map(|(number, (widget, place))| self.widget(widget, place, &reference(page, number)))
            .collect()
    }

    /// The widgets of a row that this version knows on a template's dashboard.
    fn shown<'r>(&self, row: &'r Row) -> Vec<&'r Widget> {
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
            .set_unless("", "name", name.map_or("", |name| self.say(name)))
            .set_unless("0", "x", &x.to_string())
            .set_unless("0", "y", &y.to_string())
            .set("width", width.to_string())
            .set("height", height.to_string())
            .set_list("fields", fields)
    }

    /// Its type, its name and its fields.
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
                let mut fields = self.figure(item);
                fields.push(field("ITEM", pick("itemid", "itemid.0"), self.item_name(item)));
                (pick("ITEM", "item"), Some(name), fields)
            }
            Widget::History { item, name } if old => {
                let lines = field("INTEGER", "show_lines", "10");
                ("PLAIN_TEXT", Some(name), vec![lines, field("ITEM", "itemids", self.item_name(item))])
            }
            Widget::History { item, name } => {
                let item = field("ITEM", "columns.0.itemid", self.item_name(item));
                let column = field("STRING", "columns.0.name", self.say(name));
                ("itemhistory", Some(name), vec![item, column])
            }
            Widget::Honeycomb { pattern, name } => {
                let label = field("STRING", "primary_label", CELL_LABEL);
                let places = field("INTEGER", "secondary_label_decimal_places", "0");
                ("honeycomb", Some(name), vec![field("STRING", "items.0", self.say(pattern)), label, places])
            }
            Widget::Problems { name } => ("problems", Some(name), Vec::new()),
        }
    }

    /// How a figure is shown in a cell, which has no room for hundredths and a unit. A count has no half.
    fn figure(&self, id: &str) -> Vec<Yaml> {
        let places = |places| field("INTEGER", "decimal_places", places);
        if self.units(id) != RATE {
            return vec![places(if self.is_count(id) { "0" } else { "1" })];
        }
        // A sign and the longest unit: without the arrow of change, which says nothing of a change.
        let names = if self.version == Version::V6 { ["show"; 3] } else { ["show.0", "show.1", "show.2"] };
        let shown = names.into_iter().zip(["1", "2", "3"]).map(|(name, what)| field("INTEGER", name, what));
        [places("0")].into_iter().chain(shown).chain([field("INTEGER", "units_size", "25")]).collect()
    }

    fn units(&self, id: &str) -> &str {
        self.template.items.iter().find(|item| item.id == id).map_or("", |item| item.units)
    }

    fn graph_name(&self, id: &str) -> Yaml {
        let rules = self.template.discoveries.iter().flat_map(|rule| &rule.graphs);
        let found: Option<&Graph> = self.template.graphs.iter().chain(rules).find(|graph| graph.id == id);
        let graph = found.unwrap_or_else(|| panic!("{} has no graph {id}", self.template.id));
        Yaml::map().set("host", self.template.name()).set("name", self.say(&graph.name))
    }

    fn is_count(&self, id: &str) -> bool {
        let item = self.template.items.iter().find(|item| item.id == id);
        item.is_some_and(|item| item.units.is_empty() && matches!(item.values, Values::Unsigned))
    }

    fn item_name(&self, id: &str) -> Yaml {
        Yaml::map().set("host", self.template.name()).set("key", self.key_of(id))
    }
}

/// What other widgets of the dashboard would call a widget: five letters.
fn reference(page: usize, place: usize) -> String {
    let letter = |place: usize| char::from(b'A' + u8::try_from(place % 26).unwrap_or_default());
    format!("OOM{}{}", letter(page), letter(place))
}

fn field(kind: &str, name: &'static str, value: impl Into<Yaml>) -> Yaml {
    Yaml::map().set("type", kind).set("name", name).set("value", value)
}
