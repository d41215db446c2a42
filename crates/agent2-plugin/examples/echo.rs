//! The smallest useful plugin: `echo[a,b]` returns `a b`, joined by `Plugins.Echo.Separator` if it is set.

use std::process::ExitCode;

use agent2_plugin::{Context, Exporter, ItemError, Plugin, Reply, Request};

struct Echo {
    separator: String,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Options {
    separator: Option<String>,
}

impl Exporter for Echo {
    type Options = Options;

    fn configure(options: Options, _: Context) -> Result<Self, ItemError> {
        Ok(Self { separator: options.separator.unwrap_or_else(|| " ".to_owned()) })
    }

    fn export(&self, request: &Request) -> Result<Reply, ItemError> {
        if request.parameters().is_empty() {
            return Err(ItemError::new("Too few parameters."));
        }
        Ok(request.parameters().join(&self.separator).into())
    }
}

fn main() -> ExitCode {
    Plugin::new("Echo").metric("echo", "Returns its parameters.").run::<Echo>()
}
