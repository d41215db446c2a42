//! Faults of a plugin, against real agents: if a handler hangs, panics or prints, the agent and its other items keep working.

use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use oomwatch_tests::cost::Process;
use oomwatch_tests::{ActiveServer, Error, Generation, Item, Key, PluginSpec, RealAgent, Reply};
use oomwatch_tests::{binaries, wait_until};
use rustix::process::{Pid, Signal, kill_process};

/// The agent's `Timeout` in tests in which nothing may be late, also on a busy machine: the longest possible value.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The agent's `Timeout` in tests whose items exceed it.
const SHORT_TIMEOUT: Duration = Duration::from_secs(3);
/// Limit for a plugin to end after its agent. It notices the end of the socket; the limit allows for a busy machine.
const PLUGIN_END: Duration = Duration::from_secs(30);
/// Handlers hang longer than any test runs: a reply that arrives earlier cannot have waited for them.
const HANG: &str = "faulty.hang[600]";
/// Items that hang at the same time, as those on a dead file server may: fewer than the SDK's 128 threads.
const SOME: u32 = 60;
/// More items than threads, so that not every hanging item gets one.
const MANY: u32 = 140;

fn plugin() -> Result<PluginSpec, Error> {
    Ok(PluginSpec::new("Faulty", binaries::find("faulty")?))
}

fn agent(generation: Generation, timeout: Duration) -> Result<RealAgent, Error> {
    RealAgent::builder(generation).timeout(timeout).plugin(plugin()?).start()
}

/// Runs a test with an agent of each generation. The agent must still answer at the end.
fn with_both(timeout: Duration, test: impl Fn(&mut RealAgent) -> Result<(), Error>) -> Result<(), Error> {
    for generation in Generation::ALL {
        let mut agent = agent(generation, timeout)?;
        test(&mut agent)?;
        lives_on(&mut agent)?;
    }
    Ok(())
}

fn lives_on(agent: &mut RealAgent) -> Result<(), Error> {
    assert_eq!(agent.get("faulty.echo[still here]")?, Reply::Value("still here".into()));
    assert_eq!(agent.get("agent.ping")?, Reply::Value("1".into()));
    assert!(agent.is_alive());
    Ok(())
}

/// The plugin's process. Its first item starts it.
fn plugin_pid(agent: &RealAgent) -> Result<u32, Error> {
    let reply = agent.get("faulty.pid")?;
    let pid = reply.value().and_then(|text| text.parse().ok());
    let pid = pid.unwrap_or_else(|| panic!("{reply:?}"));
    // The process of the register pass may end slightly late.
    assert!(wait_until(PLUGIN_END, || agent.plugin_pids() == [pid]), "{:?}", agent.plugin_pids());
    Ok(pid)
}

fn plugin_process(agent: &RealAgent) -> Result<Process, Error> {
    Ok(Process::find(plugin_pid(agent)?).expect("it has just answered"))
}

fn send(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, signal).expect("the process is ours");
}

