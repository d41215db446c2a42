//! A running virtual machine. It accepts commands for its root user and polls for its agent.
//!
//! Commands go through a virtio port, whose other end is exempt from the OOM killer. Nothing depends on the
//! console, which the kernel shares with login sessions, or on the network, of which there is none.

use std::error::Error;
use std::fmt;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;

use super::image::Image;

/// With software emulation on a busy machine, a boot takes half a minute to several minutes.
const BOOT_TIME: Duration = Duration::from_secs(900);
/// The time limit of one command in the guest. Thrashing and emulation make it slow.
const COMMAND_TIME: Duration = Duration::from_secs(240);
/// The host waits this much longer than the guest for the end of a command.
const GRACE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_secs(1);

/// How a command in the guest ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    /// The exit code; 124 if the command timed out.
    pub(super) code: i32,
    /// Standard output and error.
    pub(super) text: String,
}

/// The reply of the guest's agent: a value, or the item's error.
pub(super) type ItemReply = Result<String, String>;

/// The reason why a scene did not reach its end.
#[derive(Debug)]
pub(super) enum MachineError {
    Silent { after: Duration, doing: String },
    Gone { doing: String },
    Failed { command: String, outcome: Outcome },
    Garbled(String),
    NotJson { key: String, reply: ItemReply },
    Pipe(io::Error),
}

impl Error for MachineError {}

impl fmt::Display for MachineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent { after, doing } => {
                write!(f, "no reply from the machine after {} s: {doing}", after.as_secs())
            }
            Self::Gone { doing } => write!(f, "the machine has ended: {doing}"),
            Self::Failed { command, outcome } => {
                write!(f, "`{command}` ended with {}: {}", outcome.code, outcome.text.trim())
            }
            Self::Garbled(line) => write!(f, "not a reply: {line}"),
            Self::NotJson { key, reply } => write!(f, "{key} returned {reply:?}"),
            Self::Pipe(error) => write!(f, "the virtio port: {error}"),
        }
    }
}

/// A virtual machine. It is powered off when it is dropped.
pub(super) struct Machine {
    qemu: Child,
    commands: ChildStdin,
    replies: Receiver<String>,
    sent: u32,
}

impl Machine {
    /// Starts a machine with this much memory and waits until it accepts commands. Its disk writes are discarded at its end.
    pub(super) fn boot(image: &Image, memory_mib: u32) -> Result<Self, Box<dyn Error>> {
        let mut command = qemu(image, memory_mib);
        let mut qemu = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (commands, output) = qemu.stdin.take().zip(qemu.stdout.take()).ok_or("qemu has no pipes")?;
        let machine = Self { qemu, commands, replies: lines(output), sent: 0 };
        machine.reply(BOOT_TIME, "booting (see target/vm/console.log)")?;
        Ok(machine)
    }

    /// Runs a command as root and returns its outcome, whether or not it succeeded.
    pub(super) fn try_run(&mut self, command: &str) -> Result<Outcome, MachineError> {
        self.try_run_within(COMMAND_TIME, command)
    }

    fn try_run_within(&mut self, time: Duration, command: &str) -> Result<Outcome, MachineError> {
        self.sent += 1;
        let line = format!("{} {} {}\n", self.sent, time.as_secs(), BASE64.encode(command));
        self.commands
            .write_all(line.as_bytes())
            .and_then(|()| self.commands.flush())
            .map_err(MachineError::Pipe)?;
        loop {
            let line = self.reply(time + GRACE, command)?;
            let (number, outcome) = parse(&line).ok_or(MachineError::Garbled(line))?;
            // The reply to a command that timed out may arrive late.
            if number == self.sent {
                return Ok(outcome);
            }
        }
    }

    /// Runs a command as root and returns its output without the last newline.
    pub(super) fn run(&mut self, command: &str) -> Result<String, MachineError> {
        match self.try_run(command)? {
            Outcome { code: 0, text } => Ok(text.trim_end_matches('\n').to_owned()),
            outcome => Err(MachineError::Failed { command: command.to_owned(), outcome }),
        }
    }

    /// Repeats a command until it succeeds or the time is over. Returns whether it succeeded.
    pub(super) fn wait_for(&mut self, limit: Duration, command: &str) -> Result<bool, MachineError> {
        let start = Instant::now();
        loop {
            if self.try_run(command)?.code == 0 {
                return Ok(true);
            }
            if start.elapsed() >= limit {
                return Ok(false);
            }
            thread::sleep(PAUSE);
        }
    }

    /// Polls an item of the agent as a server does.
    pub(super) fn item(&mut self, key: &str) -> Result<ItemReply, MachineError> {
        Ok(item_reply(&self.run(&agent_request(key))?))
    }

    pub(super) fn json(&mut self, key: &str) -> Result<Value, MachineError> {
        let reply = self.item(key)?;
        let value = reply.as_ref().ok().and_then(|text| serde_json::from_str(text).ok());
        value.ok_or_else(|| MachineError::NotJson { key: key.to_owned(), reply })
    }

