//! The processes for the tables of questions. Their names begin with a tag of this test, so that processes of parallel
//! tests do not count.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use oomwatch_tests::Error;
use oomwatch_tests::actors::{Activity, Actor, Role, Stage};

/// Debian's `nobody` and `nogroup`.
const NOBODY: u32 = 65534;
/// A user id without a passwd entry.
pub(crate) const STRANGER: u32 = 54321;

/// The tag and the started actors.
pub(crate) struct Cast {
    /// Five characters without special meaning in patterns.
    pub(crate) tag: String,
    /// The names of actors that do not change: as in `stat`, and as base name of the first argument.
    pub(crate) names: Vec<String>,
    actors: Vec<Actor>,
    stage: Stage,
}

impl Cast {
    pub(crate) fn new() -> Result<Self, Error> {
        let tag = format!("x{:04x}", std::process::id() & 0xffff);
        let mut cast = Self { tag, names: Vec::new(), actors: Vec::new(), stage: Stage::new()? };
        cast.pool()?;
        cast.odd_names()?;
        cast.odd_arguments()?;
        cast.states_and_owners()?;
        Ok(cast)
    }

    /// The tag with a suffix.
    pub(crate) fn name(&self, rest: &str) -> String {
        format!("{}{rest}", self.tag)
    }

    /// Replaces every `~` by the tag.
    pub(crate) fn tagged(&self, text: &str) -> String {
        text.replace('~', &self.tag)
    }

    /// Starts an actor that uses this many hundredths of a CPU.
    pub(crate) fn hire_worker(&mut self, percent: u8) -> Result<String, Error> {
        let name = self.name("busy");
        self.hire(&Role::named(&name).activity(Activity::Work { percent }))?;
        Ok(name)
    }

    fn hire(&mut self, role: &Role) -> Result<(), Error> {
        let actor = self.stage.play(role)?;
        self.actors.push(actor);
        Ok(())
    }

    fn known_as(&mut self, names: impl IntoIterator<Item = String>) {
        self.names.extend(names);
    }

    /// Starts actors of one name and different sizes: sum, average, minimum and maximum differ.
    fn pool(&mut self) -> Result<(), Error> {
        let name = self.name("pool");
        for (number, mib) in [(1, 4), (2, 9), (3, 17)] {
            let argv = [format!("/usr/sbin/{name}"), "-D".into(), format!("number={number}")];
            self.hire(&Role::named(&name).argv(argv).mib(mib))?;
        }
        self.known_as([name]);
        Ok(())
    }

    fn odd_names(&mut self) -> Result<(), Error> {
        for rest in ["0123456789", "abcdefghi", " a b", ")(x) y", "日本語", "<&>\"\\"] {
            let name = self.name(rest);
            self.hire(&Role::named(&name).argv([format!("/usr/bin/{name}"), "--flag".into()]).mib(2))?;
            self.known_as([name]);
        }
        self.hire(&Role::named(self.name("\nline")).mib(2))?;
        let not_utf8 = [self.tag.as_bytes(), b"\xff\xfe"].concat();
        self.hire(&Role::named(OsString::from_vec(not_utf8)).mib(2))?;
        // The usual case: the kernel cuts the name, the first argument contains all of it.
        let whole = self.name("-a-rather-long-name");
        self.hire(&Role::named(&whole[..15]).argv([format!("/usr/libexec/{whole}"), "run".into()]).mib(3))?;
        self.known_as([whole[..15].to_owned(), whole[..16].to_owned(), whole]);
        Ok(())
    }

    fn odd_arguments(&mut self) -> Result<(), Error> {
        let arguments: [&[&str]; 8] = [
            &["/opt/~other", "x"],
            &["-~login"],
            &["/srv/~directory/"],
            &["", "~empty", ""],
            &["~colon:", "master", "process"],
            &["/usr/bin/~with space/in path", "tab\there", "new\nline", "\u{1}\u{7f}", "\u{2028}"],
            &["~ends with spaces  ", " "],
            &["~a", "/usr/bin/~b", "-c", "a=1,b=2;c={3}", "ümlaut", "[x]"],
        ];
        for (number, argv) in arguments.iter().enumerate() {
            let argv: Vec<String> = argv.iter().map(|word| self.tagged(word)).collect();
            self.hire(&Role::named(self.name(&format!("arg{number}"))).argv(&argv).mib(2))?;
            self.known_as([self.name(&format!("arg{number}"))]);
        }
        self.known_as(
            [
                "~other",
                "-~login",
                "~directory",
                "~empty",
                "~colon:",
                "~colon",
                "in path",
                "~ends with spaces  ",
            ]
            .map(|name| name.replace('~', &self.tag)),
        );
        let long = [self.name("long"), "y".repeat(9_000)];
        self.hire(&Role::named(self.name("long")).argv(long))?;
        let title = self.name(": worker 7");
        let actor = self.stage.retitled(&title)?;
        self.actors.push(actor);
        self.known_as([self.name("long"), title[..15].to_owned(), title]);
        Ok(())
    }

    fn states_and_owners(&mut self) -> Result<(), Error> {
        self.hire(&Role::named(self.name("zombie")).activity(Activity::Ended).mib(2))?;
        self.hire(&Role::named(self.name("stopped")).activity(Activity::Stopped).mib(2))?;
        self.hire(&Role::named(self.name("threads")).threads(3).mib(2))?;
        self.hire(&Role::named(self.name("nobody")).owner(NOBODY, NOBODY).mib(2))?;
        self.hire(&Role::named(self.name("stranger")).owner(STRANGER, STRANGER).mib(2))?;
        let names = ["zombie", "stopped", "threads", "nobody", "stranger"].map(|rest| self.name(rest));
        self.known_as(names);
        Ok(())
    }
}
