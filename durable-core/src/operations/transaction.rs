//! `#[transaction]`: the user's SQL, and the record of it, in one commit.

mod attempt;

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use self::attempt::{TransactionOutcome, TransactionRun};
use crate::journal::checkpoint::Operation;
use crate::journal::context::CallSite;
use crate::journal::current_engine;
use crate::operations::call_state::CallState;
use crate::runtime::Runtime;
use crate::runtime::stop_reason::StopReason;
use crate::store::{BoxFuture, Isolation, TransactionConnection, TransactionStart};
use crate::types::error::{Error, ErrorKind};
use crate::types::payload::Codec;

/// What a `#[transaction]` attribute makes of a function.
#[derive(Debug)]
pub struct Transaction {
    /// The name in the database.
    pub name: &'static str,
    /// Its options.
    pub options: TransactionOptions,
}

/// The options of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransactionOptions {
    /// How strictly it is kept apart from others.
    pub isolation: Option<Isolation>,
    /// Whether its SQL only reads.
    pub read_only: bool,
    /// The application's database it runs in; the system database if none is named.
    pub database: Option<&'static str>,
}

impl TransactionOptions {
    /// In the system database, as that isolates by default.
    pub const DEFAULT: Self = Self { isolation: None, read_only: false, database: None };
}

/// A call of a transaction: a future that runs the function's SQL and records what it returns in
/// the same commit, or gives back what an earlier run recorded. So the SQL takes effect exactly once.
///
/// The transaction is committed when the function returns `Ok` (or anything that is no `Result`),
/// and undone when it returns `Err`, which is recorded too. Serialization failures, deadlocks and
/// busy databases are tried again by themselves.
///
/// Outside any workflow awaiting it is a plain transaction in the same database: nothing is recorded.
///
/// # At shutdown
/// A transaction that runs may come to its commit; one that is dropped is undone, and runs again.
#[must_use = "a transaction does nothing until it is awaited"]
pub struct TransactionCall<'a, R> {
    state: CallState<'a, TransactionCallOptions<'a, R>, R>,
}

struct TransactionCallOptions<'a, R> {
    transaction: &'static Transaction,
    codec: Codec<R>,
    call_site: CallSite,
    body: Box<dyn Body<R> + 'a>,
}

/// The function with its arguments, for a connection whose type only the function knows.
trait Body<R>: Send {
    /// The connection that it wants, as users write its type.
    fn wants(&self) -> &'static str;

    /// Its future on this connection; `None` if the connection is of another type.
    fn run<'c>(&'c mut self, connection: &'c mut (dyn Any + Send)) -> Option<BoxFuture<'c, R>>;
}

struct TypedBody<'a, C, A, B> {
    clone: fn(&A) -> A,
    arguments: A,
    body: B,
    connection: PhantomData<fn(C)>,
    outlived: PhantomData<&'a ()>,
}

impl<'a, C, A, R, B> Body<R> for TypedBody<'a, C, A, B>
where
    C: TransactionConnection,
    A: Send + 'a,
    B: for<'c> Fn(&'c mut C, A, PhantomData<&'c &'a ()>) -> BoxFuture<'c, R> + Send + 'a,
{
    fn wants(&self) -> &'static str {
        C::NAME
    }

    fn run<'c>(&'c mut self, connection: &'c mut (dyn Any + Send)) -> Option<BoxFuture<'c, R>> {
        let connection = connection.downcast_mut::<C>()?;
        Some((self.body)(connection, (self.clone)(&self.arguments), PhantomData))
    }
}

/// Not public API. Used by generated code.
///
/// The last argument of `body` carries no value: its type says that the arguments outlive the
/// connection's borrow, which a bound cannot say of every borrow.
#[doc(hidden)]
pub fn transaction<'a, C, A, R, B>(
    transaction: &'static Transaction,
    codec: Codec<R>,
    clone: fn(&A) -> A,
    arguments: A,
    body: B,
) -> TransactionCall<'a, R>
where
    C: TransactionConnection,
    A: Send + 'a,
    R: Send + 'a,
    B: for<'c> Fn(&'c mut C, A, PhantomData<&'c &'a ()>) -> BoxFuture<'c, R> + Send + 'a,
{
    let body = Box::new(TypedBody { clone, arguments, body, connection: PhantomData, outlived: PhantomData });
    TransactionCall {
        state: CallState::new(TransactionCallOptions { transaction, codec, call_site: CallSite::here(), body }),
    }
}

