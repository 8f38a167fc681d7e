//! URL and body → typed query or write. Pure: what can be refused without asking the database is
//! refused here, with the place in the text where it went wrong. Knows no SQL and no connections.

mod call;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod grammar;
mod key;
mod parameters;
pub(crate) mod read;
mod scanner;
pub(crate) mod syntax;
mod time_zone;
pub mod value;
pub(crate) mod write;

pub use call::{Brought, Call, Shape};
pub(crate) use key::encode as encode_id;
pub(crate) use key::of_row as row_id;
pub use read::{Counting, Query, Range};
pub use time_zone::TimeZone;
pub use value::Value;
pub use write::{
    Action, ActionId, Answer, Duplicates, Fingerprint, Format, Write, WriteOptions, to_json,
};
