//! The function of a `#[transaction]`: its name, its options, and its SQL on a connection.

use std::any::Any;
use std::marker::PhantomData;

use crate::store::{BoxFuture, Isolation, TransactionConnection};

/// A function with the attribute `#[transaction]`.
#[derive(Debug)]
pub struct Transaction {
    /// The name in the database.
    pub name: &'static str,
    /// Its options.
    pub options: TransactionOptions,
}

/// A transaction in the program-wide list.
#[derive(Debug)]
pub struct RegisteredTransaction {
    /// The transaction.
    pub transaction: &'static Transaction,
    /// The full name of the type of its connection.
    pub connection: fn() -> &'static str,
    /// Where it is declared.
    pub file: &'static str,
    /// The line of its function.
    pub line: u32,
}

inventory::collect!(RegisteredTransaction);

/// The options of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransactionOptions {
    /// The isolation level.
    pub isolation: Option<Isolation>,
    /// Whether its SQL only reads.
    pub read_only: bool,
    /// The application's database it runs in; the system database if none is named.
    pub database: Option<&'static str>,
}

impl TransactionOptions {
    /// In the system database, with its default isolation.
    pub const DEFAULT: Self = Self { isolation: None, read_only: false, database: None };
}

/// The function with its arguments. Only the function knows the type of its connection.
pub(super) trait TransactionBody<R>: Send {
    /// The type of its connection, as users write it.
    fn connection_type(&self) -> &'static str;

    /// Its future on this connection; `None` if the connection is of another type.
    fn run<'c>(&'c mut self, connection: &'c mut (dyn Any + Send)) -> Option<BoxFuture<'c, R>>;
}

pub(super) struct FunctionBody<'a, C, A, B> {
    pub(super) clone: fn(&A) -> A,
    pub(super) arguments: A,
    pub(super) body: B,
    pub(super) connection: PhantomData<fn(C)>,
    pub(super) outlived: PhantomData<&'a ()>,
}

impl<'a, C, A, R, B> TransactionBody<R> for FunctionBody<'a, C, A, B>
where
    C: TransactionConnection,
    A: Send + 'a,
    B: for<'c> Fn(&'c mut C, A, PhantomData<&'c &'a ()>) -> BoxFuture<'c, R> + Send + 'a,
{
    fn connection_type(&self) -> &'static str {
        C::NAME
    }

    fn run<'c>(&'c mut self, connection: &'c mut (dyn Any + Send)) -> Option<BoxFuture<'c, R>> {
        let connection = connection.downcast_mut::<C>()?;
        Some((self.body)(connection, (self.clone)(&self.arguments), PhantomData))
    }
}
