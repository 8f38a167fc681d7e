//! SQL text, rendered from what the catalog and a query say. Runs nothing.

mod fence;
mod identifier;
mod select;
mod writer;

pub(crate) use identifier::identifier;
pub(crate) use select::select;
pub(crate) use writer::{Rendered, Writer};
