//! Faults that are made on purpose after a run: each has to be found by the checker.

use std::fmt::Write;
use std::path::Path;

use sqlx::Connection;

use crate::AnyResult;
use crate::database::TortureDatabase;
use crate::ledger::Ledger;

/// Statements for SQLite, each of them one fault.
const CHANGES: &str = r"
    insert into transfers (id) select min(id) from transfers;
    delete from transfers where id = (select max(id) from transfers);
    update accounts set cents = cents + 1 where id = 0;
    update durable_workflows set status = 'PARKED', reason = 'sabotage'
     where key = (select min(key) from durable_workflows where name = 'limited');
    update durable_workflows set output = '[2,1,3,4]'
     where key = (select min(key) from durable_workflows where name = 'order');
    update durable_workflows set output = '[1,2,3]'
     where key = (select max(key) from durable_workflows where name = 'order');
";

pub(crate) async fn change(database: &TortureDatabase, folder: &Path) -> AnyResult<()> {
    let (mut lines, far) = (String::new(), i64::MAX / 2);
    // A step runs again after it was recorded.
    let steps = database.outcome().await?.steps;
    if let Some(step) = steps.iter().find(|it| it.workflow.ends_with("-limited")) {
        writeln!(lines, "begin {} limited/again {far}", step.workflow)?;
    }
    // Four of a queue at once.
    for number in 0..4 {
        writeln!(lines, "begin limited{number} limited/{number} {}", far + number)?;
        writeln!(lines, "end limited{number} limited/{number} {}", far + 100)?;
    }
    // Two of a key in the wrong order, and two at once.
    for (key, order) in [("key-a", ["1", "0"]), ("key-b", ["0", "1"])] {
        for (at, number) in (far..).zip(order) {
            writeln!(lines, "begin {key}-{number} {number}/{key} {at}")?;
            writeln!(lines, "end {key}-{number} {number}/{key} {}", far + 50)?;
        }
    }
    // A cancelled workflow goes on, an acknowledged one is lost, and a call fails for good.
    if let Some(cancelled) = Ledger::read(folder)?.of("cancelled").next() {
        writeln!(lines, "begin {} endless0/late {far}", cancelled.workflow)?;
    }
    writeln!(lines, "started lost 1 {far}\nrefused order start {far}")?;
    std::fs::write(folder.join("ledger-sabotage"), lines)?;
    let mut writer = database.other_writer().await?;
    sqlx::raw_sql(CHANGES).execute(&mut writer).await?;
    writer.close().await?;
    Ok(())
}
