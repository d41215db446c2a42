//! The conversation with the bus. All that is asynchronous is in this file: a session is one future, and the thread that
//! follows the bus runs it to its end.

use std::collections::{HashMap, HashSet};
use std::future::{Future, poll_fn};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use futures_core::Stream;
use zbus::message::Type;
use zbus::{Connection, Message, MessageStream, Variant, connection};
use zruntime::SharedRuntime;

use super::units::{self, Facts, OomdKill, Value, Wanted};
use super::{News, Shared};

const BUS: &str = "org.freedesktop.DBus";
const BUS_PATH: &str = "/org/freedesktop/DBus";
const SYSTEMD: &str = "org.freedesktop.systemd1";
const SYSTEMD_PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const SERVICE: &str = "org.freedesktop.systemd1.Service";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const OOMD: &str = "org.freedesktop.oom1";

/// A manager that is alive answers within milliseconds; one that is reading its unit files again, within a few seconds.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// How many calls wait for their answers at a time: enough that the manager never waits for us, and a quarter of what a bus lets one
/// connection have open.
const IN_FLIGHT: usize = 32;

/// What the bus lets through to us: changes of services' results, the manager's reloads, systemd-oomd's kills, and who
/// owns the two names. (Which services appear and vanish is asked when somebody wants to know.)
const MATCHES: [&str; 5] = [
    "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',member='NameOwnerChanged',\
     arg0='org.freedesktop.systemd1'",
    "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',member='NameOwnerChanged',\
     arg0='org.freedesktop.oom1'",
    "type='signal',sender='org.freedesktop.systemd1',interface='org.freedesktop.DBus.Properties',\
     member='PropertiesChanged',arg0='org.freedesktop.systemd1.Service'",
    "type='signal',sender='org.freedesktop.systemd1',interface='org.freedesktop.systemd1.Manager',member='Reloading'",
    "type='signal',sender='org.freedesktop.oom1',interface='org.freedesktop.oom1.Manager',member='Killed'",
];

