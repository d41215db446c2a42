//! Rules that every template follows. The rest is tested with real servers.

use std::collections::BTreeSet;

use super::export::ids_in;
use super::model::{Item, Origin, Step, Text, Trigger};
use super::*;

#[test]
fn generated_files_are_up_to_date() {
    let stale = refresh().unwrap();
    assert!(
        stale.is_empty(),
        "these files were stale and have been written again; check and commit them: {stale:#?}"
    );
}

/// Returns the items of all templates that the agent is polled for.
fn polled_items() -> Vec<Item> {
    let items: Vec<Item> =
        all().iter().flat_map(|template| template.all_items().cloned().collect::<Vec<_>>()).collect();
    items.into_iter().filter(|item| matches!(item.origin, Origin::Agent { .. })).collect()
}

/// Returns a key's name and the number of its parameters. No parameter in the templates contains a comma: such texts are in macros.
fn name_and_count(key: &str) -> (&str, usize) {
    key.split_once('[').map_or((key, 0), |(name, parameters)| (name, parameters.split(',').count()))
}

#[test]
fn every_polled_key_is_a_key_of_the_plugin_or_mirrored_by_it() {
    for item in polled_items() {
        let (name, count) = name_and_count(&item.key);
        let found = oomwatch::KEYS.iter().find(|key| key.name == name || key.mirrors == Some(name));
        let key = found.unwrap_or_else(|| panic!("the plugin has no key {name}"));
        assert!(
            count <= key.parameters.len(),
            "{}: {count} of {} parameters",
            item.key,
            key.parameters.len()
        );
    }
}

#[test]
fn every_polled_item_handles_errors_of_the_agent() {
    for item in polled_items() {
        assert!(matches!(item.steps.first(), Some(Step::NotSupported(_))), "{}", item.key);
    }
}

#[test]
fn templates_that_are_linked_together_have_different_keys() {
    for check in [Check::Passive, Check::Active] {
        let templates: Vec<_> = all().into_iter().filter(|template| template.check == check).collect();
        let keys: Vec<_> =
            templates.iter().flat_map(|template| template.all_items().map(|item| item.key.clone())).collect();
        let unique: BTreeSet<_> = keys.iter().collect();
        assert_eq!(unique.len(), keys.len(), "{check:?}");
    }
}

fn assert_translated(text: &Text, subject: &str) {
    assert!(!text.en.is_empty() && !text.ja.is_empty(), "{subject} has no text in one of the languages");
}

#[test]
fn all_names_and_descriptions_exist_in_both_languages() {
    for template in all() {
        assert_translated(&template.description, template.id);
        for item in template.all_items() {
            assert_translated(&item.name, item.id);
            assert_translated(&item.description, item.id);
            assert!(!item.component.is_empty(), "{}", item.id);
        }
        for trigger in template.all_triggers() {
            assert_translated(&trigger.name, trigger.id);
            assert_translated(&trigger.description, trigger.id);
        }
        for user_macro in &template.macros {
            assert_translated(&user_macro.description, user_macro.name);
        }
        for rule in &template.discovery_rules {
            assert_translated(&rule.name, rule.id);
            assert_translated(&rule.description, rule.id);
        }
        for value_map in &template.value_maps {
            assert_translated(&value_map.name, value_map.id);
            value_map.words.iter().for_each(|(value, word)| assert_translated(word, value));
        }
    }
}

/// 6.0 and 7.0 interpret backslashes in the parameters of functions differently.
#[test]
fn expressions_contain_no_backslash() {
    for template in all() {
        for trigger in template.all_triggers() {
            assert!(!format!("{}{}", trigger.expression, trigger.recovery).contains('\\'), "{}", trigger.id);
        }
    }
}

/// Servers resolve expressions only in event names. In operational data they would be shown as they are written.
#[test]
fn operational_data_contains_no_expression() {
    for template in all() {
        for trigger in template.all_triggers() {
            assert!(!format!("{:?}", trigger.opdata).contains("{?"), "{}", trigger.id);
        }
    }
}

/// Returns the macros in a text, without context and braces.
fn macros_in(text: &str) -> Vec<String> {
    let uses = text.split("{$").skip(1);
    uses.map(|part| part.split(['}', ':']).next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn every_macro_is_used_and_every_used_macro_has_a_default() {
    for template in all() {
        let triggers = template.all_triggers().map(|trigger: &Trigger| trigger.expression.clone());
        let items =
            template.all_items().map(|item| format!("{} {:?} {:?}", item.key, item.origin, item.steps));
        let rules = template.discovery_rules.iter().map(|rule| format!("{:?} {:?}", rule.steps, rule.filter));
        let used: BTreeSet<_> =
            triggers.chain(items).chain(rules).flat_map(|text| macros_in(&text)).collect();
        let defined: BTreeSet<_> =
            template.macros.iter().flat_map(|user_macro| macros_in(user_macro.name)).collect();
        assert_eq!(used, defined, "{}", template.id);
    }
}

/// A trigger without an item would never be evaluated.
#[test]
fn every_trigger_uses_an_item() {
    for template in all() {
        assert!(template.all_triggers().all(|trigger| !ids_in(trigger).is_empty()), "{}", template.id);
    }
}
