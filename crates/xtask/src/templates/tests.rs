//! What must hold for every template; the real servers judge the rest.

use std::collections::BTreeSet;

use super::export::ids_in;
use super::model::{Item, Origin, Text, Trigger};
use super::*;

#[test]
fn the_templates_are_fresh() {
    let stale = refresh().unwrap();
    assert!(
        stale.is_empty(),
        "these were stale and have been made anew: look at them and commit them: {stale:#?}"
    );
}

/// What the agent is asked for, in any template.
fn asked() -> Vec<Item> {
    let items: Vec<Item> =
        all().iter().flat_map(|template| template.all_items().cloned().collect::<Vec<_>>()).collect();
    items.into_iter().filter(|item| matches!(item.origin, Origin::Agent { .. })).collect()
}

/// A key's name and how many parameters it has. No parameter of a template has a comma in it: such texts are in macros.
fn name_and_count(key: &str) -> (&str, usize) {
    key.split_once('[').map_or((key, 0), |(name, parameters)| (name, parameters.split(',').count()))
}

#[test]
fn every_key_is_one_of_the_plugins_or_one_that_it_mirrors() {
    for item in asked() {
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
fn what_an_agent_is_asked_for_may_be_absent_without_harm() {
    for item in asked() {
        assert!(matches!(item.steps.first(), Some(model::Step::NotSupported(_))), "{}", item.key);
    }
}

#[test]
fn items_of_templates_that_go_together_have_different_keys() {
    for check in [Check::Passive, Check::Active] {
        let templates: Vec<_> = all().into_iter().filter(|template| template.check == check).collect();
        let keys: Vec<_> =
            templates.iter().flat_map(|template| template.all_items().map(|item| item.key.clone())).collect();
        let unique: BTreeSet<_> = keys.iter().collect();
        assert_eq!(unique.len(), keys.len(), "{check:?}");
    }
}

fn assert_said(text: &Text, what: &str) {
    assert!(!text.en.is_empty() && !text.ja.is_empty(), "{what} is not said in both languages");
}

#[test]
fn everything_is_named_and_described_in_both_languages() {
    for template in all() {
        assert_said(&template.description, template.id);
        for item in template.all_items() {
            assert_said(&item.name, item.id);
            assert_said(&item.description, item.id);
            assert!(!item.component.is_empty(), "{}", item.id);
        }
        for trigger in template.all_triggers() {
            assert_said(&trigger.name, trigger.id);
            assert_said(&trigger.description, trigger.id);
        }
        for user_macro in &template.macros {
            assert_said(&user_macro.description, user_macro.name);
        }
        for rule in &template.discoveries {
            assert_said(&rule.name, rule.id);
            assert_said(&rule.description, rule.id);
        }
        for valuemap in &template.valuemaps {
            assert_said(&valuemap.name, valuemap.id);
            valuemap.words.iter().for_each(|(value, word)| assert_said(word, value));
        }
    }
}

/// 6.0 and 7.0 read backslashes in the parameters of functions in different ways.
#[test]
fn expressions_have_no_backslash() {
    for template in all() {
        for trigger in template.all_triggers() {
            assert!(!format!("{}{}", trigger.expression, trigger.recovery).contains('\\'), "{}", trigger.id);
        }
    }
}

/// Only the names of events resolve expressions: elsewhere they are shown as they are written.
#[test]
fn operational_data_has_no_expression() {
    for template in all() {
        for trigger in template.all_triggers() {
            assert!(!format!("{:?}", trigger.opdata).contains("{?"), "{}", trigger.id);
        }
    }
}

/// The macros that a text uses, without context and braces.
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
        let rules = template.discoveries.iter().map(|rule| format!("{:?} {:?}", rule.steps, rule.filter));
        let used: BTreeSet<_> =
            triggers.chain(items).chain(rules).flat_map(|text| macros_in(&text)).collect();
        let defined: BTreeSet<_> =
            template.macros.iter().flat_map(|user_macro| macros_in(user_macro.name)).collect();
        assert_eq!(used, defined, "{}", template.id);
    }
}

/// A trigger that changes nothing in itself would never be looked at again.
#[test]
fn every_trigger_is_about_an_item() {
    for template in all() {
        assert!(template.all_triggers().all(|trigger| !ids_in(trigger).is_empty()), "{}", template.id);
    }
}
