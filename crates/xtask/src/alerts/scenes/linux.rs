//! The triggers of "OomWatch Linux".

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use oomwatch_tests::Limited;
use oomwatch_tests::bus::{FakeService, Machine, Manager};

use super::super::failure::{Done, Failure};
use super::super::made_up::{Left, MadeUp, PLENTY, SYSLOG};
use super::super::scene::{Cause, End, STRANGER_UID, Scene, SceneAgents, by};
use super::scene_entry::{Make, STRANGER};

pub(super) const SCENES: &[Make] = &[
    ("kill", kill),
    ("kill-expected", kill_expected),
    ("kill-unseen", kill_unseen),
    ("shrinking", shrinking),
    ("little", little),
    ("swap", swap),
    ("waiting", waiting),
    ("silent", silent),
    ("hanging", hanging),
    ("forgetful", forgetful),
    ("blind", blind),
    ("hidepid", hidepid),
    ("pss", pss),
    ("cgroup", cgroup),
    ("service", service),
];

const LIMIT_BYTES: u64 = 30 << 20;
const MEMCG: &str = "OOM kill in a memory cgroup";
const EXPECTED: &str = "Expected OOM kill in a memory cgroup";
const UNREPORTED: &str = "OOM killer was invoked: no source reports the victim";
const UNREADABLE: &str = "Agent: kernel messages cannot be read";

/// The cgroup of the kill, and the name of the killed process.
const HUNGRY: &str = "alerts-hungry";

/// One kill in a cgroup with a limit, for all scenes: they share the kernel, and the newest kill counts.
fn kill_once(directory: &Path) -> Done {
    static DONE: OnceLock<Result<(), String>> = OnceLock::new();
    let kill = || -> Done {
        let limited = Limited::new(HUNGRY, LIMIT_BYTES)?;
        let program = directory.join(HUNGRY);
        fs::create_dir_all(directory)?;
        fs::copy("/usr/bin/tail", &program)?;
        limited.run_into_limit(&program)?;
        Ok(())
    };
    Ok(DONE.get_or_init(|| kill().map_err(|why| why.to_string())).clone()?)
}

/// Kills of other programs on this machine are expected.
fn kill(name: &'static str, directory: &Path) -> Result<Scene, Failure> {
    let directory = directory.to_owned();
    let what = "a real OOM kill in a memory cgroup ({$OOMWATCH.OOM.EXPECTED} matches every other kill on this machine)";
    let cause = Cause::new(what, &[("Linux", MEMCG)], move |_| kill_once(&directory), End::AfterTheLastKill);
    let scene =
        Scene::new(name, "this machine, the agent is root", &["Linux"]).expecting(&[EXPECTED, UNREPORTED]);
    Ok(scene.with("{$OOMWATCH.OOM.EXPECTED}", format!("^(?!.*cgroup=/{HUNGRY})")).cause(cause))
}

fn kill_expected(name: &'static str, directory: &Path) -> Result<Scene, Failure> {
    let directory = directory.to_owned();
    let what = "a real OOM kill in a memory cgroup that {$OOMWATCH.OOM.EXPECTED} names";
    let cause =
        Cause::new(what, &[("Linux", EXPECTED)], move |_| kill_once(&directory), End::AfterTheLastKill);
    let scene =
        Scene::new(name, "this machine, the agent is root", &["Linux"]).expecting(&[MEMCG, UNREPORTED]);
    Ok(scene.with("{$OOMWATCH.OOM.EXPECTED}", format!("cgroup=/{HUNGRY}")).cause(cause))
}

/// The agent may not read kernel messages, but it may read /proc/vmstat.
fn kill_unseen(name: &'static str, directory: &Path) -> Result<Scene, Failure> {
    let directory = directory.to_owned();
    let what = "a real OOM kill, the agent may read no kernel messages";
    let cause = Cause::new(what, &[("Linux", UNREPORTED)], move |_| kill_once(&directory), End::AfterAnyKill);
    let scene =
        Scene::new(name, "this machine, the agent is a user without rights", &["Linux"]).rights(STRANGER);
    Ok(scene.expecting(&[UNREADABLE]).cause(cause))
}

