//! Processes with chosen properties, for tests that observe processes.
//!
//! A [`Stage`] starts processes, a [`Role`] describes one of them, and an [`Actor`] is a running one.
//! Every actor ends when its value is dropped and when the process that started it dies.

use std::ffi::{OsStr, OsString};
use std::fs::{self, Permissions};
use std::io::{self, PipeWriter, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::{Error, binaries, cost, wait_until};

const READY_LIMIT: Duration = Duration::from_secs(60);

/// An actor's activity when it is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Activity {
    /// Sleeps: none of its properties changes.
    Sleep,
    /// Uses this many hundredths of one CPU.
    Work {
        /// From 1 to 100.
        percent: u8,
    },
    /// Is stopped, as by SIGSTOP.
    Stopped,
    /// Has ended without being reaped: a zombie.
    Ended,
}

/// The properties of an actor.
#[derive(Debug, Clone)]
#[must_use]
pub struct Role {
    comm: OsString,
    argv: Vec<OsString>,
    mib: u32,
    threads: u32,
    owner: Option<(u32, u32)>,
    port: Option<u16>,
    activity: Activity,
}

impl Role {
    /// A sleeper with this name in `stat` (at most 15 bytes; the kernel cuts the rest). The name is also its only argument.
    pub fn named(comm: impl Into<OsString>) -> Self {
        let comm = comm.into();
        Self {
            argv: vec![comm.clone()],
            comm,
            mib: 0,
            threads: 0,
            owner: None,
            port: None,
            activity: Activity::Sleep,
        }
    }

    /// Sets the arguments. The first one is the program's own name and may be any text.
    pub fn argv<S: Into<OsString>>(mut self, argv: impl IntoIterator<Item = S>) -> Self {
        self.argv = argv.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the private resident memory in MiB.
    pub fn mib(mut self, mib: u32) -> Self {
        self.mib = mib;
        self
    }

    /// Sets the number of idle threads beside the first.
    pub fn threads(mut self, threads: u32) -> Self {
        self.threads = threads;
        self
    }

    /// Sets the user and group. Only root can start such an actor.
    pub fn owner(mut self, uid: u32, gid: u32) -> Self {
        self.owner = Some((uid, gid));
        self
    }

    /// Listens on this port of 127.0.0.1. Connections are never accepted and stay in the kernel's queue.
    pub fn listen(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Sets the activity.
    pub fn activity(mut self, activity: Activity) -> Self {
        self.activity = activity;
        self
    }

    fn state(&self) -> &'static [char] {
        match self.activity {
            Activity::Sleep => &['S'],
            Activity::Work { .. } => &['R', 'S'],
            Activity::Stopped => &['T'],
            Activity::Ended => &['Z'],
        }
    }
}

/// A directory with a copy of the actor's executable that every user may run.
#[derive(Debug)]
pub struct Stage {
    directory: TempDir,
}

impl Stage {
    /// Creates a stage.
    ///
    /// # Errors
    ///
    /// Returns an error if the actor's executable is missing or cannot be copied.
    pub fn new() -> Result<Self, Error> {
        Self::with(&binaries::find("actor")?)
    }

    /// Creates a stage whose actors run this executable.
    ///
    /// # Errors
    ///
    /// Returns an error if the executable cannot be copied.
    pub fn with(actor: &Path) -> Result<Self, Error> {
        let directory =
            tempfile::Builder::new().prefix("ow").tempdir_in("/tmp").map_err(Error::file("/tmp"))?;
        let stage = Self { directory };
        fs::copy(actor, stage.program()).map_err(Error::file(stage.program()))?;
        fs::set_permissions(stage.directory.path(), Permissions::from_mode(0o755))
            .map_err(Error::file(stage.directory.path()))?;
        Ok(stage)
    }

    fn program(&self) -> PathBuf {
        self.directory.path().join("actor")
    }