/// Why a session has ended, or could not begin.
#[derive(Debug, thiserror::Error)]
pub(super) enum BusError {
    #[error("the bus at {address} cannot be reached: {why}")]
    Unreachable { address: String, why: String, absent: bool },
    #[error("{who} gave no answer within {} s", ANSWER_TIME.as_secs())]
    Late { who: &'static str },
    #[error("the bus has no org.freedesktop.systemd1: systemd does not run, or has not joined the bus")]
    NoManager,
    #[error("systemd has left the bus")]
    ManagerLeft,
    #[error("the bus has closed the connection")]
    Closed,
    #[error("{0}")]
    Broken(#[from] zbus::Error),
    #[error("{method} is refused: {why}")]
    Refused { method: &'static str, why: String },
    #[error("the bus cannot be waited for: {0}")]
    Runtime(#[from] std::io::Error),
}

impl BusError {
    /// Whether there is nothing to be reached.
    pub(super) fn is_absence(&self) -> bool {
        matches!(self, Self::NoManager | Self::Unreachable { absent: true, .. })
    }
}

/// The address of a machine's bus.
pub(super) fn address(host_root: &Path) -> String {
    let named = std::env::var("DBUS_SYSTEM_BUS_ADDRESS").ok().filter(|_| host_root == Path::new("/"));
    named.unwrap_or_else(|| {
        let socket = host_root.join("run/dbus/system_bus_socket");
        format!("unix:path={}", percent_encoded(socket.as_os_str().as_bytes()))
    })
}

fn percent_encoded(path: &[u8]) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_/.\\*".contains(&byte);
    path.iter()
        .map(|&byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02x}") })
        .collect()
}

/// Follows the bus until the connection or the manager goes away, or it is over.
pub(super) fn session(shared: &Shared) -> Result<(), BusError> {
    zbus::block_on(async { Session::open(shared).await?.follow().await })
}

struct Session<'a> {
    shared: &'a Shared,
    connection: Connection,
    signals: MessageStream,
    /// The connection of the manager: any user may send us signals, but they bear another sender.
    manager: String,
    oomd: Option<String>,
}

async fn in_time<F: Future>(who: &'static str, future: F) -> Result<F::Output, BusError> {
    let runtime = SharedRuntime::current()?;
    runtime.timeout(ANSWER_TIME, future).await.map_err(|_| BusError::Late { who })
}

async fn connect(address: &str) -> Result<Connection, BusError> {
    let connecting = connection::Builder::address(address).build();
    in_time("the bus", connecting).await?.map_err(|error| BusError::Unreachable {
        address: address.to_owned(),
        absent: matches!(&error, zbus::Error::Connection(why, _) if why.kind() == ErrorKind::NotFound),
        why: match error {
            zbus::Error::Connection(why, _) => why.to_string(),
            other => other.to_string(),
        },
    })
}

impl<'a> Session<'a> {
    async fn open(shared: &'a Shared) -> Result<Self, BusError> {
        let connection = connect(&shared.address).await?;
        let signals = MessageStream::from(&connection);
        let mut session = Self { shared, connection, signals, manager: String::new(), oomd: None };
        for rule in MATCHES {
            session.ask_bus("AddMatch", rule).await?;
        }
        session.manager = session.owner(SYSTEMD).await?.ok_or(BusError::NoManager)?;
        session.oomd = session.owner(OOMD).await?;
        session.call(SYSTEMD, SYSTEMD_PATH, MANAGER, "Subscribe", &()).await?;
        Ok(session)
    }

    async fn follow(mut self) -> Result<(), BusError> {
        // Nobody told what was changed while nobody listened.
        self.shared.lock().units.forget_settings();
        let mut wanted = self.shared.lock().wanted.take();
        loop {
            let begun = Instant::now();
            self.look_around(wanted.as_ref()).await?;
            let oomd = self.oomd.is_some();
            self.shared.lock().looked(wanted.unwrap_or_default(), begun.elapsed(), oomd);
            self.shared.changed.notify_all();
            match poll_fn(|context| self.poll_wanted(context)).await? {
                Some(next) => wanted = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// Takes signals until something is wanted; none where it is over.
    fn poll_wanted(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Wanted>, BusError>> {
        self.take_signals(context)?;
        self.shared.lock().next_wanted(context.waker()).map(Ok)
    }

    fn take_signals(&mut self, context: &mut Context<'_>) -> Result<(), BusError> {
        while let Poll::Ready(next) = Pin::new(&mut self.signals).poll_next(context) {
            self.take(&next.ok_or(BusError::Closed)??)?;
        }
        Ok(())
    }

    /// A body of another form than it should have says nothing.
    fn take(&mut self, message: &Message) -> Result<(), BusError> {
        let header = message.header();
        if message.message_type() != Type::Signal {
            return Ok(());
        }
        let sender = header.sender().map(zbus::names::UniqueName::as_str).unwrap_or_default();
        let body = message.body();
        match header.member().map(zbus::names::MemberName::as_str).unwrap_or_default() {
            "NameOwnerChanged" if sender == BUS => {
                if let Ok((name, _, owner)) = body.deserialize::<(&str, &str, &str)>() {
                    self.owner_changed(name, owner)?;
                }
            }
            "PropertiesChanged" if sender == self.manager => {
                let unit = header.path().and_then(|path| units::unit_of_path(path.as_str()));
                if let (Some(unit), Ok((_, changed, _))) = (unit, body.deserialize::<Changed<'_>>()) {
                    tell(self.shared, &unit, &changed, true);
                }
            }
            "Reloading" if sender == self.manager => self.shared.lock().units.forget_settings(),
            "Killed" if Some(sender) == self.oomd.as_deref() => {
                if let Ok((cgroup, reason)) = body.deserialize::<(&str, &str)>() {
                    let (cgroup, reason) = (units::cut_path(cgroup), units::cut(reason));
                    self.shared.add_news(News::Oomd(OomdKill { cgroup, reason, at: SystemTime::now() }));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn owner_changed(&mut self, name: &str, owner: &str) -> Result<(), BusError> {
        if name == OOMD {
            self.oomd = Some(owner.to_owned()).filter(|owner| !owner.is_empty());
            self.shared.oomd_is(self.oomd.is_some());
        }
        // A manager that was executed anew has forgotten who subscribed.
        if name == SYSTEMD && owner != self.manager { Err(BusError::ManagerLeft) } else { Ok(()) }
    }

    /// Calls a method. Signals are taken while its answer is waited for, since the queue for both is the same.
    async fn try_call<B>(
        &mut self,
        destination: &'static str,
        path: &str,
        interface: &str,
        method: &str,
        body: &B,
    ) -> Result<Result<Message, zbus::Error>, BusError>
    where
        B: serde::Serialize + zbus::DynamicType,
    {
        let connection = self.connection.clone();
        let call = connection.call_method(Some(destination), path, Some(interface), method, body);
        let who = if destination == BUS { "the bus" } else { "systemd" };
        let mut answer = pin!(in_time(who, call));
        let answer = poll_fn(|context| {
            self.take_signals(context)?;
            answer.as_mut().poll(context)
        });
        refusal(answer.await?)
    }

    async fn call<B>(
        &mut self,
        destination: &'static str,
        path: &str,
        interface: &str,
        method: &'static str,
        body: &B,
    ) -> Result<Message, BusError>
    where
        B: serde::Serialize + zbus::DynamicType,
    {
        let answer = self.try_call(destination, path, interface, method, body).await?;
        answer.map_err(|error| BusError::Refused { method, why: error.to_string() })
    }

    async fn ask_bus(&mut self, method: &'static str, argument: &str) -> Result<Message, BusError> {
        self.call(BUS, BUS_PATH, BUS, method, &argument).await
    }

    async fn owner(&mut self, name: &str) -> Result<Option<String>, BusError> {
        let answer = self.try_call(BUS, BUS_PATH, BUS, "GetNameOwner", &name).await?;
        Ok(answer.ok().and_then(|answer| answer.body().deserialize::<String>().ok()))
    }

    /// Asks services for properties, several at a time, and has each answer taken when it comes: none where the service
    /// has vanished, or this systemd has no such property. Signals are taken meanwhile.
    async fn ask<'u>(
        &mut self,
        asked: impl Iterator<Item = Asked<'u>>,
        mut take: impl FnMut(Asked<'u>, Option<Message>),
    ) -> Result<(), BusError> {
        let connection = self.connection.clone();
        let mut asked = asked.fuse();
        let mut flying = Vec::with_capacity(IN_FLIGHT);
        poll_fn(|context| {
            self.take_signals(context)?;
            loop {
                let room = IN_FLIGHT - flying.len();
                flying.extend(asked.by_ref().take(room).map(|asked| Flying::of(&connection, asked)));
                if flying.is_empty() {
                    return Poll::Ready(Ok(()));
                }
                if !land(&mut flying, context, &mut take)? {
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    /// Looks at all services: which there are, and which of them have failed meanwhile. Where somebody wants to know of
    /// them, at their memory, too.
    async fn look_around(&mut self, wanted: Option<&Wanted>) -> Result<(), BusError> {
        let shared = self.shared;
        let units = self.list().await?;
        let failed = units.iter().filter(|unit| units::may_have_failed(&unit.active_state));
        let tell_all = |asked: Asked<'_>, answer: Option<Message>| {
            let body = answer.as_ref().map(Message::body);
            if let Some(Ok(properties)) = body.as_ref().map(zbus::message::Body::deserialize) {
                tell(shared, &asked.unit.name, &properties, false);
            }
        };
        self.ask(failed.map(|unit| Asked { unit, property: None }), tell_all).await?;
        let Some(wanted) = wanted else { return Ok(()) };
        self.look_at_memory(&units).await?;
        let chosen = {
            let state = shared.lock();
            let chosen = state.units.choose(wanted).into_iter();
            chosen.map(|known| known.service.name.clone()).collect::<HashSet<_>>()
        };
        self.look_closely(units.iter().filter(|unit| chosen.contains(&unit.name))).await
    }

    async fn list(&mut self) -> Result<Vec<Listed>, BusError> {
        let patterns: (&[&str], &[&str]) = (&[], &["*.service"]);
        let answer =
            match self.try_call(SYSTEMD, SYSTEMD_PATH, MANAGER, "ListUnitsByPatterns", &patterns).await? {
                Ok(answer) => answer,
                // systemd before 230.
                Err(_) => self.call(SYSTEMD, SYSTEMD_PATH, MANAGER, "ListUnits", &()).await?,
            };
        let body = answer.body();
        let rows: Vec<Row<'_>> = body.deserialize()?;
        let services = || {
            rows.iter().filter(|row| row.0.ends_with(".service") && row.2 == "loaded").take(units::UNITS_MAX)
        };
        let states = services().map(|row| (row.0, row.3, row.4));
        self.shared.lock().units.list(states);
        Ok(services()
            .map(|row| Listed {
                name: units::cut(row.0),
                active_state: units::cut(row.3),
                path: row.6.as_str().to_owned(),
            })
            .collect())
    }

    async fn look_at_memory(&mut self, units: &[Listed]) -> Result<(), BusError> {
        let shared = self.shared;
        let asked = units.iter().flat_map(|unit| {
            let is_alive = units::is_alive(&unit.active_state);
            let state = &mut shared.lock().units;
            let names = state.0.get_mut(&unit.name).map(|known| known.memory_wanted(is_alive));
            names.unwrap_or_default().into_iter().map(|name| Asked { unit, property: Some(name) })
        });
        self.ask(asked, |asked, answer| learn(shared, asked, answer)).await
    }

    async fn look_closely<'u>(&mut self, units: impl Iterator<Item = &'u Listed>) -> Result<(), BusError> {
        let shared = self.shared;
        let asked = units.flat_map(|unit| {
            let state = &mut shared.lock().units;
            let names = state.0.get_mut(&unit.name).map(units::Known::closely_wanted);
            names.unwrap_or_default().into_iter().map(|name| Asked { unit, property: Some(name) })
        });
        self.ask(asked, |asked, answer| learn(shared, asked, answer)).await
    }
}

/// A property of a service that is asked for, or all of them.
#[derive(Clone, Copy)]
struct Asked<'u> {
    unit: &'u Listed,
    property: Option<&'static str>,
}

/// What was asked, and the answer to come.
struct Flying<'u> {
    asked: Asked<'u>,
    answer: Pin<Box<dyn Future<Output = Result<zbus::Result<Message>, BusError>> + 'u>>,
}

impl<'u> Flying<'u> {
    fn of(connection: &Connection, asked: Asked<'u>) -> Self {
        let (connection, path) = (connection.clone(), asked.unit.path.as_str());
        let call = async move {
            let (to, interface) = (Some(SYSTEMD), Some(PROPERTIES));
            match asked.property {
                Some(name) => connection.call_method(to, path, interface, "Get", &(SERVICE, name)).await,
                None => connection.call_method(to, path, interface, "GetAll", &SERVICE).await,
            }
        };
        Self { asked, answer: Box::pin(in_time("systemd", call)) }
    }
}

/// Has the answers taken that have come; tells whether there were any.
fn land<'u>(
    flying: &mut Vec<Flying<'u>>,
    context: &mut Context<'_>,
    take: &mut impl FnMut(Asked<'u>, Option<Message>),
) -> Result<bool, BusError> {
    let (before, mut at) = (flying.len(), 0);
    while at < flying.len() {
        match flying[at].answer.as_mut().poll(context) {
            Poll::Pending => at += 1,
            Poll::Ready(answer) => take(flying.swap_remove(at).asked, refusal(answer?)?.ok()),
        }
    }
    Ok(flying.len() < before)
}

/// An answer, a refusal being one; what is wrong with the connection is none.
fn refusal(answer: zbus::Result<Message>) -> Result<zbus::Result<Message>, BusError> {
    match answer {
        Err(error @ (zbus::Error::MethodError(..) | zbus::Error::FDO(_))) => Ok(Err(error)),
        other => Ok(Ok(other?)),
    }
}

fn tell(shared: &Shared, unit: &str, properties: &HashMap<&str, Variant<'_>>, witnessed: bool) {
    let facts = facts(properties);
    let kill = shared.lock().units.tell(unit, facts, SystemTime::now(), witnessed);
    if let Some(kill) = kill {
        shared.add_news(News::Service(kill));
    }
}

fn learn(shared: &Shared, asked: Asked<'_>, answer: Option<Message>) {
    let value = answer.and_then(|answer| value(&answer.body().deserialize::<Variant<'_>>().ok()?));
    shared.update(&asked.unit.name, |known| known.learn(asked.property.unwrap_or_default(), value));
}

/// A loaded unit, as the manager lists it: name, description, load, active and sub state, followed unit, path, job.
type Row<'a> = (
    &'a str,
    &'a str,
    &'a str,
    &'a str,
    &'a str,
    &'a str,
    zbus::ObjectPath<'a>,
    u32,
    &'a str,
    zbus::ObjectPath<'a>,
);

/// Interface, changed properties, invalidated ones.
type Changed<'a> = (&'a str, HashMap<&'a str, Variant<'a>>, Vec<&'a str>);

struct Listed {
    name: String,
    active_state: String,
    path: String,
}

fn facts(properties: &HashMap<&str, Variant<'_>>) -> Facts {
    let get = |name: &str| properties.get(name).and_then(value);
    let number = |name: &str| get(name).and_then(Value::number);
    Facts {
        result: get("Result").and_then(Value::text),
        restarts: number("NRestarts"),
        run: number("ExecMainStartTimestampMonotonic").unwrap_or_default(),
        main_pid: number("ExecMainPID").and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0),
        exit_micros: number("ExecMainExitTimestamp").unwrap_or_default(),
    }
}

fn value(value: &Variant<'_>) -> Option<Value> {
    match value {
        Variant::U64(number) => Some(Value::Number(*number)),
        Variant::U32(number) => Some(Value::Number((*number).into())),
        Variant::Str(text) => Some(Value::Text(units::cut_path(text))),
        Variant::Variant(inner) => self::value(inner),
        _ => None,
    }
}
