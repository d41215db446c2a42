//! A real headless browser, controlled over WebDriver.
//!
//! [`Browser`] is Debian's Chromium with its driver. Elements are named by XPath, because an operator finds a button by
//! its text, and so do tests.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;
use ureq::Agent;

use crate::agent::free_port;
use crate::debian::{Packages, Root};
use crate::supervised::Supervised;
use crate::{Error, wait_until};

/// Limit for loading a page on a busy machine.
pub const PAGE_LIMIT: Duration = Duration::from_secs(60);

const PACKAGES: [&str; 4] = ["chromium", "chromium-driver", "fonts-noto-cjk", "fonts-dejavu-core"];
/// The member that names an element in WebDriver's JSON.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
const ARGUMENTS: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    "--hide-scrollbars",
];

/// A browser with one window.
#[derive(Debug)]
pub struct Browser {
    agent: Agent,
    session: String,
    _driver: Supervised,
    _profile: TempDir,
}

/// Downloads and unpacks the browser below the target directory at first use.
///
/// # Errors
///
/// Returns an error if apt knows no Debian archive or a package is not available.
pub fn unpack() -> Result<Root, Error> {
    Packages::new("bookworm", &PACKAGES).unpacked("chromium")
}

impl Browser {
    /// Starts a browser with a window of this width and height in pixels.
    ///
    /// # Errors
    ///
    /// Returns an error if the browser is not available or does not start in a minute.
    pub fn start(width: u32, height: u32) -> Result<Self, Error> {
        let root = unpack()?;
        let profile =
            tempfile::Builder::new().prefix("ow").tempdir_in("/tmp").map_err(Error::file("/tmp"))?;
        let port = free_port().map_err(Error::file("127.0.0.1"))?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let fonts = fonts(&root, profile.path())?;
        let mut command = root.command("usr/bin/chromedriver");
        command.arg(format!("--port={port}")).env("FONTCONFIG_FILE", fonts).env("HOME", profile.path());
        let output = profile.path().join("driver.log");
        let mut driver = Supervised::start("chromedriver", &command, "TERM", &output)?;
        driver.wait_until_ready(PAGE_LIMIT, || TcpStream::connect(address).is_ok())?;
        let config = Agent::config_builder().timeout_global(Some(PAGE_LIMIT * 2)).proxy(None);
        let agent: Agent = config.http_status_as_error(false).build().into();
        let base = format!("http://{address}/session");
        let mut browser = Self { agent, session: base, _driver: driver, _profile: profile };
        browser.open_session(&root, width, height)?;
        Ok(browser)
    }

