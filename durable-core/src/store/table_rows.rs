//! The rows of tables that tests copy, set back and compare.

/// The tables as they were.
#[derive(Debug, Clone)]
pub struct TableCopies {
    /// The schemas with the tables; SQLite has none.
    pub(super) schemas: Vec<String>,
    /// The tables as SQL names them. The copy of each has its index as its name.
    pub(super) tables: Vec<String>,
    /// The SQL that sets back what no table holds.
    pub(super) afterwards: Vec<String>,
}

/// The rows of one table of the application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableRows {
    /// The table's name.
    pub name: String,
    /// The names of its columns.
    pub columns: Vec<String>,
    /// Its rows, as far as the database knows in the order in which they were inserted. Each value is a text.
    pub rows: Vec<Vec<String>>,
}

/// What to do with all tables.
#[derive(Debug)]
pub(super) enum TableTask<'a> {
    /// Copies them.
    Copy,
    /// Sets them back. The sequences of the application go on so much further on.
    Restore(&'a TableCopies, u32),
    /// Removes the copies.
    Forget(&'a TableCopies),
    /// Reads those of the application.
    Read,
}

/// The result of a [`TableTask`].
#[derive(Debug)]
pub(super) enum TableAnswer {
    Copies(TableCopies),
    Rows(Vec<TableRows>),
    Done,
}
