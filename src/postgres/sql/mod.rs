//! SQL text, rendered from what the catalog and a query say. Runs nothing.

#[cfg(any(test, feature = "fuzzing"))]
mod all;
mod call;
mod condition;
mod embed;
mod fence;
#[cfg(test)]
mod golden;
mod identifier;
mod include;
mod modified;
mod page;
mod refer;
mod select;
mod select_list;
mod write;
mod writer;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use all::{of_query, of_write};
pub(crate) use identifier::identifier;
pub(crate) use include::included;
pub(crate) use page::counts;
pub(crate) use select::{encoder, select};
pub(crate) use write::{Fenced, MERGED, MERGED_NONE, Returning, Writing};
pub(crate) use writer::{Rendered, Writer};
