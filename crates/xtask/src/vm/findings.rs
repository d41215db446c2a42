//! The assertions of a scene and the observed values.

use std::fmt::Display;

use serde_json::Value;

/// One assertion.
pub(super) struct Finding {
    pub(super) what: String,
    pub(super) seen: String,
    pub(super) held: bool,
}

/// All assertions of a scene. A failed assertion does not end the scene, so that the later ones are checked too.
#[derive(Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    pub(super) fn holds(&mut self, what: impl Into<String>, held: bool, seen: impl Display) {
        self.0.push(Finding { what: what.into(), seen: seen.to_string(), held });
    }

    pub(super) fn equal(
        &mut self,
        what: impl Into<String>,
        seen: impl Into<Value>,
        wanted: impl Into<Value>,
    ) {
        let (seen, wanted) = (seen.into(), wanted.into());
        let held = seen == wanted;
        let text = if held { seen.to_string() } else { format!("{seen}, not {wanted}") };
        self.holds(what, held, text);
    }

    pub(super) fn all(&self) -> &[Finding] {
        &self.0
    }

    pub(super) fn failed(&self) -> usize {
        self.0.iter().filter(|finding| !finding.held).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_equal_is_counted_and_says_both() {
        let mut findings = Findings::default();
        findings.equal("kills", 3, 3);
        findings.equal("kills", 2, 3);
        assert_eq!(findings.failed(), 1);
        assert_eq!(findings.all()[1].seen, "2, not 3");
    }
}