    /// Starts an actor and waits until it has its properties.
    ///
    /// # Errors
    ///
    /// Returns an error if it is not ready in 60 s.
    pub fn play(&self, role: &Role) -> Result<Actor, Error> {
        let mut actor = Actor::start(&mut self.command(role), &role.comm)?;
        actor.wait_for_word()?;
        actor.settle(role.state())?;
        Ok(actor)
    }

    /// Starts `count` equal sleepers with the lowest possible cost, for tests of scale.
    ///
    /// # Errors
    ///
    /// Returns an error if the machine does not allow that many processes.
    pub fn crowd(&self, comm: &str, count: usize) -> Result<Crowd, Error> {
        let (input, held) = io::pipe().map_err(Error::file("pipe"))?;
        let (mut words, output) = io::pipe().map_err(Error::file("pipe"))?;
        let mut crowd = Crowd { held: Some(held), children: Vec::with_capacity(count) };
        for _ in 0..count {
            let mut command = self.command(&Role::named(comm));
            let input = input.try_clone().map_err(Error::file("pipe"))?;
            let output = output.try_clone().map_err(Error::file("pipe"))?;
            crowd.children.push(spawn(command.stdin(input).stdout(output))?);
        }
        drop((input, output));
        words.read_exact(&mut vec![0; count * "ready\n".len()]).map_err(Error::file("pipe"))?;
        Ok(crowd)
    }

    /// Starts a process that overwrites its own arguments and name, as daemons do to show their state.
    ///
    /// # Errors
    ///
    /// Returns an error if perl is missing; every Debian has it.
    pub fn retitled(&self, title: &str) -> Result<Actor, Error> {
        let script = "$0 = shift; syswrite STDOUT, qq(ready\\n); sysread STDIN, my $end, 1;";
        let mut command = Command::new("perl");
        command.args(["-e", script, title]);
        let mut actor = Actor::start(&mut command, OsStr::new(title))?;
        actor.wait_for_word()?;
        actor.settle(&['S'])?;
        Ok(actor)
    }

    /// Starts a parent with `workers` forked children that share its `mib` MiB of memory until one of them writes, as
    /// Apache's do. The sum of their resident sizes is far above the memory they occupy.
    ///
    /// # Errors
    ///
    /// Returns an error if perl is missing; every Debian has it.
    pub fn pool(&self, name: &str, workers: u32, mib: u32) -> Result<Actor, Error> {
        let script = "$0 = shift; my ($workers, $mib) = @ARGV; my $shared = 'x' x ($mib << 20); \
                      for (1 .. $workers) { my $pid = fork; defined $pid or die; if (!$pid) { \
                      sysread STDIN, my $end, 1; exit } } \
                      syswrite STDOUT, qq(ready\\n); sysread STDIN, my $end, 1;";
        let mut command = Command::new("perl");
        command.args(["-e", script, name]).args([workers, mib].map(|number| number.to_string()));
        let mut actor = Actor::start(&mut command, OsStr::new(name))?;
        actor.wait_for_word()?;
        actor.settle(&['S'])?;
        Ok(actor)
    }

    fn command(&self, role: &Role) -> Command {
        let mut command = Command::new(self.program());
        if let Some((name, arguments)) = role.argv.split_first() {
            command.arg0(name).args(arguments);
        }
        command.env_clear().env("ACTOR_COMM", &role.comm).env("ACTOR_MIB", role.mib.to_string());
        command.env("ACTOR_THREADS", role.threads.to_string());
        match role.activity {
            Activity::Sleep => &mut command,
            Activity::Work { percent } => {
                command.env("ACTOR_MODE", "busy").env("ACTOR_PERCENT", percent.to_string())
            }
            Activity::Stopped => command.env("ACTOR_MODE", "stop"),
            Activity::Ended => command.env("ACTOR_MODE", "exit"),
        };
        if let Some(port) = role.port {
            command.env("ACTOR_PORT", port.to_string());
        }
        if let Some((uid, gid)) = role.owner {
            command.uid(uid).gid(gid);
        }
        command
    }
}

fn spawn(command: &mut Command) -> Result<Child, Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.spawn().map_err(|source| Error::Spawn { command: program, source })
}

