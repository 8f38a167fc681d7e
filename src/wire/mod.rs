//! Every JSON shape and header a caller sees; the only place that encodes for callers.

pub mod problem;
mod status;

pub use status::status;
