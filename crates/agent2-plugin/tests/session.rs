//! Sessions between [`FakeAgent`] and plugins, over real sockets and with the example as a process.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use agent2_plugin::{
    Context, Delivery, Exporter, FakeAgent, Generation, ItemError, LaunchMode, OptionError, Plugin, Reply,
    Request,
};

/// A plugin whose items do what their keys name.
struct Faulty {
    context: Context,
    word: Option<String>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Options {
    word: Option<String>,
}

static DELIVERIES: Mutex<Vec<mpsc::Sender<Delivery>>> = Mutex::new(Vec::new());

impl Exporter for Faulty {
    type Options = Options;

    fn validate(options: &Options) -> Result<(), OptionError> {
        match options.word.as_deref() {
            Some("panic") => panic!("in validate"),
            Some("bad") => Err(OptionError::new("Word must not be bad")),
            _ => Ok(()),
        }
    }

    fn configure(options: Options, context: Context) -> Result<Self, ItemError> {
        match options.word.as_deref() {
            Some("refused") => Err(ItemError::new("cannot be configured")),
            _ => Ok(Self { context, word: options.word }),
        }
    }

    fn export(&self, request: &Request) -> Result<Reply, ItemError> {
        let number = || request.parameter(0).parse::<u64>();
        match request.key() {
            "echo" => Ok(request.parameters().join("|").into()),
            "word" => Ok(self.word.clone().map_or_else(Reply::none, Reply::value)),
            "generation" => {
                Ok(format!("{:?} {:.1}", request.generation(), request.time_left().as_secs_f64()).into())
            }
            "timeout" => Ok(self.context.timeout.as_secs().into()),
            "panic" => panic!("as asked"),
            "hang" => {
                std::thread::sleep(Duration::from_millis(number()?));
                Ok("awake".into())
            }
            "big" => Ok("x".repeat(usize::try_from(number()?)?).into()),
            "log" => {
                (0..number()?).for_each(|line| log::warn!("line {line}"));
                Ok("logged".into())
            }
            "deliver" => {
                let sender = DELIVERIES.lock().unwrap().pop().unwrap();
                std::thread::sleep(Duration::from_millis(number()?));
                Ok(Reply::value("x").on_delivery(move |delivery| sender.send(delivery).unwrap()))
            }
            other => Err(ItemError::new(format!("no key {other}"))),
        }
    }
}

fn faulty() -> Plugin {
    Plugin::new("Faulty").metric("echo", "Echo.").metric("word", "The option.").max_reply_bytes(8 << 20)
}

fn serving(conf: &str) -> FakeAgent {
    let mut agent = FakeAgent::in_thread::<Faulty>(&faulty()).unwrap();
    agent.configure(conf, 3).unwrap();
    agent
}

fn echo_program() -> PathBuf {
    let mut directory = std::env::current_exe().unwrap();
    directory.pop();
    directory.pop();
    directory.join("examples/echo")
}

#[test]
fn registration_has_name_metrics_and_interfaces_for_any_version() {
    for version in ["6.0.13", "6.4.0", "8.0.0-rc1", ""] {
        let mut agent = FakeAgent::in_thread_with::<Faulty>(&faulty(), LaunchMode::Register).unwrap();
        let registration = agent.register(version).unwrap();
        assert_eq!((registration.name.as_str(), registration.interfaces), ("Faulty", 7));
        assert_eq!(registration.metrics[0], ("echo".into(), "Echo.".into()));
        assert_eq!(registration.error, "");
        agent.terminate().unwrap();
    }
}

#[test]
fn metrics_that_agents_do_not_accept_are_a_registration_error() {
    let plugin = Plugin::new("Faulty").metric("echo", "no capital");
    let mut agent = FakeAgent::in_thread_with::<Faulty>(&plugin, LaunchMode::Register).unwrap();
    let error = agent.register("6.0.13").unwrap().error;
    assert!(error.contains("`echo`"), "{error}");
}

#[test]
fn validation_error_names_the_option_and_its_line() {
    let mut agent = FakeAgent::in_thread_with::<Faulty>(&faulty(), LaunchMode::Register).unwrap();
    assert_eq!(agent.validate("Plugins.Faulty.Word=good\nPlugins.Faulty.System.Path=/x").unwrap(), Ok(()));
    assert_eq!(agent.validate("Plugins.Faulty.Word=bad").unwrap(), Err("Word must not be bad".into()));
    let error = agent.validate("\nPlugins.Faulty.Wrod=x").unwrap().unwrap_err();
    assert_eq!(error, "option Plugins.Faulty.Wrod (line 2): there is no such option (there are: Word)");
    let error = agent.validate("Plugins.Faulty.Word=panic").unwrap().unwrap_err();
    assert!(error.contains("in validate"), "{error}");
    assert_eq!(agent.validate("").unwrap(), Ok(()));
}

#[test]
fn exports_get_parameters_options_and_the_agents_timeout() {
    let mut agent = serving("Plugins.Faulty.Word=hello");
    assert_eq!(agent.export("echo", &["a", "", "c,d"]).unwrap(), Ok(Some("a||c,d".into())));
    assert_eq!(agent.export("echo", &[]).unwrap(), Ok(Some(String::new())));
    assert_eq!(agent.export("word", &[]).unwrap(), Ok(Some("hello".into())));
    assert_eq!(agent.export("timeout", &[]).unwrap(), Ok(Some("3".into())));
    assert_eq!(agent.export("nothing", &[]).unwrap(), Err("no key nothing".into()));
    let mut agent = serving("");
    assert_eq!(agent.export("word", &[]).unwrap(), Ok(None));
}

#[test]
fn deadline_is_the_requests_timeout_or_slightly_before_the_agents() {
    let mut agent = serving("");
    agent.set_request_timeout(Some(7));
    assert_eq!(agent.export("generation", &[]).unwrap(), Ok(Some("Since6_4 7.0".into())));
    agent.set_request_timeout(None);
    assert_eq!(agent.export("generation", &[]).unwrap(), Ok(Some("Before6_4 2.8".into())));
    assert_ne!(Generation::Before6_4, Generation::Since6_4);
}

#[test]
fn failed_configuration_is_the_error_of_each_item() {
    let mut agent = serving("Plugins.Faulty.Word=refused");
    for _ in 0..2 {
        assert_eq!(agent.export("echo", &["a"]).unwrap(), Err("cannot be configured".into()));
    }
    let mut agent = serving("Plugins.Faulty.Wrod=x");
    let error = agent.export("echo", &["a"]).unwrap().unwrap_err();
    assert!(error.starts_with("option Plugins.Faulty.Wrod (line 1)"), "{error}");
}

#[test]
fn export_before_configure_is_served_without_options() {
    let mut agent = FakeAgent::in_thread::<Faulty>(&faulty()).unwrap();
    assert_eq!(agent.export("echo", &["a"]).unwrap(), Ok(Some("a".into())));
}

#[test]
fn panic_is_the_error_of_that_item_and_the_next_is_served() {
    let mut agent = serving("");
    for _ in 0..20 {
        let error = agent.export("panic", &[]).unwrap().unwrap_err();
        assert!(error.contains("as asked"), "{error}");
    }
    assert_eq!(agent.export("echo", &["a"]).unwrap(), Ok(Some("a".into())));
}

#[test]
fn hanging_handler_gets_an_error_by_its_deadline_and_others_are_served() {
    let mut agent = serving("");
    agent.set_request_timeout(Some(1));
    let began = Instant::now();
    let hanging = agent.send_export("hang", &["3000"]).unwrap();
    let quick = agent.send_export("echo", &["a"]).unwrap();
    assert_eq!(agent.next_result().unwrap(), (quick, Ok(Some("a".into()))));
    let (id, answer) = agent.next_result().unwrap();
    assert_eq!(id, hanging);
    assert!(answer.unwrap_err().contains("was not ready"));
    assert!(began.elapsed() >= Duration::from_secs(1));
    let error = agent.export("hang", &["3000"]).unwrap().unwrap_err();
    assert!(error.contains("an earlier poll of this item"), "{error}");
    assert_eq!(agent.export("hang", &["0"]).unwrap(), Ok(Some("awake".into())));
}

#[test]
fn a_thousand_concurrent_exports_each_get_a_reply() {
    let mut agent = serving("");
    let ids: Vec<_> = (0..1000).map(|n: u32| agent.send_export("echo", &[&n.to_string()]).unwrap()).collect();
    let mut answers: Vec<_> = ids.iter().map(|_| agent.next_result().unwrap()).collect();
    answers.sort();
    let expected: Vec<_> = ids.iter().enumerate().map(|(n, &id)| (id, Ok(Some(n.to_string())))).collect();
    assert_eq!(answers, expected);
}

#[test]
fn replies_of_several_megabytes_are_sent_and_larger_ones_are_an_error() {
    let mut agent = serving("");
    let answer = agent.export("big", &["5000000"]).unwrap().unwrap().unwrap();
    assert_eq!(answer.len(), 5_000_000);
    let error = agent.export("big", &["9000000"]).unwrap().unwrap_err();
    assert_eq!(error, "the value of 9000000 bytes does not fit into one reply of at most 8388608 bytes");
}

#[test]
fn invalid_frames_are_skipped_and_the_next_is_read() {
    let mut agent = serving("");
    let frame = |kind: u32, body: &[u8]| {
        let length = u32::try_from(body.len()).unwrap();
        [&kind.to_le_bytes(), &length.to_le_bytes(), body].concat()
    };
    agent.send_raw(&frame(7, b"not JSON")).unwrap();
    agent.send_raw(&frame(1, b"not JSON")).unwrap();
    agent.send_raw(&frame(1, b"{\"id\":5,\"type\":77}")).unwrap();
    agent.send_raw(&frame(1, &vec![b' '; 17 << 20])).unwrap();
    agent.send_raw(&frame(1, b"{\"id\":5,\"type\":6,\"key\":[]}")).unwrap();
    let (id, answer) = agent.next_result().unwrap();
    assert_eq!(id, 5);
    assert!(answer.unwrap_err().starts_with("malformed request"));
    assert_eq!(agent.export("echo", &["a"]).unwrap(), Ok(Some("a".into())));
}

#[test]
fn deliveries_are_reported_as_written_or_lost() {
    let mut agent = serving("");
    agent.set_request_timeout(Some(1));
    let mut deliver = |milliseconds: &str| {
        let (sender, receiver) = mpsc::channel();
        DELIVERIES.lock().unwrap().push(sender);
        let answer = agent.export("deliver", &[milliseconds]).unwrap();
        (answer.is_ok(), receiver.recv_timeout(Duration::from_secs(20)).unwrap())
    };
    assert_eq!(deliver("0"), (true, Delivery::Written));
    assert_eq!(deliver("1300"), (false, Delivery::Lost));
}

#[test]
fn register_only_process_ends_if_the_agent_sends_nothing() {
    let mut agent = FakeAgent::launch(&echo_program(), "Echo", LaunchMode::Register).unwrap();
    agent.register("6.4.0").unwrap();
    let began = Instant::now();
    let status = agent.wait(Duration::from_secs(20)).unwrap().unwrap();
    assert!(status.success(), "{status}");
    assert!(began.elapsed() > Duration::from_secs(2), "it gave the agent no time for validate");
}

#[test]
fn process_ignores_signals_and_ends_at_terminate_and_at_end_of_socket() {
    let mut agent = FakeAgent::launch(&echo_program(), "Echo", LaunchMode::Serve).unwrap();
    agent.configure("Plugins.Echo.Separator=-", 3).unwrap();
    assert_eq!(agent.export("echo", &["a", "b"]).unwrap(), Ok(Some("a-b".into())));
    let process = agent.process_id().unwrap().to_string();
    for signal in ["-TERM", "-INT", "-HUP", "-QUIT", "-USR1", "-USR2", "-ALRM"] {
        assert!(Command::new("kill").args([signal, &process]).status().unwrap().success());
        assert_eq!(agent.export("echo", &[signal]).unwrap(), Ok(Some(signal.to_owned())));
    }
    agent.terminate().unwrap();

    let agent = FakeAgent::launch(&echo_program(), "Echo", LaunchMode::Serve).unwrap();
    let process = agent.process_id().unwrap();
    // Closes the agent's side of the socket. Drop reaps the process, or kills it if it still runs.
    let status = agent.hang_up(Duration::from_secs(10)).unwrap().unwrap();
    assert!(status.success(), "process {process}: {status}");
}

#[test]
fn start_without_agent_prints_the_configuration_line() {
    let output = Command::new(echo_program()).output().unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("Plugins.Echo.System.Path="), "{text}");
}

