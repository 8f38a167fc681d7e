//! SQL text, rendered from what the catalog and a query say. Runs nothing.

mod call;
mod condition;
mod embed;
mod fence;
mod identifier;
mod include;
mod modified;
mod page;
mod refer;
mod select;
mod write;
mod writer;

pub(crate) use identifier::identifier;
pub(crate) use include::included;
pub(crate) use page::counts;
pub(crate) use select::{encoder, select};
pub(crate) use write::{Fenced, MERGED, MERGED_NONE, Returning, Writing};
pub(crate) use writer::{Rendered, Writer};
