//! An agent, a server, files, and questions for both items.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use oomwatch_tests::{ActiveServer, Error, Generation, Item, Key, PluginSpec, RealAgent, Received, binaries};
use tempfile::TempDir;

use crate::differences::Difference;
use crate::outcome::{Kind, Outcome, too_soon};

const OURS: &str = "oomwatch.";
/// Limit for the slower of the two items, also on a busy machine. Only a failure waits this long.
const LIMIT: Duration = Duration::from_secs(120);
/// Longer than the built-in items take to report an error: they ignore the first two of three errors in a row.
const STAYS: Duration = Duration::from_secs(4);

/// A key of the agent's own, polled as built-in key and as ours.
pub(crate) struct Question {
    key: Key,
    kind: Kind,
    difference: Option<&'static Difference>,
    lines_per_second: Option<u64>,
}

impl Question {
    pub(crate) fn new(name: &str, parameters: &[&str]) -> Self {
        let kind = if name.ends_with(".count") { Kind::Count } else { Kind::Lines };
        Self {
            key: Key::new(name).params(parameters.iter().copied()),
            kind,
            difference: None,
            lines_per_second: None,
        }
    }

    /// Limits the lines a second for both items.
    pub(crate) fn paced(mut self, lines_per_second: u64) -> Self {
        self.lines_per_second = Some(lines_per_second);
        self
    }

    /// Sets the intended difference, if there is one.
    pub(crate) fn differs(mut self, difference: Option<&'static Difference>) -> Self {
        self.difference = difference;
        self
    }
}

/// The directory of the files in question.
pub(crate) struct Scene {
    room: TempDir,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self { room: tempfile::Builder::new().prefix("owlogs").tempdir().expect("a directory for the test") }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.room.path().join(name)
    }

    /// The path as a parameter.
    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_string_lossy().into_owned()
    }

    /// Creates a file with these bytes and returns its path as a parameter.
    pub(crate) fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        fs::write(self.path(name), bytes).expect("a file of the test's own");
        self.text(name)
    }

    pub(crate) fn append(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let file = File::options().append(true).open(self.path(name));
        file.and_then(|mut file| file.write_all(bytes.as_ref())).expect("a file of the test's own");
    }

    pub(crate) fn truncate(&self, name: &str) {
        fs::write(self.path(name), "").expect("a file of the test's own");
    }

    /// Starts polling the questions with an agent of this generation.
    pub(crate) fn poll(
        self,
        generation: Generation,
        questions: Vec<Question>,
    ) -> Result<RunningQuestions, Error> {
        let start = SystemTime::now();
        let server = ActiveServer::start(items(&questions))?;
        let agent = RealAgent::builder(generation)
            .active_server(server.address())
            .plugin(oomwatch(self.room.path())?)
            .line("BufferSend=1")
            .line("BufferSize=65535")
            .start()?;
        Ok(RunningQuestions { questions, start, server, agent, scene: self })
    }
}

fn oomwatch(room: &Path) -> Result<PluginSpec, Error> {
    let state = room.join("state");
    Ok(PluginSpec::new("OomWatch", binaries::find(binaries::PLUGIN)?)
        .option("StateDir", state.to_string_lossy()))
}

/// The numbers of a question's built-in item and of ours.
fn ids(place: usize) -> (u64, u64) {
    let number = 2 * place as u64;
    (number + 1, number + 2)
}

fn items(questions: &[Question]) -> Vec<Item> {
    let pairs = questions.iter().enumerate().flat_map(|(place, question)| {
        let (built_in, ours) = ids(place);
        [Item::new(built_in, question.key.clone()), Item::new(ours, question.key.prefixed(OURS))]
    });
    pairs.collect()
}

/// Questions that are being polled.
pub(crate) struct RunningQuestions {
    questions: Vec<Question>,
    /// The time before the first poll.
    start: SystemTime,
    server: ActiveServer,
    agent: RealAgent,
    scene: Scene,
}

impl RunningQuestions {
    /// Waits until both outcomes are equal and stay equal. Panics with all outcomes that stay different.
    pub(crate) fn compare(&self) {
        let mismatches = self.mismatches();
        let (count, of, generation) = (mismatches.len(), self.questions.len(), self.agent.generation());
        assert!(count == 0, "{count} of {of} differ, agent {generation}:\n{}", mismatches.join("\n"));
    }

    pub(crate) fn scene(&self) -> &Scene {
        &self.scene
    }

    fn mismatches(&self) -> Vec<String> {
        let end = Instant::now() + LIMIT;
        let mut same_since = None;
        loop {
            let mismatches = self.current_mismatches();
            if !mismatches.is_empty() {
                same_since = None;
            } else if same_since.get_or_insert_with(Instant::now).elapsed() >= STAYS {
                return mismatches;
            }
            if Instant::now() >= end && same_since.is_none() {
                return mismatches;
            }
            sleep(Duration::from_millis(250));
        }
    }

    /// The present mismatches. A built-in item sends at least a position with its first poll.
    fn current_mismatches(&self) -> Vec<String> {
        let values = self.server.values();
        let mut rows: HashMap<u64, Vec<&Received>> = HashMap::new();
        for row in &values {
            rows.entry(row.itemid).or_default().push(row);
        }
        let rows_of = |id| rows.get(&id).map(Vec::as_slice).unwrap_or_default();
        let pairs = self.questions.iter().enumerate();
        let mismatches = pairs.filter_map(|(place, question)| {
            let (built_in, ours) = ids(place);
            self.mismatch(question, rows_of(built_in), rows_of(ours))
        });
        mismatches.collect()
    }

    fn mismatch(&self, question: &Question, built_in: &[&Received], ours: &[&Received]) -> Option<String> {
        let Question { key, kind, difference, .. } = question;
        if built_in.is_empty() {
            return Some(format!("{key}: the built-in item says nothing"));
        }
        if let Some(why) = self.too_fast(question, built_in).or_else(|| self.too_fast(question, ours)) {
            return Some(why);
        }
        let theirs = Outcome::from_values(*kind, built_in.iter().copied());
        let theirs = theirs.passed_on_by(self.agent.generation());
        let ours = Outcome::from_values(*kind, ours.iter().copied());
        match (theirs == ours, difference) {
            (true, None) | (false, Some(_)) => None,
            (false, None) => Some(format!("{key}: built-in {theirs:?}; ours {ours:?}")),
            (true, Some(Difference { name, reason })) => {
                Some(format!("{key}: both {ours:?}, though {name} is meant to differ: {reason}"))
            }
        }
    }

    /// The questions whose lines came faster than permitted.
    fn too_fast(&self, question: &Question, rows: &[&Received]) -> Option<String> {
        let why = too_soon(question.kind, rows, question.lines_per_second?, self.start)?;
        Some(format!("item {}, {}: {why}", rows[0].itemid, question.key))
    }
}