/// Half of the memory is used up within minutes, at a falling rate.
fn shrinking(name: &'static str, directory: &Path) -> Result<Scene, Failure> {
    const TIME_CONSTANT: f64 = 250.0;
    let machine = MadeUp::new(directory)?;
    let start = Left { memory: 30.0, swap: None };
    machine.left(start)?;
    let stop = Arc::new(AtomicBool::new(false));
    let (shrink, stopped, back) = (machine.clone(), Arc::clone(&stop), machine.clone());
    let begin = move |_: &_| {
        let (machine, stop, begun) = (shrink.clone(), Arc::clone(&stopped), Instant::now());
        thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let memory = start.memory * (-begun.elapsed().as_secs_f64() / TIME_CONSTANT).exp();
                let _ = machine.left(Left { memory, ..start });
                thread::sleep(Duration::from_secs(1));
            }
        });
        Ok(())
    };
    let end = by("memory is given back", move |_| {
        stop.store(true, Ordering::Relaxed);
        thread::sleep(Duration::from_secs(2));
        Ok(back.left(Left { swap: None, ..PLENTY })?)
    });
    let what = "available memory falls from 30 % to 3 % in ten minutes, no swap";
    let raises = [("Linux", "Memory: exhausted in less than {$OOMWATCH.HORIZON}")];
    let cause = Cause::new(what, &raises, begin, end).lasting(600);
    Ok(Scene::new(name, "made-up /proc", &["Linux"]).on(&machine).cause(cause))
}

