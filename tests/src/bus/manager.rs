//! The replacement for systemd's manager and for systemd-oomd.

use std::collections::{BTreeMap, HashMap};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::{self, JoinHandle};

use futures_core::Stream;
use zbus::message::Type;
use zbus::{Connection, Message, MessageStream, ObjectPath, Variant, connection};

use super::Machine;

const SYSTEMD: &str = "org.freedesktop.systemd1";
const SERVICE: &str = "org.freedesktop.systemd1.Service";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const OOMD: &str = "org.freedesktop.oom1";

/// A service's properties in the manager. Unset numbers are `u64::MAX`, as in systemd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FakeService {
    /// `active`, `failed` and so on.
    pub active_state: &'static str,
    /// `running` and so on.
    pub sub_state: &'static str,
    /// `success`, `oom-kill` and so on.
    pub result: &'static str,
    /// Automatic restarts.
    pub restarts: u32,
    /// The start time of the main process, in microseconds.
    pub started: u64,
    /// The main process's id.
    pub main_pid: u32,
    /// `MemoryCurrent`.
    pub memory_current: u64,
    /// `MemoryPeak`.
    pub memory_peak: u64,
    /// `MemoryMax`.
    pub memory_max: u64,
    /// `OOMPolicy`.
    pub oom_policy: &'static str,
    /// `ControlGroup`.
    pub control_group: &'static str,
    /// `ManagedOOMMemoryPressure`.
    pub managed_oom_memory_pressure: &'static str,
    /// `ManagedOOMMemoryPressureLimit`, scaled to 2^32 - 1.
    pub managed_oom_memory_pressure_limit: u32,
}

impl Default for FakeService {
    fn default() -> Self {
        Self {
            active_state: "active",
            sub_state: "running",
            result: "success",
            restarts: 0,
            started: 1_000_000,
            main_pid: 100,
            memory_current: 1 << 20,
            memory_peak: 2 << 20,
            memory_max: u64::MAX,
            oom_policy: "stop",
            control_group: "",
            managed_oom_memory_pressure: "auto",
            managed_oom_memory_pressure_limit: 0,
        }
    }
}

impl FakeService {
    /// The properties that `PropertiesChanged` contains.
    fn changing(&self) -> HashMap<&'static str, Variant<'static>> {
        HashMap::from([
            ("MainPID", Variant::from(self.main_pid)),
            ("Result", Variant::from(self.result)),
            ("NRestarts", Variant::from(self.restarts)),
            ("StatusText", Variant::from("")),
            ("ExecMainStartTimestampMonotonic", Variant::from(self.started)),
            ("ExecMainExitTimestamp", Variant::from(0_u64)),
            ("ExecMainPID", Variant::from(self.main_pid)),
            ("ExecMainCode", Variant::from(2_i32)),
        ])
    }

    fn all(&self) -> HashMap<&'static str, Variant<'static>> {
        let mut all = self.changing();
        all.extend([
            ("MemoryCurrent", Variant::from(self.memory_current)),
            ("MemoryPeak", Variant::from(self.memory_peak)),
            ("MemoryMax", Variant::from(self.memory_max)),
            ("OOMPolicy", Variant::from(self.oom_policy)),
            ("ControlGroup", Variant::from(self.control_group)),
            ("ManagedOOMSwap", Variant::from("auto")),
            ("ManagedOOMMemoryPressure", Variant::from(self.managed_oom_memory_pressure)),
            ("ManagedOOMMemoryPressureLimit", Variant::from(self.managed_oom_memory_pressure_limit)),
            ("ManagedOOMMemoryPressureDurationUSec", Variant::from(u64::MAX)),
            ("ManagedOOMPreference", Variant::from("none")),
        ]);
        all
    }
}

/// The manager and systemd-oomd. Both leave the bus when this is dropped.
#[derive(Debug)]
pub struct Manager {
    shared: Arc<SharedManager>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct SharedManager {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    address: String,
    services: BTreeMap<String, FakeService>,
    /// Signals that are not sent yet.
    outgoing: Vec<PendingSignal>,
    is_hanging: bool,
    subscribed: usize,
    calls: usize,
    is_over: bool,
    waker: Option<Waker>,
    failure: Option<String>,
    is_ready: bool,
}

#[derive(Debug)]
enum PendingSignal {
    Changed { path: String, service: FakeService },
    Killed { cgroup: String, reason: String },
}

impl SharedManager {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Manager {
    /// Starts a manager with these services, and systemd-oomd, on the machine's bus.
    ///
    /// # Panics
    ///
    /// Panics if the bus refuses a name.
    #[must_use]
    pub fn start(machine: &Machine, services: impl IntoIterator<Item = (String, FakeService)>) -> Self {
        let shared = Arc::new(SharedManager::default());
        shared.lock().services.extend(services);
        let (address, theirs) = (format!("unix:path={}", machine.socket().display()), Arc::clone(&shared));
        shared.lock().address.clone_from(&address);
        let thread = thread::spawn(move || {
            if let Err(error) = zbus::block_on(serve(&address, &theirs)) {
                theirs.lock().failure = Some(error.to_string());
            }
        });
        let manager = Self { shared, thread: Some(thread) };
        let settled = crate::wait_until(super::START_LIMIT, || {
            let state = manager.shared.lock();
            state.is_ready || state.failure.is_some()
        });
        let failure = manager.shared.lock().failure.clone();
        assert!(settled && failure.is_none(), "the stand-in for systemd: {failure:?}");
        manager
    }

