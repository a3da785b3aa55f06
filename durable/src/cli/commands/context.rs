//! `durable context`

use clap::Subcommand;
use serde::Serialize;

use crate::cli::arguments::Format;
use crate::cli::contexts::Contexts;
use crate::cli::exit::Result;
use crate::cli::output::{Output, Tone};

/// Show the databases that have names
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ContextCommand {
    /// List the contexts of the file
    Ls,
    /// Print where the file is
    Path,
}

/// A context, without its URL, which may hold a password.
#[derive(Debug, Serialize)]
struct ListedContext {
    name: String,
    schema: String,
    production: bool,
    default: bool,
}

pub(in crate::cli) fn run(command: &ContextCommand, format: Format) -> Result<()> {
    let output = Output::new(format);
    match command {
        ContextCommand::Path => {
            let path = Contexts::path().map_or_else(String::new, |it| it.display().to_string());
            output.done(&path, &path)
        }
        ContextCommand::Ls => {
            let Contexts { default, contexts } = Contexts::load()?;
            let rows: Vec<_> = contexts
                .into_iter()
                .map(|(name, it)| ListedContext {
                    default: default.as_ref() == Some(&name),
                    schema: it.schema.unwrap_or_else(|| "durable".to_owned()),
                    production: it.production,
                    name,
                })
                .collect();
            output.rows(&["NAME", "SCHEMA", "PRODUCTION", "DEFAULT"], &rows, |it| {
                let word = |yes: bool, tone| if yes { ("yes".to_owned(), tone) } else { ("-".to_owned(), Tone::Plain) };
                let (name, schema) = (it.name.clone(), it.schema.clone());
                vec![
                    (name, Tone::Plain),
                    (schema, Tone::Plain),
                    word(it.production, Tone::Warning),
                    word(it.default, Tone::Good),
                ]
            })
        }
    }
}
