//! A real agent with the plugin, sample processes, the items that an operator of a web server polls, and the problems that
//! a real server makes of them.

mod ground;
mod story;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use oomwatch_tests::actors::{Activity, Actor, Role, Stage};
use oomwatch_tests::{Generation, PluginSpec, RealAgent, Reply, binaries};
use serde_json::Value;

use crate::output::{Done, say};
use crate::table::{bytes, columns};
use ground::Ground;
use story::Story;

const TIMEOUT: Duration = Duration::from_secs(3);
const INTERVAL: Duration = Duration::from_secs(5);
/// The plugin knows a load two one-second collections after its first poll.
const LOAD_KNOWN_AFTER: Duration = Duration::from_millis(3500);
/// The agent's own items for which the plugin returns the values here.
const MIRRORED: [&str; 4] = ["proc.mem", "proc.num", "proc.cpu.util", "proc.get"];
const LOAD: &str = "proc.cpu.util[httpd]";

/// How a value is to be read.
#[derive(Clone, Copy)]
enum Unit {
    Bytes,
    Count,
    Percent,
    Json,
}

const ITEMS: [(&str, Unit, &str); 8] = [
    ("proc.mem[httpd,,avg,,rss]", Unit::Bytes, "resident memory of one httpd, on average"),
    (
        "proc.mem[httpd,,sum,,rss]",
        Unit::Bytes,
        "resident memory of all httpd, shared pages counted each time",
    ),
    ("proc.mem[mysqld,,sum,,rss]", Unit::Bytes, "resident memory of mysqld"),
    ("proc.num[httpd]", Unit::Count, "httpd processes"),
    ("proc.num[,,zomb]", Unit::Count, "zombies"),
    (LOAD, Unit::Percent, "of one CPU, all httpd together, average of a minute"),
    ("oomwatch.proc.top[rss,5]", Unit::Json, "the five names with the most resident memory"),
    ("oomwatch.self", Unit::Json, "what the plugin itself costs"),
];

pub(crate) fn run(once: bool) -> Done {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // The first signal stops the demo after the current step; a second signal stops it at once.
        signal_hook::flag::register_conditional_default(signal, Arc::clone(&stop))?;
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    say("Building the plugin ...");
    let plugin = binaries::release("oomwatch-plugin", binaries::PLUGIN)?;
    let stage = Stage::with(&binaries::release("oomwatch-tests", "actor")?)?;
    let cast = cast(&stage)?;
    let scratch = tempfile::Builder::new().prefix("ow").tempdir_in("/tmp")?;
    let ground = Ground::new(scratch.path())?;
    let zabbix = Story::server()?;
    let plugin = PluginSpec::new("OomWatch", plugin).option("StateDir", scratch.path().display().to_string());
    let plugin = ground.watched_by(plugin);
    let mut builder = RealAgent::builder(Generation::V7_0).plugin(plugin).active_server(zabbix.address());
    for key in MIRRORED {
        builder = builder.alias(&format!("{key}[*]"), &format!("oomwatch.{key}[*]"));
    }
    let mut agent = builder.start()?;
    say(&format!(
        "Agent {} is process {}; {} processes play a web server.",
        agent.generation(),
        agent.pid(),
        cast.len()
    ));
    let story = Story::begin(zabbix, &mut agent, &ground)?;
    let _ = agent.get_within(LOAD, Duration::from_millis(500));
    pause(LOAD_KNOWN_AFTER, &stop);
    round(&agent)?;
    story.cause_problems(&ground)?;
    if !once {
        say(&story.invitation());
        while !stop.load(Ordering::Relaxed) {
            pause(INTERVAL, &stop);
        }
    }
    say("All processes of the demo have ended.");
    Ok(())
}

fn pause(span: Duration, stop: &AtomicBool) {
    let start = Instant::now();
    while start.elapsed() < span && !stop.load(Ordering::Relaxed) {
        sleep(Duration::from_millis(50));
    }
}