    pub(super) fn number(&mut self, key: &str) -> Result<u64, MachineError> {
        let reply = self.item(key)?;
        let value = reply.as_ref().ok().and_then(|text| text.parse().ok());
        value.ok_or_else(|| MachineError::NotJson { key: key.to_owned(), reply })
    }

    /// Waits until the agent replies.
    pub(super) fn await_agent(&mut self) -> Result<(), MachineError> {
        let limit = COMMAND_TIME;
        let ping = format!("[ \"$({})\" = 1 ]", agent_request("agent.ping"));
        if self.wait_for(limit, &ping)? {
            return Ok(());
        }
        let doing = self.run("systemctl status zabbix-agent2; tail /var/log/zabbix/*.log; true")?;
        Err(MachineError::Silent { after: limit, doing: format!("agent.ping: {doing}") })
    }

    fn reply(&self, limit: Duration, doing: &str) -> Result<String, MachineError> {
        self.replies.recv_timeout(limit).map_err(|error| match error {
            RecvTimeoutError::Timeout => MachineError::Silent { after: limit, doing: doing.to_owned() },
            RecvTimeoutError::Disconnected => MachineError::Gone { doing: doing.to_owned() },
        })
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Changes of its disk are discarded.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

fn lines(output: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let lines = BufReader::new(output).lines().map_while(Result::ok);
        lines.map(|line| sender.send(line)).find(Result::is_err)
    });
    receiver
}

/// Mitigations for processor vulnerabilities are expensive if every instruction is emulated.
const KERNEL_OPTIONS: &str = "root=/dev/vda rw console=ttyS0 quiet mitigations=off systemd.show_status=false";

fn qemu(image: &Image, memory_mib: u32) -> Command {
    let mut command = Command::new("qemu-system-x86_64");
    command.args([
        "-accel",
        "tcg,thread=multi",
        "-cpu",
        "max",
        "-smp",
        "2",
        "-M",
        "q35",
        "-no-reboot",
        "-nic",
        "none",
    ]);
    command.args(["-m", &memory_mib.to_string(), "-display", "none", "-monitor", "none"]);
    command.arg("-serial").arg(format!("file:{}", image.console().display()));
    command.arg("-kernel").arg(image.kernel()).arg("-initrd").arg(image.initrd());
    command.args(["-append", KERNEL_OPTIONS]);
    for (disk, mode) in [(image.disk(), "snapshot=on"), (image.share(), "readonly=on")] {
        command.arg("-drive").arg(format!("file={},format=raw,if=virtio,{mode}", disk.display()));
    }
    command.args(["-chardev", "stdio,id=port", "-device", "virtio-serial"]);
    command.args(["-device", "virtserialport,chardev=port,name=oomwatch"]);
    command
}

/// `NUMBER CODE BASE64`, the last of which may be empty.
fn parse(line: &str) -> Option<(u32, Outcome)> {
    let mut words = line.trim_end().split(' ');
    let (number, code) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let bytes = BASE64.decode(words.next().unwrap_or_default()).ok()?;
    Some((number, Outcome { code, text: String::from_utf8_lossy(&bytes).into_owned() }))
}

/// Returns the shell command that polls a key of the guest's agent and prints the reply, with an error's NUL as a newline.
fn agent_request(key: &str) -> String {
    let mut frame = b"ZBXD\x01".to_vec();
    frame.extend_from_slice(&(key.len() as u64).to_le_bytes());
    frame.extend_from_slice(key.as_bytes());
    let frame = BASE64.encode(frame);
    format!(
        "exec 5<> /dev/tcp/127.0.0.1/10050 && base64 -d <<< {frame} >&5 && tail -c +14 <&5 | tr '\\0' '\\n'"
    )
}

fn item_reply(text: &str) -> ItemReply {
    match text.strip_prefix("ZBX_NOTSUPPORTED") {
        Some(error) => Err(error.trim().to_owned()),
        None => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_parsed_and_invalid_lines_are_rejected() {
        let outcome = |code, text: &str| Outcome { code, text: text.to_owned() };
        assert_eq!(parse("7 0 YQpi"), Some((7, outcome(0, "a\nb"))));
        assert_eq!(parse("8 124 "), Some((8, outcome(124, ""))));
        for invalid in ["ready", "7", "7 0 ***", ""] {
            assert_eq!(parse(invalid), None, "{invalid}");
        }
    }

    #[test]
    fn error_of_an_item_differs_from_a_value() {
        assert_eq!(item_reply("ZBX_NOTSUPPORTED\nNo such key."), Err("No such key.".to_owned()));
        assert_eq!(item_reply("{\"count\":0}"), Ok("{\"count\":0}".to_owned()));
    }

    #[test]
    fn the_request_has_the_protocols_header() {
        let command = agent_request("agent.ping");
        let frame = command.split(' ').find(|word| word.starts_with("WkJY")).unwrap();
        assert_eq!(BASE64.decode(frame).unwrap(), b"ZBXD\x01\x0a\0\0\0\0\0\0\0agent.ping");
    }
}
