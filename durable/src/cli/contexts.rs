//! Databases by name, in a file of the user's.

use std::collections::BTreeMap;
use std::path::PathBuf;

use etcetera::{BaseStrategy, choose_base_strategy};
use serde::Deserialize;

use super::exit::{Exit, Failure, Result};

/// The environment variable that names the file.
const FILE_VARIABLE: &str = "DURABLE_CONTEXTS";

/// The file of contexts.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Contexts {
    /// The context of commands that name none.
    pub(super) default: Option<String>,
    #[serde(default)]
    pub(super) contexts: BTreeMap<String, Context>,
}

/// A database by name.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Context {
    url: Option<String>,
    /// The environment variable that holds the URL, so that no password is in the file.
    url_from: Option<String>,
    /// The schema, if it is not `durable`.
    pub(super) schema: Option<String>,
    /// Whether commands ask before they write.
    #[serde(default)]
    pub(super) production: bool,
}

impl Contexts {
    /// Where the file is: `DURABLE_CONTEXTS`, or else `durable/contexts.toml` in the folder for configurations.
    pub(super) fn path() -> Option<PathBuf> {
        match std::env::var_os(FILE_VARIABLE) {
            Some(path) => Some(path.into()),
            None => choose_base_strategy().ok().map(|it| it.config_dir().join("durable").join("contexts.toml")),
        }
    }

    /// The contexts of the file; none if there is no file.
    pub(super) fn load() -> Result<Self> {
        let Some(path) = Self::path() else { return Ok(Self::default()) };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(unusable(&path, &error)),
        };
        toml::from_str(&text).map_err(|error| unusable(&path, &error))
    }

    /// The context of this name.
    pub(super) fn get(&self, name: &str) -> Result<&Context> {
        self.contexts.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.contexts.keys().map(String::as_str).collect();
            let place = Self::path().map_or_else(|| FILE_VARIABLE.to_owned(), |it| it.display().to_string());
            let failure = Failure::new(Exit::NotFound, format!("there is no context {name:?} in {place}"));
            match known.as_slice() {
                [] => failure.hint(format!("add a table [contexts.{name}] with a `url`")),
                _ => failure.hint(format!("it has: {}", known.join(", "))),
            }
        })
    }
}

impl Context {
    /// Its URL.
    pub(super) fn url(&self, name: &str) -> Result<String> {
        let missing = |what: String| Failure::new(Exit::Usage, format!("the context {name:?} {what}"));
        match (&self.url, &self.url_from) {
            (Some(url), _) => Ok(url.clone()),
            (None, Some(variable)) => std::env::var(variable).map_err(|_| {
                missing(format!("takes its URL from the environment variable {variable}, which is not set"))
            }),
            (None, None) => Err(missing("has neither `url` nor `url_from`".to_owned())),
        }
    }
}

fn unusable(path: &std::path::Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Exit::Usage, format!("the file of contexts {} cannot be read: {error}", path.display()))
}
