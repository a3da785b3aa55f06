//! What generated code calls. Not public API: it changes without notice, and the three crates are
//! held together at one version for that reason.

pub use std::boxed::Box;

pub use inventory;

pub use crate::operations::join::{join1, join2, join3, join4, join5, join6, join7, join8};
pub use crate::operations::mock::{AskMock, StepMock, ask_mock, mock_arguments};
pub use crate::operations::select::{
    Select2, Select3, Select4, Select5, Select6, Select7, Select8, select2, select3, select4, select5, select6,
    select7, select8,
};
pub use crate::operations::step::{Step, StepBody, step};
pub use crate::operations::step_on_thread::blocking;
pub use crate::operations::transaction::{RegisteredTransaction, Transaction, TransactionOptions, transaction};
pub use crate::operations::workflow_call::{call, call_on};
pub use crate::operations::workflow_result::{Returned, WorkflowError, run};
pub use crate::registry::{
    Arguments, Misfire, Overlap, Queue, Registered, RegisteredQueue, RegisteredSchedule, Schedule, Taken, Workflow,
    WorkflowOptions,
};
pub use crate::store::{BoxFuture, Fingerprint, Isolation, TransactionConnection};
pub use crate::types::payload::{Codec, Outcome, Payload, PayloadError};
pub use crate::types::retry::StepOptions;
pub use crate::{__cloner as cloner, __codec as codec, __mockable as mockable};

/// Not public API. Used by generated code.
///
/// Chooses how a return type is recorded: a `Result` whose error can be written comes back as the
/// same typed value, anything else is a plain value.
#[doc(hidden)]
#[macro_export]
macro_rules! __codec {
    ($returned:ty) => {{
        #[allow(unused_imports)]
        use $crate::__private::probe::{BoxedError as _, NoError as _, StandardError as _};
        #[allow(unused_imports)]
        use $crate::__private::probe::{
            ByMessage as _, Plain as _, Typed as _, TypedFromEngine as _, Unrecordable as _,
        };
        (&&&&&$crate::__private::probe::Probe::<$returned>::NEW)
            .codec()
            .with_error_of((&&&$crate::__private::probe::Probe::<$returned>::NEW).error_of())
    }};
}

/// Not public API. Used by generated code.
///
/// How to clone a step's arguments for a retry, if they can be cloned.
#[doc(hidden)]
#[macro_export]
macro_rules! __cloner {
    ($arguments:expr) => {{
        #[allow(unused_imports)]
        use $crate::__private::probe::{CanClone as _, CannotClone as _};
        (&&$crate::__private::probe::CloneProbe($arguments)).cloner()
    }};
}

/// Not public API. Used by generated code.
///
/// Method calls find the implementation with the most references first, so the arms are ordered by
/// how many they have. Bounds on an implementation choose the arm; unmet bounds on its method are what
/// the compiler reports to the user.
pub mod probe {
    use std::error::Error as StdError;
    use std::fmt;
    use std::marker::PhantomData;

    use serde::Serialize;
    use serde::de::DeserializeOwned;

    use crate::types::error::Error;
    use crate::types::payload::{Codec, Payload};

    /// Carries a return type.
    #[derive(Debug)]
    pub struct Probe<R>(PhantomData<fn() -> R>);

    impl<R> Probe<R> {
        /// The only one.
        pub const NEW: Self = Self(PhantomData);
    }

    /// First: a `Result` whose error can hold the engine's errors too.
    pub trait TypedFromEngine<T, E> {
        /// The codec.
        fn codec(self) -> Codec<Result<T, E>>
        where
            T: Payload;
    }

    impl<T, E> TypedFromEngine<T, E> for &&&&&Probe<Result<T, E>>
    where
        E: Serialize + DeserializeOwned + fmt::Display + From<Error>,
    {
        fn codec(self) -> Codec<Result<T, E>>
        where
            T: Payload,
        {
            Codec::<Result<T, E>>::TYPED_FROM_ENGINE
        }
    }

    /// Second: a `Result` whose error can be written and read.
    pub trait Typed<T, E> {
        /// The codec.
        fn codec(self) -> Codec<Result<T, E>>
        where
            T: Payload;
    }

    impl<T, E> Typed<T, E> for &&&&Probe<Result<T, E>>
    where
        E: Serialize + DeserializeOwned + fmt::Display,
    {
        fn codec(self) -> Codec<Result<T, E>>
        where
            T: Payload,
        {
            Codec::<Result<T, E>>::TYPED
        }
    }

