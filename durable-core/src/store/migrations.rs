//! Compares the migrations of a database with those of this program, and splits a migration into
//! statements.

use sqlx::FromRow;
use sqlx::migrate::{Migration, Migrator};

use crate::store::{StoreError, StoreErrorKind};
use crate::types::diagnosis::Diagnosis;
use crate::types::time::Timestamp;

/// A row of the table of applied migrations.
#[derive(Debug, FromRow)]
pub(super) struct AppliedMigration {
    pub(super) version: i64,
    pub(super) description: String,
    pub(super) checksum: Vec<u8>,
}

/// The migrations of this program that a database does not have; none if nothing needs to be written, so that a
/// program without the right to create tables can be launched on a database that was prepared before.
///
/// # Errors
/// [`StoreErrorKind::Foreign`] when the database has a migration that this program does not have, or
/// another one of the same number.
pub(super) fn missing<'m>(
    program: &'m Migrator,
    applied: &[AppliedMigration],
) -> Result<Vec<&'m Migration>, StoreError> {
    for it in applied {
        let (version, description) = (it.version, &it.description);
        match program.iter().find(|known| known.version == version) {
            None => return Err(newer(version, description)),
            Some(known) if *known.checksum != *it.checksum => return Err(changed(version, description)),
            Some(_) => {}
        }
    }
    Ok(program.iter().filter(|known| applied.iter().all(|it| it.version != known.version)).collect())
}

/// The number of the newest migration.
pub(super) fn newest(program: &Migrator) -> i64 {
    program.iter().map(|it| it.version).max().unwrap_or_default()
}

/// A migration as messages name it.
pub(super) fn name_of(migration: &Migration) -> String {
    format!("{} ({})", migration.version, migration.description)
}

/// A script that does what a migration of an empty database does: `prepare` makes the schema and the table of
/// migrations, `table`.
pub(super) fn script(program: &Migrator, prepare: &[String], table: &str, blob: fn(&str) -> String) -> String {
    let now = Timestamp::local_now().as_micros();
    let carry_out = |migration: &Migration| {
        let Migration { version, description, sql, .. } = migration;
        let checksum = blob(&migration.checksum.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}")));
        format!(
            "{}\n\ninsert into {table} (version, description, checksum, applied_at) values ({version}, '{description}', {checksum}, {now});\n",
            sql.as_str().trim_end()
        )
    };
    let migrations: Vec<String> = program.iter().map(carry_out).collect();
    format!("begin;\n{};\n\n{}commit;\n", prepare.join(";\n"), migrations.join("\n"))
}

/// Says whether migrations are missing.
pub(super) fn report_migrations(diagnosis: &mut Diagnosis, missing: Result<Vec<&Migration>, StoreError>) {
    match missing {
        Ok(missing) if missing.is_empty() => diagnosis.good("schema", "it is that of this release"),
        Ok(missing) => {
            let missing: Vec<_> = missing.into_iter().map(name_of).collect();
            let finding = format!("it has not got the migrations {}", missing.join(", "));
            diagnosis.problem("schema", finding, "launch the application, or run `durable migrate`");
        }
        Err(error) => diagnosis.problem("schema", error.message, "use the release that made it, or a newer one"),
    }
}

fn newer(version: i64, description: &str) -> StoreError {
    StoreError::new(
        StoreErrorKind::Foreign,
        format_args!(
            "this database was migrated by a newer release of durable: it has migration {version} ({description}), \
             which this release does not know; use that release or a newer one"
        ),
    )
}

fn changed(version: i64, description: &str) -> StoreError {
    StoreError::new(
        StoreErrorKind::Foreign,
        format_args!(
            "migration {version} ({description}) of this database differs from the one in this release of durable: \
             the database was created by a different build; use that build, or another database"
        ),
    )
}

