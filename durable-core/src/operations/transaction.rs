//! `#[transaction]`: the user's SQL, and the record of it, in one commit.

mod attempt;
mod function;
mod one_attempt;
mod retries;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use self::attempt::{TransactionOutcome, TransactionRun};
use self::function::{FunctionBody, TransactionBody};
pub use self::function::{RegisteredTransaction, Transaction, TransactionOptions};
use crate::journal::checkpoint::Operation;
use crate::journal::context::CallSite;
use crate::journal::current_engine;
use crate::operations::call::{Call, CallOptions, delegate_to_call};
use crate::runtime::spawned_tasks::note_outside_call;
use crate::runtime::stop_reason::StopReason;
use crate::store::{BoxFuture, TransactionConnection, TransactionStart};
use crate::types::error::{Error, ErrorKind};
use crate::types::payload::Codec;

/// A call of a transaction: a future that runs the function's SQL and records what it returns in
/// the same commit, or gives back what an earlier run recorded. So the SQL takes effect exactly once.
///
/// The transaction is committed when the function returns `Ok` (or a type other than `Result`), and
/// rolled back when it returns `Err`, which is recorded too. Serialization failures, deadlocks and busy
/// databases are retried automatically.
///
/// Outside any workflow awaiting it is a plain transaction in the same database: nothing is recorded.
///
/// # At shutdown
/// A running transaction may commit. One that is dropped is rolled back, and runs again.
#[must_use = "a transaction does nothing until it is awaited"]
pub struct TransactionCall<'a, R> {
    call: Call<'a, TransactionCallOptions<'a, R>, R>,
}

struct TransactionCallOptions<'a, R> {
    transaction: &'static Transaction,
    codec: Codec<R>,
    call_site: CallSite,
    body: Box<dyn TransactionBody<R> + 'a>,
}

/// Not public API. Used by generated code.
///
/// The last argument of `body` carries no value: its type expresses that the arguments outlive the
/// connection's borrow, which a bound cannot express forevery borrow.
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
    let body = Box::new(FunctionBody { clone, arguments, body, connection: PhantomData, outlived: PhantomData });
    TransactionCall {
        call: Call::new(TransactionCallOptions { transaction, codec, call_site: CallSite::here(), body }),
    }
}

impl<'a, R: Send + 'a> CallOptions<'a> for TransactionCallOptions<'a, R> {
    type Output = R;

    async fn run(self: Box<Self>) -> R {
        let Self { transaction, codec, call_site, mut body } = *self;
        let what = || format!("the transaction `{}`", transaction.name);
        let TransactionOptions { isolation, read_only, .. } = transaction.options;
        let opening = TransactionStart { isolation, read_only, ..TransactionStart::default() };
        match call_site {
            CallSite::Body(reserved) => {
                let operation = Operation::transaction(transaction.name);
                reserved.check_same_body(transaction.name).await;
                if let Some(record) = reserved.replayed(operation).await {
                    return reserved.decode(codec, record).await;
                }
                if reserved.execution.runtime.shutdown.is_aborting() {
                    return reserved.execution.stop_here(StopReason::Suspend).await;
                }
                let runtime = Arc::clone(&reserved.execution.runtime);
                let run = TransactionRun { runtime, transaction, codec, opening, reserved: Some(&reserved) };
                let ran = run.run(&mut *body).await;
                match ran {
                    TransactionOutcome::Value(value) => value,
                    // Neither is a value of the function: both are bugs of the program.
                    TransactionOutcome::Panic(error) => reserved.execution.stop_here(StopReason::Fail(error)).await,
                    TransactionOutcome::Refused(error) => {
                        reserved.execution.stop_here(StopReason::Park(error.to_string())).await
                    }
                }
            }
            CallSite::Outside => match current_engine::engine() {
                Ok(runtime) => {
                    note_outside_call(transaction.name);
                    let run = TransactionRun { runtime, transaction, codec, opening, reserved: None };
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
/// If the function's result type cannot hold the error.
fn refuse<R>(codec: Codec<R>, error: Error) -> R {
    match codec.from_engine {
        Some(of_engine) => of_engine(error),
        None => panic!("{error}"),
    }
}

impl<R> fmt::Debug for TransactionCallOptions<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {:?}", self.transaction.name, self.call_site)
    }
}

delegate_to_call!("TransactionCall", ['a, R: Send + 'a] TransactionCall<'a, R> => R, [R] TransactionCall<'_, R>);
