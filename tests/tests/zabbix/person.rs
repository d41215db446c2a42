//! A user's actions in the frontend, in a real browser.

use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use oomwatch_tests::browser::{Browser, PAGE_LIMIT};
use oomwatch_tests::zabbix::{Host, Zabbix};
use oomwatch_tests::{Error, Generation, wait_until};
use serde_json::{Value, json};

/// Environment variable: the directory for pictures of the pages.
pub(crate) const PICTURES: &str = "OOMWATCH_SCREENSHOTS";

/// The time after which a page has begun to load its widgets.
const SETTLED: Duration = Duration::from_secs(1);
/// The width of the browser's window.
const WIDTH: u32 = 1400;

/// The administrator, in front of a browser.
pub(crate) struct Person<'a> {
    zabbix: &'a Zabbix,
    browser: Browser,
    language: &'static str,
}

impl<'a> Person<'a> {
    /// Logs in through the form.
    pub(crate) fn log_in(zabbix: &'a Zabbix) -> Result<Self, Error> {
        let browser = Browser::start(WIDTH, 1300)?;
        browser.open(&zabbix.frontend())?;
        browser.write("//input[@id='name']", "Admin")?;
        browser.write("//input[@id='password']", "zabbix")?;
        browser.click("//button[@id='enter']")?;
        browser.wait_for_text("Global view")?;
        Ok(Self { zabbix, browser, language: "en" })
    }

    /// Switches the frontend to Japanese.
    pub(crate) fn speak_japanese(&mut self) -> Result<(), Error> {
        const ADMIN: &str = "1";
        self.zabbix.api().call("user.update", json!({"userid": ADMIN, "lang": "ja_JP"}))?;
        self.language = "ja";
        Ok(())
    }

    /// Imports a file through the dialog on the page of templates.
    pub(crate) fn import(&self, file: &Path) -> Result<(), Error> {
        const CONFIRM: &str =
            "(//div[contains(@class,'overlay-dialogue-footer')]//button[normalize-space()='Import'])[last()]";
        let page = match self.zabbix.generation() {
            Generation::V6_0 => "templates.php",
            _ => "zabbix.php?action=template.list",
        };
        self.open(page)?;
        self.browser.click("//button[normalize-space()='Import']")?;
        self.browser.write("//input[@type='file']", &file.display().to_string())?;
        self.browser.click(CONFIRM)?;
        // The dialog shows the changes before it makes them.
        self.browser.wait_for_text("Added")?;
        self.picture("import", 1100)?;
        self.browser.click(CONFIRM)?;
        self.browser.wait_for_text("Imported successfully")
    }

    /// Waits for words on the page of a host's problems.
    pub(crate) fn see_problem(&self, host: &Host, words: &str) -> Result<(), Error> {
        self.open(&format!("zabbix.php?action=problem.view&filter_set=1&hostids%5B%5D={}", host.id))?;
        self.browser.wait_for_text(words)?;
        self.picture("problems", 460)
    }

    /// Opens each page of a host's dashboard and waits for all widgets: the dashboard's name, and those of its pages.
    pub(crate) fn see_dashboard(&self, host: &Host, [name, first, second]: [&str; 3]) -> Result<(), Error> {
        let last = "from=now-5m&to=now";
        self.open(&format!("zabbix.php?action=host.dashboard.view&hostid={}&{last}", host.id))?;
        self.browser.wait_for_text(name)?;
        self.see_page(first, "dashboard")?;
        self.browser.click(&format!("//*[contains(@class,'dashboard-navigation')]//*[@title='{second}']"))?;
        self.see_page(second, "dashboard-services")
    }

    fn see_page(&self, page: &str, picture: &str) -> Result<(), Error> {
        const SHOWN: &str = "const shown = what => [...document.querySelectorAll('.dashboard ' + what)]\
            .filter(element => element.offsetParent !== null); \
            const page = document.querySelector('.dashboard .selected-tab').textContent.trim(); ";
        const IS_DRAWN: &str = "return shown('[class*=dashboard-grid-]').length > 0 && shown('.is-loading').length == 0 \
            && shown('img').every(graph => graph.complete && graph.naturalWidth > 0) && page";
        // A picture shows the whole page, so the page is drawn in a window of that size.
        self.browser.resize(WIDTH, 1800)?;
        let mut seen = Value::Null;
        let mut is_drawn = || {
            seen = self.browser.script(&[SHOWN, IS_DRAWN].concat()).unwrap_or_default();
            seen == page
        };
        // After a page change the page is empty at first, without a sign of loading.
        let stays = wait_until(PAGE_LIMIT, || {
            let drawn = is_drawn();
            sleep(SETTLED);
            drawn && is_drawn()
        });
        assert!(stays, "page {page}: {seen}");
        self.picture(picture, 1800)?;
        let text = self.browser.script("return document.querySelector('.dashboard').textContent")?;
        assert!(!text.as_str().expect("a text").contains("*UNKNOWN*"), "a macro that means nothing: {text}");
        Ok(())
    }

    /// Graphs of a few seconds show nothing, so pictures are taken after some minutes of values.
    pub(crate) fn wait_for_values_in_graphs(&self) {
        if self.pictures().is_some() {
            sleep(Duration::from_secs(240));
        }
    }

    fn open(&self, page: &str) -> Result<(), Error> {
        self.browser.open(&format!("{}/{page}", self.zabbix.frontend()))
    }

    /// Takes pictures of the newer version only.
    fn pictures(&self) -> Option<PathBuf> {
        let wanted = std::env::var_os(PICTURES).filter(|_| self.zabbix.generation() == Generation::V7_0);
        wanted.map(|directory| PathBuf::from(directory).join(self.language))
    }

    fn picture(&self, name: &str, height: u32) -> Result<(), Error> {
        // The filter fills half of a page.
        const HIDE_FILTERS: &str = "document.querySelectorAll('.filter-container, .tabfilter-content-container')\
            .forEach(filter => filter.style.display = 'none'); return true";
        let Some(directory) = self.pictures() else { return Ok(()) };
        std::fs::create_dir_all(&directory).expect("a directory for pictures");
        self.browser.script(HIDE_FILTERS)?;
        self.browser.resize(WIDTH, height)?;
        self.browser.screenshot(&directory.join(format!("{name}.png")))
    }
}
