//! The row encoder against its oracle, PostgreSQL's own `to_json`, type by type and byte by byte.

mod compound;
pub(crate) mod oracle;
mod scalars;
mod strategies;
