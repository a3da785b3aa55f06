//! Keys and other numbers of rows. Each kind has a type of its own, so that one cannot be taken for another.
//! The engine makes the keys, and they increase.

use std::fmt;

/// Declares the type of a number.
macro_rules! number {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(i64);

        impl $name {
            /// Wraps the number that the database has.
            #[must_use]
            pub const fn new(number: i64) -> Self {
                Self(number)
            }

            /// The number, as the database has it.
            #[must_use]
            pub const fn get(self) -> i64 {
                self.0
            }
        }

        impl From<i64> for $name {
            fn from(number: i64) -> Self {
                Self(number)
            }
        }

        impl From<$name> for i64 {
            fn from(typed: $name) -> Self {
                typed.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// The internal key of a workflow.
    WorkflowKey
}

number! {
    /// The key of an executor, fresh for each launch.
    ExecutorKey
}

number! {
    /// The key of a message.
    MessageKey
}

number! {
    /// The key of a value of an event, or of an item of a stream.
    PublicationKey
}

number! {
    /// An epoch of an executor. A takeover raises it.
    Epoch
}

number! {
    /// A hash of the source tokens of a workflow's function.
    Fingerprint
}
