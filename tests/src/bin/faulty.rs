//! A plugin whose handlers do forbidden things: they panic, hang and print. It uses the SDK like any plugin, so the tests
//! show that the SDK keeps agents alive.

use std::process::{ExitCode, id};
use std::thread::sleep;
use std::time::Duration;

use agent2_plugin::{Context, Exporter, ItemError, OptionError, Plugin, Reply, Request};

struct Faulty;

#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Options {
    /// An even number.
    even: Option<u32>,
}

impl Exporter for Faulty {
    type Options = Options;

    fn validate(options: &Options) -> Result<(), OptionError> {
        match options.even {
            Some(number) if number % 2 != 0 => {
                Err(OptionError::new(format!("Even is {number}, which is odd")))
            }
            _ => Ok(()),
        }
    }

    fn configure(_: Options, _: Context) -> Result<Self, ItemError> {
        Ok(Self)
    }

    fn export(&self, request: &Request) -> Result<Reply, ItemError> {
        match request.key() {
            "faulty.echo" => Ok(request.parameter(0).into()),
            "faulty.pid" => Ok(id().into()),
            "faulty.panic" => panic!("{}", request.parameter(0)),
            "faulty.hang" => hang(number(request)?),
            "faulty.big" => Ok(big(number(request)?).into()),
            "faulty.print" => print(),
            "faulty.nothing" => Ok(Reply::none()),
            other => Err(ItemError::new(format!("no handler for {other}"))),
        }
    }
}

fn number(request: &Request) -> Result<u32, ItemError> {
    Ok(request.parameter(0).parse()?)
}

fn hang(seconds: u32) -> Result<Reply, ItemError> {
    sleep(Duration::from_secs(seconds.into()));
    Ok("too late".into())
}

/// A text of this many KiB. Its last bytes show that nothing was cut off.
fn big(kib: u32) -> String {
    let mut text = "0123456789abcde\n".repeat(kib as usize * 64);
    text.push_str("the end");
    text
}

/// Output that the agent would keep in memory until its end.
#[expect(clippy::print_stdout, reason = "the fault")]
fn print() -> Result<Reply, ItemError> {
    (0..10_000).for_each(|line| println!("line {line} on standard output"));
    Ok("printed".into())
}

fn main() -> ExitCode {
    let keys = ["echo", "pid", "panic", "hang", "big", "print", "nothing"];
    let plugin = Plugin::new("Faulty").max_reply_bytes(64 << 20);
    let add = |plugin: Plugin, key| plugin.metric(format!("faulty.{key}"), format!("Does {key}."));
    keys.into_iter().fold(plugin, add).run::<Faulty>()
}
