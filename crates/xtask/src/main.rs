//! The chores of this workspace: `cargo xtask test`, `demo`, `bench`, `templates`, `alerts` and `vm`.

mod alerts;
mod bench;
mod demo;
mod generated;
mod output;
mod steps;
mod structure;
mod table;
mod templates;
mod test;
mod vm;

use std::path::PathBuf;
use std::process::ExitCode;

use lexopt::prelude::*;

use output::say;

const HELP: &str = "\
cargo xtask test [--fast]   format, lints, agents, build, doc tests, tests; --fast leaves out the long ones
cargo xtask demo [--once]   the whole story: server, frontend, agent with the plugin, an OOM kill, and its problem
cargo xtask bench [PART]    measures, and writes docs/benchmarks.md; PART is processes or logs
cargo xtask structure       checks modules for circles and crates against ARCHITECTURE.md's table, prints sizes, and
                            draws docs/structure.svg; [DIRECTORY] [--picture FILE] for another workspace
cargo xtask templates       makes the templates for Zabbix anew from their source
cargo xtask alerts [SCENE]  every trigger on its cause in real servers, in 25 minutes; writes docs/alerts.md
                            and a part of docs/benchmarks.md
cargo xtask vm [SCENE]      a whole machine runs out of memory; writes docs/vm.md; SCENE is limit, group, continue,
                            rights, journal, oomd, global or unprotected
";

enum Chore {
    Help,
    Test { fast: bool },
    Demo { once: bool },
    Bench { part: Option<bench::Part> },
    Structure { root: Option<PathBuf>, picture: Option<PathBuf> },
    Templates,
    Alerts { scene: Option<String> },
    Vm { scene: Option<vm::Scene> },
}

fn main() -> ExitCode {
    let done = chore().map_err(Into::into).and_then(|chore| match chore {
        Chore::Help => {
            say(HELP);
            Ok(())
        }
        Chore::Test { fast } => test::run(fast),
        Chore::Demo { once } => demo::run(once),
        Chore::Bench { part } => bench::run(part),
        Chore::Structure { root, picture } => structure::run(root.as_deref(), picture.as_deref()),
        Chore::Templates => templates::run(),
        Chore::Alerts { scene } => alerts::run(scene.as_deref()),
        Chore::Vm { scene } => vm::run(scene),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn chore() -> Result<Chore, lexopt::Error> {
    let mut parser = lexopt::Parser::from_env();
    let mut chore = None;
    while let Some(argument) = parser.next()? {
        chore = Some(match (chore, argument) {
            (None, Value(name)) if name == "test" => Chore::Test { fast: false },
            (None, Value(name)) if name == "demo" => Chore::Demo { once: false },
            (None, Value(name)) if name == "bench" => Chore::Bench { part: None },
            (None, Value(name)) if name == "structure" => Chore::Structure { root: None, picture: None },
            (None, Value(name)) if name == "templates" => Chore::Templates,
            (None, Value(name)) if name == "alerts" => Chore::Alerts { scene: None },
            (None, Value(name)) if name == "vm" => Chore::Vm { scene: None },
            (_, Long("help") | Short('h')) => Chore::Help,
            (Some(Chore::Test { .. }), Long("fast")) => Chore::Test { fast: true },
            (Some(Chore::Demo { .. }), Long("once")) => Chore::Demo { once: true },
            (Some(Chore::Bench { part: None }), Value(name)) => {
                let part = name.to_str().and_then(bench::Part::named);
                Chore::Bench { part: Some(part.ok_or_else(|| Value(name).unexpected())?) }
            }
            (Some(Chore::Structure { root: None, picture }), Value(root)) => {
                Chore::Structure { root: Some(root.into()), picture }
            }
            (Some(Chore::Structure { root, picture: None }), Long("picture")) => {
                Chore::Structure { root, picture: Some(parser.value()?.into()) }
            }
            (Some(Chore::Alerts { scene: None }), Value(name)) => {
                Chore::Alerts { scene: Some(name.string()?) }
            }
            (Some(Chore::Vm { scene: None }), Value(name)) => {
                let scene = name.to_str().and_then(vm::Scene::named);
                Chore::Vm { scene: Some(scene.ok_or_else(|| Value(name).unexpected())?) }
            }
            (_, other) => return Err(other.unexpected()),
        });
    }
    Ok(chore.unwrap_or(Chore::Help))
}
