//! Mocks: what a test puts in the place of a step.

use std::any::Any;
#[cfg(feature = "testing")]
use std::any::type_name;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

#[cfg(feature = "testing")]
use crate::journal::current_engine;
use crate::runtime::mocks::{AnyMock, Mocks};
use crate::types::sync::{Mutex, lock};

/// A function that a test puts in the place of a step with these arguments: see [`Mock`].
pub trait MockFunction<Args, R>: Send + Sync + 'static {
    /// Calls it.
    fn answer(&self, arguments: Args) -> R;
}

macro_rules! by_number_of_arguments {
    ($($argument:ident)*) => {
        impl<F, $($argument,)* R> MockFunction<($($argument,)*), R> for F
        where
            F: Fn($($argument),*) -> R + Send + Sync + 'static,
        {
            #[allow(non_snake_case, reason = "the types name the values")]
            fn answer(&self, ($($argument,)*): ($($argument,)*)) -> R {
                self($($argument),*)
            }
        }
    };
}

by_number_of_arguments!();
by_number_of_arguments!(A);
by_number_of_arguments!(A B);
by_number_of_arguments!(A B C);
by_number_of_arguments!(A B C D);
by_number_of_arguments!(A B C D E);
by_number_of_arguments!(A B C D E G);
by_number_of_arguments!(A B C D E G H);
by_number_of_arguments!(A B C D E G H I);

/// What a test has put in the place of a step. It stays there until the test ends, or another mock of the same step
/// is set; dropping this value changes nothing.
///
/// The step is recorded, retried and replayed like the real one: only its body is another. A panic in the mock is a
/// panic of the step.
pub struct Mock<R> {
    state: Arc<MockState<R>>,
}

struct MockState<R> {
    calls: Mutex<usize>,
    /// What the next attempts return, before the function is asked.
    first: Mutex<VecDeque<R>>,
}

/// A mock as the engine keeps it.
struct MockedStep<Args, R> {
    function: Box<dyn MockFunction<Args, R>>,
    state: Arc<MockState<R>>,
}

impl<R: Send + 'static> Mock<R> {
    /// Puts a function in the place of the step whose function has this path.
    pub(crate) fn set<Args, M>(mocks: &Mocks, step: &'static str, function: M) -> Self
    where
        Args: 'static,
        M: MockFunction<Args, R>,
    {
        let state = Arc::new(MockState { calls: Mutex::new(0), first: Mutex::new(VecDeque::new()) });
        let mocked = MockedStep { function: Box::new(function), state: Arc::clone(&state) };
        mocks.set(step, Arc::new(mocked));
        Self { state }
    }
}

impl<R> Mock<R> {
    /// How many attempts of the step the mock has answered, those of [`fail_times`](Self::fail_times) included.
    #[must_use]
    pub fn calls(&self) -> usize {
        *lock(&self.state.calls)
    }
}

impl<T, E: Clone> Mock<Result<T, E>> {
    /// The next `times` attempts fail with this error, before the function is asked: so retries can be tested.
    #[allow(clippy::must_use_candidate, clippy::return_self_not_must_use, reason = "the mock is set either way")]
    pub fn fail_times(self, times: usize, error: E) -> Self {
        lock(&self.state.first).extend((0..times).map(|_| Err(error.clone())));
        self
    }
}

impl<R> fmt::Debug for Mock<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mock").field("calls", &self.calls()).finish_non_exhaustive()
    }
}

/// Not public API: how a step with the arguments `A` asks a mock. `None` if its arguments cannot be passed to one.
pub type AskMock<A, R> = fn(&A, &StepMock) -> Option<R>;

/// Not public API: the mock of a step that runs now.
pub struct StepMock(AnyMock);

impl fmt::Debug for StepMock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StepMock")
    }
}

impl StepMock {
    #[cfg(feature = "testing")]
    /// The mock of the step with this body, in the engine of the running code.
    pub(super) fn of_step<Body>() -> Option<Self> {
        // The body is a closure in the function of the step.
        let function = type_name::<Body>();
        let function = function.strip_suffix("::{{closure}}").unwrap_or(function);
        current_engine::engine().ok()?.mocks.get(function).map(Self)
    }

