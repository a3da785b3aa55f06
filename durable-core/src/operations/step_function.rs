//! Functions of steps as values, by which a test names the step that it mocks.

use crate::operations::step::StepCall;

/// A function with the attribute `#[step]`, as a value: `Args` are its arguments, as a tuple.
///
/// It is implemented for every such function of at most eight arguments. References among them are `&'static`.
pub trait StepFunction<Args> {
    /// What the step returns.
    type Output;
}

macro_rules! by_number_of_arguments {
    ($($argument:ident)*) => {
        impl<F, $($argument,)* R: 'static> StepFunction<($($argument,)*)> for F
        where
            F: Fn($($argument),*) -> StepCall<'static, R>,
        {
            type Output = R;
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
