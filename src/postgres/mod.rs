//! PostgreSQL: pools, sessions, SQL rendering, row streams, writes, discovery, the managed local
//! server. The only user of tokio-postgres. Knows neither HTTP nor channels.

#![allow(
    dead_code,
    reason = "sessions and leases stand before the reads that use them"
)]

mod actions;
pub mod changelog;
mod connection;
mod database;
mod discovery;
pub mod encode;
mod fault;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
pub mod helpdesk;
mod keys;
mod lease;
pub mod local;
mod migrate;
mod page;
pub mod params;
mod pool;
mod read;
mod rows;
mod session;
pub(crate) mod sql;
mod statements;
mod time_zones;
mod triggers;
mod write;

pub use connection::Connection;
pub use database::{Connections, Database};
pub use keys::{KEYS_MAX, MastersInUse, RowKey};
pub use read::{Item, Listing};
pub use rows::{RowBuffer, RowStream};
pub use write::Written;

use crate::{
    error::Result,
    identity::OrganizationId,
    query::{Query, Value},
};

/// The statement that a query's own rows come from, with its parameters: for those who want to see or to
/// measure it.
///
/// # Errors
/// `OrganizationNotAllowed` if the organization is no value of the column that tells it.
pub fn statement(query: &Query, organization: &OrganizationId) -> Result<(String, Vec<Value>)> {
    let (rendered, _) = sql::select(query, organization)?;
    Ok((rendered.sql, rendered.parameters))
}
