//! `durable migrate`

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::RoleAccess;
use crate::cli::exit::{Exit, Failure, Result};
use crate::cli::output::print_line;
use crate::cli::session::Session;

/// Create the schema or bring it up to date; a launch of the application does the same
#[derive(Debug, Args)]
pub(in crate::cli) struct MigrateArguments {
    /// Print the SQL that prepares an empty database, and connect to none
    #[arg(long, conflicts_with_all = ["check", "grant"])]
    print: bool,
    /// Write nothing: fail with the exit code 6 if something is missing
    #[arg(long, conflicts_with = "grant")]
    check: bool,
    /// Give this role of Postgres its privileges
    #[arg(long, value_name = "ROLE")]
    grant: Option<String>,
    /// What the role is to do
    #[arg(long = "as", value_name = "PURPOSE", default_value = "application", requires = "grant")]
    purpose: Purpose,
}

/// What a role is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Purpose {
    /// Run an application on a schema that is up to date
    Application,
    /// Be a client, or use this command line
    Client,
    /// Call the SQL functions, without rights on any table
    Functions,
}

#[derive(Debug, Serialize)]
struct Migrated<'a> {
    migrations: &'a [String],
}

pub(in crate::cli) async fn run(session: &Session, arguments: &MigrateArguments) -> Result<()> {
    let database = session.database();
    if arguments.print {
        return print_line(database.migration_script()?.trim_end());
    }
    if arguments.check {
        let missing = database.missing_migrations().await.map_err(|error| session.explained(error))?;
        if missing.is_empty() {
            return session.output.done(&Migrated { migrations: &missing }, "the schema is up to date");
        }
        return Err(Failure::new(
            Exit::Schema,
            format!("the schema has not got the migrations {}", missing.join(", ")),
        )
        .hint("run `durable migrate`, or launch the application"));
    }
    session.confirm_write("migrate the schema")?;
    let migrations = database.migrate().await.map_err(|error| session.explained(error))?;
    let sentence = match migrations.as_slice() {
        [] => "the schema is up to date".to_owned(),
        done => format!("carried out: {}", done.join(", ")),
    };
    session.output.done(&Migrated { migrations: &migrations }, &sentence)?;
    let Some(role) = &arguments.grant else { return Ok(()) };
    let access = match arguments.purpose {
        Purpose::Application => RoleAccess::Application,
        Purpose::Client => RoleAccess::Client,
        Purpose::Functions => RoleAccess::Functions,
    };
    let statements = database.grant(role, access).await?;
    session.output.done(&statements, &statements.join(";\n"))
}
