//! A headless Chromium, through its WebDriver.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use axum::http::Method;
use fantoccini::error::NewSessionError;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, SemaphorePermit};
use url::Url;

use crate::support::until;

/// Two browsers at a time: more would only slow each other down.
static TURNS: Semaphore = Semaphore::const_new(2);

/// No window, and no connection to anything but the page.
const ARGUMENTS: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// A browser with one tab. It ends when this is dropped.
pub(super) struct Browser {
    client: Client,
    _driver: Driver,
    _profile: tempfile::TempDir,
    _turn: SemaphorePermit<'static>,
}

/// The program through which the browser is driven, as a process group with the browser.
struct Driver {
    process: Child,
    port: u16,
    /// Kept open, because what it writes has to go somewhere.
    _output: BufReader<ChildStdout>,
}

impl Driver {
    /// What it writes goes into this folder.
    fn start(folder: &Path) -> Self {
        let mut command = Command::new("chromedriver");
        command.env("TMPDIR", folder); // where the browser forgets files when it is killed
        command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
        let mut process = command.spawn().expect("chromedriver was found by the build");
        let mut output = BufReader::new(process.stdout.take().expect("it is piped"));
        // "ChromeDriver was started successfully on port 41523."
        let port = output
            .by_ref()
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.split_once("successfully on port ")?.1.trim_end_matches('.').parse().ok());
        Self { process, port: port.expect("chromedriver writes its port"), _output: output }
    }
}

async fn started() -> Result<(Client, Driver, tempfile::TempDir), NewSessionError> {
    let profile = tempfile::tempdir().expect("the directory for temporary files is writable");
    let folder = profile.path().to_owned();
    let driver = tokio::task::spawn_blocking(move || Driver::start(&folder)).await.unwrap();
    let mut arguments: Vec<_> = ARGUMENTS.iter().map(|it| (*it).to_owned()).collect();
    arguments.push(format!("--user-data-dir={}", profile.path().display()));
    let capabilities = json!({
        "goog:chromeOptions": { "args": arguments },
        "goog:loggingPrefs": { "browser": "ALL" },
        // On a busy machine the search for barriers takes longer than the usual 30 s.
        "timeouts": { "script": 110_000 },
    });
    let Value::Object(capabilities) = capabilities else { unreachable!("it is written as an object") };
    let mut builder = ClientBuilder::new(HttpConnector::new());
    let address = format!("http://127.0.0.1:{}", driver.port);
    let client = builder.capabilities(capabilities).connect(&address).await?;
    Ok((client, driver, profile))
}

impl Drop for Driver {
    fn drop(&mut self) {
        let group = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw);
        if let Some(group) = group {
            let _ = kill_process_group(group, Signal::KILL); // it may have ended
        }
        let _ = self.process.wait();
    }
}

impl Browser {
    pub(super) async fn open() -> Self {
        let turn = TURNS.acquire().await.expect("it is never closed");
        let mut attempts = 0;
        // A busy machine may take longer than the driver waits for the browser.
        let (client, driver, profile) = loop {
            attempts += 1;
            match started().await {
                Ok(started) => break started,
                Err(error) => assert!(attempts < 3, "Chromium does not start: {error}"),
            }
        };
        let browser = Self { client, _driver: driver, _profile: profile, _turn: turn };
        browser.resize(1280, 900).await;
        browser
    }

    pub(super) async fn goto(&self, url: &str) {
        self.client.goto(url).await.unwrap();
        // The part behind `#` alone loads nothing: a reload begins as a new visitor does.
        self.client.refresh().await.unwrap();
    }

