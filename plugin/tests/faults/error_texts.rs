//! Errors about absurd parameters are short and visible.

use crate::serving::Serving;

const TEXT_MAX: usize = 300;

/// Parameters that no item should have.
fn absurd() -> Vec<String> {
    let long = |unit: &str, bytes: usize| unit.repeat(bytes / unit.len());
    vec![
        format!("({}", long("x", 100_000)),
        format!("({}", long("あ", 100_000)),
        long("\u{fffd}", 1000),
        "(\n\r\t".to_owned(),
        "(\u{1b}[2J\u{7}\0".to_owned(),
        "(\u{202e}\u{2028}\u{200b}".to_owned(),
        long("(\u{1b}\n", 3000),
        long("(?:", 30_000),
        "no such word".to_owned(),
        "-99999999999999999999".to_owned(),
        "relative/path\n".to_owned(),
        format!("/{}", long("no/such/file/", 10_000)),
    ]
}

#[test]
fn errors_about_absurd_parameters_are_short_and_visible() {
    let mut plugin = Serving::start(60);
    let mut errors = 0;
    for key in oomwatch::KEYS {
        for place in 0..key.parameters.len() {
            for parameter in absurd() {
                let mut parameters = vec![""; key.parameters.len()];
                parameters[place] = &parameter;
                // Log keys need a file, and refuse a key without one before all else.
                if key.parameters[0].name.starts_with("file") && place > 0 {
                    parameters[0] = "/no/such\nfile";
                }
                let Err(error) = plugin.agent.export(key.name, &parameters).unwrap() else { continue };
                errors += 1;
                let start: String = parameter.chars().take(20).collect();
                assert!(error.chars().count() <= TEXT_MAX, "{} {place} {start:?}: {error}", key.name);
                let hidden = |c: char| c.is_control() || matches!(c, '\u{202e}' | '\u{2028}' | '\u{200b}');
                assert!(!error.contains(hidden), "{} {place} {start:?}: {error:?}", key.name);
            }
        }
    }
    assert!(errors > 200, "only {errors} errors");
    let error = plugin.agent.export(&format!("oomwatch.{}", "x\n".repeat(9000)), &[]).unwrap().unwrap_err();
    assert!(
        error.starts_with("OomWatch has no key oomwatch.x\\nx\\n") && error.chars().count() <= TEXT_MAX,
        "{error}"
    );

    // Ten megabytes, also as a user name, which the name service must not see.
    let pattern = format!("({}the end", "x".repeat(10 << 20));
    assert_eq!(plugin.agent.export("oomwatch.proc.num", &["", &pattern]).unwrap(), Ok(Some("0".to_owned())));
    let error = plugin.agent.export("oomwatch.proc.mem", &["", "", "", &pattern]).unwrap().unwrap_err();
    assert!(error.starts_with("Failed to compile regular expression '(xxx"), "{error}");
    assert!(error.ends_with("the end`") && error.contains("expression too large"), "{error}");
    plugin.agent.terminate().unwrap();
}

/// Agents escape what is not UTF-8, so such a frame violates the protocol. It must not end the plugin.
#[test]
fn parameter_that_is_not_utf_8_does_not_end_the_plugin() {
    let mut plugin = Serving::start(10);
    let json = [
        &br#"{"id":900,"type":6,"key":"oomwatch.proc.num","parameters":["a"#[..],
        b"\xff\xfe",
        br#""],"timeout":10}"#,
    ]
    .concat();
    let length = u32::try_from(json.len()).unwrap();
    let frame = [&1_u32.to_le_bytes()[..], &length.to_le_bytes(), &json].concat();
    plugin.agent.send_raw(&frame).unwrap();
    let none = plugin.agent.export("oomwatch.proc.num", &["no such name"]).unwrap();
    assert_eq!(none, Ok(Some("0".to_owned())));
    plugin.agent.terminate().unwrap();
}