    /// Changes services without a signal.
    pub fn change(&self, how: impl FnOnce(&mut BTreeMap<String, FakeService>)) {
        how(&mut self.shared.lock().services);
    }

    /// Changes a service and sends a signal, as the manager does for each change of state.
    pub fn change_and_signal(&self, unit: &str, how: impl FnOnce(&mut FakeService)) {
        let mut state = self.shared.lock();
        let service = state.services.entry(unit.to_owned()).or_default();
        how(service);
        let service = service.clone();
        state.send(PendingSignal::Changed { path: path_of(unit), service });
    }

    /// The kernel kills the service's main process, and the manager restarts it at once. The result is `oom-kill` for a short
    /// time only; each state that the service passes through is signalled.
    pub fn kill_and_restart(&self, unit: &str) {
        let to = |active_state, sub_state| {
            self.change_and_signal(unit, |service| {
                service.result = "oom-kill";
                (service.active_state, service.sub_state) = (active_state, sub_state);
            });
        };
        to("deactivating", "stop-sigterm");
        to("activating", "auto-restart");
        self.change_and_signal(unit, |service| {
            service.restarts += 1;
        });
        let mut started = 0;
        self.change_and_signal(unit, |service| {
            service.result = "success";
            started = std::mem::take(&mut service.started);
        });
        self.change_and_signal(unit, |service| {
            service.started = started + 1_000_000;
            service.main_pid += 1;
            (service.active_state, service.sub_state) = ("active", "running");
        });
    }

    /// systemd-oomd kills a cgroup.
    pub fn oomd_kills(&self, cgroup: &str, reason: &str) {
        let killed = PendingSignal::Killed { cgroup: cgroup.to_owned(), reason: reason.to_owned() };
        self.shared.lock().send(killed);
    }

    /// Another client sends every connection the signals that the manager and systemd-oomd would send for kills.
    ///
    /// # Panics
    ///
    /// Panics if the bus refuses the connection.
    pub fn forge(&self, unit: &str) {
        let address = self.shared.lock().address.clone();
        zbus::block_on(forge(&address, unit)).expect("anybody may send signals");
    }

    /// From now on the manager answers no calls, or answers again. Calls that came meanwhile stay unanswered.
    pub fn hang(&self, is_hanging: bool) {
        self.shared.lock().is_hanging = is_hanging;
    }

    /// The number of subscriptions so far.
    #[must_use]
    pub fn subscribed(&self) -> usize {
        self.shared.lock().subscribed
    }

