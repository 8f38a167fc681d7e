//! Coming back with a cursor: what was missed is told, all of it and nothing else, and then what
//! happens. In every test a second organization is there too, and is told nothing of the first.

mod cursors;
mod reader;
mod replay;

pub(crate) use reader::{attach, missed};
