//! Where ours is meant to differ. Each is used by the questions that show it, and one that is gone is a mismatch, too.

/// A difference that is meant.
#[derive(Debug)]
pub(crate) struct Difference {
    pub(crate) name: &'static str,
    pub(crate) reason: &'static str,
}

pub(crate) const PERSISTENT_DIR: Difference = Difference {
    name: "persistent_dir",
    reason: "agent 2 refuses it; ours accepts it, so that items made for agent 1 work, and keeps positions in StateDir",
};

pub(crate) const GLOBAL_EXPRESSION: Difference = Difference {
    name: "@name",
    reason: "a plugin is not told the server's expressions, so the error says where to put one instead",
};

pub(crate) const NO_ENGINE: Difference = Difference {
    name: "recursion, \\X, \\C, (*UCP), verbs",
    reason: "neither engine has them; the error names them",
};
