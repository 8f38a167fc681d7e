//! A schema with something of everything, and callers for it, at the level of the library's own types.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test uses a part, and nobody outside sees it"
)]

use crate::support;
use rowcast::{
    config::{Config, OrganizationRule, ResourceConfig, Secret},
    cursor::{CursorKey, CursorSigner, DatabaseId},
    identity::{Identity, IdentityKey},
    postgres::Database,
};
use std::sync::Arc;

pub const KEEPER: &str = "zoo_keeper";
pub const VISITOR: &str = "zoo_visitor";

/// A database with the schema, and rowcast connected to it.
pub struct Zoo {
    pub postgres: support::Database,
    pub database: Database,
}

pub fn config(url: &str) -> Config {
    let mut config = Config::default();
    config.database.url = Some(Secret::from(url));
    config.database.schemas = vec!["public".into(), "attic".into()];
    config.database.default_role = Some(KEEPER.into());
    let organization = |rule| ResourceConfig {
        organization: Some(rule),
        ..ResourceConfig::default()
    };
    for (name, column) in [
        ("beds", "cage_id"),
        ("pillows", "bed_id"),
        ("diary_pages", "diary_id"),
    ] {
        let rule = OrganizationRule::Via(column.into());
        config.resources.insert(name.into(), organization(rule));
    }
    config
        .resources
        .insert("countries".into(), organization(OrganizationRule::Shared));
    config
}

impl Zoo {
    pub async fn open() -> Self {
        Self::with("", |_| ()).await
    }

    /// With more SQL behind the schema's, and other settings.
    pub async fn with(sql: &str, settings: impl FnOnce(&mut Config)) -> Self {
        let schema = include_str!("schema.sql");
        let postgres = support::Database::with(&format!("{schema}\n{sql}")).await;
        let mut config = config(&postgres.url);
        settings(&mut config);
        let database = connect(&config).await;
        Self { postgres, database }
    }

    /// Ends everything; asserts that no connection is left in use.
    pub async fn close(self) {
        self.database.close().await;
        let left = self.database.connections();
        assert_eq!(
            (left.plain_busy, left.streams_busy, left.cancelling),
            (0, 0, 0),
            "{left:?}"
        );
        drop(self.database);
        self.postgres.finish().await;
    }
}

/// Connects, and signs cursors with a key of its own.
pub async fn connect(config: &Config) -> Database {
    let database = Database::connect(config).await.unwrap();
    let id = DatabaseId {
        system_identifier: 1,
        timeline: 1,
        database: 1,
        log_id: uuid::Uuid::nil(),
    };
    let key = CursorKey::new(&[7; 32]);
    database.sign_with(Arc::new(CursorSigner::new(key, id)));
    database
}

/// A caller.
pub fn caller(organization: &str, user: &str, role: &str) -> Identity {
    let claims = serde_json::json!({ "org": organization, "sub": user, "role": role }).to_string();
    let mut key = [0u8; 32];
    for (place, byte) in claims.bytes().enumerate() {
        key[place % 32] = key[place % 32].wrapping_mul(31).wrapping_add(byte);
    }
    Identity {
        key: IdentityKey(key),
        organization: organization.into(),
        user: user.into(),
        role: role.into(),
        claims: claims.into(),
    }
}

/// A keeper of an organization.
pub fn keeper(organization: i32) -> Identity {
    caller(&organization.to_string(), "1", KEEPER)
}
