//! A session on the bus. Everything asynchronous is in this file: a session is one future, and the thread that follows the
//! bus runs it to its end.

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

use super::state::{News, SharedState};
use super::units::{self, OomdKill, RunState, ServiceQuery, Value};
use crate::live::words::{describe_io_error, end_of};

const BUS: &str = "org.freedesktop.DBus";
const BUS_PATH: &str = "/org/freedesktop/DBus";
const SYSTEMD: &str = "org.freedesktop.systemd1";
const SYSTEMD_PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const SERVICE: &str = "org.freedesktop.systemd1.Service";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const OOMD: &str = "org.freedesktop.oom1";

/// A manager replies within milliseconds. While it reads its unit files again, it takes a few seconds.
const REPLY_TIME: Duration = Duration::from_secs(10);

/// Limit of calls without a reply: the manager never waits for this process, and a bus permits four times as many.
const PENDING_MAX: usize = 32;

/// Messages that are taken before deadlines are checked again.
const SIGNALS_AT_ONCE: usize = 1000;

/// Signals that the bus delivers: changed results of services, reloads of the manager, kills by systemd-oomd, and new owners
/// of the two names. The list of services is read when a caller needs it.
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
    #[error("the bus at {address} cannot be reached: {reason}")]
    Unreachable { address: String, reason: String, absent: bool },
    #[error("{who} did not reply within {} s", REPLY_TIME.as_secs())]
    Late { who: &'static str },
    #[error("the bus has no org.freedesktop.systemd1: systemd does not run, or has not joined the bus")]
    NoManager,
    #[error("systemd has left the bus")]
    ManagerLeft,
    #[error("the bus has closed the connection")]
    Closed,
    #[error("{0}")]
    Broken(#[from] zbus::Error),
    #[error("{method} is refused: {reason}")]
    Refused { method: &'static str, reason: String },
    #[error("cannot wait for the bus: {}", describe_io_error(.0))]
    Runtime(#[from] std::io::Error),
}

impl BusError {
    /// Whether the machine has no bus or no systemd.
    pub(super) fn is_absence(&self) -> bool {
        matches!(self, Self::NoManager | Self::Unreachable { absent: true, .. })
    }
}

/// Returns the address of a machine's bus.
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

/// Follows the bus until the connection breaks, the manager leaves, or the state is over.
pub(super) fn session(shared: &SharedState) -> Result<(), BusError> {
    zbus::block_on(async { Session::open(shared).await?.follow().await })
}

struct Session<'a> {
    shared: &'a SharedState,
    connection: Connection,
    signals: MessageStream,
    /// The connection of the manager. Any user may send signals, but from another connection.
    manager: String,
    oomd: Option<String>,
}

async fn in_time<F: Future>(who: &'static str, future: F) -> Result<F::Output, BusError> {
    let runtime = SharedRuntime::current()?;
    runtime.timeout(REPLY_TIME, future).await.map_err(|_| BusError::Late { who })
}

async fn connect(address: &str) -> Result<Connection, BusError> {
    let connecting = connection::Builder::address(address).build();
    in_time("the bus", connecting).await?.map_err(|error| BusError::Unreachable {
        address: end_of(address),
        absent: matches!(&error, zbus::Error::Connection(error, _) if error.kind() == ErrorKind::NotFound),
        reason: match error {
            zbus::Error::Connection(error, _) => describe_io_error(&error),
            other => other.to_string(),
        },
    })
}

impl<'a> Session<'a> {
    async fn open(shared: &'a SharedState) -> Result<Self, BusError> {
        let connection = connect(&shared.address).await?;
        let signals = MessageStream::from(&connection);
        let mut session = Self { shared, connection, signals, manager: String::new(), oomd: None };
        for rule in MATCHES {
            session.call_bus("AddMatch", rule).await?;
        }
        session.manager = session.owner(SYSTEMD).await?.ok_or(BusError::NoManager)?;
        session.oomd = session.owner(OOMD).await?;
        session.call(SYSTEMD, SYSTEMD_PATH, MANAGER, "Subscribe", &()).await?;
        Ok(session)
    }

    async fn follow(mut self) -> Result<(), BusError> {
        // Changes made while the connection was down were not signalled.
        self.shared.lock().units.invalidate_settings();
        let mut query = self.shared.lock().requested.take();
        loop {
            let started = Instant::now();
            self.scan(query.as_ref()).await?;
            let oomd = self.oomd.is_some();
            self.shared.finish_scan(query.unwrap_or_default(), started.elapsed(), oomd);
            match poll_fn(|context| self.poll_request(context)).await? {
                Some(next) => query = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// Takes signals until there is a request; none if the state is over.
    fn poll_request(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<ServiceQuery>, BusError>> {
        self.take_signals(context)?;
        self.shared.lock().next_request(context.waker()).map(Ok)
    }

    fn take_signals(&mut self, context: &mut Context<'_>) -> Result<(), BusError> {
        for _ in 0..SIGNALS_AT_ONCE {
            let Poll::Ready(next) = Pin::new(&mut self.signals).poll_next(context) else { return Ok(()) };
            self.take(&next.ok_or(BusError::Closed)??)?;
        }
        // A flood of signals must not keep replies and timers from their turn.
        context.waker().wake_by_ref();
        Ok(())
    }

    /// Ignores a body that has not the expected form.
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
                if let (Some(unit), Ok((_, changed, _))) = (unit, body.deserialize::<ChangedProperties<'_>>())
                {
                    record_properties(self.shared, &unit, &changed, true);
                }
            }
            "Reloading" if sender == self.manager => self.shared.lock().units.invalidate_settings(),
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
            self.shared.set_oomd(self.oomd.is_some());
        }
        // A manager that was executed again has lost its subscribers.
        if name == SYSTEMD && owner != self.manager { Err(BusError::ManagerLeft) } else { Ok(()) }
    }

    /// Calls a method. Takes signals while it waits for the reply, because both come through the same queue.
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
        let mut reply = pin!(in_time(who, call));
        let reply = poll_fn(|context| {
            self.take_signals(context)?;
            reply.as_mut().poll(context)
        });
        refusal(reply.await?)
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
        let reply = self.try_call(destination, path, interface, method, body).await?;
        reply.map_err(|error| BusError::Refused { method, reason: error.to_string() })
    }

    async fn call_bus(&mut self, method: &'static str, argument: &str) -> Result<Message, BusError> {
        self.call(BUS, BUS_PATH, BUS, method, &argument).await
    }

    async fn owner(&mut self, name: &str) -> Result<Option<String>, BusError> {
        let reply = self.try_call(BUS, BUS_PATH, BUS, "GetNameOwner", &name).await?;
        Ok(reply.ok().and_then(|reply| reply.body().deserialize::<String>().ok()))
    }

    /// Requests properties of services, several at a time, and passes each reply to `take`. The reply is none if the
    /// service has vanished or this systemd has no such property. Takes signals meanwhile.
    async fn request<'u>(
        &mut self,
        requested: impl Iterator<Item = PropertyRequest<'u>>,
        mut take: impl FnMut(PropertyRequest<'u>, Option<Message>),
    ) -> Result<(), BusError> {
        let connection = self.connection.clone();
        let mut requested = requested.fuse();
        let mut pending = Vec::with_capacity(PENDING_MAX);
        poll_fn(|context| {
            self.take_signals(context)?;
            loop {
                let free = PENDING_MAX - pending.len();
                pending.extend(
                    requested.by_ref().take(free).map(|requested| PendingCall::new(&connection, requested)),
                );
                if pending.is_empty() {
                    return Poll::Ready(Ok(()));
                }
                if !take_replies(&mut pending, context, &mut take)? {
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    /// Reads the list of services and the results of those that may have failed. With a query, reads their memory as
    /// well.
    async fn scan(&mut self, query: Option<&ServiceQuery>) -> Result<(), BusError> {
        let shared = self.shared;
        let units = self.list().await?;
        let failed = units.iter().filter(|unit| units::may_have_failed(&unit.active_state));
        let record_all = |requested: PropertyRequest<'_>, reply: Option<Message>| {
            let body = reply.as_ref().map(Message::body);
            if let Some(Ok(properties)) = body.as_ref().map(zbus::message::Body::deserialize) {
                record_properties(shared, &requested.unit.name, &properties, false);
            }
        };
        self.request(failed.map(|unit| PropertyRequest { unit, property: None }), record_all).await?;
        let Some(query) = query else { return Ok(()) };
        self.read_memory(&units).await?;
        let chosen = {
            let state = shared.lock();
            let chosen = state.units.choose(query).into_iter();
            chosen.map(|known| known.service.name.clone()).collect::<HashSet<_>>()
        };
        self.read_details(units.iter().filter(|unit| chosen.contains(&unit.name))).await
    }

    async fn list(&mut self) -> Result<Vec<ListedUnit>, BusError> {
        let patterns: (&[&str], &[&str]) = (&[], &["*.service"]);
        let reply =
            match self.try_call(SYSTEMD, SYSTEMD_PATH, MANAGER, "ListUnitsByPatterns", &patterns).await? {
                Ok(reply) => reply,
                // systemd before 230.
                Err(_) => self.call(SYSTEMD, SYSTEMD_PATH, MANAGER, "ListUnits", &()).await?,
            };
        let body = reply.body();
        let rows: Vec<UnitRow<'_>> = body.deserialize()?;
        let services = || {
            rows.iter().filter(|row| row.0.ends_with(".service") && row.2 == "loaded").take(units::UNITS_MAX)
        };
        let states = services().map(|row| (row.0, row.3, row.4));
        self.shared.lock().units.list(states);
        Ok(services()
            .map(|row| ListedUnit {
                name: units::cut(row.0),
                active_state: units::cut(row.3),
                path: row.6.as_str().to_owned(),
            })
            .collect())
    }

    async fn read_memory(&mut self, units: &[ListedUnit]) -> Result<(), BusError> {
        let shared = self.shared;
        let requested = units.iter().flat_map(|unit| {
            let is_alive = units::is_alive(&unit.active_state);
            let state = &mut shared.lock().units;
            let names = state.0.get_mut(&unit.name).map(|known| known.memory_properties(is_alive));
            names.unwrap_or_default().into_iter().map(|name| PropertyRequest { unit, property: Some(name) })
        });
        self.request(requested, |requested, reply| record_property(shared, requested, reply)).await
    }

    async fn read_details<'u>(
        &mut self,
        units: impl Iterator<Item = &'u ListedUnit>,
    ) -> Result<(), BusError> {
        let shared = self.shared;
        let requested = units.flat_map(|unit| {
            let state = &mut shared.lock().units;
            let names = state.0.get_mut(&unit.name).map(units::TrackedUnit::detail_properties);
            names.unwrap_or_default().into_iter().map(|name| PropertyRequest { unit, property: Some(name) })
        });
        self.request(requested, |requested, reply| record_property(shared, requested, reply)).await
    }
}

/// A request for one property of a service, or for all of them.
#[derive(Clone, Copy)]
struct PropertyRequest<'u> {
    unit: &'u ListedUnit,
    property: Option<&'static str>,
}

/// A request and its future reply.
struct PendingCall<'u> {
    requested: PropertyRequest<'u>,
    reply: Pin<Box<dyn Future<Output = Result<zbus::Result<Message>, BusError>> + 'u>>,
}

impl<'u> PendingCall<'u> {
    fn new(connection: &Connection, requested: PropertyRequest<'u>) -> Self {
        let (connection, path) = (connection.clone(), requested.unit.path.as_str());
        let call = async move {
            let (to, interface) = (Some(SYSTEMD), Some(PROPERTIES));
            match requested.property {
                Some(name) => connection.call_method(to, path, interface, "Get", &(SERVICE, name)).await,
                None => connection.call_method(to, path, interface, "GetAll", &SERVICE).await,
            }
        };
        Self { requested, reply: Box::pin(in_time("systemd", call)) }
    }
}

/// Passes the replies that have arrived to `take`. Returns whether there were any.
fn take_replies<'u>(
    pending: &mut Vec<PendingCall<'u>>,
    context: &mut Context<'_>,
    take: &mut impl FnMut(PropertyRequest<'u>, Option<Message>),
) -> Result<bool, BusError> {
    let (before, mut at) = (pending.len(), 0);
    while at < pending.len() {
        match pending[at].reply.as_mut().poll(context) {
            Poll::Pending => at += 1,
            Poll::Ready(reply) => take(pending.swap_remove(at).requested, refusal(reply?)?.ok()),
        }
    }
    Ok(pending.len() < before)
}

/// Separates a refused call, which is a reply, from a broken connection.
fn refusal(reply: zbus::Result<Message>) -> Result<zbus::Result<Message>, BusError> {
    match reply {
        Err(error @ (zbus::Error::MethodError(..) | zbus::Error::FDO(_))) => Ok(Err(error)),
        other => Ok(Ok(other?)),
    }
}

fn record_properties(
    shared: &SharedState,
    unit: &str,
    properties: &HashMap<&str, Variant<'_>>,
    witnessed: bool,
) {
    let facts = facts(properties);
    let kill = shared.lock().units.record(unit, facts, SystemTime::now(), witnessed);
    if let Some(kill) = kill {
        shared.add_news(News::Service(kill));
    }
}

fn record_property(shared: &SharedState, requested: PropertyRequest<'_>, reply: Option<Message>) {
    let value = reply.and_then(|reply| value(&reply.body().deserialize::<Variant<'_>>().ok()?));
    shared.update(&requested.unit.name, |unit| {
        unit.set_property(requested.property.unwrap_or_default(), value);
    });
}

/// A loaded unit, as the manager lists it: name, description, load, active and sub state, followed unit, path, job.
type UnitRow<'a> = (
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

/// Interface, changed properties, invalidated properties.
type ChangedProperties<'a> = (&'a str, HashMap<&'a str, Variant<'a>>, Vec<&'a str>);

struct ListedUnit {
    name: String,
    active_state: String,
    path: String,
}

fn facts(properties: &HashMap<&str, Variant<'_>>) -> RunState {
    let get = |name: &str| properties.get(name).and_then(value);
    let number = |name: &str| get(name).and_then(Value::number);
    RunState {
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
