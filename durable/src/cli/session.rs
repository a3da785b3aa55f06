//! What a command works with: the database that was named, and how the output is to look.

use std::io::{BufRead, ErrorKind, IsTerminal, Read, Write};
use std::time::Duration;

use super::arguments::GlobalOptions;
use super::contexts::Contexts;
use super::exit::{Exit, Failure, Result};
use super::output::Output;
use crate::{Client, ClientBuilder, Error};

/// A command that is carried out.
#[derive(Debug)]
pub(super) struct Session {
    url: String,
    schema: String,
    connect_timeout: Duration,
    /// The name of the context, if it is marked as one of production.
    production: Option<String>,
    yes: bool,
    pub(super) output: Output,
}

impl Session {
    /// The database is named by `--url`, or `--context`, or else by `DURABLE_DATABASE_URL` or the default context.
    pub(super) fn new(options: &GlobalOptions) -> Result<Self> {
        let contexts =
            if options.url.is_none() || options.context.is_some() { Contexts::load()? } else { Contexts::default() };
        let variable = std::env::var(URL_VARIABLE).ok().filter(|it| !it.trim().is_empty());
        let name = match (&options.context, &options.url, &variable) {
            (Some(name), _, _) => Some(name.clone()),
            (None, None, None) => contexts.default.clone(),
            _ => None,
        };
        let context = name.as_ref().map(|name| contexts.get(name)).transpose()?;
        let url = match (&options.url, &name, context) {
            (Some(url), _, _) => url.clone(),
            (None, Some(name), Some(context)) => context.url(name)?,
            _ => variable.ok_or_else(no_database)?,
        };
        let schema = options.schema.clone().or_else(|| context.and_then(|it| it.schema.clone()));
        let schema = schema.unwrap_or_else(|| "durable".to_owned());
        // It connects to nothing, and fails for a URL or a schema that nothing can have.
        if let Err(error) = Client::builder(&url).schema(&schema).migration_script() {
            return Err(Failure::new(Exit::Usage, error.to_string()));
        }
        Ok(Self {
            url,
            schema,
            connect_timeout: options.connect_timeout.into(),
            production: name.filter(|_| context.is_some_and(|it| it.production)),
            yes: options.yes,
            output: Output::new(options.output),
        })
    }

    pub(super) fn database(&self) -> ClientBuilder {
        Client::builder(&self.url).schema(&self.schema).connect_timeout(self.connect_timeout)
    }

    pub(super) async fn connect(&self) -> Result<Client> {
        self.database().connect().await.map_err(|error| self.explained(error))
    }

    /// The error, with the whole path of a file of SQLite that is missing or something else, and what to do.
    pub(super) fn explained(&self, error: Error) -> Failure {
        let failure = Failure::from(error);
        let Some(path) = self.url.strip_prefix("sqlite:").and_then(|it| it.split('?').next()) else { return failure };
        let Ok(path) = std::path::absolute(path.trim_start_matches("//")) else { return failure };
        let mut head = [0; SQLITE_HEADER.len()];
        let read = std::fs::File::open(&path).and_then(|mut file| file.read_exact(&mut head));
        match read {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let is_possible = path.parent().is_some_and(std::path::Path::is_dir);
                let or =
                    if is_possible { ", or make it with `durable migrate`" } else { "; its folder does not exist" };
                failure.hint(format!("the file would be {}: name the application's with --url{or}", path.display()))
            }
            Ok(()) if head == *SQLITE_HEADER => failure,
            Err(error) if error.kind() != ErrorKind::UnexpectedEof => failure,
            _ if path.metadata().is_ok_and(|it| it.len() == 0) => failure, // an empty database
            _ => {
                let mut failure = failure;
                failure.exit = Exit::Schema;
                failure.hint(format!("{} is no file of SQLite: name the application's with --url", path.display()))
            }
        }
    }

    /// Asks before something is written to a database of production.
    pub(super) fn confirm_write(&self, what: &str) -> Result<()> {
        let Some(context) = self.production.as_ref().filter(|_| !self.yes) else { return Ok(()) };
        confirm(&format!("{what} in the production context {context:?}?"))
    }

    /// Asks for the name of the database before all of it is deleted. One of production is refused.
    pub(super) fn confirm_reset(&self, database: &str) -> Result<()> {
        if let Some(context) = &self.production {
            let message = format!("the context {context:?} is marked as one of production, and is not reset");
            return Err(Failure::new(Exit::Refused, message)
                .hint("take `production = true` out of the file of contexts, if it is for tests or development"));
        }
        if self.yes {
            return Ok(());
        }
        let refused = || Failure::new(Exit::Refused, "nothing was deleted");
        let answer = ask(&format!(
            "all workflows, queues and schedules of {database:?} will be deleted; type its name to confirm: "
        ))?;
        match answer {
            None => Err(refused().hint(format!("to delete everything in {database:?} without a terminal, add --yes"))),
            Some(answer) if answer == database => Ok(()),
            Some(_) => Err(refused()),
        }
    }

    /// Asks before many workflows are changed.
    pub(super) fn confirm_always(&self, what: &str) -> Result<()> {
        if self.yes {
            return Ok(());
        }
        let place =
            self.production.as_ref().map_or_else(String::new, |it| format!(" in the production context {it:?}"));
        confirm(&format!("{what}{place}?"))
    }
}

/// How files of SQLite begin.
const SQLITE_HEADER: &[u8; 16] = b"SQLite format 3\0";
/// The environment variable that names the database.
const URL_VARIABLE: &str = "DURABLE_DATABASE_URL";

fn no_database() -> Failure {
    Failure::new(Exit::Usage, "no database is named").hint(format!(
        "give --url postgres://user@host/database or sqlite:app.sqlite, set {URL_VARIABLE}, or name a --context of your file of contexts"
    ))
}

fn confirm(question: &str) -> Result<()> {
    let refused = || Failure::new(Exit::Refused, "nothing was done");
    match ask(&format!("{question} [y/N] "))?.as_deref() {
        None => Err(refused().hint(format!("{question} Add --yes, because there is no terminal to ask on"))),
        Some("y" | "Y" | "yes") => Ok(()),
        Some(_) => Err(refused()),
    }
}

/// The answer to a question on the terminal; `None` where there is none to ask on.
fn ask(question: &str) -> Result<Option<String>> {
    if !std::io::stdin().is_terminal() {
        return Ok(None);
    }
    eprint!("{question}");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(Some(answer.trim().to_owned()))
}