fn refusal(reply: Reply) -> String {
    match reply {
        Reply::NotSupported(why) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn panic_is_an_error_of_that_item_only() -> Result<(), Error> {
    with_both(TIMEOUT, |agent| {
        let pid = plugin_pid(agent)?;
        for round in 0..20 {
            let why = refusal(agent.get(Key::new("faulty.panic").param(format!("round {round}")))?);
            assert!(why.contains(&format!("round {round}")), "{why}");
        }
        assert_eq!(plugin_pid(agent)?, pid, "the same process");
        Ok(())
    })
}

#[test]
fn hanging_items_get_an_error_and_delay_no_other_item() -> Result<(), Error> {
    with_both(SHORT_TIMEOUT, |agent| {
        let agent = &*agent;
        thread::scope(|scope| {
            let hanging: Vec<_> = (0..SOME).map(|n| scope.spawn(move || poll_that_hangs(agent, n))).collect();
            let mut meanwhile = 0;
            while !hanging.iter().any(ScopedJoinHandle::is_finished) {
                assert_eq!(agent.get("faulty.echo[quick]").expect("a reply"), Reply::Value("quick".into()));
                meanwhile += 1;
            }
            hanging.into_iter().for_each(|poll| poll.join().expect("no panic"));
            // The order of the last two replies is not defined.
            assert!(meanwhile > 1, "{meanwhile} quick answers while the others hung");
        });
        Ok(())
    })
}

/// While every thread hangs, other items wait. Afterwards they must work as before, although the handlers still hang.
#[test]
fn more_hanging_items_than_workers_leave_the_plugin_working() -> Result<(), Error> {
    with_both(SHORT_TIMEOUT, |agent| {
        let pid = plugin_pid(agent)?;
        let asked = &*agent;
        thread::scope(|scope| {
            (0..MANY).for_each(|n| drop(scope.spawn(move || poll_that_hangs(asked, n))));
        });
        assert_eq!(agent.get("faulty.echo[next]")?, Reply::Value("next".into()));
        assert_eq!(plugin_pid(agent)?, pid, "the same process");
        Ok(())
    })
}

/// Polls an item whose handler hangs far beyond the deadline; the agent receives an error.
fn poll_that_hangs(agent: &RealAgent, number: u32) {
    let key = HANG.replace(']', &format!(",{number}]"));
    refusal(agent.poll(key, SHORT_TIMEOUT).expect("a reply long before the handler's end"));
}

#[test]
fn thousand_polls_at_once_are_all_answered() -> Result<(), Error> {
    with_both(TIMEOUT, |agent| {
        let agent = &*agent;
        let wrong: Vec<String> = thread::scope(|scope| {
            let ask = |n: u32| scope.spawn(move || (n, agent.get(format!("faulty.echo[number {n}]"))));
            let polls: Vec<_> = (0..1000).map(ask).collect();
            let replies = polls.into_iter().map(|poll| poll.join().expect("no panic"));
            let right = |n: u32| Reply::Value(format!("number {n}"));
            replies
                .filter(|(n, r)| r.as_ref().ok() != Some(&right(*n)))
                .map(|wrong| format!("{wrong:?}"))
                .collect()
        });
        assert!(wrong.is_empty(), "{} wrong, such as {}", wrong.len(), wrong[0]);
        Ok(())
    })
}

#[test]
fn reply_of_several_megabytes_arrives_complete() -> Result<(), Error> {
    with_both(TIMEOUT, |agent| {
        for kib in [1, 1 << 10, 9 << 10] {
            let reply = agent.get(format!("faulty.big[{kib}]"))?;
            let value = reply.value().unwrap_or_else(|| panic!("{reply:?}"));
            assert_eq!(value.len(), kib * 1024 + "the end".len());
            assert!(value.ends_with("\nthe end"));
        }
        Ok(())
    })
}

#[test]
fn reply_that_is_too_large_is_an_error() -> Result<(), Error> {
    with_both(TIMEOUT, |agent| {
        let why = refusal(agent.get(format!("faulty.big[{}]", 80 << 10))?);
        assert!(why.to_lowercase().contains("bytes"), "{why}");
        Ok(())
    })
}

#[test]
fn output_of_a_handler_is_discarded() -> Result<(), Error> {
    with_both(TIMEOUT, |agent| {
        assert_eq!(agent.get("faulty.print")?, Reply::Value("printed".into()));
        assert!(!agent.output().contains("on standard output"));
        Ok(())
    })
}

#[test]
fn signals_to_the_plugin_change_nothing() -> Result<(), Error> {
    with_both(TIMEOUT, |agent| {
        let pid = plugin_pid(agent)?;
        for signal in
            [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT, Signal::USR1, Signal::USR2, Signal::PIPE]
        {
            send(pid, signal);
            lives_on(agent)?;
        }
        assert_eq!(plugin_pid(agent)?, pid, "the same process");
        Ok(())
    })
}

#[test]
fn signal_to_the_process_group_ends_agent_and_plugin_in_order() -> Result<(), Error> {
    for generation in Generation::ALL {
        for signal in [Signal::INT, Signal::TERM] {
            let mut agent = agent(generation, TIMEOUT)?;
            let plugin = plugin_process(&agent)?;
            agent.signal_group(signal);
            let status = agent.wait_for_end(PLUGIN_END);
            assert!(status.is_some_and(|status| status.success()), "{generation} {signal:?}: {status:?}");
            assert!(!agent.output().contains("panic"), "{}", agent.output());
            assert!(wait_until(PLUGIN_END, || plugin.has_ended()), "the plugin is still there");
        }
    }
    Ok(())
}

#[test]
fn end_of_the_agent_ends_the_plugin_at_once() -> Result<(), Error> {
    for generation in Generation::ALL {
        let agent = agent(generation, TIMEOUT)?;
        let plugin = plugin_process(&agent)?;
        let stopped = agent.stop();
        assert!(stopped.status.success() && !stopped.forced, "{generation}: {stopped:?}");
        // The agent waits this long for a plugin that does not end.
        assert!(stopped.took < TIMEOUT / 2, "the agent waited for its plugin: {:?}", stopped.took);
        // Agent 6.0 does not wait for its plugins after *terminate*.
        let gone = wait_until(PLUGIN_END, || plugin.has_ended());
        assert!(gone, "the plugin of {generation} outlived the agent");
    }
    Ok(())
}

#[test]
fn stop_does_not_wait_for_a_hanging_handler() -> Result<(), Error> {
    for generation in Generation::ALL {
        let agent = agent(generation, TIMEOUT)?;
        let plugin = plugin_process(&agent)?;
        let _ = agent.get_within(HANG, Duration::from_millis(500));
        let stopped = agent.stop();
        assert!(stopped.status.success() && !stopped.forced, "{generation}: {stopped:?}");
        assert!(wait_until(PLUGIN_END, || plugin.has_ended()), "the plugin is still there");
    }
    Ok(())
}

#[test]
fn plugin_of_a_killed_agent_ends_by_itself() -> Result<(), Error> {
    for generation in Generation::ALL {
        let agent = agent(generation, TIMEOUT)?;
        let plugin = plugin_process(&agent)?;
        // A hanging handler must not keep the process alive either.
        let _ = agent.get_within(HANG, Duration::from_millis(500));
        agent.signal(Signal::KILL);
        let gone = wait_until(PLUGIN_END, || plugin.has_ended());
        assert!(gone, "the plugin of {generation} is still there");
    }
    Ok(())
}

#[test]
fn test_run_beside_a_running_agent_changes_nothing() -> Result<(), Error> {
    with_both(TIMEOUT, |agent| {
        let pid = plugin_pid(agent)?;
        let printed = agent.test_item("faulty.echo[aside]")?;
        assert!(printed.contains("[s|aside]"), "{printed}");
        assert_eq!(plugin_pid(agent)?, pid, "the same process");
        Ok(())
    })
}

#[test]
fn wrong_option_stops_the_agents_start_with_an_error_that_names_it() -> Result<(), Error> {
    let wrong = [("Even", "many"), ("Even", "7"), ("Odd", "1"), ("Even.More", "2")];
    for generation in Generation::ALL {
        for (option, value) in wrong {
            let plugin = plugin()?.option(option, value);
            let started = RealAgent::builder(generation).timeout(TIMEOUT).plugin(plugin).start();
            let Err(Error::AgentExited { status, output, .. }) = started else {
                panic!("{option}: {started:?}")
            };
            assert!(!status.success(), "{generation} {option}={value}");
            let name = option.split('.').next().unwrap_or(option);
            let sentence = output.lines().find(|line| line.to_lowercase().contains("cannot register"));
            assert!(
                sentence.is_some_and(|line| line.contains(name)),
                "{generation} {option}={value}: {output}"
            );
        }
        let right = plugin()?.option("Even", "8");
        lives_on(&mut RealAgent::builder(generation).timeout(TIMEOUT).plugin(right).start()?)?;
    }
    Ok(())
}

#[test]
fn active_item_without_a_value_stays_supported() -> Result<(), Error> {
    Generation::both_at_once(|generation| {
        let items = [(1, "faulty.nothing"), (2, "faulty.echo[value]"), (3, "faulty.panic[now]")];
        let server = ActiveServer::start(items.map(|(itemid, key)| Item::new(itemid, key)).into())?;
        let builder = RealAgent::builder(generation).timeout(TIMEOUT).plugin(plugin()?);
        let mut agent = builder.active_server(server.address()).start()?;
        let limit = Duration::from_secs(100);
        let enough = server.wait_for(limit, |rows| rows.iter().filter(|row| row.itemid == 2).count() >= 5);
        assert!(enough, "{}", agent.log());
        let rows = server.values();
        assert!(rows.iter().all(|row| row.itemid != 1), "{rows:?}");
        assert!(rows.iter().filter(|row| row.itemid == 2).all(|row| row.value.as_deref() == Some("value")));
        assert!(rows.iter().any(|row| row.itemid == 3 && row.state == 1), "{rows:?}");
        lives_on(&mut agent)?;
        Ok(())
    })
}
