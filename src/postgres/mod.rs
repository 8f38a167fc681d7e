//! PostgreSQL: pools, sessions, SQL rendering, row streams, writes, discovery, the managed local
//! server. The only user of tokio-postgres. Knows neither HTTP nor channels.

pub mod encode;
pub mod helpdesk;
pub mod local;

mod database;
mod read;
mod write;

pub use database::Database;
pub use read::{Item, Listing, RowBuffer, RowStream};
pub use write::Written;
