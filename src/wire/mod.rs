//! Every JSON shape and header a caller sees; the only place that encodes for callers.

pub mod answer;
pub mod csv;
pub mod event;
mod events;
pub mod problem;
pub mod signal;
mod status;
pub mod strip;

pub use events::Events;
pub use status::{status, status_of};
