//! Coming back with a cursor: what was missed is told, all of it and nothing else, and then what
//! happens. In every test a second organization is there too, and is told nothing of the first.

mod cursors;
mod faults;
mod floods;
mod limits;
mod reader;
mod replay;
mod restricted;
mod several;
mod store;

pub(crate) use reader::{attach, missed};
