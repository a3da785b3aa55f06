//! Compares the connections of the program's transactions with its databases, before anything is launched.

use std::collections::HashMap;

use crate::operations::transaction::RegisteredTransaction;
use crate::store::{ApplicationDatabase, Transact};
use crate::types::error::{Result, config_error};

/// Refuses a launch on a database that the program's transactions are not for: each of them would be parked at its first
/// call.
///
/// A program that has transactions for this database too chooses between them. What cannot run here is only logged, unless
/// another transaction has its name.
pub(super) fn check(system: &(impl Transact + ?Sized), databases: &HashMap<String, ApplicationDatabase>) -> Result<()> {
    let registered: Vec<_> = inventory::iter::<RegisteredTransaction>.into_iter().collect();
    let database_of = |it: &RegisteredTransaction| match it.transaction.options.database {
        None => Some(system.connection_type()),
        Some(name) => databases.get(name).map(|it| it.0.connection_type()),
    };
    for name in misfits(&registered, database_of).map_err(config_error)? {
        tracing::warn!(target: "durable", transaction = name, "the transaction is for another kind of database than that of this launch, and no transaction of this name is for it: a workflow that calls it will be parked");
    }
    for missing in registered.iter().filter(|it| database_of(it).is_none()) {
        let (name, database) = (missing.transaction.name, missing.transaction.options.database.unwrap_or_default());
        tracing::warn!(target: "durable", transaction = name, database, "the transaction is for a database that the builder was not given with `.database(..)`: a workflow that calls it will be parked");
    }
    Ok(())
}

/// The transactions that cannot run here and have no namesake that can: the program chooses between namesakes.
///
/// # Errors
/// What is wrong, with all transactions that it is wrong with.
fn misfits(
    registered: &[&RegisteredTransaction],
    database_of: impl Fn(&RegisteredTransaction) -> Option<&'static str>,
) -> std::result::Result<Vec<&'static str>, String> {
    let connection = |it: &RegisteredTransaction| (it.connection)().rsplit("::").next().unwrap_or_default();
    let fits = |it: &RegisteredTransaction| database_of(it).is_none_or(|database| connection(it) == database);
    let in_system = |it: &&&RegisteredTransaction| it.transaction.options.database.is_none();
    let serves_both = registered.iter().filter(in_system).any(|it| fits(it));
    let wrong: Vec<_> = registered.iter().filter(|it| !fits(it)).collect();
    let refused = |it: &&&&RegisteredTransaction| !serves_both || !in_system(it);
    if let Some(first) = wrong.iter().find(refused) {
        let place = match first.transaction.options.database {
            Some(name) => format!("the database `{name}`"),
            None => "the system database".to_owned(),
        };
        let all: Vec<_> = wrong
            .iter()
            .filter(refused)
            .map(|it| format!("`{}` at {}:{} takes a `{}`", it.transaction.name, it.file, it.line, connection(it)))
            .collect();
        return Err(format!(
            "{place} has `{}`s, and transactions of this program are for another kind of database: {}; launch on a database of that kind, give it to the builder with `.database(\"name\", pool)` and name it with #[transaction(database = \"name\")], or declare them for both kinds",
            database_of(first).unwrap_or_default(),
            all.join(", ")
        ));
    }
    Ok(wrong
        .iter()
        .map(|it| **it)
        .filter(|it| !has_namesake(it, registered, fits))
        .map(|it| it.transaction.name)
        .collect())
}

/// Whether a transaction of the same name can run here.
fn has_namesake(
    of: &RegisteredTransaction,
    registered: &[&RegisteredTransaction],
    fits: impl Fn(&RegisteredTransaction) -> bool,
) -> bool {
    registered.iter().any(|it| it.transaction.name == of.transaction.name && fits(it))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::transaction::{Transaction, TransactionOptions};

    const fn options(database: Option<&'static str>) -> TransactionOptions {
        TransactionOptions { database, ..TransactionOptions::DEFAULT }
    }

    static IN_SYSTEM: Transaction = Transaction { name: "create_user", options: options(None) };
    static IN_ORDERS: Transaction = Transaction { name: "set_paid", options: options(Some("orders")) };

    const fn registered(transaction: &'static Transaction, connection: fn() -> &'static str) -> RegisteredTransaction {
        RegisteredTransaction { transaction, connection, file: "src/main.rs", line: 7 }
    }

    const POSTGRES: fn() -> &'static str = || "sqlx_postgres::connection::PgConnection";
    const SQLITE: fn() -> &'static str = || "sqlx_sqlite::connection::SqliteConnection";

    fn checked(
        all: &[RegisteredTransaction],
        orders: Option<&'static str>,
    ) -> std::result::Result<Vec<&'static str>, String> {
        let database_of = |it: &RegisteredTransaction| match it.transaction.options.database {
            None => Some("SqliteConnection"),
            Some(_) => orders,
        };
        misfits(&all.iter().collect::<Vec<_>>(), database_of)
    }

    #[test]
    fn transactions_for_another_kind_of_database_are_refused_with_their_names() {
        let text = checked(&[registered(&IN_SYSTEM, POSTGRES)], None).expect_err("it cannot run");
        assert!(text.contains("the system database has `SqliteConnection`s"), "{text}");
        assert!(text.contains("`create_user` at src/main.rs:7 takes a `PgConnection`"), "{text}");
        let in_both = [registered(&IN_SYSTEM, SQLITE), registered(&IN_ORDERS, SQLITE)];
        let text = checked(&in_both, Some("PgConnection")).expect_err("`orders` is of another kind");
        assert!(text.contains("the database `orders` has `PgConnection`s") && text.contains("`set_paid`"), "{text}");
        assert!(!text.contains("create_user"), "{text}");
    }

    #[test]
    fn a_program_for_both_kinds_of_databases_is_launched_on_either() {
        checked(&[registered(&IN_SYSTEM, POSTGRES), registered(&IN_SYSTEM, SQLITE)], None).expect("it chooses");
        checked(&[registered(&IN_SYSTEM, SQLITE), registered(&IN_ORDERS, POSTGRES)], Some("PgConnection"))
            .expect("each has its database");
        checked(&[registered(&IN_ORDERS, POSTGRES)], None)
            .expect("a database that is not there is not of another kind");
    }

    #[test]
    fn what_cannot_run_here_is_named_unless_a_namesake_can() {
        static OTHER: Transaction = Transaction { name: "close_account", options: options(None) };
        let namesakes = [registered(&IN_SYSTEM, POSTGRES), registered(&IN_SYSTEM, SQLITE)];
        assert_eq!(checked(&namesakes, None), Ok(vec![]));
        let alone = [registered(&IN_SYSTEM, SQLITE), registered(&OTHER, POSTGRES)];
        assert_eq!(checked(&alone, None), Ok(vec!["close_account"]));
    }
}
