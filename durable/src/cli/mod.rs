//! The command line `durable`, as functions, so that a program of the application can have it, too: see [`run`]. It uses
//! the public interface of [`Client`](crate::Client) alone.

mod arguments;
mod columns;
mod commands;
mod contexts;
mod exit;
mod filter;
mod output;
mod selection;
mod session;
mod suggest;
mod text;
mod timeline;
mod values;
mod waiting;
mod why;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use self::arguments::{Command, CommandLine};
use self::commands::{
    cancel, completions, context, control, dashboard, doctor, enqueue, executor, fork, gc, health, history, ls,
    messages, migrate, place, queue, reset, schedule, send, show, status, verify, version,
};
use self::exit::{Exit, Failure, Result};
use self::session::Session;
use crate::Builder;

/// Reads the command line of this process, carries it out, and gives its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let command_line = CommandLine::parse(); // exits by itself with a usage error, or after `--help`
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(&Failure::new(Exit::Failed, format!("cannot start: {error}"))),
    };
    runtime.block_on(carry_out(command_line, None))
}

/// Carries a command line out in a program of the application, and gives its exit code. The first of the arguments is the
/// name of the command line, as it is for a process. With the functions of this program, `verify` says whether they fit
/// to what is recorded. The state and the instances of the builder are for them; the database is named as for `durable`.
///
/// # Example
///
/// ```no_run
/// use std::process::ExitCode;
///
/// use durable::prelude::*;
///
/// #[tokio::main]
/// async fn main() -> Result<ExitCode> {
///     let builder = Durable::builder("shop");
///     if std::env::args().nth(1).as_deref() == Some("durable") {
///         return Ok(durable::cli::run(builder, std::env::args_os().skip(1)).await); // shop durable verify order-7
///     }
///     builder.launch().await?.run_until_signal().await;
///     Ok(ExitCode::SUCCESS)
/// }
/// ```
pub async fn run<A: Into<OsString> + Clone>(application: Builder, arguments: impl IntoIterator<Item = A>) -> ExitCode {
    match CommandLine::try_parse_from(arguments) {
        Ok(command_line) => carry_out(command_line, Some(application)).await,
        Err(usage) => {
            let _ = usage.print(); // the reader has gone away
            u8::try_from(usage.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
        }
    }
}

async fn carry_out(command_line: CommandLine, application: Option<Builder>) -> ExitCode {
    match execute(command_line, application).await {
        Ok(code) => code,
        Err(failure) => report(&failure),
    }
}

fn report(failure: &Failure) -> ExitCode {
    eprintln!("{failure}");
    failure.code()
}

async fn execute(command_line: CommandLine, application: Option<Builder>) -> Result<ExitCode> {
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
        Command::Restart(arguments) => fork::restart(&session, &arguments).await?,
        Command::Fork(arguments) => fork::fork(&session, &arguments).await?,
        Command::Delete(arguments) => control::delete(&session, &arguments).await?,
        Command::Move(arguments) => place::to_queue(&session, &arguments).await?,
        Command::Priority(arguments) => place::priority(&session, &arguments).await?,
        Command::Delay(arguments) => place::delay(&session, &arguments).await?,
        Command::Messages(arguments) => messages::messages(&session, &arguments).await?,
        Command::Events(arguments) => messages::events(&session, &arguments).await?,
        Command::Stream(arguments) => messages::stream(&session, &arguments).await?,
        Command::Label(arguments) => control::label(&session, &arguments).await?,
        Command::Queue(command) => queue::run(&session, &command).await?,
        Command::Schedule(command) => schedule::run(&session, &command).await?,
        Command::Version(command) => return version::run(&session, &command).await,
        Command::Export(arguments) => history::export(&session, &arguments).await?,
        Command::Import(arguments) => history::import(&session, &arguments).await?,
        Command::Executor(command) => executor::run(&session, &command).await?,
        Command::Dashboard(arguments) => dashboard::run(&session, arguments).await?,
        Command::Gc(arguments) => gc::run(&session, &arguments).await?,
        Command::Verify(arguments) => return verify::run(&session, arguments, application).await,
        Command::Health(arguments) => return health::run(&session, &arguments).await,
        Command::Doctor(arguments) => return doctor::run(&session, &arguments).await,
        Command::Migrate(arguments) => migrate::run(&session, &arguments).await?,
        Command::Reset(arguments) => reset::run(&session, &arguments).await?,
        Command::Context(_) | Command::Completions(_) | Command::Man(_) => {} // they need no database
    }
    Ok(ExitCode::SUCCESS)
}
