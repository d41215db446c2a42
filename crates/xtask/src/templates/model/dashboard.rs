//! Dashboards.

use super::text::{Text, untranslated};

#[derive(Debug, Clone)]
pub(crate) struct Dashboard {
    pub(crate) id: &'static str,
    pub(crate) name: Text,
    pub(crate) pages: Vec<Page>,
}

/// A page of a dashboard. The name may be empty if there is only one page.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    pub(crate) name: Text,
    pub(crate) rows: Vec<WidgetRow>,
}

/// Returns the pages of a dashboard that has one page.
pub(crate) fn single_page(rows: Vec<WidgetRow>) -> Vec<Page> {
    vec![Page { name: untranslated(""), rows }]
}

/// Widgets beside each other, of equal width.
#[derive(Debug, Clone)]
pub(crate) struct WidgetRow {
    pub(crate) height: usize,
    pub(crate) widgets: Vec<Widget>,
}

impl WidgetRow {
    pub(crate) fn new(height: usize, widgets: Vec<Widget>) -> Self {
        Self { height, widgets }
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Widget {
    Graph(&'static str),
    GraphPrototype {
        graph: &'static str,
        columns: usize,
        rows: usize,
    },
    /// The last value of an item.
    Item {
        item: &'static str,
        name: Text,
    },
    /// The last values of an item as a list.
    History {
        item: &'static str,
        name: Text,
    },
    /// Only in 7.0: the items whose names match the pattern, as a honeycomb. 6.0 has no such widget.
    Honeycomb {
        pattern: Text,
        name: Text,
    },
    /// Only in 7.0: the problems of the host.
    Problems {
        name: Text,
    },
}
