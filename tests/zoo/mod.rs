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
    error::Error,
    identity::{Identity, IdentityKey},
    postgres::{Database, RowBuffer, RowStream},
    query::Query,
};
use serde_json::Value;
use std::sync::Arc;

pub const KEEPER: &str = "zoo_keeper";
pub const VISITOR: &str = "zoo_visitor";

/// Forty cages, those of even numbers being of organization 1.
pub const CAGES: &str = "insert into countries values ('ch', 'Schweiz'), ('se', 'Sverige');
    insert into cages (id, organization_id, label, weight, badge, country)
    select n, 1 + n % 2, 'cage ' || n, n % 5, case when n < 5 then 'b' || n end, case n % 3 when 0 then 'ch' end
    from generate_series(1, 40) as n";

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

impl Zoo {
    pub async fn query(&self, who: &Identity, resource: &str, query: &str) -> Result<Query, Error> {
        let access = self.database.access(&who.role).await?;
        Query::list(&access, resource, query)
    }

    /// The rows of a list, and again as a stream.
    pub async fn list(&self, who: &Identity, resource: &str, query: &str) -> Result<Value, Error> {
        let query = self.query(who, resource, query).await?;
        let listing = self.database.list(who, &query).await?;
        let rows: Value = serde_json::from_slice(&listing.body).unwrap();
        assert_eq!(rows.as_array().unwrap().len() as u64, listing.rows);
        let streamed = rows_of(self.database.stream(who, &query).await?).await?;
        assert_eq!(rows, Value::Array(streamed));
        Ok(rows)
    }

    pub async fn item(&self, who: &Identity, resource: &str, id: &str) -> Result<Value, Error> {
        let access = self.database.access(&who.role).await?;
        let query = Query::item(&access, resource, id, "")?;
        let item = self.database.item(who, &query).await?;
        Ok(serde_json::from_slice(&item.body).unwrap())
    }

    /// The values of one column, in the order of the rows.
    pub async fn column(
        &self,
        who: &Identity,
        resource: &str,
        query: &str,
        column: &str,
    ) -> Vec<Value> {
        let rows = self.list(who, resource, query).await.unwrap();
        let rows = rows.as_array().unwrap().iter();
        rows.map(|row| row[column].clone()).collect()
    }
}

/// The rows of a stream, read to its end.
pub async fn rows_of(mut stream: RowStream) -> Result<Vec<Value>, Error> {
    let mut out = RowBuffer {
        prefix: b"<".to_vec(),
        suffix: b">\n",
        ..RowBuffer::default()
    };
    while stream.next(&mut out).await? > 0 {}
    let mut start = 0;
    let mut rows = Vec::new();
    for end in out.ends {
        let line = &out.bytes[start..end];
        let row = line
            .strip_prefix(b"<")
            .and_then(|it| it.strip_suffix(b">\n"));
        rows.push(serde_json::from_slice(row.expect("prefix and suffix")).unwrap());
        start = end;
    }
    assert_eq!(start, out.bytes.len());
    Ok(rows)
}
