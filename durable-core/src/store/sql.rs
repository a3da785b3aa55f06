//! How the files of a store declare their SQL texts: each one once, made when the store opens.

/// Declares `struct Texts` with one SQL text per field, made by a function that a store gives.
macro_rules! texts {
    ($($(#[$meta:meta])* $field:ident = $text:expr;)*) => {
        /// The statements of this file.
        #[derive(Debug)]
        pub(super) struct Texts {
            $($(#[$meta])* pub(super) $field: std::sync::Arc<str>,)*
        }

        impl Texts {
            pub(super) fn new(made: impl Fn(&str) -> std::sync::Arc<str>) -> Self {
                Self { $($field: made(&$text),)* }
            }
        }
    };
}
pub(super) use texts;
