//! The guide to the templates, in both languages: what to import, and every macro and trigger out of the source.

use std::fmt::Write as _;

use super::export::Language;
use super::model::{Check, Severity, Template, Text};

const ENGLISH: &str = include_str!("page.en.md");
const JAPANESE: &str = include_str!("page.ja.md");

/// The page in Markdown.
pub(crate) fn page(templates: &[Template], language: Language) -> String {
    let intro = if language == Language::English { ENGLISH } else { JAPANESE };
    let mut page = intro.to_owned();
    // The variants for passive and active checks say the same.
    let each = templates.iter().filter(|template| {
        let passive = templates.iter().any(|other| other.id == template.id && other.check == Check::Passive);
        template.check == Check::Passive || !passive
    });
    each.for_each(|template| section(&mut page, template, language));
    page
}

fn said(text: &Text, language: Language) -> &str {
    if language == Language::English { &text.en } else { &text.ja }
}

fn section(page: &mut String, template: &Template, language: Language) {
    let say = |en, ja| if language == Language::English { en } else { ja };
    let _ = write!(page, "\n## {}\n\n{}\n", template.subject, said(&template.description, language));
    if !template.macros.is_empty() {
        let _ = write!(
            page,
            "\n| {} |\n|---|---|---|\n",
            say("macro | default | what it is", "マクロ | 既定値 | 内容")
        );
    }
    for user_macro in &template.macros {
        let about = cell(said(&user_macro.description, language));
        let value = if user_macro.value.is_empty() {
            String::new()
        } else {
            format!("`{}`", cell(&user_macro.value))
        };
        let _ = writeln!(page, "| `{}` | {value} | {about} |", user_macro.name);
    }
    if template.all_triggers().next().is_some() {
        let _ = write!(
            page,
            "\n| {} |\n|---|---|---|\n",
            say("trigger | severity | meaning", "トリガー | 深刻度 | 意味")
        );
    }
    for trigger in template.all_triggers() {
        let severity = severity(trigger.severity, language);
        let about = cell(said(&trigger.description, language));
        let _ = writeln!(page, "| {} | {severity} | {about} |", cell(said(&trigger.name, language)));
    }
}

/// A bar would end a table's cell.
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
