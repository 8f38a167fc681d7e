//! rowcast: a server in front of PostgreSQL that answers a GET at once, streams its rows to the
//! caller's own channel, and announces every committed change to those who may see it.
//!
//! The data's path: `http` takes a request, `query` reads its URL against the `catalog`, `request`
//! joins `postgres` with a `channel`, whose attachment a transport of `http` writes out. Beside it,
//! `feed` reads the change log and hands batches through the `broker` to the channels, and `signal`
//! carries what clients tell each other without the database.
//!
//! Imports point down only:
//! `main → cli → server → http → {request, feed, signal} → {postgres, broker} → channel →
//! {query, catalog, identity} → {cursor, snapshot, wire, config, error}`; a test holds us to it.

pub mod broker;
pub mod catalog;
pub mod channel;
pub mod config;
pub mod cursor;
pub mod error;
pub mod feed;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod http;
pub mod identity;
pub mod postgres;
pub mod query;
pub mod request;
pub mod server;
pub mod signal;
pub mod snapshot;
pub mod wire;
