//! Workflows and steps, as users write them.

mod branches;
mod calls;
mod children;
mod errors;
mod inline_steps;
mod instances_and_state;
mod listing;
mod logs;
mod looks;
mod recorded_values;
mod refused_calls;
mod select;
mod several_engines;
mod test_attribute;

pub(crate) use refused_calls::branch;
