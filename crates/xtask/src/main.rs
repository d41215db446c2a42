//! The tasks of this workspace: `cargo xtask test`, `demo`, `bench`, `templates`, `structure`, `fuzz`, `alerts`, `vm` and
//! `faults`.

mod alerts;
mod bench;
mod demo;
mod faults;
mod fuzz;
mod generated;
mod output;
mod steps;
mod structure;
mod table;
mod templates;
mod test;
mod tools;
mod vm;

use std::path::PathBuf;
use std::process::ExitCode;

use lexopt::prelude::*;

use output::say;

const HELP: &str = "\
cargo xtask test [--fast]   checks format and lints, builds, and runs all tests; --fast omits the slow ones
cargo xtask demo [--once]   starts a server, frontend and agent with the plugin, causes an OOM kill, and shows its problem
cargo xtask bench [PART]    runs the benchmarks and writes docs/benchmarks.md; PART is processes or logs
cargo xtask structure       checks modules for circles and crates against ARCHITECTURE.md's table, prints sizes, and
                            draws docs/structure.svg; [DIRECTORY] [--picture FILE] for another workspace
cargo xtask fuzz [TARGET]   searches with libFuzzer for inputs that break a parser, 60 seconds for each target, or
                            --seconds N; the targets are listed in crates/fuzz-targets/src/lib.rs
cargo xtask templates       generates the Zabbix templates
cargo xtask alerts [SCENE]  tests every trigger on real servers, in 25 minutes; writes docs/alerts.md
                            and a part of docs/benchmarks.md
cargo xtask vm [SCENE]      runs out of memory in a virtual machine; writes docs/vm.md; SCENE is limit, group, continue,
                            rights, journal, oomd, global or unprotected
cargo xtask faults [PART]   kills the worker 10,000 times, and polls 300 items for an hour; writes a part of
                            docs/reliability.md; PART is kills or soak
";

enum Task {
    Help,
    Test { fast: bool },
    Demo { once: bool },
    Bench { part: Option<bench::Part> },
    Structure { root: Option<PathBuf>, picture: Option<PathBuf> },
    Fuzz(fuzz::Plan),
    Templates,
    Alerts { scene: Option<String> },
    Vm { scene: Option<vm::Scene> },
    Faults { part: Option<faults::Part> },
}

fn main() -> ExitCode {
    let done = task().map_err(Into::into).and_then(|task| match task {
        Task::Help => {
            say(HELP);
            Ok(())
        }
        Task::Test { fast } => test::run(fast),
        Task::Demo { once } => demo::run(once),
        Task::Bench { part } => bench::run(part),
        Task::Structure { root, picture } => structure::run(root.as_deref(), picture.as_deref()),
        Task::Fuzz(plan) => fuzz::run(&plan),
        Task::Templates => templates::run(),
        Task::Alerts { scene } => alerts::run(scene.as_deref()),
        Task::Vm { scene } => vm::run(scene),
        Task::Faults { part } => faults::run(part),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn task() -> Result<Task, lexopt::Error> {
    let mut parser = lexopt::Parser::from_env();
    let mut task = None;
    while let Some(argument) = parser.next()? {
        task = Some(match (task, argument) {
            (None, Value(name)) if name == "test" => Task::Test { fast: false },
            (None, Value(name)) if name == "demo" => Task::Demo { once: false },
            (None, Value(name)) if name == "bench" => Task::Bench { part: None },
            (None, Value(name)) if name == "structure" => Task::Structure { root: None, picture: None },
            (None, Value(name)) if name == "fuzz" => Task::Fuzz(fuzz::Plan::default()),
            (None, Value(name)) if name == "templates" => Task::Templates,
            (None, Value(name)) if name == "alerts" => Task::Alerts { scene: None },
            (None, Value(name)) if name == "vm" => Task::Vm { scene: None },
            (None, Value(name)) if name == "faults" => Task::Faults { part: None },
            (_, Long("help") | Short('h')) => Task::Help,
            (Some(Task::Test { .. }), Long("fast")) => Task::Test { fast: true },
            (Some(Task::Demo { .. }), Long("once")) => Task::Demo { once: true },
            (Some(Task::Bench { part: None }), Value(name)) => {
                let part = name.to_str().and_then(bench::Part::named);
                Task::Bench { part: Some(part.ok_or_else(|| Value(name).unexpected())?) }
            }
            (Some(Task::Structure { root: None, picture }), Value(root)) => {
                Task::Structure { root: Some(root.into()), picture }
            }
            (Some(Task::Structure { root, picture: None }), Long("picture")) => {
                Task::Structure { root, picture: Some(parser.value()?.into()) }
            }
            (Some(Task::Fuzz(plan)), Long("seconds")) => {
                Task::Fuzz(fuzz::Plan { seconds: parser.value()?.parse()?, ..plan })
            }
            (Some(Task::Fuzz(plan)), Value(name)) if plan.target.is_none() => {
                let target = name.to_str().and_then(fuzz::named);
                Task::Fuzz(fuzz::Plan {
                    target: Some(target.ok_or_else(|| Value(name).unexpected())?),
                    ..plan
                })
            }
            (Some(Task::Alerts { scene: None }), Value(name)) => Task::Alerts { scene: Some(name.string()?) },
            (Some(Task::Vm { scene: None }), Value(name)) => {
                let scene = name.to_str().and_then(vm::Scene::named);
                Task::Vm { scene: Some(scene.ok_or_else(|| Value(name).unexpected())?) }
            }
            (Some(Task::Faults { part: None }), Value(name)) => {
                let part = name.to_str().and_then(faults::Part::named);
                Task::Faults { part: Some(part.ok_or_else(|| Value(name).unexpected())?) }
            }
            (_, other) => return Err(other.unexpected()),
        });
    }
    Ok(task.unwrap_or(Task::Help))
}
