//! A server in this process, on a port of its own, in front of a test's own database.

use super::{Client, Database, cluster, token_of};
use rowcast::{
    config::Config,
    server::{Running, Server},
};
use serde_json::json;
use tokio::net::TcpListener;

/// The secret of all test servers.
pub const SECRET: &str = "the secret of all test servers, long enough";

/// A running server and its database.
pub struct TestServer {
    pub database: Database,
    pub running: Running,
}

impl TestServer {
    /// In front of the help desk, requests running as its agents.
    pub async fn helpdesk() -> Self {
        Self::helpdesk_with(|_| ()).await
    }

    /// In front of the help desk, with other settings.
    pub async fn helpdesk_with(change: impl FnOnce(&mut Config)) -> Self {
        Self::start(Database::helpdesk().await, |config| {
            config.database.default_role = Some(rowcast::postgres::helpdesk::ROLE.to_owned());
            change(config);
        })
        .await
    }

    /// In front of this database.
    pub async fn start(database: Database, change: impl FnOnce(&mut Config)) -> Self {
        let running = Self::serve(&database, change).await;
        Self { database, running }
    }

    /// Another server in front of a database.
    pub async fn serve(database: &Database, change: impl FnOnce(&mut Config)) -> Running {
        let mut config = Config::default();
        config.database.url = Some(database.url.as_str().into());
        config.auth.jwt_secret = Some(SECRET.into());
        change(&mut config);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        Server::start(config, listener)
            .await
            .expect("the server starts")
    }

    /// A caller of this organization and user.
    pub fn client(&self, organization: i64, user: i64) -> Client {
        self.client_of(json!({ "org": organization, "sub": user }))
    }

    /// A caller with these claims.
    pub fn client_of(&self, claims: serde_json::Value) -> Client {
        Client::new(self.running.address(), Some(token_of(SECRET, claims)))
    }

    /// Ends the server and asserts that it leaves nothing behind: no channel, request or byte in its
    /// queues, no connection to the database.
    pub async fn finish(self) {
        let database = self.database;
        self.running.shutdown().await;
        cluster::until_left(&database).await;
        database.finish().await;
    }
}
