//! A whole machine: Debian with systemd, the real agent and the plugin, in software emulation, with scenes in which its
//! memory runs out. `docs/vm.md` contains the last result.

mod findings;
mod image;
mod machine;
mod page;
mod scenes;

use std::error::Error;
use std::path::PathBuf;

use oomwatch_tests::binaries::{self, workspace};

use crate::generated::today;
use crate::output::{Done, say};
use findings::Findings;
use image::Image;
use machine::{Machine, MachineError};
pub(crate) use scenes::Scene;

/// Plays one scene, or all of them, and writes each into the page when it is done.
pub(crate) fn run(only: Option<Scene>) -> Done {
    let plugin = plugin()?;
    let image = Image::ready()?;
    image.pack(&plugin)?;
    let scenes: Vec<_> =
        Scene::ALL.into_iter().filter(|scene| only.is_none_or(|only| only == *scene)).collect();
    let mut failed = 0;
    // Booting takes longest, so scenes on the same machine follow each other.
    for together in scenes.chunk_by(|a, b| a.memory_mib() == b.memory_mib()) {
        failed += play(&image, together)?;
    }
    if failed > 0 {
        return Err(format!("{failed} assertions did not hold: see docs/vm.md").into());
    }
    Ok(())
}

/// Returns the release build, as operators run it, unless a directory with other executables is set.
fn plugin() -> Result<PathBuf, Box<dyn Error>> {
    if std::env::var_os(binaries::DIRECTORY).is_some() {
        return Ok(binaries::find(binaries::PLUGIN)?);
    }
    say("Building for release ...");
    Ok(binaries::release("oomwatch-plugin", binaries::PLUGIN)?)
}

/// Plays scenes on one machine and returns the number of failed assertions.
fn play(image: &Image, scenes: &[Scene]) -> Result<usize, Box<dyn Error>> {
    let memory_mib = scenes[0].memory_mib();
    say(&format!("Booting a machine with {memory_mib} MiB ..."));
    let mut machine = Machine::boot(image, memory_mib)?;
    scenes::install(&mut machine)?;
    let about = about(&mut machine, memory_mib)?;
    let path = workspace().join("docs/vm.md");
    let mut failed = 0;
    for scene in scenes {
        say(&format!("== {}", scene.name()));
        let mut findings = Findings::default();
        if let Err(broken) = scene.play(&mut machine, &mut findings) {
            findings.holds("the scene reaches its end", false, broken);
        }
        page::write(&path, *scene, &about, &findings)?;
        say(&summary(&findings));
        failed += findings.failed();
    }
    Ok(failed)
}

fn summary(findings: &Findings) -> String {
    let line = |finding: &findings::Finding| {
        format!("{} {}: {}", if finding.held { "ok      " } else { "FAILED  " }, finding.what, finding.seen)
    };
    findings.all().iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The machine in a sentence.
fn about(machine: &mut Machine, memory_mib: u32) -> Result<String, MachineError> {
    let facts = machine.run(
        ". /etc/os-release; echo $PRETTY_NAME; uname -r; systemctl --version | head -1 | cut -d' ' -f2; \
         zabbix_agent2 -V | sed -n '1s/.* //p'",
    )?;
    let facts: Vec<_> = facts.lines().collect();
    let [system, kernel, systemd, agent] = facts[..] else {
        return Err(MachineError::Garbled(facts.join("\n")));
    };
    Ok(format!(
        "{system}, Linux {kernel}, systemd {systemd}, Zabbix agent 2 {agent}, {memory_mib} MiB, emulated, {}.",
        today()
    ))
}
