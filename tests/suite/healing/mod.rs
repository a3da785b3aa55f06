//! What goes wrong heals by itself.

mod cancelled_families;
mod dropped_callers;
