//! Attributes of items.

use syn::Attribute;

/// Returns true for `#[cfg(test)]`, `#[cfg(all(test, ...))]` and `#[test]`.
pub(crate) fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        if attribute.path().is_ident("test") {
            return true;
        }
        let syn::Meta::List(list) = &attribute.meta else { return false };
        let condition = list.tokens.to_string();
        attribute.path().is_ident("cfg") && (condition == "test" || condition.starts_with("all (test"))
    })
}
