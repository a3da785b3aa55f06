//! The schema of the tables. SQL is written with the prefix `durable.`, and rendered once per store with
//! the name that was configured.

use std::sync::Arc;

use crate::store::{StoreError, StoreErrorKind};

/// The schema that the tables are in.
#[derive(Debug, Clone)]
pub(super) struct Schema {
    /// The name as SQL has to write it.
    quoted: String,
}

impl Schema {
    /// # Errors
    /// [`StoreErrorKind::Refused`] for a name that Postgres would cut off or refuse.
    pub(super) fn new(name: &str) -> Result<Self, StoreError> {
        let longest = 63; // NAMEDATALEN - 1: Postgres cuts off longer names silently
        if name.is_empty() || name.len() > longest || name.chars().any(char::is_control) {
            return Err(StoreError::new(
                StoreErrorKind::Refused,
                format_args!(
                    "the schema name {name:?} cannot be used: 1 to {longest} bytes without control characters"
                ),
            ));
        }
        let quoted = if name == "durable" { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) };
        Ok(Self { quoted })
    }

    /// The text with this schema instead of `durable.`.
    pub(super) fn render(&self, text: &str) -> Arc<str> {
        text.replace("durable.", &format!("{}.", self.quoted)).into()
    }

    /// The schema as SQL has to write it.
    pub(super) fn quoted(&self) -> &str {
        &self.quoted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_rendered_as_a_quoted_identifier() {
        let render = |name: &str| Schema::new(name).expect("it is a good name").render("select * from durable.steps");
        assert_eq!(&*render("durable"), "select * from durable.steps");
        assert_eq!(&*render("My app"), "select * from \"My app\".steps");
        assert_eq!(&*render("a\"; drop"), "select * from \"a\"\"; drop\".steps");
    }

    #[test]
    fn a_schema_name_that_would_be_cut_off_is_refused() {
        for bad in ["", "a\nb", &"x".repeat(64)] {
            assert!(Schema::new(bad).is_err(), "{bad:?}");
        }
    }
}
