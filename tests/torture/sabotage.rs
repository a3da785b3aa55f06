//! Faults that are made on purpose after a run: each has to be found by the checker.

use std::fmt::Write;
use std::path::Path;

use sqlx::Connection;

use crate::AnyResult;
use crate::database::TortureDatabase;
use crate::ledger::Ledger;

/// Statements for SQLite, each of them one fault.
const CHANGES: &str = r"
    insert into transfers (id) select min(id) from transfers where id like 'order-%';
    delete from transfers where id = (select max(id) from transfers where id like 'order-%');
    delete from transfers where id = (select max(id) from transfers where id like 'batch-%');
    update accounts set cents = cents + 1 where id = 0;
    update durable_workflows set status = 'PARKED', reason = 'sabotage'
     where key = (select min(key) from durable_workflows where name = 'limited');
    update durable_workflows set output = '[2,1,3,4]'
     where key = (select min(key) from durable_workflows where name = 'order');
    update durable_workflows set output = '[1,2,3]'
     where key = (select max(key) from durable_workflows where name = 'order');
    -- A tick is lost, and the one after it was started twice.
    update durable_workflows set id =
        (select replace(id, 'Z', '+00:00') from durable_workflows where name = 'every_second' order by id limit 1 offset 2)
     where key = (select key from durable_workflows where name = 'every_second' order by id limit 1 offset 1);
    -- An item is doubled, and a value of an event is lost.
    insert into durable_streams (workflow, name, written_at, key, branch, position, value)
     select workflow, name, written_at, key + 1, branch, position, value from durable_streams
      where workflow = (select min(workflow) from durable_streams) and value = '2';
    delete from durable_events where value = '3' and workflow = (select max(workflow) from durable_events);
    -- A deadline is early, and one has another reason.
    update durable_workflows set completed_at = created_at - 10000000
     where key = (select min(key) from durable_workflows where name = 'past_deadline');
    update durable_workflows set reason = 'sabotage'
     where key = (select max(key) from durable_workflows where name = 'past_deadline');
    update durable_workflows set output = '[false,null]'
     where key = (select min(key) from durable_workflows where name = 'patient' and status = 'SUCCESS');
";

/// `ended_at` is when the processes were asked to end.
pub(crate) async fn change(database: &TortureDatabase, ended_at: i64, folder: &Path) -> AnyResult<()> {
    let (mut lines, far) = (String::new(), i64::MAX / 2);
    let outcome = database.outcome().await?;
    // A step runs again after it was recorded.
    if let Some(step) = outcome.steps.iter().find(|it| it.workflow.ends_with("-limited")) {
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
    // A cancelled workflow goes on, and so does one whose time is up; a timer is early.
    let ledger = Ledger::read(folder)?;
    if let Some(cancelled) = ledger.of("cancelled").next() {
        writeln!(lines, "begin {} endless0/late {far}", cancelled.workflow)?;
    }
    if let Some(bounded) = ledger.of("begin").find(|it| it.detail.starts_with("until")) {
        writeln!(lines, "begin {} until0/late {far}", bounded.workflow)?;
    }
    if let Some(patient) = outcome.workflows.iter().find(|it| it.name == "patient" && it.status == "SUCCESS") {
        writeln!(lines, "begin {} after/early 1", patient.id)?;
    }
    // A body gets a tick that is another one's, and readers get what was not written.
    writeln!(lines, "begin every_second@a tick-1/a {ended_at}\nbegin every_second@b tick-1/b {ended_at}")?;
    writeln!(lines, "read publishes-x 1,2,4,5 {far}\nevent publishes-x 4 {far}")?;
    // An acknowledged one is lost, and a call fails for good.
    writeln!(lines, "started lost 1 {far}\nrefused order start {far}")?;
    std::fs::write(folder.join("ledger-sabotage"), lines)?;
    let mut writer = database.other_writer().await?;
    sqlx::raw_sql(CHANGES).execute(&mut writer).await?;
    writer.close().await?;
    Ok(())
}