    /// Asks it.
    ///
    /// # Panics
    /// It is of another function with the same path.
    pub fn answer<Args: 'static, R: 'static>(&self, arguments: Args) -> R {
        let mock: &(dyn Any + Send + Sync) = &*self.0;
        let mock: &MockedStep<Args, R> =
            mock.downcast_ref().expect("functions of the same path have the same arguments");
        *lock(&mock.state.calls) += 1;
        let first = lock(&mock.state.first).pop_front();
        first.unwrap_or_else(|| mock.function.answer(arguments))
    }
}

/// Asks the mock of a step.
///
/// # Panics
/// Its arguments cannot be passed to a mock.
pub(super) fn asked<A, R>(step: &str, ask: Option<AskMock<A, R>>, arguments: &A, mock: &StepMock) -> R {
    let Some(ask) = ask else {
        panic!(
            "the step `{step}` cannot be mocked: it is a method or generic, or an argument is borrowed other than as `&T`; mock a function that it calls, or put its body into a step of its own"
        )
    };
    let Some(answer) = ask(arguments, mock) else {
        panic!("the step `{step}` cannot be mocked, because its arguments are not all `Clone`: derive `Clone` for them")
    };
    answer
}

/// Not public API. Used by generated code: gives the closure its types.
pub fn ask_mock<A, R>(_arguments: &A, ask: AskMock<A, R>) -> Option<AskMock<A, R>> {
    Some(ask)
}

/// Not public API. Used by generated code.
///
/// How a step with these arguments asks its mock. Without the feature `testing` there are none.
#[cfg(feature = "testing")]
#[doc(hidden)]
#[macro_export]
macro_rules! __mockable {
    ($arguments:expr, ($($name:ident,)*)) => {
        $crate::__private::ask_mock($arguments, |($($name,)*), mock| {
            #[allow(unused_imports)]
            use $crate::__private::mock_arguments::{Cloned as _, Other as _, Owned as _, Reference as _};
            ::core::option::Option::Some(
                mock.answer(($((&&&&$crate::__private::mock_arguments::MockArgument($name)).to_static()?,)*))
            )
        })
    };
}

/// The same, without the feature `testing`.
#[cfg(not(feature = "testing"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __mockable {
    ($arguments:expr, ($($name:ident,)*)) => {
        ::core::option::Option::None
    };
}

/// Not public API: copies of arguments for mocks, which take `'static` values. Methods find the implementation with the
/// most references first.
pub mod mock_arguments {
    use std::borrow::Borrow;

    /// Carries an argument.
    #[derive(Debug)]
    pub struct MockArgument<'a, T>(pub &'a T);

    /// First: a reference to what can be copied. The copy lives until the process ends, as a static does.
    pub trait Owned<T: ?Sized> {
        /// The copy.
        fn to_static(&self) -> Option<&'static T>;
    }

    impl<T: ToOwned<Owned: 'static> + ?Sized + 'static> Owned<T> for &&&MockArgument<'_, &T> {
        fn to_static(&self) -> Option<&'static T> {
            let copy: &'static T::Owned = Box::leak(Box::new((*self.0).to_owned()));
            Some(copy.borrow())
        }
    }

    /// Second: a reference to anything else.
    pub trait Reference<T: ?Sized> {
        /// There is none.
        fn to_static(&self) -> Option<&'static T>;
    }

    impl<T: ?Sized + 'static> Reference<T> for &&MockArgument<'_, &T> {
        fn to_static(&self) -> Option<&'static T> {
            None
        }
    }

    /// Third: a value that can be cloned.
    pub trait Cloned<T> {
        /// The clone.
        fn to_static(&self) -> Option<T>;
    }

    impl<T: Clone + 'static> Cloned<T> for &MockArgument<'_, T> {
        fn to_static(&self) -> Option<T> {
            Some(self.0.clone())
        }
    }

    /// Last: any other value.
    pub trait Other<T> {
        /// There is none.
        fn to_static(&self) -> Option<T>;
    }

    impl<T: 'static> Other<T> for MockArgument<'_, T> {
        fn to_static(&self) -> Option<T> {
            None
        }
    }
}
