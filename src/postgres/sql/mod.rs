//! SQL text, rendered from what the catalog and a query say. Runs nothing.

mod identifier;
mod value;

pub(crate) use identifier::identifier;
pub(crate) use value::Value;

/// A statement with its parameters.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rendered {
    pub(crate) sql: String,
    pub(crate) parameters: Vec<Value>,
}
