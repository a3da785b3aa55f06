//! The checks that several attributes share. A message contains what is wrong and what to write instead.

mod arguments;
mod output;
mod signature;

pub(crate) use self::arguments::{conditional_arguments, lost_changes, owned_arguments, plain_argument_names};
pub(crate) use self::output::{owned_output, recorded_name, returns_result};
pub(crate) use self::signature::{is_async, not_generic, one_attribute, qualifiers};
