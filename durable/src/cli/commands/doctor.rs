//! `durable doctor`

use std::process::ExitCode;

use clap::Args;

use crate::CheckVerdict;
use crate::cli::exit::{Exit, Result};
use crate::cli::output::{Tone, print_line};
use crate::cli::session::Session;

/// Look for what keeps applications from working, and say what to do
///
/// It looks at the server, the role's privileges, connections, poolers, notifications, clocks, the schema and the
/// collation; at the file of SQLite and its disk; and at the lock files on this host.
#[derive(Debug, Args)]
pub(in crate::cli) struct DoctorArguments {
    /// Fail for warnings, too
    #[arg(long)]
    strict: bool,
}

pub(in crate::cli) async fn run(session: &Session, arguments: &DoctorArguments) -> Result<ExitCode> {
    let diagnosis = session.database().diagnose().await;
    if session.output.is_json() {
        session.output.done(&diagnosis, "")?;
    } else {
        print_line(&diagnosis.database)?;
        session.output.rows(&["CHECK", "VERDICT", "FINDING"], &diagnosis.checks, |it| {
            let (word, tone) = match it.verdict {
                CheckVerdict::Good => ("good", Tone::Good),
                CheckVerdict::Warning => ("warning", Tone::Warning),
                _ => ("problem", Tone::Bad),
            };
            let finding = match &it.remedy {
                Some(remedy) => format!("{}\nhelp: {remedy}", it.finding),
                None => it.finding.clone(),
            };
            vec![(it.name.clone(), Tone::Plain), (word.to_owned(), tone), (finding, Tone::Plain)]
        })?;
    }
    let worst = diagnosis.checks.iter().map(|it| it.verdict).max();
    let fails = worst == Some(CheckVerdict::Problem) || arguments.strict && worst == Some(CheckVerdict::Warning);
    Ok(if fails { ExitCode::from(Exit::Failed as u8) } else { ExitCode::SUCCESS })
}
