//! Keys of rows. The engine makes them, they increase, and each kind has a type of its own, so that one
//! cannot be taken for another.

use std::fmt;

/// Declares the type of a key.
macro_rules! key {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(i64);

        impl $name {
            /// The key with this number.
            #[must_use]
            pub const fn new(number: i64) -> Self {
                Self(number)
            }

            /// Its number, as the database has it.
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
            fn from(key: $name) -> Self {
                key.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

key! {
    /// The internal key of a workflow.
    WorkflowKey
}

key! {
    /// The key of an executor, fresh for each launch.
    ExecutorKey
}

key! {
    /// The key of a message.
    MessageKey
}

key! {
    /// The key of a value of an event, or of an item of a stream.
    PublicationKey
}
