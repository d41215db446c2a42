//! Tests of the harness itself, with the agents' own items, so that a failure of another test is not a failure of the
//! harness.

use std::time::Duration;

use oomwatch_tests::actors::{Role, Stage};
use oomwatch_tests::debian::Packages;
use oomwatch_tests::{ActiveServer, Error, Generation, Item, Key, RealAgent, Reply};

const SOON: Duration = Duration::from_secs(30);

#[test]
fn agents_of_both_generations_answer() -> Result<(), Error> {
    for generation in Generation::ALL {
        let mut agent = RealAgent::builder(generation).start()?;
        assert_eq!(agent.get("agent.ping")?, Reply::Value("1".into()));
        let version = agent.get("agent.version")?;
        assert!(version.value().is_some_and(|text| text.starts_with(generation.name())), "{version:?}");
        let wrong = Key::new("proc.mem").params(["", "", "no such mode"]);
        assert_eq!(agent.get(wrong)?, Reply::NotSupported("Invalid third parameter.".into()));
        assert!(agent.is_alive() && agent.log().contains("Starting Zabbix Agent 2"));
        assert!(agent.test_item("agent.ping")?.contains("[s|1]"));
        let stopped = agent.stop();
        assert!(stopped.status.success() && !stopped.forced, "{stopped:?}");
    }
    Ok(())
}

#[test]
fn agent_7_0_answers_json_requests() -> Result<(), Error> {
    let agent = RealAgent::builder(Generation::V7_0).start()?;
    let timeout = Duration::from_secs(3);
    assert_eq!(agent.get_json("agent.ping", timeout)?, Reply::Value("1".into()));
    let wrong = agent.get_json("proc.num[,,wrong]", timeout)?;
    assert_eq!(wrong, Reply::NotSupported("Invalid third parameter.".into()));
    Ok(())
}

#[test]
fn agent_that_does_not_start_reports_the_reason() {
    let refused = RealAgent::builder(Generation::V7_0).line("Tmieout=3").start();
    let Err(Error::AgentExited { status, output, .. }) = refused else { panic!("{refused:?}") };
    assert!(!status.success() && output.contains("Tmieout"), "{output}");
}

#[test]
fn values_of_active_checks_arrive_after_an_outage() -> Result<(), Error> {
    Generation::both_at_once(|generation| {
        let items = vec![Item::new(11, "agent.ping"), Item::new(12, "proc.num[,,wrong]")];
        let mut server = ActiveServer::start(items)?;
        let agent = RealAgent::builder(generation).active_server(server.address()).start()?;
        assert!(server.wait_for(SOON, |rows| rows.iter().any(|row| row.itemid == 11)), "{}", agent.log());
        let refused = |row: &oomwatch_tests::Received| row.itemid == 12 && row.state == 1;
        assert!(server.wait_for(SOON, |rows| rows.iter().any(refused)));
        assert_eq!(server.values_of(11)[0], "1");
        server.go_away();
        let before = server.values().len();
        std::thread::sleep(Duration::from_secs(7));
        assert_eq!(server.values().len(), before);
        server.come_back()?;
        assert!(server.wait_for(SOON, |rows| rows.len() > before + 5));
        let ids: Vec<u64> = server.values().iter().map(|row| row.id).collect();
        assert!(ids.is_sorted_by(|a, b| a < b), "each value once, in order: {ids:?}");
        Ok(())
    })
}

#[test]
fn agents_see_actors() -> Result<(), Error> {
    let stage = Stage::new()?;
    let name = format!("ow{}", std::process::id());
    let actors = [10, 20].map(|mib| stage.play(&Role::named(&name).mib(mib)));
    assert!(actors.iter().all(Result::is_ok));
    for generation in Generation::ALL {
        let agent = RealAgent::builder(generation).start()?;
        assert_eq!(agent.get(Key::new("proc.num").param(&name))?, Reply::Value("2".into()));
        let sum = agent.get(Key::new("proc.mem").params([&name, "", "sum", "", "rss"]))?;
        let bytes: u64 = sum.value().and_then(|text| text.parse().ok()).unwrap_or(0);
        assert!((30 << 20..40 << 20).contains(&bytes), "{sum:?}");
    }
    Ok(())
}

#[test]
fn unpacked_program_finds_its_libraries() -> Result<(), Error> {
    let root =
        Packages::new("bookworm", &["jq"]).and_separately("bookworm", "jq", "opt/other").unpacked("jq")?;
    for program in ["usr/bin/jq", "opt/other/usr/bin/jq"] {
        let output = root.command(program).args(["-n", "1 + 1"]).output().expect("it starts");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "2\n", "{output:?}");
    }
    Ok(())
}
