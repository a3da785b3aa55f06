//! Floor 4, the engine: launches, looks around for work that nobody does, and shuts down in order.

mod app;
mod background;
mod builder;
mod dispatch;
mod down;
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
mod teardown;

pub use self::app::Durable;
pub use self::builder::Builder;
pub use self::readiness::Readiness;
pub use self::report::{
    Killed, PhaseReport, PoolReport, ShutdownReport, ShutdownState, Stuck, StuckKind, Suspended, TaskOutcome,
    TaskReport,
};
pub use self::teardown::{ShutdownOptions, ShutdownReason};
