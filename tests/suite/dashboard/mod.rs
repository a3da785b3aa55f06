//! The dashboard's routes over real HTTP: what the JSON API gives and changes, which access that needs, and what stays hidden.

mod acting;
mod guards;
mod hidden;
mod live;
mod mounting;
mod reading;
mod schema;
mod server;