/// Splits a migration into its statements, without the comments between them. They are sent one by one:
/// poolers and Citus refuse several statements in one message.
///
/// A semicolon ends a statement unless it is in a comment, in quotes, in dollar quotes as the body of a
/// function, or in the body of a trigger of SQLite, which ends with `end`.
pub(super) fn statements(migration: &str) -> Vec<&str> {
    let mut statements = Vec::new();
    let mut start = None;
    let mut at = 0;
    while let Some(next) = migration[at..].chars().next() {
        let rest = &migration[at..];
        let length = if rest.starts_with("--") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else {
            if next == ';' {
                let ended = start.take_if(|start: &mut usize| !is_open_trigger(&migration[*start..at]));
                statements.extend(ended.map(|start| migration[start..at].trim_end()));
            } else if !next.is_whitespace() {
                start.get_or_insert(at);
            }
            quoted(rest).unwrap_or(next.len_utf8())
        };
        at += length;
    }
    statements.extend(start.map(|start| migration[start..].trim_end()));
    statements
}

/// Whether this is the beginning of a trigger whose body has not ended.
fn is_open_trigger(text: &str) -> bool {
    let body = text.strip_prefix("create trigger").and_then(|it| it.split_once(" begin\n"));
    body.is_some_and(|(_, body)| !body.ends_with("\nend"))
}

/// How long the quoted text is that `text` begins with, with its quotes; `None` if it begins with none.
/// A doubled quote within is the end of one quoted text and the start of the next, which is the same.
fn quoted(text: &str) -> Option<usize> {
    let quote = match text.chars().next()? {
        quote @ ('\'' | '"') => &text[..quote.len_utf8()],
        '$' => {
            let tag = text[1..].find('$')?;
            let is_tag = text[1..=tag].chars().all(|it| it.is_alphanumeric() || it == '_');
            is_tag.then(|| &text[..tag + 2])?
        }
        _ => return None,
    };
    let body = &text[quote.len()..];
    Some(body.find(quote).map_or(text.len(), |end| quote.len() + end + quote.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_migration_is_split_at_its_semicolons() {
        assert_eq!(
            statements("create table a (b text);\n\ncreate index c on a (b);"),
            ["create table a (b text)", "create index c on a (b)"]
        );
        assert_eq!(statements("select 1"), ["select 1"], "the last semicolon may be missing");
    }

    #[test]
    fn comments_alone_are_not_a_statement() {
        for nothing in ["", "\n", ";", "-- nothing; here", "/* nothing; here */\n-- nor here;\n;\n"] {
            assert_eq!(statements(nothing), [""; 0], "{nothing:?}");
        }
        assert_eq!(statements("-- about a;\nselect 1; -- about b\nselect 2;"), ["select 1", "select 2"]);
        assert_eq!(statements("select 1 -- one; two\n + 1;"), ["select 1 -- one; two\n + 1"]);
    }

    #[test]
    fn a_semicolon_in_quotes_does_not_end_a_statement() {
        for one in [
            "select 'a;b'",
            "select 'it''s; one'",
            "select \"a;b\"",
            "select $$a;b$$",
            "select $x$a; $$ b; $y$ c;$x$",
            "create function f() returns void as $durable$\nbegin\n    perform 1; -- it's one\nend\n$durable$",
        ] {
            assert_eq!(statements(&format!("{one};\nselect 2;")), [one, "select 2"]);
        }
        assert_eq!(statements("select $1 + $2; select 3"), ["select $1 + $2", "select 3"], "parameters are no quotes");
    }

    #[test]
    fn a_semicolon_in_the_body_of_a_trigger_does_not_end_it() {
        let trigger = "create trigger t after insert on a when new.b begin\n    select 1;\n    select 2;\nend";
        assert_eq!(statements(&format!("{trigger};\nselect 3;")), [trigger, "select 3"]);
        let of_postgres = "create trigger t after insert on a for each row execute function begin()";
        assert_eq!(statements(&format!("{of_postgres};\nselect 3;")), [of_postgres, "select 3"]);
    }

    #[test]
    fn the_migrations_of_this_program_are_split_into_statements() {
        for (folder, tables) in [("sqlite", 14), ("postgres", 13)] {
            let path = format!("{}/migrations/{folder}/0001_foundation.sql", env!("CARGO_MANIFEST_DIR"));
            let text = std::fs::read_to_string(path).expect("the migration is there");
            let statements = statements(&text);
            assert!(statements.iter().all(|it| it.starts_with("create ")), "{statements:#?}");
            assert_eq!(statements.iter().filter(|it| it.starts_with("create table ")).count(), tables, "{folder}");
        }
    }
}
