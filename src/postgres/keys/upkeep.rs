//! What keys need while nobody asks for one: those that nobody was handed for long go, and those under
//! an earlier master key come under the first.

use super::{execute, rows, uuid, wrap::Place};
use crate::{
    error::Result,
    postgres::{
        database::{Database, Inner},
        lease::Lease,
        migrate::refused,
    },
};
use std::time::Duration;
use tokio_postgres::{Row, types::ToSql};

const OUTDATED: &str = include_str!("../../../sql/keys/outdated.sql");
const WRAP: &str = include_str!("../../../sql/keys/wrap.sql");
const TRIM: &str = include_str!("../../../sql/keys/trim.sql");
const MASTERS: &str = include_str!("../../../sql/keys/masters.sql");

/// How many keys are trimmed or wrapped at once.
const PIECE: u64 = 500;

/// How many keys are stored under which master keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MastersInUse {
    /// Under the first one that is configured.
    pub first: u64,
    /// Under one of the others.
    pub others: u64,
    /// Under one that is not configured, so that they cannot be read.
    pub unknown: u64,
}

impl Database {
    /// Deletes keys that were handed out last longer ago than `retention`, and puts those that are
    /// under another master key under the first.
    ///
    /// # Errors
    /// `DatabaseUnavailable`.
    pub async fn tend_keys(&self, retention: Duration) -> Result<()> {
        let inner = self.inner();
        let lease = inner.lease(&inner.plain, None).await?;
        let seconds = retention.as_secs_f64();
        while execute(&lease, TRIM, &[&seconds]).await? >= PIECE {}
        let Ok(first) = inner.masters.first() else {
            return Ok(());
        };
        let all: Vec<Vec<u8>> = inner.masters.ids().map(Vec::from).collect();
        loop {
            let piece = rows(&lease, OUTDATED, &[&&first[..], &all]).await?;
            let mut wrapped = 0;
            for row in &piece {
                wrapped += rewrap(inner, &lease, row).await?;
            }
            // What cannot be read stays, and is not tried for ever.
            if (piece.len() as u64) < PIECE || wrapped == 0 {
                return Ok(());
            }
        }
    }

    /// Under which master keys keys are stored; nothing where there is no such table yet.
    ///
    /// # Errors
    /// `DatabaseUnavailable`.
    pub async fn masters_in_use(&self) -> Result<Option<MastersInUse>> {
        let inner = self.inner();
        let lease = inner.lease(&inner.plain, None).await?;
        let there = "select to_regclass('rowcast.row_keys') is not null";
        if !lease
            .query_one(there, &[])
            .await
            .map_err(refused)?
            .get::<_, bool>(0)
        {
            return Ok(None);
        }
        let first = inner.masters.first().ok();
        let mut found = MastersInUse::default();
        for row in rows(&lease, MASTERS, &[]).await? {
            let master: &[u8] = row.get("master");
            let keys = row.get::<_, i64>("keys").cast_unsigned();
            if first.as_ref().is_some_and(|it| it == master) {
                found.first += keys;
            } else if inner.masters.ids().any(|it| it == master) {
                found.others += keys;
            } else {
                found.unknown += keys;
            }
        }
        Ok(Some(found))
    }
}

/// Puts a key under the first master key. How many were.
async fn rewrap(database: &Inner, lease: &Lease, row: &Row) -> Result<u64> {
    let id: &str = row.get("id");
    let place = Place {
        id: uuid(id)?,
        organization: row.get("organization"),
        resource: row.get("resource"),
        row_id: row.get("row_id"),
    };
    let master: &[u8] = row.get("master");
    let secret = match database.masters.unwrap(place, master, row.get("secret")) {
        Ok(secret) => secret,
        Err(error) => {
            tracing::warn!(key = id, %error, "a row's key cannot be put under the first master key");
            return Ok(0);
        }
    };
    let wrapped = database.masters.wrap(place, &secret)?;
    let first = database.masters.first()?;
    let values: [&(dyn ToSql + Sync); 4] = [&id, &wrapped, &&first[..], &master];
    execute(lease, WRAP, &values).await
}