/// Counts calls of `stop`, and drops.
struct Stopping;

static STOPS: AtomicUsize = AtomicUsize::new(0);
static ENDS: AtomicUsize = AtomicUsize::new(0);

impl Drop for Stopping {
    fn drop(&mut self) {
        ENDS.fetch_add(1, Ordering::SeqCst);
    }
}

impl Exporter for Stopping {
    type Options = serde::de::IgnoredAny;

    fn configure(_: Self::Options, _: Context) -> Result<Self, ItemError> {
        Ok(Self)
    }

    fn stop(&self) {
        STOPS.fetch_add(1, Ordering::SeqCst);
    }

    fn export(&self, _: &Request) -> Result<Reply, ItemError> {
        Ok("still here".into())
    }
}

#[test]
fn stop_is_called_at_terminate_and_not_if_the_agent_is_gone() {
    let plugin = Plugin::new("Stopping").metric("stopping", "It stops.");
    let started = || {
        let mut agent = FakeAgent::in_thread::<Stopping>(&plugin).unwrap();
        agent.configure("", 3).unwrap();
        assert_eq!(agent.export("stopping", &[]).unwrap(), Ok(Some("still here".into())));
        agent
    };
    let has_ended = |times: usize| {
        let give_up = Instant::now() + Duration::from_secs(10);
        while ENDS.load(Ordering::SeqCst) < times {
            assert!(Instant::now() < give_up);
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    started().hang_up(Duration::from_secs(5)).unwrap();
    has_ended(1);
    assert_eq!(STOPS.load(Ordering::SeqCst), 0);
    started().terminate().unwrap();
    has_ended(2);
    assert_eq!(STOPS.load(Ordering::SeqCst), 1);
}

/// A user id without other processes.
const USER: &str = "54399";

/// A machine without memory for a thread must stay monitored, so the process must not exit.
#[test]
fn process_without_threads_stays_alive_and_serves_when_it_gets_some() {
    let mut agent = launch_without_threads();
    agent.configure("", 3).unwrap();
    for _ in 0..3 {
        let refusal = agent.export("echo", &["x"]).unwrap().unwrap_err();
        assert!(refusal.starts_with("cannot start a thread that watches deadlines: "), "{refusal}");
    }
    assert!(
        agent
            .log()
            .iter()
            .any(|line| line.message.starts_with("cannot start a thread that writes to the agent: "))
    );
    let pid = agent.process_id().unwrap().to_string();
    let lift = ["--reuid", USER, "--regid", USER, "--clear-groups", "prlimit", "--nproc=100:", "--pid", &pid];
    assert!(Command::new("setpriv").args(lift).status().unwrap().success());
    assert_eq!(agent.export("echo", &["x"]).unwrap(), Ok(Some("x".into())));
    agent.terminate().unwrap();
}

/// The limit counts all threads of a user and does not apply to root. So the plugin runs as a separate user, with the
/// capability to bypass permissions, which it needs to reach the socket.
fn launch_without_threads() -> FakeAgent {
    let switched = Command::new("setpriv").args(["--reuid", USER, "true"]).status();
    assert!(
        switched.is_ok_and(|status| status.success()),
        "this test needs root and setpriv: it starts a process as a user whose threads are limited"
    );
    let rights = "--inh-caps=-all,+dac_override --ambient-caps=-all,+dac_override";
    let program = echo_program();
    let script = format!(
        "#!/bin/sh\nexec setpriv --reuid={USER} --regid={USER} --clear-groups {rights} \
         prlimit --nproc=1: '{}' \"$@\"\n",
        program.display()
    );
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("echo");
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    FakeAgent::launch(&path, "Echo", LaunchMode::Serve).unwrap()
}
