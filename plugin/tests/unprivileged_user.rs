//! The plugin's process run by a user who may not read everything, as agents are: root would pass by every permission.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs::{self, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use agent2_plugin::{ExportResult, FakeAgent, LaunchMode};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_zabbix-agent2-plugin-oomwatch");
/// A user whom no file belongs to.
const STRANGER: &str = "54398";
const STRANGER_UID: u32 = 54398;
const EVERYONE: u32 = 0o755;
const ROOT: u32 = 0;
const ROOT_ALONE: u32 = 0o700;

fn allow(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn write(path: &Path, text: &str) {
    OpenOptions::new().append(true).create(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

/// A log that the plugin may read at first.
struct Scene {
    agent: FakeAgent,
    log: PathBuf,
    room: TempDir,
}

impl Scene {
    /// # Panics
    /// If the tests do not run as root.
    fn new(state_owner: u32) -> Self {
        let drop_rights = ["--reuid", STRANGER, "--regid", STRANGER, "--clear-groups"];
        let status = Command::new("setpriv").args(drop_rights).arg("true").status().unwrap();
        assert!(status.success(), "only root can start a process as another user: run this test as root");
        let room = tempfile::tempdir().unwrap();
        allow(room.path(), EVERYONE);
        for name in ["state", "log"] {
            fs::create_dir(room.path().join(name)).unwrap();
            allow(&room.path().join(name), EVERYONE);
        }
        chown(room.path().join("state"), Some(state_owner), None).unwrap();
        let script = room.path().join("plugin");
        let text = format!(
            "#!/bin/sh\nchmod 711 \"$(dirname \"$1\")\" && chmod 666 \"$1\" && \
             exec setpriv {} '{PROGRAM}' \"$@\"\n",
            drop_rights.join(" ")
        );
        fs::write(&script, text).unwrap();
        allow(&script, EVERYONE);
        let mut agent = FakeAgent::launch(&script, "OomWatch", LaunchMode::Serve).unwrap();
        let state = room.path().join("state");
        agent.configure(&format!("Plugins.OomWatch.StateDir={}", state.display()), 3).unwrap();
        Self { agent, log: room.path().join("log/messages"), room }
    }

    fn poll(&mut self) -> ExportResult {
        self.agent.export("oomwatch.log", &[self.log.to_str().unwrap(), "", "", "100"]).unwrap()
    }

    fn lines(&mut self) -> String {
        self.poll().unwrap().unwrap_or_default()
    }

    /// Returns the item's error while the permission is missing.
    fn refusal(&mut self) -> String {
        let why = self.poll().unwrap_err();
        assert_eq!(self.poll().unwrap_err(), why, "and again");
        why
    }
}

#[test]
fn permission_lost_with_rotation_is_reported_and_reading_resumes_when_it_is_back() {
    let mut scene = Scene::new(STRANGER_UID);
    write(&scene.log, "1\n");
    assert_eq!(scene.lines(), "1");
    write(&scene.log, "2\n");
    fs::rename(&scene.log, scene.log.with_extension("1")).unwrap();
    write(&scene.log, "3\n");
    allow(&scene.log, 0o600);
    assert_eq!(scene.lines(), "2", "what may be read comes");
    let path = scene.log.display().to_string();
    assert_eq!(scene.refusal(), format!("Cannot open file \"{path}\": [13] Permission denied"));
    write(&scene.log, "4\n");
    allow(&scene.log, 0o644);
    assert_eq!(scene.lines(), "3\n4");
}

#[test]
fn directory_without_search_permission_is_reported_and_reading_resumes_with_it() {
    let mut scene = Scene::new(STRANGER_UID);
    write(&scene.log, "1\n");
    assert_eq!(scene.lines(), "1");
    write(&scene.log, "2\n");
    let directory = scene.room.path().join("log");
    allow(&directory, ROOT_ALONE);
    let why = scene.refusal();
    assert!(why.ends_with(": [13] Permission denied") && why.contains("log/messages"), "{why}");
    allow(&directory, EVERYONE);
    assert_eq!(scene.lines(), "2");
}

#[test]
fn log_that_was_never_readable_is_read_from_its_first_line() {
    let mut scene = Scene::new(STRANGER_UID);
    write(&scene.log, "1\n");
    allow(&scene.log, 0o600);
    assert!(scene.refusal().contains("Permission denied"));
    allow(&scene.log, 0o644);
    assert_eq!(scene.lines(), "1");
}

#[test]
fn state_directory_without_write_permission_is_reported_and_positions_are_kept_in_memory() {
    let mut scene = Scene::new(ROOT);
    write(&scene.log, "1\n");
    assert_eq!(scene.lines(), "1");
    write(&scene.log, "2\n");
    assert_eq!(scene.lines(), "2");
    let itself = scene.agent.export("oomwatch.self", &[]).unwrap().unwrap().unwrap();
    assert!(itself.contains("\"memory\"") && itself.contains("Permission denied"), "{itself}");
    let reports_it = |line: &agent2_plugin::LogLine| line.message.contains("Permission denied");
    assert!(scene.agent.log().iter().any(reports_it), "{:?}", scene.agent.log());
}

/// Another account could forge counts there, or read the lines of logs.
#[test]
fn state_directory_that_others_can_write_to_is_refused_with_the_next_step() {
    let mut scene = Scene::new(STRANGER_UID);
    let state = scene.room.path().join("state");
    allow(&state, 0o777);
    write(&scene.log, "1\n");
    assert_eq!(scene.lines(), "1");
    let itself = scene.agent.export("oomwatch.self", &[]).unwrap().unwrap().unwrap();
    assert!(itself.contains("\"memory\"") && itself.contains("then run chmod go-w"), "{itself}");
    assert_eq!(fs::read_dir(&state).unwrap().count(), 0);
}
