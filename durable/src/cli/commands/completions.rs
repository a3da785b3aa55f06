//! `durable completions` and `durable man`

use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::arguments::CommandLine;
use crate::cli::exit::Result;

/// Print the completions of a shell
///
/// For bash: durable completions bash > /etc/bash_completion.d/durable
#[derive(Debug, Args)]
pub(in crate::cli) struct CompletionsArguments {
    /// The shell
    shell: Shell,
}

/// Print the manual page, or write those of all commands into a folder
#[derive(Debug, Args)]
pub(in crate::cli) struct ManArguments {
    /// Write durable.1, durable-queue.1 and so on into this folder
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

pub(in crate::cli) fn completions(arguments: &CompletionsArguments) -> Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut CommandLine::command(), "durable", &mut text);
    write_out(&text)
}

pub(in crate::cli) fn man(arguments: &ManArguments) -> Result<()> {
    if let Some(folder) = &arguments.dir {
        return Ok(clap_mangen::generate_to(CommandLine::command(), folder)?);
    }
    let mut text = Vec::new();
    clap_mangen::Man::new(CommandLine::command()).render(&mut text)?;
    write_out(&text)
}

/// Writes to the standard output. A reader that has gone away, such as `head`, is no error.
fn write_out(text: &[u8]) -> Result<()> {
    match std::io::Write::write_all(&mut std::io::stdout().lock(), text) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}
