//! First polls of many items at once.

use std::time::Instant;

use serde_json::Value;

use crate::serving::Serving;

#[test]
fn hundred_first_polls_of_cpu_items_are_answered_by_the_same_two_samples() {
    let mut plugin = Serving::start(60);
    let started = Instant::now();
    let names: Vec<_> = (0..100).map(|number| format!("first-poll-{number}")).collect();
    for name in &names {
        plugin.agent.send_export("oomwatch.proc.cpu.util", &[name]).unwrap();
    }
    for _ in &names {
        let (_, answer) = plugin.agent.next_result().unwrap();
        assert_eq!(answer, Ok(Some("0.000000".to_owned())));
    }
    let seconds = started.elapsed().as_secs();
    assert!(seconds < 50, "each waited for samples of its own: {seconds} s");
    let itself = plugin.agent.export("oomwatch.self", &[]).unwrap().unwrap().unwrap();
    let itself: Value = serde_json::from_str(&itself).unwrap();
    // Two for the polls and one for this item; more only if the machine is so busy that walks become too old to be shared.
    assert!(itself["walks"]["total"].as_u64().unwrap() <= 3 + 2 * seconds, "{itself}");
    plugin.agent.terminate().unwrap();
}

#[test]
fn first_poll_with_a_timeout_of_a_second_has_a_value() {
    let mut plugin = Serving::start(1);
    // A busy machine may take the second for one walk. Then the error says so.
    match plugin.agent.export("oomwatch.proc.cpu.util", &["first-poll"]).unwrap() {
        Ok(value) => assert_eq!(value.as_deref(), Some("0.000000")),
        Err(error) => {
            let reasons = ["CPU use needs two samples", "deadline passed", "was not ready after"];
            assert!(reasons.iter().any(|reason| error.contains(reason)), "{error}");
        }
    }
    plugin.agent.terminate().unwrap();
}
