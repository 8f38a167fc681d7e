//! The one integration-test binary; its modules are named by concern.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "a test says what it does by its name"
)]

mod actions;
mod bulk;
mod change_log;
mod cli;
mod clients;
mod computed;
mod conformance;
mod convergence;
mod discovery;
mod documents;
mod embedding;
mod encoder;
mod feed;
mod fence;
mod fence_writes;
mod foreign_schemas;
mod helpdesk;
mod http_async;
mod http_auth;
mod http_changes;
mod http_channels;
mod http_compressed;
mod http_limits;
mod http_plain;
mod http_priority;
mod http_routes;
mod http_websocket;
mod http_writes;
mod include;
mod limits;
mod local_postgres;
mod modified_since;
mod query;
mod reads;
mod resume;
mod retention;
mod rpc;
mod signals;
mod streams;
mod support;
mod tidy;
mod values;
mod views;
mod wire_examples;
mod writes;
mod zoo;

#[tokio::test]
async fn a_database_of_its_own() {
    let database = support::Database::with("create table t (id int primary key)").await;
    assert_eq!(database.psql("select count(*) from t").await, "0");
    database.finish().await;
}