    /// The result of a script: the body of a function, whose arguments are in `arguments`.
    pub(super) async fn run(&self, script: &str, arguments: Vec<Value>) -> Value {
        self.client.execute(script, arguments).await.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// Waits until an expression is true in the page.
    pub(super) async fn until(&self, what: &str, expression: &str) {
        let script = format!("return Boolean({expression})");
        let holds = async || self.run(&script, vec![]).await == true;
        let shown = async || self.text().await;
        let waited = tokio::time::timeout(std::time::Duration::from_secs(110), until(what, holds)).await;
        if waited.is_err() {
            self.screenshot("waited-in-vain").await;
            panic!(
                "waited in vain until {what}; the page shows:\n{}\nerrors: {:?}",
                shown().await,
                self.errors().await
            );
        }
    }

    /// Waits until the page was drawn anew.
    pub(super) async fn redrawn(&self) {
        // An attribute that the view does not have lasts until then.
        self.run("document.querySelector('main h1').setAttribute('data-drawn', 'before')", vec![]).await;
        self.until("the page is drawn anew", "!document.querySelector('main h1[data-drawn]')").await;
    }

    /// Waits until the page shows a text.
    pub(super) async fn sees(&self, text: &str) {
        let expression = format!("document.body.innerText.includes({})", json!(text));
        self.until(&format!("the page shows {text:?}"), &expression).await;
    }

    /// What the page shows.
    pub(super) async fn text(&self) -> String {
        self.run("return document.body.innerText", vec![]).await.as_str().unwrap_or_default().to_owned()
    }

    /// Clicks the button or link with this label, in the dialog if one is open. Waits for it.
    pub(super) async fn click(&self, label: &str) {
        let find = format!(
            "(() => {{ const scope = document.querySelector('dialog[open]') ?? document; \
             const name = it => (it.getAttribute('aria-label') ?? it.textContent).trim(); \
             return [...scope.querySelectorAll('button, a, summary, input[type=checkbox]')] \
             .find(it => name(it) === {} && it.checkVisibility() && !it.disabled); }})()",
            json!(label)
        );
        let click = format!("(it => it && (it.click(), true))({find})");
        self.until(&format!("there is a button {label:?}"), &click).await;
    }

    /// Sets a field of the open dialog.
    pub(super) async fn fill(&self, name: &str, value: &str) {
        let find = format!("document.querySelector('dialog[open] [name={}]')", json!(name));
        self.until(&format!("there is a field {name:?}"), &find).await;
        let set = format!(
            "const it = {find}; it.value = arguments[0]; it.dispatchEvent(new Event('input', {{ bubbles: true }}))"
        );
        self.run(&set, vec![json!(value)]).await;
    }

    /// Presses keys, where the focus is.
    pub(super) async fn press(&self, keys: &str) {
        self.client.active_element().await.unwrap().send_keys(keys).await.unwrap();
    }

    pub(super) async fn back(&self) {
        self.client.back().await.unwrap();
    }

    pub(super) async fn url(&self) -> String {
        self.client.current_url().await.unwrap().into()
    }

    /// Windows are never as narrow as a phone, but a page can be shown so.
    pub(super) async fn resize(&self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// Whether the system prefers dark colors.
    pub(super) async fn prefer(&self, scheme: &str) {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    /// Errors that the browser has logged since the last call, such as those of scripts and of the security policy.
    async fn errors(&self) -> Vec<String> {
        let log = self.command("se/log", json!({ "type": "browser" })).await;
        let entries = log.as_array().cloned().unwrap_or_default();
        let severe = entries.iter().filter(|it| it["level"] == "SEVERE");
        severe.map(|it| it["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Keeps what the page looks like in `target/screenshots`, for a person.
    pub(super) async fn screenshot(&self, name: &str) {
        self.screenshot_to(&target().join(format!("{name}.png"))).await;
    }

    pub(super) async fn screenshot_to(&self, path: &Path) {
        std::fs::create_dir_all(path.parent().expect("it is in a folder")).unwrap();
        std::fs::write(path, self.client.screenshot().await.unwrap()).unwrap();
    }

    /// What axe-core finds serious or critical in the page.
    pub(super) async fn barriers(&self) -> String {
        let axe =
            std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/axe-core/axe.min.js"));
        self.run(&axe.unwrap(), vec![]).await;
        let check = "const done = arguments[0]; axe.run(document).then(done, error => done({ error: String(error) }))";
        let found = self.client.execute_async(check, vec![]).await.unwrap();
        let passes = found["passes"].as_array().map_or(0, Vec::len);
        assert!(passes > 10, "axe-core has checked the page: {}", found["error"]);
        let mut text = String::new();
        for violation in found["violations"].as_array().expect("there is a list") {
            if violation["impact"] == "serious" || violation["impact"] == "critical" {
                let places: Vec<_> =
                    violation["nodes"].as_array().into_iter().flatten().map(|it| it["target"].to_string()).collect();
                writeln!(text, "{}: {} at {}", violation["impact"], violation["help"], places.join(", ")).unwrap();
            }
        }
        text
    }

    async fn devtools(&self, command: &str, parameters: Value) {
        self.command("goog/cdp/execute", json!({ "cmd": command, "params": parameters })).await;
    }

    async fn command(&self, path: &'static str, body: Value) -> Value {
        self.client.issue_cmd(DriverCommand { path, body }).await.unwrap()
    }

    /// Nothing has failed in the pages meanwhile, and the security policy has refused nothing.
    pub(super) async fn close(self) {
        assert_eq!(self.errors().await, [""; 0]);
        self.client.clone().close().await.unwrap();
    }
}

/// A command of Chromium's driver that the standard does not have.
#[derive(Debug)]
struct DriverCommand {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for DriverCommand {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}

fn target() -> PathBuf {
    let folder = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"), Into::into);
    folder.join("screenshots")
}
