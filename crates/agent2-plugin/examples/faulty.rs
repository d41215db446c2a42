//! A supervised plugin whose items fail as their keys say, for the tests of the supervisor.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use agent2_plugin::{Context, Delivery, Exporter, ItemError, Plugin, Reply, Request, Supervision};
use rustix::process::{Signal, getpid, kill_process};

struct Faulty {
    word: Option<String>,
    supervision: Option<Supervision>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Options {
    word: Option<String>,
}

impl Exporter for Faulty {
    type Options = Options;

    fn configure(options: Options, context: Context) -> Result<Self, ItemError> {
        if options.word.as_deref() == Some("crash") {
            std::process::abort();
        }
        Ok(Self { word: options.word, supervision: context.supervision })
    }

    fn export(&self, request: &Request) -> Result<Reply, ItemError> {
        let number = || request.parameter(0).parse::<u64>();
        match request.key() {
            "faulty.echo" => Ok(request.parameters().join("|").into()),
            "faulty.word" => Ok(self.word.clone().unwrap_or_default().into()),
            "faulty.pid" => Ok(std::process::id().into()),
            "faulty.supervision" => Ok(serde_json::to_string(&self.supervision)?.into()),
            "faulty.signal" => {
                let signal = Signal::from_named_raw(i32::try_from(number()?)?)
                    .ok_or_else(|| ItemError::new("no such signal"))?;
                // The first SIGSEGV that no access to memory caused only resets Rust's own handler.
                loop {
                    kill_process(getpid(), signal)?;
                }
            }
            "faulty.abort" => std::process::abort(),
            "faulty.exit" => std::process::exit(i32::try_from(number()?)?),
            "faulty.overflow" => Ok(depth(number()?).into()),
            "faulty.allocate" => Ok(vec![1_u8; usize::try_from(number()?)?].len().into()),
            "faulty.sleep" => {
                std::thread::sleep(Duration::from_millis(number()?));
                Ok("awake".into())
            }
            "faulty.deliver" => Ok(record_delivery(request)),
            "faulty.log" => {
                (0..number()?).for_each(|line| log::warn!("line {line}"));
                Ok("logged".into())
            }
            other => Err(ItemError::new(format!("no key {other}"))),
        }
    }
}

/// Uses one frame of the stack for each level.
fn depth(levels: u64) -> u64 {
    let frame = std::hint::black_box([levels; 64]);
    if levels == 0 { 0 } else { depth(levels - 1) + frame[0] / frame[63] }
}

/// Returns the second parameter, and appends it to the file of the first one with the outcome of its delivery.
fn record_delivery(request: &Request) -> Reply {
    let (path, word) = (request.parameter(0).to_owned(), request.parameter(1).to_owned());
    Reply::value(word.clone()).on_delivery(move |delivery| {
        let outcome = if delivery == Delivery::Written { "written" } else { "lost" };
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        let _ = file.and_then(|mut file| writeln!(file, "{word} {outcome}"));
    })
}

fn main() -> ExitCode {
    let keys = [
        "echo",
        "word",
        "pid",
        "supervision",
        "signal",
        "abort",
        "exit",
        "overflow",
        "allocate",
        "sleep",
        "deliver",
        "log",
    ];
    let plugin = Plugin::new("Faulty").max_worker_memory(64 << 20);
    keys.iter()
        .fold(plugin, |plugin, key| plugin.metric(format!("faulty.{key}"), "Fails as its name says."))
        .run::<Faulty>()
}
