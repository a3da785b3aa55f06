//! Floor 4, the engine: launches, looks around for work that nobody does, and shuts down in order.

mod app;
mod background;
mod budgets;
mod builder;
mod dispatch;
mod identity;
mod launch;
mod presence;
mod recover;
mod report;
mod resume;
mod schedule;
pub mod signals;
mod teardown;

#[doc(hidden)]
pub use self::app::config_error;
pub use self::app::Durable;
pub use self::budgets::duration_variable;
pub use self::builder::Builder;
pub use self::report::{PhaseReport, ShutdownReport, Suspended};
pub use self::teardown::ShutdownOptions;
