//! The change log's statements: rowcast's own schema and its upkeep, the relations that are logged,
//! what is new since a snapshot, and the re-reading of what changed.
//!
//! Owns all SQL that the feed needs. Knows neither channels nor who is told what.

mod alone;
mod entry;
pub(super) mod flight;
mod flood;
mod keeper;
mod missed;
mod personal;
mod plan;
mod readers;
mod relations;
mod retention;
pub(super) mod since;
mod states;
mod texts;
mod view;

pub use entry::{Entry, Hint};
pub use keeper::{Keeper, Progress};
pub use missed::{Kinds, Logged, Missed, MissedKey, Moves};
pub use personal::{Personal, PersonalReader, PersonalReaders, Seen};
pub use plan::{Concern, Meaning, Owner, Plan};
pub use readers::{Look, News, Readers, Wanted};
pub use relations::{Shape, Shapes};
pub use retention::{Health, LogState, Retention};
pub use states::{Asked, Rows, State};
pub use view::View;
