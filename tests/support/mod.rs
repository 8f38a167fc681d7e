//! What every test stands on: PostgreSQL, a server in this process, and callers.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test uses a part, and nobody outside sees it"
)]

pub mod channel;
pub mod cluster;
pub mod http;

pub use channel::{Channel, Transport};
pub use cluster::Database;
pub use http::{Answer, Client};

/// Loads the help desk, size S, through the library as `rowcast demo` does.
async fn load_helpdesk(url: &str) {
    let (mut client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
        .await
        .expect("PostgreSQL is up");
    let driver = tokio::spawn(connection);
    rowcast::postgres::helpdesk::load(&mut client, rowcast::postgres::helpdesk::Size::S, |_| ())
        .await
        .expect("the help desk loads");
    drop(client);
    // A database with connections cannot be a template.
    driver.await.expect("no panic").expect("a clean end");
}