    fn open_session(&mut self, root: &Root, width: u32, height: u32) -> Result<(), Error> {
        let mut arguments: Vec<String> = ARGUMENTS.map(ToOwned::to_owned).to_vec();
        arguments.push(format!("--window-size={width},{height}"));
        arguments.push(format!("--user-data-dir={}", self._profile.path().join("profile").display()));
        let program = root.path().join("usr/lib/chromium/chromium");
        let options = json!({"binary": program, "args": arguments});
        let wanted = json!({"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}});
        let session = self.post("", wanted)?;
        let id = session["sessionId"].as_str().unwrap_or_default();
        self.session = format!("{}/{id}", self.session);
        Ok(())
    }

    /// Opens a page and waits until it is loaded.
    ///
    /// # Errors
    ///
    /// Returns an error if the page does not load.
    pub fn open(&self, url: &str) -> Result<(), Error> {
        self.post("/url", json!({"url": url})).map(drop)
    }

    /// Clicks on the first element of an XPath as soon as it exists and accepts clicks.
    ///
    /// # Errors
    ///
    /// Returns an error if that does not happen in a minute.
    pub fn click(&self, xpath: &str) -> Result<(), Error> {
        self.retry(|| self.post(&format!("/element/{}/click", self.find(xpath)?), json!({}))).map(drop)
    }

    /// Writes text into the first element of an XPath; for a file's field, the file's path.
    ///
    /// # Errors
    ///
    /// Returns an error if the element does not appear in a minute.
    pub fn write(&self, xpath: &str, text: &str) -> Result<(), Error> {
        let value = |id: &str| self.post(&format!("/element/{id}/value"), json!({"text": text}));
        self.retry(|| value(&self.find(xpath)?)).map(drop)
    }

    /// The visible text of the page.
    ///
    /// # Errors
    ///
    /// Returns an error if the browser has ended.
    pub fn text(&self) -> Result<String, Error> {
        let text = self.script("return document.body ? document.body.innerText : ''")?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// Waits until the page contains this text.
    ///
    /// # Errors
    ///
    /// Returns an error with the page's text if it does not appear in a minute.
    pub fn wait_for_text(&self, wanted: &str) -> Result<(), Error> {
        let mut seen = String::new();
        let found = wait_until(PAGE_LIMIT, || {
            seen = self.text().unwrap_or_default();
            seen.contains(wanted)
        });
        let missing = || Error::Refused { request: format!("the text `{wanted}`"), answer: seen.clone() };
        if found { Ok(()) } else { Err(missing()) }
    }

    /// Runs a script in the page and returns its result.
    ///
    /// # Errors
    ///
    /// Returns an error if the script throws.
    pub fn script(&self, script: &str) -> Result<Value, Error> {
        self.post("/execute/sync", json!({"script": script, "args": []}))
    }

    /// Resizes the window, in pixels.
    ///
    /// # Errors
    ///
    /// Returns an error if the browser has ended.
    pub fn resize(&self, width: u32, height: u32) -> Result<(), Error> {
        self.post("/window/rect", json!({"width": width, "height": height})).map(drop)
    }

    /// Writes a picture of the window as PNG.
    ///
    /// # Errors
    ///
    /// Returns an error if the browser gives no picture, or the file cannot be written.
    pub fn screenshot(&self, path: &Path) -> Result<(), Error> {
        let picture = self.request("/screenshot", None)?;
        let picture = STANDARD.decode(picture.as_str().unwrap_or_default());
        let picture = picture
            .map_err(|error| Error::Refused { request: "screenshot".into(), answer: error.to_string() })?;
        fs::write(path, picture).map_err(Error::file(path))
    }

    fn find(&self, xpath: &str) -> Result<String, Error> {
        let element = self.post("/element", json!({"using": "xpath", "value": xpath}))?;
        Ok(element[ELEMENT].as_str().unwrap_or_default().to_owned())
    }

    /// Pages change while they load, so an operation is repeated until it succeeds.
    fn retry(&self, act: impl Fn() -> Result<Value, Error>) -> Result<Value, Error> {
        let mut last = act();
        let _ = wait_until(PAGE_LIMIT, || {
            if last.is_err() {
                last = act();
            }
            last.is_ok()
        });
        last
    }

    #[expect(clippy::needless_pass_by_value, reason = "bodies are written where they are used")]
    fn post(&self, path: &str, body: Value) -> Result<Value, Error> {
        self.request(path, Some(&body))
    }

    fn request(&self, path: &str, body: Option<&Value>) -> Result<Value, Error> {
        let url = format!("{}{path}", self.session);
        let words = || body.map_or_else(|| path.to_owned(), |body| format!("{path} {body}"));
        let failed = |source| Error::Http { request: words(), source: Box::new(source) };
        let response = match body {
            Some(body) => {
                self.agent.post(&url).header("Content-Type", "application/json").send(body.to_string())
            }
            None => self.agent.get(&url).call(),
        };
        let mut response = response.map_err(failed)?;
        let limit = response.body_mut().with_config().limit(64 << 20);
        let mut answer: Value = limit.read_json().map_err(failed)?;
        if response.status().is_success() {
            return Ok(answer["value"].take());
        }
        Err(Error::Refused { request: words(), answer: answer["value"]["message"].to_string() })
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.agent.delete(&self.session).call();
    }
}

/// A font configuration with the unpacked fonts only: pages look the same on every machine.
fn fonts(root: &Root, scratch: &Path) -> Result<PathBuf, Error> {
    let path = scratch.join("fonts.conf");
    let text = format!(
        "<?xml version=\"1.0\"?>\n<fontconfig><dir>{}</dir><cachedir>{}</cachedir>\n\
         <alias><family>sans-serif</family><prefer><family>DejaVu Sans</family><family>Noto Sans CJK JP</family>\
         </prefer></alias></fontconfig>\n",
        root.path().join("usr/share/fonts").display(),
        scratch.join("fonts").display()
    );
    fs::write(&path, text).map_err(Error::file(&path))?;
    Ok(path)
}
