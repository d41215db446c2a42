//! The conversation with the bus. All that is asynchronous is in this file: a session is one future, and the thread that
//! follows the bus runs it to its end.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use futures_core::Stream;
use zbus::message::Type;
use zbus::{Connection, Message, MessageStream, Variant, connection};
use zruntime::SharedRuntime;

use super::units::{self, Facts, OomdKill, Wanted};
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
    Unreachable { address: String, why: String },
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
                    self.tell(&unit, &changed, true);
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

    fn tell(&self, unit: &str, properties: &HashMap<&str, Variant<'_>>, witnessed: bool) {
        let facts = facts(properties);
        let kill = self.shared.lock().units.tell(unit, facts, SystemTime::now(), witnessed);
        if let Some(kill) = kill {
            self.shared.add_news(News::Service(kill));
        }
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
        match answer.await? {
            Err(error @ (zbus::Error::MethodError(..) | zbus::Error::FDO(_))) => Ok(Err(error)),
            other => Ok(Ok(other?)),
        }
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

    /// Looks at all services: which there are, and which of them have failed meanwhile. Where somebody wants to know of
    /// them, at their memory, too.
    async fn look_around(&mut self, wanted: Option<&Wanted>) -> Result<(), BusError> {
        let units = self.list().await?;
        for unit in units.iter().filter(|unit| units::may_have_failed(&unit.active_state)) {
            let answer = self.try_call(SYSTEMD, &unit.path, PROPERTIES, "GetAll", &SERVICE).await?;
            if let Ok(answer) = answer
                && let Ok(properties) = answer.body().deserialize::<HashMap<&str, Variant<'_>>>()
            {
                self.tell(&unit.name, &properties, false);
            }
        }
        let Some(wanted) = wanted else { return Ok(()) };
        for unit in &units {
            self.look_at_memory(unit).await?;
        }
        let chosen = {
            let state = self.shared.lock();
            state.units.choose(wanted).iter().map(|known| known.service.name.clone()).collect::<Vec<_>>()
        };
        for unit in units.iter().filter(|unit| chosen.contains(&unit.name)) {
            self.look_closely(unit).await?;
        }
        Ok(())
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

    async fn look_at_memory(&mut self, unit: &Listed) -> Result<(), BusError> {
        let is_limit_known =
            self.shared.lock().units.0.get(&unit.name).is_none_or(|known| known.has_limit_read);
        if !is_limit_known {
            let limit = self.amount(unit, "MemoryMax").await?;
            self.shared.update(&unit.name, |known| {
                known.has_limit_read = true;
                known.service.memory_max_bytes = limit;
            });
        }
        let is_alive = units::is_alive(&unit.active_state);
        let current = if is_alive { self.amount(unit, "MemoryCurrent").await? } else { None };
        self.shared.update(&unit.name, |known| known.service.memory_current_bytes = current);
        Ok(())
    }

    /// What signals tell is asked for once.
    async fn look_closely(&mut self, unit: &Listed) -> Result<(), BusError> {
        let Some(known) = self.shared.lock().units.0.get(&unit.name).map(|known| known.service.clone())
        else {
            return Ok(());
        };
        // A limit may be set while the service runs, and the manager tells nobody.
        let limit = self.amount(unit, "MemoryMax").await?;
        let peak = self.amount(unit, "MemoryPeak").await?;
        let restarts = match known.restarts {
            None => self.number(unit, "NRestarts").await?,
            some => some,
        };
        let result = match known.result {
            None => self.text(unit, "Result").await?,
            some => some,
        };
        let policy = match known.oom_policy {
            None => self.text(unit, "OOMPolicy").await?,
            some => some,
        };
        self.shared.update(&unit.name, |known| {
            let service = &mut known.service;
            service.memory_max_bytes = limit;
            service.memory_peak_bytes = peak;
            // A signal that came meanwhile is newer.
            service.restarts = service.restarts.or(restarts);
            service.result = service.result.take().or(result);
            service.oom_policy = policy;
        });
        Ok(())
    }

    /// A property's value; none where the unit has vanished or this systemd has no such property.
    async fn property(&mut self, unit: &Listed, name: &str) -> Result<Option<Message>, BusError> {
        Ok(self.try_call(SYSTEMD, &unit.path, PROPERTIES, "Get", &(SERVICE, name)).await?.ok())
    }

    async fn number(&mut self, unit: &Listed, name: &str) -> Result<Option<u64>, BusError> {
        let answer = self.property(unit, name).await?;
        Ok(answer.and_then(|answer| number(&answer.body().deserialize::<Variant<'_>>().ok()?)))
    }

    /// What is not set is the largest number.
    async fn amount(&mut self, unit: &Listed, name: &str) -> Result<Option<u64>, BusError> {
        Ok(self.number(unit, name).await?.filter(|amount| *amount != u64::MAX))
    }

    async fn text(&mut self, unit: &Listed, name: &str) -> Result<Option<String>, BusError> {
        let answer = self.property(unit, name).await?;
        Ok(answer.and_then(|answer| text(&answer.body().deserialize::<Variant<'_>>().ok()?)))
    }
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
    let number = |name: &str| properties.get(name).and_then(number);
    Facts {
        result: properties.get("Result").and_then(text),
        restarts: number("NRestarts"),
        run: number("ExecMainStartTimestampMonotonic").unwrap_or_default(),
        main_pid: number("ExecMainPID").and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0),
        exit_micros: number("ExecMainExitTimestamp").unwrap_or_default(),
    }
}

fn number(value: &Variant<'_>) -> Option<u64> {
    match value {
        Variant::U64(number) => Some(*number),
        Variant::U32(number) => Some((*number).into()),
        Variant::Variant(inner) => self::number(inner),
        _ => None,
    }
}

fn text(value: &Variant<'_>) -> Option<String> {
    match value {
        Variant::Str(text) => Some(units::cut(text)),
        Variant::Variant(inner) => self::text(inner),
        _ => None,
    }
}
