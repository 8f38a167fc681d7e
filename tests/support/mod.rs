//! What every test stands on: PostgreSQL, a server in this process, and callers.
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "each test uses a part, and nobody outside sees it"
)]

pub mod breakable;
pub mod channel;
pub mod cluster;
pub mod http;
pub mod server;
pub mod wait;

pub use breakable::Breakable;
pub use channel::{Channel, Refused, Transport};
pub use cluster::Database;
pub use http::{Answer, Client};
pub use server::TestServer;
pub use wait::{PATIENCE, SOON, soon, until};

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

/// A token as any issuer makes it: HS256 over `org` and `sub`, an hour long.
pub fn token(secret: &str, organization: &str, user: &str) -> String {
    token_of(
        secret,
        serde_json::json!({ "org": organization, "sub": user }),
    )
}

/// A token of these claims; `exp` is added when it is missing.
pub fn token_of(secret: &str, mut claims: serde_json::Value) -> String {
    if claims.get("exp").is_none() {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        claims["exp"] = (now.expect("after 1970").as_secs() + 3600).into();
    }
    let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).expect("a token")
}
