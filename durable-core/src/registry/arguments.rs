//! A workflow's arguments: recorded by name, read back by name.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::registry::resources::Resources;
use crate::types::payload::{Payload, PayloadError, decode, encode};

/// The arguments of a call, for the database: a JSON object by argument name.
#[derive(Debug)]
pub struct Arguments {
    /// The object without its braces, or the first fault.
    text: Result<String, PayloadError>,
}

impl Arguments {
    /// No arguments yet.
    #[must_use]
    pub fn new() -> Self {
        Self { text: Ok(String::new()) }
    }

    /// Adds an argument. The call reports the first one that cannot be encoded.
    #[must_use]
    pub fn with<T: Payload>(mut self, name: &'static str, value: &T) -> Self {
        if let Ok(text) = &mut self.text {
            match encode(value) {
                Ok(json) => {
                    if !text.is_empty() {
                        text.push(',');
                    }
                    // A Rust name needs no escapes.
                    text.extend(["\"", name, "\":", &json]);
                }
                Err(error) => self.text = Err(PayloadError::new(format_args!("the argument `{name}`: {error}"))),
            }
        }
        self
    }

    pub(crate) fn into_text(self) -> Result<String, PayloadError> {
        self.text.map(|inner| format!("{{{inner}}}"))
    }
}

impl Default for Arguments {
    fn default() -> Self {
        Self::new()
    }
}

/// The arguments of a recorded workflow.
#[derive(Debug)]
pub struct Taken {
    fields: HashMap<String, Box<RawValue>>,
    /// The name of the instance that the workflow is a method of, and where to find it.
    instance: Option<(String, Resources)>,
}

impl Taken {
    pub(crate) fn read(text: &str) -> Result<Self, PayloadError> {
        Ok(Self { fields: decode(text)?, instance: None })
    }

    pub(crate) fn of_instance(mut self, name: Option<&str>, objects: &Resources) -> Self {
        self.instance = name.map(|it| (it.to_owned(), objects.clone()));
        self
    }

    /// The instance that the workflow is a method of.
    ///
    /// # Errors
    /// None was recorded, or the builder was not given it.
    pub fn instance<T: Send + Sync + 'static>(&self) -> Result<Arc<T>, PayloadError> {
        match &self.instance {
            Some((name, objects)) => objects.instance(name),
            None => {
                Err(PayloadError::new("the workflow is a method, and no instance was recorded when it was started"))
            }
        }
    }

    /// Takes out an argument by its name. One that was not recorded reads as `null`, so that an
    /// `Option` can be added to a workflow with existing rows.
    ///
    /// # Errors
    /// It is missing, or does not read as a `T`; with the argument's name and the path in it.
    pub fn take<T: Payload>(&mut self, name: &'static str) -> Result<T, PayloadError> {
        let recorded = self.fields.remove(name);
        let text = recorded.as_ref().map_or("null", |it| it.get());
        decode(text).map_err(|error| match recorded {
            Some(_) => PayloadError::new(format_args!("the argument `{name}`: {error}")),
            None => PayloadError::new(format_args!(
                "the argument `{name}` was not recorded when this workflow was started, and is no `Option`"
            )),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read_by_name_and_not_by_position() {
        let text = Arguments::new().with("order", &"o-1".to_owned()).with("attempt", &2_u32).into_text();
        let mut taken = Taken::read(&text.expect("plain values")).expect("it was just written");

        assert_eq!(taken.take::<u32>("attempt").expect("a number"), 2);
        assert_eq!(taken.take::<String>("order").expect("a text"), "o-1");
        assert_eq!(taken.take::<Option<bool>>("added_later").expect("an option may be missing"), None);
        let error = taken.take::<u32>("added_later_too").expect_err("a number may not");
        assert!(error.message.contains("`added_later_too`"), "{error}");
    }
}
