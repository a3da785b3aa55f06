//! How the files of a store declare their SQL statements: each one once, rendered when the store opens.

/// Declares `struct Statements` with one SQL text per field.
macro_rules! sql_statements {
    ($($(#[$meta:meta])* $field:ident = $text:expr;)*) => {
        /// The statements of this file.
        #[derive(Debug)]
        pub(super) struct Statements {
            $($(#[$meta])* pub(super) $field: std::sync::Arc<str>,)*
        }

        impl Statements {
            /// `render` makes the text that is sent out of the one that is written here.
            pub(super) fn new(render: &impl Fn(&str) -> std::sync::Arc<str>) -> Self {
                Self { $($field: render(&$text),)* }
            }
        }
    };
}
pub(super) use sql_statements;

/// Declares `struct Statements` of a whole store, with one field for each file that declares some.
macro_rules! statements_of_files {
    ($($file:ident)*) => {
        /// The statements of all files of this store, by file.
        #[derive(Debug)]
        struct Statements {
            $($file: $file::Statements,)*
        }

        impl Statements {
            fn new(render: &impl Fn(&str) -> Arc<str>) -> Self {
                Self { $($file: $file::Statements::new(render),)* }
            }
        }
    };
}
pub(super) use statements_of_files;
