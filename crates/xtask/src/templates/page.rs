//! The page about the templates in both languages: an introduction, and every macro and trigger of the source.

use std::fmt::Write as _;

use super::export::Language;
use super::model::{Check, Severity, Template, Text};

const ENGLISH: &str = include_str!("page.en.md");
const JAPANESE: &str = include_str!("page.ja.md");

/// Returns the page in Markdown.
pub(crate) fn page(templates: &[Template], language: Language) -> String {
    let intro = if language == Language::English { ENGLISH } else { JAPANESE };
    let mut page = intro.to_owned();
    for template in templates.iter().filter(|template| is_first_variant(templates, template)) {
        write_template(&mut page, template, language);
    }
    page
}

/// The variants for passive and active checks have the same texts, so the page contains one of them.
fn is_first_variant(templates: &[Template], template: &Template) -> bool {
    let has_passive = templates.iter().any(|other| other.id == template.id && other.check == Check::Passive);
    template.check == Check::Passive || !has_passive
}

fn translation(text: &Text, language: Language) -> &str {
    if language == Language::English { &text.en } else { &text.ja }
}

fn write_template(page: &mut String, template: &Template, language: Language) {
    let description = translation(&template.description, language);
    let _ = write!(page, "\n## {}\n\n{description}\n", template.subject);
    write_macros(page, template, language);
    write_triggers(page, template, language);
}

fn write_header(page: &mut String, columns: &str) {
    let _ = write!(page, "\n| {columns} |\n|---|---|---|\n");
}

fn write_macros(page: &mut String, template: &Template, language: Language) {
    if template.macros.is_empty() {
        return;
    }
    let english = language == Language::English;
    write_header(page, if english { "macro | default | description" } else { "マクロ | 既定値 | 説明" });
    for user_macro in &template.macros {
        let description = cell(translation(&user_macro.description, language));
        let value = if user_macro.value.is_empty() {
            String::new()
        } else {
            format!("`{}`", cell(&user_macro.value))
        };
        let _ = writeln!(page, "| `{}` | {value} | {description} |", user_macro.name);
    }
}

fn write_triggers(page: &mut String, template: &Template, language: Language) {
    if template.all_triggers().next().is_none() {
        return;
    }
    let english = language == Language::English;
    write_header(page, if english { "trigger | severity | description" } else { "トリガー | 深刻度 | 説明" });
    for trigger in template.all_triggers() {
        let name = cell(translation(&trigger.name, language));
        let description = cell(translation(&trigger.description, language));
        let _ = writeln!(page, "| {name} | {} | {description} |", severity(trigger.severity, language));
    }
}

/// Escapes bars, which would end a table's cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn severity(severity: Severity, language: Language) -> &'static str {
    let [en, ja] = match severity {
        Severity::Info => ["information", "情報"],
        Severity::Warning => ["warning", "警告"],
        Severity::Average => ["average", "軽度の障害"],
        Severity::High => ["high", "重度の障害"],
    };
    if language == Language::English { en } else { ja }
}
