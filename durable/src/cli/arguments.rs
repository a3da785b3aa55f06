//! The command line as clap reads it. The options of each command are in its own file.

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand, ValueEnum};

use super::commands::{
    cancel, completions, context, control, dashboard, doctor, enqueue, executor, fork, gc, health, history, ls,
    messages, migrate, place, queue, reset, schedule, send, show, status, verify, version,
};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold());

/// What follows the options in `--help`.
const EXIT_CODES: &str = "Exit codes:
  0  done
  1  failed, or a check found something
  2  the command line cannot be understood
  3  there is no workflow, queue, schedule, version or context of this name
  4  nothing was done, or not for all: refused, or not confirmed
  5  the database cannot be reached
  6  the schema is missing, or of another release";

/// See and steer durable workflows.
#[derive(Debug, Parser)]
#[command(name = "durable", bin_name = "durable", version, styles = STYLES, after_help = EXIT_CODES)]
#[command(arg_required_else_help = true, max_term_width = 100)]
pub(super) struct CommandLine {
    #[command(flatten)]
    pub(super) options: GlobalOptions,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// The options of all commands.
#[derive(Debug, Args)]
#[command(next_help_heading = "Database and output")]
pub(super) struct GlobalOptions {
    /// The database: postgres://user@host/database or sqlite:path/to/file.sqlite [default: DURABLE_DATABASE_URL, or
    /// the default context]
    #[arg(long, global = true, value_name = "URL", hide_env_values = true)]
    pub(super) url: Option<String>,
    /// A database by its name in the file of contexts
    #[arg(long, global = true, value_name = "NAME", env = "DURABLE_CONTEXT")]
    pub(super) context: Option<String>,
    /// The schema of the tables, in Postgres [default: that of the context, or durable]
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) schema: Option<String>,
    /// How long to wait for a database that does not answer
    #[arg(long, global = true, value_name = "DURATION", default_value = "10s")]
    pub(super) connect_timeout: humantime::Duration,
    /// How the result is written
    #[arg(short, long, global = true, value_name = "FORMAT", default_value = "table")]
    pub(super) output: Format,
    /// Do not ask before something is written
    #[arg(short, long, global = true)]
    pub(super) yes: bool,
}

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people: tables that fit the terminal
    Table,
    /// One JSON value
    Json,
    /// One JSON value per line
    Jsonl,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Status(status::StatusArguments),
    Ls(ls::LsArguments),
    Show(show::ShowArguments),
    Messages(messages::MessagesArguments),
    Events(messages::EventsArguments),
    Stream(messages::StreamArguments),
    Enqueue(enqueue::EnqueueArguments),
    Start(enqueue::StartArguments),
    Send(send::SendArguments),
    Cancel(cancel::CancelArguments),
    Resume(control::ResumeArguments),
    Restart(fork::RestartArguments),
    Fork(fork::ForkArguments),
    Delete(control::DeleteArguments),
    Label(control::LabelArguments),
    Move(place::MoveArguments),
    Priority(place::PriorityArguments),
    Delay(place::DelayArguments),
    #[command(subcommand)]
    Queue(queue::QueueCommand),
    #[command(subcommand)]
    Schedule(schedule::ScheduleCommand),
    #[command(subcommand)]
    Version(version::VersionCommand),
    Verify(verify::VerifyArguments),
    Export(history::ExportArguments),
    Import(history::ImportArguments),
    #[command(subcommand)]
    Executor(executor::ExecutorCommand),
    Health(health::HealthArguments),
    Doctor(doctor::DoctorArguments),
    Gc(gc::GcArguments),
    Dashboard(dashboard::DashboardArguments),
    Migrate(migrate::MigrateArguments),
    Reset(reset::ResetArguments),
    #[command(subcommand)]
    Context(context::ContextCommand),
    Completions(completions::CompletionsArguments),
    Man(completions::ManArguments),
}
