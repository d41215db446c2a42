//! The triggers of "OomWatch log", "OomWatch Classic" and "OomWatch Sites", and the one about a kill on the whole machine.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::super::failure::Failure;
use super::super::made_up::{ACCESS_LOG, ERROR_LOG, MadeUp};
use super::super::scene::{Cause, End, Scene, by};
use super::scene_entry::Make;

pub(super) const SCENES: &[Make] = &[("whole-machine", whole_machine), ("sites", sites)];

/// Apache's own message, as written in the scene with a real Apache.
const APACHE_LINE: &str = "[Tue Nov 24 10:00:00.000000 2026] [mpm_prefork:error] [pid 1] AH00161: server reached MaxRequestWorkers setting, \
                           consider raising the MaxRequestWorkers setting";

/// Three templates detect the same kill. Each raises one problem.
fn whole_machine(name: &'static str, directory: &Path) -> Result<Scene, Failure> {
    let machine = MadeUp::new(directory)?;
    let begin = machine.clone();
    let raises = [
        ("Linux", "OOM killer was invoked"),
        ("log", "Log: OOM killer was invoked"),
        ("Classic", "OOM killer was invoked (messages)"),
    ];
    let what = "the kernel's report of a kill on the whole machine in /var/log/messages, and its counter";
    let nothing = "nothing: ten minutes without a line";
    let kill = Cause::new(what, &raises, move |_| Ok(begin.global_kill()?), End::ByItself(nothing));
    let begin = machine.clone();
    let raises = [("Classic", "Apache: process limit reached (error_log)")];
    let begin = move |_: &_| Ok(begin.append(ERROR_LOG, APACHE_LINE)?);
    let full =
        Cause::new("Apache's line in /var/log/httpd/error_log", &raises, begin, End::ByItself(nothing));
    let scene =
        Scene::new(name, "made-up machine; aliases for the agent's own keys", &["Linux", "log", "Classic"]);
    Ok(scene.on(&machine).aliases().cause(kill).cause(full))
}

fn line(site: &str) -> String {
    format!(
        "{site}:443 192.0.2.1 - - [24/Nov/2026:10:00:00 +0000] \"GET / HTTP/1.1\" 200 512 \"-\" \"curl/8\""
    )
}

/// One of three sites receives far more requests than the others.
fn sites(name: &'static str, directory: &Path) -> Result<Scene, Failure> {
    const BUSY_PER_SECOND: usize = 150;
    let machine = MadeUp::new(directory)?.with_servers()?;
    let (is_busy, log) = (Arc::new(AtomicBool::new(false)), machine.clone());
    let busy = Arc::clone(&is_busy);
    // Until the process ends.
    thread::spawn(move || {
        loop {
            let shop = if busy.load(Ordering::Relaxed) { BUSY_PER_SECOND } else { 1 };
            let lines = [line("blog.example.org"), line("www.example.org")].into_iter();
            let lines: Vec<_> = lines.chain(std::iter::repeat_n(line("shop.example.org"), shop)).collect();
            if log.append(ACCESS_LOG, &lines.join("\n")).is_err() {
                return;
            }
            thread::sleep(Duration::from_secs(1));
        }
    });
    let (begin, end) = (Arc::clone(&is_busy), is_busy);
    let begin = move |_: &_| {
        begin.store(true, Ordering::Relaxed);
        Ok(())
    };
    let end = by("one request a second", move |_| {
        end.store(false, Ordering::Relaxed);
        Ok(())
    });
    let raises = [(
        "Sites",
        "Site {#SITE}: more than {$OOMWATCH.SITES.RATE.MAX:\"{#SITE}\"} requests per second for 5m",
    )];
    let cause =
        Cause::new("150 requests a second to one site of three in the access log", &raises, begin, end);
    Ok(Scene::new(name, "made-up machine", &["Sites"]).on(&machine).cause(cause))
}
