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
async fn load_helpdesk(_url: &str) {
    panic!("the loader is not there yet")
}
