//! A feed over a database of the test's own, and those who listen to it.

use crate::support::Database;
use rowcast::{
    broker::{Broker, Local},
    channel::{Attach, Attachment, ChannelId, Delivery, Hub},
    config::{Config, OrganizationRule, ResourceConfig},
    cursor::CursorSigner,
    feed::{self, FeedHandle},
    identity::{Identity, IdentityKey},
    postgres::Database as Server,
};
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Longer than anything takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running feed.
pub(crate) struct World {
    pub(crate) database: Database,
    pub(crate) server: Server,
    pub(crate) hub: Arc<Hub>,
    pub(crate) signer: Arc<CursorSigner>,
    feed: Option<FeedHandle>,
}

impl World {
    pub(crate) async fn new(sql: &str) -> Self {
        Self::with(sql, |_| ()).await
    }

    /// A database in which this SQL has run, and a feed that is configured so.
    pub(crate) async fn with(sql: &str, configure: impl FnOnce(&mut Config)) -> Self {
        Self::over(Database::with(sql).await, configure).await
    }

    pub(crate) async fn over(database: Database, configure: impl FnOnce(&mut Config)) -> Self {
        Self::through(database, configure, |hub| Arc::new(Local::new(hub))).await
    }

    /// The same with another broker.
    pub(crate) async fn through(
        database: Database,
        configure: impl FnOnce(&mut Config),
        broker: impl FnOnce(Arc<Hub>) -> Arc<dyn Broker>,
    ) -> Self {
        let mut config = Config::default();
        config.database.url = Some(database.url.as_str().into());
        config.limits.ping_ms = 20;
        configure(&mut config);
        let server = Server::connect(&config).await.unwrap();
        let prepared = feed::prepare(&server, &config).await.unwrap();
        let signer = prepared.signer().clone();
        let hub = Hub::new(&config.limits, prepared.position().clone());
        let feed = prepared.start(hub.clone(), broker(hub.clone()));
        Self {
            database,
            server,
            hub,
            signer,
            feed: Some(feed),
        }
    }

    pub(crate) fn feed(&self) -> &FeedHandle {
        self.feed.as_ref().unwrap()
    }

    /// Somebody who is online.
    pub(crate) fn listener(&self, organization: &str, user: &str, role: &str) -> Listener {
        let claims = format!(r#"{{"org":"{organization}","role":"{role}","sub":"{user}"}}"#);
        let mut key = [0; 32];
        for (index, byte) in claims.bytes().enumerate() {
            key[index % 32] = u8::wrapping_add(key[index % 32], byte.wrapping_mul(index as u8 | 1));
        }
        let identity = Arc::new(Identity {
            key: IdentityKey(key),
            organization: organization.into(),
            user: user.into(),
            role: role.into(),
            claims: claims.into(),
        });
        let channel = self
            .hub
            .open(&identity, &ChannelId::parse("tab").unwrap())
            .unwrap();
        let attachment = channel.attach(Attach::default()).unwrap();
        Listener {
            attachment,
            database: self.database.url.clone(),
            cursor: None,
        }
    }

    /// Runs SQL as another program would.
    pub(crate) async fn psql(&self, sql: &str) {
        self.database.psql(sql).await;
    }

    /// Another server on the same database.
    pub(crate) async fn beside(&self) -> Self {
        let database = Database {
            name: self.database.name.clone(),
            url: self.database.url.clone(),
        };
        Self::over(database, |_| ()).await
    }

    /// Stops everything but the database.
    pub(crate) async fn stop(mut self) -> Database {
        if let Some(feed) = self.feed.take() {
            feed.stop().await;
        }
        self.hub.clear();
        self.server.close().await;
        self.database
    }

    /// Stops everything; nothing may be left behind.
    pub(crate) async fn finish(mut self) {
        if let Some(feed) = self.feed.take() {
            feed.stop().await;
        }
        self.hub.clear();
        self.server.close().await;
        drop(self.server);
        crate::support::cluster::until_left(&self.database).await;
        self.database.finish().await;
    }
}

/// One identity's only channel.
pub(crate) struct Listener {
    attachment: Attachment,
    database: String,
    /// The last cursor that was told.
    pub(crate) cursor: Option<String>,
}

impl Listener {
    /// Everything that this identity is told of what has happened so far: as many changes, in no
    /// particular order, as `op resource id row #action`, and `reset resource reason`.
    pub(crate) async fn heard(&mut self) -> Vec<String> {
        let mut told: Vec<String> = self.events().await.iter().map(spell).collect();
        told.sort();
        told
    }

    /// Listens until this is told.
    pub(crate) async fn until(&mut self, expected: &str) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !self.heard().await.iter().any(|it| it == expected) {
            assert!(tokio::time::Instant::now() < deadline, "{expected}");
        }
    }

    /// Waits until something is told; how many events.
    #[allow(dead_code, reason = "the bench of the feed counts")]
    pub(crate) async fn some(&mut self) -> usize {
        let reading = async {
            loop {
                match self.attachment.next(1 << 20).await {
                    Delivery::Events(frames) => {
                        return frames.iter().map(|it| it.numbered().count()).sum();
                    }
                    Delivery::Ping(_) => {}
                    Delivery::Close(close) => panic!("closed: {close:?}"),
                }
            }
        };
        tokio::time::timeout(PATIENCE, reading)
            .await
            .expect("the feed goes on")
    }

    /// The events themselves, up to the state in which the database is now.
    pub(crate) async fn events(&mut self) -> Vec<Value> {
        let version = version(&self.database).await;
        let mut events = Vec::new();
        let reading = async {
            loop {
                match self.attachment.next(1 << 20).await {
                    Delivery::Events(frames) => {
                        for frame in frames.iter() {
                            for (_, line) in frame.numbered() {
                                let event: Value = serde_json::from_slice(line).unwrap();
                                if let Some(cursor) = event["cursor"].as_str() {
                                    self.cursor = Some(cursor.to_owned());
                                }
                                events.push(event);
                            }
                        }
                    }
                    Delivery::Ping(position) if position.version.0 >= version => break,
                    Delivery::Ping(_) => {}
                    Delivery::Close(close) => panic!("closed: {close:?}"),
                }
            }
        };
        tokio::time::timeout(PATIENCE, reading)
            .await
            .expect("the feed goes on");
        events
    }
}

fn spell(event: &Value) -> String {
    let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
    if event["type"] == "reset" {
        return format!("reset {} {}", text("resource"), text("reason"));
    }
    let mut spelled = format!("{} {} {}", text("op"), text("resource"), event["id"]);
    if let Some(row) = event["row"].as_object() {
        let row: BTreeMap<_, _> = row.iter().collect();
        spelled += &format!(" {}", serde_json::to_string(&row).unwrap());
    }
    for action in event["action_ids"].as_array().into_iter().flatten() {
        spelled += &format!(" ##{}", action.as_str().unwrap());
    }
    if let Some(action) = event["action_id"].as_str() {
        spelled += &format!(" #{action}");
    }
    spelled
}

/// The version of the state in which the database is now.
async fn version(url: &str) -> u64 {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let row = client
        .query_one("select pg_current_snapshot()::text", &[])
        .await
        .unwrap();
    let snapshot: rowcast::snapshot::Snapshot = row.get::<_, &str>(0).parse().unwrap();
    snapshot.version().0
}

/// A resource whose organization is told so.
pub(crate) fn organization(config: &mut Config, resource: &str, rule: OrganizationRule) {
    let settings = config.resources.entry(resource.to_owned()).or_default();
    *settings = ResourceConfig {
        organization: Some(rule),
        ..settings.clone()
    };
}