    /// The number of calls so far.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.shared.lock().calls
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.is_over = true;
        state.wake();
        drop(state);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl State {
    fn send(&mut self, signal: PendingSignal) {
        self.outgoing.push(signal);
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// The next action of the service loop.
enum NextAction {
    Answer(Message),
    Send(Vec<PendingSignal>),
    End,
}

async fn serve(address: &str, shared: &SharedManager) -> zbus::Result<()> {
    let connection = connection::Builder::address(address).name(SYSTEMD).name(OOMD).build().await?;
    let mut stream = MessageStream::from(&connection);
    shared.lock().is_ready = true;
    loop {
        match poll_fn(|context| poll_next(shared, &mut stream, context)).await {
            NextAction::Answer(call) => answer(&connection, shared, &call).await?,
            NextAction::Send(signals) => send(&connection, signals).await?,
            NextAction::End => return Ok(()),
        }
    }
}

fn poll_next(
    shared: &SharedManager,
    stream: &mut MessageStream,
    context: &mut Context<'_>,
) -> Poll<NextAction> {
    {
        let mut state = shared.lock();
        if state.is_over {
            return Poll::Ready(NextAction::End);
        }
        if !state.outgoing.is_empty() {
            return Poll::Ready(NextAction::Send(std::mem::take(&mut state.outgoing)));
        }
        state.waker = Some(context.waker().clone());
    }
    match Pin::new(stream).poll_next(context) {
        Poll::Ready(Some(Ok(message))) => Poll::Ready(NextAction::Answer(message)),
        // The bus has ended.
        Poll::Ready(_) => Poll::Ready(NextAction::End),
        Poll::Pending => Poll::Pending,
    }
}

async fn forge(address: &str, unit: &str) -> zbus::Result<()> {
    let connection = connection::Builder::address(address).build().await?;
    let (bus, path) = ("org.freedesktop.DBus", "/org/freedesktop/DBus");
    let names = connection.call_method(Some(bus), path, Some(bus), "ListNames", &()).await?;
    let names: Vec<String> = names.body().deserialize()?;
    let service = FakeService { result: "oom-kill", started: 77, ..FakeService::default() };
    let body = (SERVICE, service.changing(), [""; 0].as_slice());
    for name in names.iter().filter(|name| name.starts_with(':')) {
        let (to, path) = (Some(name.as_str()), path_of(unit));
        connection.emit_signal(to, path.as_str(), PROPERTIES, "PropertiesChanged", &body).await?;
        let killed = ("/forged", "memory-used");
        let interface = "org.freedesktop.oom1.Manager";
        connection.emit_signal(to, "/org/freedesktop/oom1", interface, "Killed", &killed).await?;
    }
    // An answered call shows that all signals before it were sent.
    connection.call_method(Some(bus), path, Some(bus), "GetId", &()).await.map(drop)
}

async fn send(connection: &Connection, signals: Vec<PendingSignal>) -> zbus::Result<()> {
    for signal in signals {
        match signal {
            PendingSignal::Changed { path, service } => {
                let body = (SERVICE, service.changing(), ["ExecMainStatus"].as_slice());
                let none: Option<&str> = None;
                connection.emit_signal(none, path.as_str(), PROPERTIES, "PropertiesChanged", &body).await?;
            }
            PendingSignal::Killed { cgroup, reason } => {
                let (path, none) = ("/org/freedesktop/oom1", None::<&str>);
                let body = (cgroup, reason);
                connection.emit_signal(none, path, "org.freedesktop.oom1.Manager", "Killed", &body).await?;
            }
        }
    }
    Ok(())
}

async fn answer(connection: &Connection, shared: &SharedManager, call: &Message) -> zbus::Result<()> {
    let header = call.header();
    if call.message_type() != Type::MethodCall {
        return Ok(());
    }
    let member = header.member().map(zbus::names::MemberName::as_str).unwrap_or_default();
    {
        let mut state = shared.lock();
        state.calls += 1;
        if state.is_hanging {
            return Ok(());
        }
        state.subscribed += usize::from(member == "Subscribe");
    }
    let service = header.path().and_then(|path| service_at(shared, path.as_str()));
    let body = call.body();
    match (member, service) {
        ("Subscribe", _) => connection.reply(&header, &()).await,
        ("ListUnitsByPatterns", _) => connection.reply(&header, &list(shared)).await,
        ("GetAll", Some(service)) => connection.reply(&header, &service.all()).await,
        ("Get", Some(service)) => {
            let (_, name): (&str, &str) = body.deserialize()?;
            match service.all().remove(name) {
                Some(value) => connection.reply(&header, &value).await,
                None => {
                    connection.reply_error(&header, "org.freedesktop.DBus.Error.UnknownProperty", &name).await
                }
            }
        }
        _ => connection.reply_error(&header, "org.freedesktop.DBus.Error.UnknownMethod", &member).await,
    }
}

type UnitRow = (
    String,
    String,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    ObjectPath<'static>,
    u32,
    &'static str,
    ObjectPath<'static>,
);

fn list(shared: &SharedManager) -> Vec<UnitRow> {
    let root = || ObjectPath::from_static_str_unchecked("/");
    let row = |(name, service): (&String, &FakeService)| {
        let path = ObjectPath::try_from(path_of(name)).unwrap_or_else(|_| root());
        let (active, sub) = (service.active_state, service.sub_state);
        (name.clone(), format!("the {name}"), "loaded", active, sub, "", path, 0, "", root())
    };
    shared.lock().services.iter().map(row).collect()
}

fn service_at(shared: &SharedManager, path: &str) -> Option<FakeService> {
    let label = path.strip_prefix("/org/freedesktop/systemd1/unit/")?;
    let mut parts = label.split('_');
    let mut name = parts.next()?.to_owned();
    for part in parts {
        name.push(char::from(u8::from_str_radix(part.get(..2)?, 16).ok()?));
        name.push_str(&part[2..]);
    }
    shared.lock().services.get(&name).cloned()
}

/// Object paths as systemd writes them: every byte except letters and digits becomes `_` and two hex digits.
fn path_of(unit: &str) -> String {
    let label: String =
        unit.bytes()
            .map(|byte| {
                if byte.is_ascii_alphanumeric() {
                    char::from(byte).to_string()
                } else {
                    format!("_{byte:02x}")
                }
            })
            .collect();
    format!("/org/freedesktop/systemd1/unit/{label}")
}