/// A process that plays a role until it is dropped.
#[derive(Debug)]
pub struct Actor {
    name: String,
    child: Child,
}

impl Actor {
    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn start(command: &mut Command, name: &OsStr) -> Result<Self, Error> {
        let child = spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
        Ok(Self { name: name.to_string_lossy().into_owned(), child })
    }

    fn wait_for_word(&mut self) -> Result<(), Error> {
        let mut word = [0; 6];
        let read = self.child.stdout.take().map(|mut out: ChildStdout| out.read_exact(&mut word));
        match read {
            Some(Ok(())) if word == *b"ready\n" => Ok(()),
            other => Err(self.failure(format!("{other:?}"))),
        }
    }

    /// A process still touches one or two pages after it reported `ready`.
    fn settle(&self, states: &[char]) -> Result<(), Error> {
        let rests = || cost::state(self.pid()).is_some_and(|state| states.contains(&state));
        if wait_until(READY_LIMIT, rests) {
            return Ok(());
        }
        Err(self.failure(format!("state {:?}", cost::state(self.pid()))))
    }

    fn failure(&self, reason: String) -> Error {
        Error::Actor { name: self.name.clone(), reason }
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        // Forked children hold the same input and end when it is closed.
        drop(self.child.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Many equal sleepers.
#[derive(Debug)]
pub struct Crowd {
    held: Option<PipeWriter>,
    children: Vec<Child>,
}

impl Crowd {
    /// Their number.
    #[must_use]
    pub fn count(&self) -> usize {
        self.children.len()
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        drop(self.held.take());
        for child in &mut self.children {
            let _ = child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comm(pid: u32) -> Vec<u8> {
        fs::read(format!("/proc/{pid}/comm")).unwrap()
    }

    #[test]
    fn actor_has_the_properties_of_its_role() {
        let stage = Stage::new().unwrap();
        let role = Role::named("a b) (c\nd").argv(["/usr/sbin/some thing", "-x", ""]).mib(8).threads(2);
        let actor = stage.play(&role).unwrap();
        assert_eq!(comm(actor.pid()), b"a b) (c\nd\n");
        assert_eq!(cost::arguments(actor.pid()).collect::<Vec<_>>(), ["/usr/sbin/some thing", "-x", ""]);
        assert!(cost::rss_bytes(actor.pid()).unwrap() > 8 << 20);
        assert_eq!(fs::read_dir(format!("/proc/{}/task", actor.pid())).unwrap().count(), 3);
    }

    #[test]
    fn states_are_reached() {
        let stage = Stage::new().unwrap();
        for (activity, state) in [(Activity::Sleep, 'S'), (Activity::Stopped, 'T'), (Activity::Ended, 'Z')] {
            let actor = stage.play(&Role::named("ow-state").activity(activity)).unwrap();
            assert_eq!(cost::state(actor.pid()), Some(state));
        }
    }

    #[test]
    fn every_actor_ends_with_the_stage() {
        let stage = Stage::new().unwrap();
        let pool = stage.pool("ow-pool-leaves", 3, 4).unwrap();
        let workers = cost::children(pool.pid());
        assert_eq!(workers.len(), 3);
        let crowd = stage.crowd("ow-crowd", 20).unwrap();
        let pids = crowd.children.iter().map(Child::id).chain(workers);
        let everyone: Vec<_> = pids.filter_map(cost::Process::find).collect();
        assert_eq!(everyone.len(), 23);
        drop((pool, crowd));
        let left = || everyone.iter().all(cost::Process::has_ended);
        assert!(wait_until(Duration::from_secs(5), left));
    }

    #[test]
    fn title_is_overwritten() {
        let stage = Stage::new().unwrap();
        let actor = stage.retitled("ow-title: idle").unwrap();
        assert_eq!(comm(actor.pid()), b"ow-title: idle\n");
        assert!(cost::arguments(actor.pid()).next().unwrap().to_string_lossy().starts_with("ow-title: idle"));
    }
}
