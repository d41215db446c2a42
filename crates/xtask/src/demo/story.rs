//! The whole story: a real server with its frontend, an agent with the plugin, a machine that runs out of memory, and the
//! problems that an operator sees.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use oomwatch_tests::zabbix::{Host, Problem, Zabbix};
use oomwatch_tests::{Generation, RealAgent, binaries, wait_until};

use super::ground::Ground;
use crate::output::{Done, say};
use crate::table::columns;

const APACHE_LINE: &str = "[mpm_prefork:error] [pid 1] AH00161: server reached MaxRequestWorkers setting, consider \
                           raising the MaxRequestWorkers setting";
/// The user whose language is Japanese.
const JAPANESE: &str = "unyo";
const PASSWORD: &str = "oom-watch";
const LOGS: &str = "OomWatch log by Zabbix agent 2 active";
const POLLS: &str = "5s";
const LIMIT: Duration = Duration::from_secs(120);

/// New log items begin at a file's end, so nothing may be written before their first poll.
const FIRST_POLLS: Duration = Duration::from_secs(12);

/// An expected problem, and the words in its name.
struct Expected {
    what: &'static str,
    words: &'static str,
    cause: SystemTime,
}

/// The server side of the demo.
pub(super) struct Story {
    zabbix: Zabbix,
    host: Host,
}

impl Story {
    /// Starts the server before the agent, because the agent needs its address.
    pub(super) fn server() -> Result<Zabbix, Box<dyn std::error::Error>> {
        say(
            "Starting PostgreSQL, Zabbix server 7.0 and its frontend (the first time they are downloaded) ...",
        );
        let start = Instant::now();
        let zabbix = Zabbix::start(Generation::V7_0)?;
        say(&format!(
            "The server takes values at {} after {:.0} s.",
            zabbix.address(),
            start.elapsed().as_secs_f64()
        ));
        Ok(zabbix)
    }

    /// Imports every template, and links those that fit this machine.
    pub(super) fn begin(
        zabbix: Zabbix,
        agent: &mut RealAgent,
        ground: &Ground,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let directory = binaries::workspace().join("templates/7.0");
        let mut files: Vec<_> = fs::read_dir(&directory)?.flatten().map(|entry| entry.path()).collect();
        files.retain(|path| path.extension().is_some_and(|end| end == "yaml"));
        files.sort();
        for file in &files {
            zabbix.api().import(&fs::read_to_string(file)?)?;
        }
        let host = zabbix.api().create_host(agent, &["OomWatch Linux by Zabbix agent 2"])?;
        zabbix.api().set_macro(&host, "{$OOMWATCH.APACHE.LOG}", &ground.apache_log())?;
        zabbix.api().link(&host, LOGS)?;
        zabbix.api().poll_every(&host, POLLS)?;
        zabbix.api().add_administrator(JAPANESE, PASSWORD, "ja_JP")?;
        // The agent requested its active checks before the server knew the host, and would retry after a minute.
        agent.restart()?;
        say(&format!(
            "{} template files are imported; host {} is polled every {POLLS}.",
            files.len(),
            host.name
        ));
        Ok(Self { zabbix, host })
    }

    /// Causes the problems that the templates detect, and waits for them.
    pub(super) fn cause_problems(&self, ground: &Ground) -> Done {
        self.wait_for_values()?;
        let killed = SystemTime::now();
        let (what, words) = ground.runs_out_of_memory()?;
        let kill = Expected { what, words, cause: killed };
        let said = SystemTime::now();
        ground.apache_says(APACHE_LINE)?;
        let words = "Apache reached its limit";
        let line = Expected { what: "a line of Apache in its error log", words, cause: said };
        let (mut rows, mut missing) = (
            vec![["problem", "cause", "seconds", "severity", "what it says"].map(str::to_owned).to_vec()],
            Vec::new(),
        );
        for Expected { what, words, cause } in [line, kill] {
            match self.zabbix.api().wait_for_problem(&self.host, words, LIMIT)? {
                Some(problem) => rows.push(row(&problem, what, cause)),
                None => missing.push(what),
            }
        }
        self.show_values()?;
        say(&format!("\n{}", columns(&rows)));
        if missing.is_empty() {
            Ok(())
        } else {
            Err(format!("no problem was raised by {}", missing.join(", ")).into())
        }
    }

    /// The address for a browser.
    pub(super) fn invitation(&self) -> String {
        format!(
            "\nThe frontend: {}/zabbix.php?action=problem.view (user Admin, password zabbix; in Japanese: user {JAPANESE}, \
             password {PASSWORD}). Ctrl-C ends everything.",
            self.zabbix.frontend()
        )
    }

    /// A trigger on a change needs a value from before.
    fn wait_for_values(&self) -> Done {
        let known = |key: &str| {
            let items = self.zabbix.api().items(&self.host).unwrap_or_default();
            items.iter().any(|item| item.key.starts_with(key) && item.last.is_some())
        };
        let keys = ["oomwatch.oom.total", "oomwatch.oom.event.memcg", "oomwatch.memory.available"];
        if wait_until(LIMIT, || keys.iter().all(|key| known(key))) {
            sleep(FIRST_POLLS);
            return Ok(());
        }
        Err("the server got no values".into())
    }

    fn show_values(&self) -> Done {
        let mut rows = vec![["latest data", "value"].map(str::to_owned).to_vec()];
        for item in self.zabbix.api().items(&self.host)? {
            if let Some((value, _)) = item.last.filter(|(value, _)| !value.starts_with(['{', '['])) {
                rows.push(vec![item.name, value.lines().next().unwrap_or_default().to_owned()]);
            } else if let Some(error) = item.error {
                rows.push(vec![item.name, format!("not supported: {error}")]);
            }
        }
        say(&format!("\n{}", columns(&rows)));
        Ok(())
    }
}

fn row(problem: &Problem, what: &str, cause: SystemTime) -> Vec<String> {
    const SEVERITIES: [&str; 6] = ["not classified", "information", "warning", "average", "high", "disaster"];
    let severity = SEVERITIES.get(usize::from(problem.severity)).copied().unwrap_or_default();
    let seconds = problem.seconds_after(cause).to_string();
    vec![problem.name.clone(), what.to_owned(), seconds, severity.to_owned(), problem.opdata.clone()]
}