impl<'a, R: Send + 'a> Future for TransactionCall<'a, R> {
    type Output = R;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<R> {
        self.state.poll(cx, |made| Box::pin(made.run()))
    }
}

impl<'a, R: Send + 'a> TransactionCallOptions<'a, R> {
    async fn run(self: Box<Self>) -> R {
        let Self { transaction, codec, call_site, mut body } = *self;
        let what = || format!("the transaction `{}`", transaction.name);
        let opening =
            TransactionStart { isolation: transaction.options.isolation, read_only: transaction.options.read_only };
        match call_site {
            CallSite::Body(claim) => {
                let operation = Operation::transaction(transaction.name);
                claim.check_same_body(transaction.name).await;
                if let Some(record) = claim.replayed(operation).await {
                    return claim.decode(codec, record).await;
                }
                if claim.execution.runtime.shutdown.is_aborting() {
                    return claim.execution.stop_here(StopReason::Suspend).await;
                }
                let runtime = Arc::clone(&claim.execution.runtime);
                let run = TransactionRun { runtime, transaction, codec, opening, claim: Some(&claim) };
                let ran = run.run(&mut *body).await;
                match ran {
                    TransactionOutcome::Value(value) => value,
                    // Neither is a value of the function: both are faults of the program.
                    TransactionOutcome::Panic(error) => claim.execution.stop_here(StopReason::Fail(error)).await,
                    TransactionOutcome::Refused(error) => {
                        claim.execution.stop_here(StopReason::Park(error.to_string())).await
                    }
                }
            }
            CallSite::Outside => match current_engine::engine() {
                Ok(runtime) => {
                    let run = TransactionRun { runtime, transaction, codec, opening, claim: None };
                    match run.run(&mut *body).await {
                        TransactionOutcome::Value(value) => value,
                        TransactionOutcome::Panic(error) => panic!("{error}"),
                        TransactionOutcome::Refused(error) => refuse(codec, error),
                    }
                }
                Err(error) => refuse(codec, error),
            },
            CallSite::Transaction(scope) => match codec.from_engine {
                Some(of_engine) => of_engine(scope.refusal(&what())),
                None => scope.refuse(&what()).await,
            },
            CallSite::Step(scope) => {
                let message = format!(
                    "{} was called inside the step `{}`, where its record has no position; call it from the workflow's body",
                    what(),
                    scope.name
                );
                match codec.from_engine {
                    Some(of_engine) => of_engine(Error::new(ErrorKind::Misuse, message)),
                    None => scope.execution.stop_here(StopReason::Park(message)).await,
                }
            }
        }
    }
}

/// Refuses a call outside any workflow.
///
/// # Panics
/// When the function's result has no room for the error.
fn refuse<R>(codec: Codec<R>, error: Error) -> R {
    match codec.from_engine {
        Some(of_engine) => of_engine(error),
        None => panic!("{error}"),
    }
}

impl Runtime {
    /// What a transaction is told whose connection is of another type than the database's.
    fn wrong_connection(&self, transaction: &Transaction, wants: &str, has: &str) -> Error {
        let place = match transaction.options.database {
            Some(name) => format!("the database `{name}`"),
            None => "the system database".to_owned(),
        };
        let others: Vec<_> = self.databases.keys().map(|it| format!("`{it}`")).collect();
        let mend = if others.is_empty() {
            "give the other database to the builder with `.database(\"name\", pool)` and name it with #[transaction(database = \"name\")]".to_owned()
        } else {
            format!("name the one it is for with #[transaction(database = \"…\")]: {}", others.join(", "))
        };
        let message =
            format!("the transaction `{}` takes a `{wants}` and {place} has `{has}`s; {mend}", transaction.name);
        Error::new(ErrorKind::Misuse, message)
    }
}

impl<R> fmt::Debug for TransactionCall<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.state {
            CallState::Made(made) => write!(f, "TransactionCall({}, {:?})", made.transaction.name, made.call_site),
            CallState::Running(_) => f.write_str("TransactionCall(running)"),
            CallState::Over => f.write_str("TransactionCall(over)"),
        }
    }
}