    /// Third: a `Result` whose error can be made from a `durable::Error`: it comes back by its message.
    pub trait ByMessage<T, E> {
        /// The codec.
        fn codec(self) -> Codec<Result<T, E>>
        where
            T: Payload;
    }

    impl<T, E> ByMessage<T, E> for &&&Probe<Result<T, E>>
    where
        E: fmt::Display + From<Error>,
    {
        fn codec(self) -> Codec<Result<T, E>>
        where
            T: Payload,
        {
            Codec::<Result<T, E>>::BY_MESSAGE
        }
    }

    /// Fourth: any other `Result`, for the sake of the message.
    pub trait Unrecordable<T, E> {
        /// The codec.
        fn codec(self) -> Codec<Result<T, E>>
        where
            T: Payload,
            E: RecordedErrorType;
    }

    impl<T, E> Unrecordable<T, E> for &&Probe<Result<T, E>> {
        fn codec(self) -> Codec<Result<T, E>>
        where
            T: Payload,
            E: RecordedErrorType,
        {
            Codec::<Result<T, E>>::TYPED
        }
    }

    /// The error that a function returned, to look for the database's error in it. First: an error of the
    /// standard library's kind.
    pub trait StandardError<T, E> {
        /// How to get it.
        fn error_of(&self) -> ErrorOf<Result<T, E>>;
    }

    impl<T, E: StdError + 'static> StandardError<T, E> for &&Probe<Result<T, E>> {
        fn error_of(&self) -> ErrorOf<Result<T, E>> {
            |result| result.as_ref().err().map(|error| error as &(dyn StdError + 'static))
        }
    }

    /// Second: a type with such an error in it, as `anyhow::Error` is.
    pub trait BoxedError<T, E> {
        /// How to get it.
        fn error_of(&self) -> ErrorOf<Result<T, E>>;
    }

    impl<T, E: AsRef<dyn StdError + Send + Sync + 'static>> BoxedError<T, E> for &Probe<Result<T, E>> {
        fn error_of(&self) -> ErrorOf<Result<T, E>> {
            |result| result.as_ref().err().map(|error| error.as_ref() as &(dyn StdError + 'static))
        }
    }

    /// Last: none.
    pub trait NoError<R> {
        /// How to get it.
        fn error_of(&self) -> ErrorOf<R>;
    }

    impl<R> NoError<R> for Probe<R> {
        fn error_of(&self) -> ErrorOf<R> {
            |_| None
        }
    }

    /// How to get the error out of a function's result.
    type ErrorOf<R> = fn(&R) -> Option<&(dyn StdError + 'static)>;

    /// Last: a plain value.
    pub trait Plain<R> {
        /// The codec.
        fn codec(&self) -> Codec<R>
        where
            R: Payload;
    }

    impl<R> Plain<R> for Probe<R> {
        fn codec(&self) -> Codec<R>
        where
            R: Payload,
        {
            Codec::<R>::PLAIN
        }
    }

    /// An error that is recorded with its value.
    #[diagnostic::on_unimplemented(
        message = "the error `{Self}` cannot be recorded",
        label = "this error type cannot be written to the database and read back",
        note = "derive `serde::Serialize` and `serde::Deserialize` for it and implement `std::error::Error`, or give it `From<durable::Error>` to have it back by its message, or return `durable::Error`, into which every error converts with `?`"
    )]
    pub trait RecordedErrorType: Serialize + DeserializeOwned + fmt::Display {}

    #[diagnostic::do_not_recommend]
    impl<E: Serialize + DeserializeOwned + fmt::Display> RecordedErrorType for E {}

    /// Carries arguments.
    #[derive(Debug)]
    pub struct CloneProbe<'a, A>(pub &'a A);

    /// First: they can be cloned.
    pub trait CanClone<A> {
        /// How.
        fn cloner(self) -> Option<fn(&A) -> A>;
    }

    impl<A: Clone> CanClone<A> for &&CloneProbe<'_, A> {
        fn cloner(self) -> Option<fn(&A) -> A> {
            Some(A::clone)
        }
    }

    /// Else.
    pub trait CannotClone<A> {
        /// Not at all.
        fn cloner(self) -> Option<fn(&A) -> A>;
    }

    impl<A> CannotClone<A> for &CloneProbe<'_, A> {
        fn cloner(self) -> Option<fn(&A) -> A> {
            None
        }
    }
}
