//! Graphs.

use super::text::Text;

/// A graph or a graph prototype.
#[derive(Debug, Clone)]
pub(crate) struct Graph {
    pub(crate) id: &'static str,
    pub(crate) name: Text,
    /// In the order of the legend.
    pub(crate) lines: Vec<GraphLine>,
}

/// An item in a graph.
#[derive(Debug, Clone)]
pub(crate) struct GraphLine {
    pub(crate) item: &'static str,
    pub(crate) style: LineStyle,
    /// Whether the line belongs to the right axis.
    pub(crate) right: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineStyle {
    Line,
    Bold,
    Gradient,
}

pub(crate) fn line(item: &'static str) -> GraphLine {
    GraphLine { item, style: LineStyle::Line, right: false }
}

pub(crate) fn bold(item: &'static str) -> GraphLine {
    GraphLine { style: LineStyle::Bold, ..line(item) }
}

pub(crate) fn gradient(item: &'static str) -> GraphLine {
    GraphLine { style: LineStyle::Gradient, ..line(item) }
}

impl GraphLine {
    pub(crate) fn right_axis(self) -> Self {
        Self { right: true, ..self }
    }
}
