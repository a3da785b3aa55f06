//! The command line `durable`, as a function, so that a program of the application's own can have it too. It uses the
//! public interface of [`Client`](crate::Client) alone.

mod arguments;
mod commands;
mod contexts;
mod exit;
mod output;
mod selection;
mod session;
mod text;
mod timeline;

use std::process::ExitCode;

use clap::Parser;

use self::arguments::{Command, CommandLine};
use self::commands::{
    cancel, completions, context, control, doctor, enqueue, executor, gc, health, history, ls, migrate, queue,
    schedule, send, show, status, version,
};
use self::exit::{Exit, Failure, Result};
use self::session::Session;

/// Reads the command line of this process, carries it out, and gives its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let command_line = CommandLine::parse(); // exits by itself with a usage error, or after `--help`
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(&Failure::new(Exit::Failed, format!("cannot start: {error}"))),
    };
    match runtime.block_on(run(command_line)) {
        Ok(code) => code,
        Err(failure) => report(&failure),
    }
}

fn report(failure: &Failure) -> ExitCode {
    eprintln!("{failure}");
    failure.code()
}

async fn run(command_line: CommandLine) -> Result<ExitCode> {
    let CommandLine { options, command } = command_line;
    match command {
        Command::Completions(arguments) => return completions::completions(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Man(arguments) => return completions::man(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Context(command) => return context::run(&command, options.output).map(|()| ExitCode::SUCCESS),
        _ => {}
    }
    let session = Session::new(&options)?;
    match command {
        Command::Status(arguments) => status::run(&session, &arguments).await?,
        Command::Ls(arguments) => ls::run(&session, &arguments).await?,
        Command::Show(arguments) => show::run(&session, &arguments).await?,
        Command::Enqueue(arguments) => enqueue::enqueue(&session, arguments).await?,
        Command::Start(arguments) => enqueue::start(&session, arguments).await?,
        Command::Send(arguments) => send::run(&session, &arguments).await?,
        Command::Cancel(arguments) => cancel::run(&session, &arguments).await?,
        Command::Resume(arguments) => control::resume(&session, &arguments).await?,
        Command::Restart(arguments) => control::restart(&session, &arguments).await?,
        Command::Fork(arguments) => control::fork(&session, &arguments).await?,
        Command::Delete(arguments) => control::delete(&session, &arguments).await?,
        Command::Label(arguments) => control::label(&session, &arguments).await?,
        Command::Queue(command) => queue::run(&session, &command).await?,
        Command::Schedule(command) => schedule::run(&session, &command).await?,
        Command::Version(command) => version::run(&session, &command).await?,
        Command::Export(arguments) => history::export(&session, &arguments).await?,
        Command::Import(arguments) => history::import(&session, &arguments).await?,
        Command::Executor(command) => executor::run(&session, &command).await?,
        Command::Gc(arguments) => gc::run(&session, &arguments).await?,
        Command::Health(arguments) => return health::run(&session, &arguments).await,
        Command::Doctor(arguments) => return doctor::run(&session, &arguments).await,
        Command::Migrate(arguments) => migrate::run(&session, &arguments).await?,
        Command::Context(_) | Command::Completions(_) | Command::Man(_) => {} // they need no database
    }
    Ok(ExitCode::SUCCESS)
}