/// A made-up machine whose memory and swap are set.
fn left(
    (name, directory): (&'static str, &Path),
    trigger: &'static str,
    what: &'static str,
    [before, then]: [Left; 2],
) -> Result<Scene, Failure> {
    let machine = MadeUp::new(directory)?;
    machine.left(before)?;
    let (begin, end) = (machine.clone(), machine.clone());
    let end = by("it is given back", move |_| Ok(end.left(before)?));
    let cause = Cause::new(what, &[("Linux", trigger)], move |_| Ok(begin.left(then)?), end);
    Ok(Scene::new(name, "made-up /proc", &["Linux"]).on(&machine).cause(cause))
}

fn little(name: &'static str, directory: &Path) -> Result<Scene, Failure> {
    let trigger = "Memory: less than {$OOMWATCH.MEM.PAVAIL.MIN} % available for 5m";
    let steps = [10.5, 9.0].map(|memory| Left { memory, swap: Some(80.0) });
    left((name, directory), trigger, "available memory falls from 10.5 % to 9 % and stays there", steps)
}

fn swap(name: &'static str, directory: &Path) -> Result<Scene, Failure> {
    let trigger = "Swap: less than {$OOMWATCH.SWAP.PFREE.MIN} % free for 5m";
    let steps = [12.0, 8.0].map(|swap| Left { memory: 60.0, swap: Some(swap) });
    left((name, directory), trigger, "free swap falls from 12 % to 8 % and stays there", steps)
}

fn waiting(name: &'static str, directory: &Path) -> Result<Scene, Failure> {
    let machine = MadeUp::new(directory)?;
    let (begin, end) = (machine.clone(), machine.clone());
    let raises =
        [("Linux", "Memory: all processes wait more than {$OOMWATCH.PSI.FULL.MAX} % of the time for 5m")];
    let end = by("PSI full at 0 %", move |_| Ok(end.pressure(0.0)?));
    let pressure = Cause::new("PSI full at 40 %", &raises, move |_| Ok(begin.pressure(40.0)?), end);
    let (begin, end) = (machine.clone(), machine.clone());
    let set = |machine: &MadeUp, value: &str| machine.write("proc/sys/vm/panic_on_oom", value);
    let raises = [("Linux", "Kernel: panics when memory is exhausted (panic_on_oom)")];
    let end = by("vm.panic_on_oom=0", move |_| Ok(set(&end, "0")?));
    let panic = Cause::new("vm.panic_on_oom=1", &raises, move |_| Ok(set(&begin, "1")?), end);
    Ok(Scene::new(name, "made-up /proc", &["Linux"]).on(&machine).cause(pressure).cause(panic))
}

fn silent(name: &'static str, directory: &Path) -> Result<Scene, Failure> {
    let machine = MadeUp::new(directory)?;
    let raises = [("Linux", "OomWatch: no data for {$OOMWATCH.NODATA}")];
    let end = by("the agent is started", |scene_agents| {
        Ok(scene_agents.agents().try_for_each(|mut agent| agent.restart())?)
    });
    let begin = |scene_agents: &SceneAgents| {
        scene_agents.agents().for_each(|mut agent| agent.pause());
        Ok(())
    };
    let cause = Cause::new("the agent is stopped", &raises, begin, end);
    Ok(Scene::new(name, "made-up /proc", &["Linux"]).on(&machine).cause(cause))
}

/// A file system whose server never responds, like a dead NFS server.
fn hanging(name: &'static str, directory: &Path) -> Result<Scene, Failure> {
    let machine = MadeUp::new(directory)?;
    let mount = machine.path("srv");
    fs::create_dir_all(&mount)?;
    File::create(mount.join("access.log"))?;
    let server: Arc<Mutex<Option<Child>>> = Arc::default();
    let (held, at) = (Arc::clone(&server), mount.clone());
    let begin = move |_: &_| {
        // The process that holds this descriptor is the server.
        let script = "exec 3<>/dev/fuse; mount -i -t fuse -o fd=3,rootmode=40000,user_id=0,group_id=0 none \"$0\" && exec sleep 3600";
        let mut command = Command::new("setpriv");
        let child = command.args(["--pdeathsig", "KILL", "--", "sh", "-c", script]).arg(&at).spawn()?;
        *held.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
        Ok(())
    };
    let end = by("the server is gone: the mount returns an error", move |_| {
        if let Some(mut child) = server.lock().unwrap_or_else(PoisonError::into_inner).take() {
            child.kill()?;
            child.wait()?;
        }
        Command::new("umount").arg(&mount).status()?;
        Ok(())
    });
    let raises = [("Linux", "OomWatch: polls hang for 10m")];
    let cause =
        Cause::new("an access log on a mount whose server does not respond (FUSE)", &raises, begin, end);
    let scene = Scene::new(name, "made-up /proc and a real mount", &["Linux", "Sites"]).on(&machine);
    Ok(scene.with("{$OOMWATCH.SITES.LOG}", "/srv/access.log").cause(cause))
}

fn forgetful(name: &'static str, directory: &Path) -> Result<Scene, Failure> {
    let machine = MadeUp::new(directory)?;
    fn give(scene_agents: &SceneAgents, owner: u32) -> Done {
        for state in &scene_agents.states {
            for entry in fs::read_dir(state)?.flatten() {
                fs::remove_file(entry.path())?;
            }
            chown(state, Some(owner), None)?;
            fs::set_permissions(state, Permissions::from_mode(0o755))?;
        }
        scene_agents.restart(STRANGER)
    }
    let raises = [("Linux", "OomWatch: state is not durable")];
    let end = by("it may write there, and is restarted", |scene_agents| give(scene_agents, STRANGER_UID));
    let what = "the agent is restarted and may not write into its state directory";
    let cause = Cause::new(what, &raises, |scene_agents| give(scene_agents, 0), end);
    Ok(Scene::new(name, "made-up /proc, the agent is a user without rights", &["Linux"])
        .on(&machine)
        .rights(STRANGER)
        .cause(cause))
}

fn blind(name: &'static str, directory: &Path) -> Result<Scene, Failure> {
    let machine = MadeUp::new(directory)?;
    let (begin, end) = (machine.clone(), machine.clone());
    let end = by("it may again", move |_| Ok(end.allow(SYSLOG, 0o644)?));
    let what = "the agent's user may no longer read /var/log/messages, the only source";
    let cause = Cause::new(what, &[("Linux", UNREADABLE)], move |_| Ok(begin.allow(SYSLOG, 0o600)?), end);
    Ok(Scene::new(name, "made-up /proc, the agent is a user without rights", &["Linux"])
        .on(&machine)
        .rights(STRANGER)
        .cause(cause))
}

/// A made-up machine whose `/proc` is real and its own.
fn real_proc(directory: &Path) -> Result<MadeUp, Failure> {
    let machine = MadeUp::new(directory)?;
    let at = machine.path("proc");
    mount(&["-t", "proc", "proc"], &at)?;
    Ok(machine)
}

fn mount(arguments: &[&str], at: &Path) -> Result<(), Failure> {
    let status = Command::new("mount").args(arguments).arg(at).status()?;
    if status.success() { Ok(()) } else { Err(format!("mount {arguments:?}: {status}").into()) }
}

/// Problems that unrelated kills on this machine may raise if /proc is real and kernel messages are not readable.
const BY_OTHERS: &[&str] = &[UNREPORTED];

fn hidepid(name: &'static str, directory: &Path) -> Result<Scene, Failure> {
    let machine = real_proc(directory)?;
    let (begin, end) = (machine.path("proc"), machine.path("proc"));
    let end = by("hidepid=0", move |_| mount(&["-o", "remount,hidepid=0"], &end));
    let raises = [("Linux", "Agent: processes of other users are not visible (hidepid)")];
    let begin = move |_: &_| mount(&["-o", "remount,hidepid=2"], &begin);
    let cause = Cause::new("/proc is mounted with hidepid=2", &raises, begin, end);
    let scene = Scene::new(name, "this machine's /proc, the agent is a user without rights", &["Linux"]);
    Ok(scene.on(&machine).rights(STRANGER).expecting(BY_OTHERS).cause(cause))
}

fn pss(name: &'static str, directory: &Path) -> Result<Scene, Failure> {
    const MAPS: &str = "proc/100/smaps_rollup";
    let machine = MadeUp::new(directory)?;
    let (begin, end) = (machine.clone(), machine.clone());
    let end = by("it may again", move |_| Ok(end.allow(MAPS, 0o644)?));
    let raises = [("Linux", "Agent: PSS of some processes cannot be read")];
    let what =
        "the agent's user may no longer read the smaps_rollup of a process ({$OOMWATCH.PSS.REQUIRED} is 1)";
    let cause = Cause::new(what, &raises, move |_| Ok(begin.allow(MAPS, 0o600)?), end);
    let scene = Scene::new(name, "made-up /proc, the agent is a user without rights", &["Linux"]);
    Ok(scene.on(&machine).rights(STRANGER).with("{$OOMWATCH.PSS.REQUIRED}", "1").cause(cause))
}

/// A service's memory and its limit in cgroup v2.
fn cgroup(name: &'static str, directory: &Path) -> Result<Scene, Failure> {
    fn uses(machine: &MadeUp, mebibytes: u64) -> Done {
        let file = |name: &str| format!("sys/fs/cgroup/system.slice/shop.service/memory.{name}");
        machine.write(&file("max"), &format!("{}\n", 100_u64 << 20))?;
        machine.write(&file("events"), "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\n")?;
        machine.write(&file("peak"), &format!("{}\n", 100_u64 << 20))?;
        Ok(machine.write(&file("current"), &format!("{}\n", mebibytes << 20))?)
    }
    let machine = MadeUp::new(directory)?;
    machine.write("sys/fs/cgroup/cgroup.controllers", "cpu memory pids\n")?;
    uses(&machine, 50)?;
    let (begin, end) = (machine.clone(), machine.clone());
    let end = by("it uses 50 % again", move |_| uses(&end, 50));
    let raises = [("Linux", "Cgroup {#CGROUP}: memory near the limit")];
    let cause = Cause::new("a cgroup uses 97 % of its memory.max", &raises, move |_| uses(&begin, 97), end);
    Ok(Scene::new(name, "made-up cgroup v2", &["Linux"]).on(&machine).cause(cause))
}

/// systemd ends a service after a kill and does not restart it. This problem is raised only after that of the kill is resolved.
fn service(name: &'static str, directory: &Path) -> Result<Scene, Failure> {
    const UNIT: &str = "shop.service";
    let bus = Machine::with_bus()?;
    let machine = MadeUp::new(directory)?;
    std::os::unix::fs::symlink(bus.root().join("run"), machine.path("run"))?;
    let manager = Arc::new((Manager::start(&bus, [(UNIT.to_owned(), FakeService::default())]), bus));
    let (begin, end) = (Arc::clone(&manager), manager);
    let begin = move |_: &_| {
        begin.0.change_and_signal(UNIT, |service| {
            (service.active_state, service.sub_state, service.result) = ("failed", "failed", "oom-kill");
            service.main_pid = 0;
        });
        Ok(())
    };
    let end = by("it is started again", move |_| {
        end.0.change_and_signal(UNIT, |service| {
            *service = FakeService { started: 9_000_000, main_pid: 200, ..FakeService::default() }
        });
        Ok(())
    });
    let raises = [("Linux", "Service {#UNIT}: down since an OOM kill")];
    let what = "a service has failed with the result oom-kill (a stand-in for systemd on a real bus)";
    let scene = Scene::new(name, "made-up machine with a system bus", &["Linux"]).on(&machine);
    Ok(scene.expecting(&["OOM killer was invoked"]).cause(Cause::new(what, &raises, begin, end)))
}
