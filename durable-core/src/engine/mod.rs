//! Floor 4, the engine: launches, looks around for work that nobody does, and shuts down in order.

mod app;
mod background;
mod budgets;
mod builder;
mod dispatch;
mod down;
mod drivers;
mod identity;
mod idle;
mod launch;
mod presence;
mod readiness;
mod recover;
mod report;
mod report_text;
mod resume;
mod schedule;
pub mod signals;
mod teardown;

pub use self::app::Durable;
#[doc(hidden)]
pub use self::app::config_error;
pub use self::budgets::duration_variable;
pub use self::builder::Builder;
pub use self::readiness::Readiness;
pub use self::report::{
    Killed, PhaseReport, PoolReport, ShutdownReport, ShutdownState, Stuck, StuckKind, Suspended, TaskOutcome,
    TaskReport,
};
pub use self::teardown::{ShutdownOptions, ShutdownReason};
