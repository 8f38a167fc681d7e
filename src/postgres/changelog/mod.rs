//! The change log's statements: rowcast's own schema and its upkeep, the relations that are logged,
//! what is new since a snapshot, and the re-reading of what changed.
//!
//! Owns all SQL that the feed needs. Knows neither channels nor who is told what.

mod keeper;
mod plan;
mod relations;

pub use keeper::{Keeper, Progress};
pub use plan::{Concern, Meaning, Plan};
pub use relations::Shapes;
