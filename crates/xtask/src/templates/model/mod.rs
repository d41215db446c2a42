//! The parts of a template, named as in Zabbix's export format. Differences between Zabbix versions are not in these types.
//!
//! * A [`Text`] has an English and a Japanese version.
//! * A [`Template`] has [`Item`]s, [`Trigger`]s, [`DiscoveryRule`]s, [`Graph`]s, [`UserMacro`]s, [`ValueMap`]s and one [`Dashboard`].
//! * Every part has an `id`. Other parts refer to it by this id, and its UUID is stored under it. In expressions, `@id` refers
//!   to an item.

mod dashboard;
mod graph;
mod item;
mod template;
mod text;
mod trigger;

pub(crate) use dashboard::{Dashboard, Page, Widget, WidgetRow, single_page};
pub(crate) use graph::{Graph, LineStyle, bold, gradient, line};
pub(crate) use item::{Item, OnFail, Origin, Step, ValueType, agent, dependent, master};
pub(crate) use template::{
    Check, Condition, DiscoveryRule, Template, UserMacro, ValueMap, sorted, user_macro, value_map,
};
pub(crate) use text::{Text, text, untranslated};
pub(crate) use trigger::{LAST_VALUE, Severity, Trigger, trigger};