fn cast(stage: &Stage) -> Result<Vec<Actor>, oomwatch_tests::Error> {
    let httpd = Role::named("httpd").argv(["/usr/sbin/httpd", "-DFOREGROUND"]).mib(20);
    let mut roles = vec![httpd.clone(); 7];
    roles.push(httpd.activity(Activity::Work { percent: 10 }));
    roles.push(Role::named("mysqld").argv(["/usr/sbin/mysqld", "--user=mysql"]).mib(80).threads(8));
    roles.extend(vec![Role::named("php-fpm").argv(["php-fpm: pool www"]).mib(15); 3]);
    roles.push(Role::named("cgi-bin").activity(Activity::Ended));
    roles.iter().map(|role| stage.play(role)).collect()
}

/// One poll of every item. An item without a value is a failure of the plugin, so the demo fails too.
fn round(agent: &RealAgent) -> Done {
    let mut rows = vec![["item", "value", ""].map(ToOwned::to_owned).to_vec()];
    let mut texts = Vec::new();
    let mut failed = Vec::new();
    for (key, unit, meaning) in ITEMS {
        let reply = agent.poll(key, TIMEOUT)?;
        match (&reply, unit) {
            (Reply::Value(text), Unit::Json) => texts.push(format!("{key}: {meaning}\n{}", json(text)?)),
            (Reply::Value(text), unit) => rows.push(vec![key.into(), number(text, unit)?, meaning.into()]),
            (Reply::NotSupported(why), _) => failed.push(format!("{key}: {why}")),
            (Reply::NoData, _) => failed.push(format!("{key}: no value")),
        }
    }
    say(&format!("\n{}\n\n{}", columns(&rows), texts.join("\n\n")));
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n").into()) }
}

fn number(text: &str, unit: Unit) -> Result<String, std::num::ParseFloatError> {
    let number: f64 = text.parse()?;
    Ok(match unit {
        Unit::Bytes => bytes(number),
        Unit::Percent => format!("{number:.1} %"),
        Unit::Count | Unit::Json => format!("{number}"),
    })
}

/// An object becomes a list of its members, and a list of objects within it a table.
fn json(text: &str) -> Result<String, serde_json::Error> {
    let whole: Value = serde_json::from_str(text)?;
    let in_bytes = whole["unit"] == "B";
    let members: Vec<(&String, &Value)> = whole.as_object().into_iter().flatten().collect();
    let (lists, others): (Vec<_>, Vec<_>) = members.into_iter().partition(|(_, value)| value.is_array());
    let rows: Vec<_> =
        others.iter().map(|(name, value)| vec![(*name).clone(), cell(name, value, false)]).collect();
    let tables = lists.iter().filter_map(|(_, value)| Some(list(value.as_array()?, in_bytes)));
    Ok(std::iter::once(columns(&rows)).chain(tables).collect::<Vec<_>>().join("\n"))
}

fn list(rows: &[Value], in_bytes: bool) -> String {
    let first = rows.first().and_then(Value::as_object);
    let mut names: Vec<&String> = first.into_iter().flat_map(|row| row.keys()).collect();
    names.sort_by_key(|name| *name != "name");
    let head = names.iter().map(|name| (*name).clone()).collect();
    let cells = |row: &Value| names.iter().map(|name| cell(name, &row[name.as_str()], in_bytes)).collect();
    columns(&std::iter::once(head).chain(rows.iter().map(cells)).collect::<Vec<_>>())
}

/// The unit is in the member's name, or applies to all numbers except counts.
fn cell(name: &str, value: &Value, in_bytes: bool) -> String {
    match (value, value.as_f64()) {
        (_, Some(number))
            if name.ends_with("_bytes") || (in_bytes && !matches!(name, "count" | "unreadable")) =>
        {
            bytes(number)
        }
        (Value::String(text), _) => text.clone(),
        (Value::Object(members), _) => {
            let parts = members.iter().map(|(name, value)| format!("{name} {}", cell(name, value, false)));
            parts.collect::<Vec<_>>().join(", ")
        }
        (other, _) => other.to_string(),
    }
}
