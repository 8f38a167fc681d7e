//! Keys of rows: a secret for each row of the resources so configured, handed out to those who see the
//! row.
//!
//! Owns the tables `rowcast.row_keys` and `rowcast.row_key_holders`, whose statements run as the role
//! that we log in as. Knows nothing of what is encrypted with the keys.
//!
//! # The rule
//!
//! A key has holders: the users that it was handed to. It stays in force for as long as all of them
//! see the row. Before it is handed to anybody, and when the feed says that something happened by which
//! somebody may have lost the row, each holder is asked again: by the role and claims that it had when
//! it was handed the key, since nobody can know what a later token will say. If one does not see the
//! row, the key is retired, and whoever asks next makes another. A retired key is read by its id, by
//! those who held it and nobody else, whether they still see the row or not.
//!
//! Several servers agree without a lock: there is one key in force for each row (a unique index), and
//! one that was retired in the meantime is not handed out (one statement records and looks).

mod holders;
mod upkeep;
mod wrap;

pub use upkeep::MastersInUse;
pub(super) use wrap::MasterKeys;

use super::{
    database::{Database, Inner},
    lease::Lease,
    migrate::refused,
    read,
};
use crate::{
    catalog::Resource,
    error::{Error, Kind, Result},
    identity::{Identity, OrganizationId},
    query::{Query, row_id},
    wire::answer::RowKeyAnswer,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use tokio_postgres::{Row, types::ToSql};
use uuid::Uuid;
use wrap::{Place, SECRET_BYTES};

const CURRENT: &str = include_str!("../../../sql/keys/current.sql");
const HOLDERS: &str = include_str!("../../../sql/keys/holders.sql");
const MAKE: &str = include_str!("../../../sql/keys/make.sql");
const HAND: &str = include_str!("../../../sql/keys/hand.sql");
const HELD: &str = include_str!("../../../sql/keys/held.sql");
const HOLDS: &str = include_str!("../../../sql/keys/holds.sql");
const RETIRED: &str = include_str!("../../../sql/keys/retired.sql");
const RETIRE: &str = include_str!("../../../sql/keys/retire.sql");

/// How often it is tried to hand out a key that others make or retire at the same moment.
const ATTEMPTS: usize = 10;
/// Rows whose keys come with one answer.
pub const KEYS_MAX: usize = 100;

/// A row's key as it is handed out.
#[derive(Clone, PartialEq, Eq)]
pub struct RowKey {
    /// The topic of the row: `tickets/42`.
    pub topic: String,
    /// The key's id.
    pub id: Uuid,
    /// The secret.
    pub secret: [u8; SECRET_BYTES],
    /// Whether it is the one in force.
    pub current: bool,
}

impl RowKey {
    /// The key as callers see it.
    pub fn as_answer(&self) -> RowKeyAnswer<'_> {
        RowKeyAnswer {
            topic: &self.topic,
            key_id: self.id.to_string(),
            key: URL_SAFE_NO_PAD.encode(self.secret),
            current: self.current,
        }
    }
}

impl std::fmt::Debug for RowKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RowKey").field("id", &self.id).finish()
    }
}

/// The key of one row, on its way.
struct Asked<'a> {
    organization: &'a str,
    resource: &'a str,
    row_id: &'a str,
}

/// What is stored of a key.
struct Stored {
    /// Its uuid as text, as the statements take it.
    id: String,
    secret: [u8; SECRET_BYTES],
}

impl Database {
    /// The key of a row that the caller sees, for the caller to hold.
    ///
    /// # Errors
    /// `RowUnknown` for a row that the caller does not see; `KeyUnknown` if rows of this resource have
    /// no keys; `KeyUnreadable`; as [`Database::item`].
    pub async fn key(&self, identity: &Identity, resource: &str, id: &str) -> Result<RowKey> {
        let access = self.access(&identity.role).await?;
        let query = Query::row_key(&access, resource, id)?;
        let resource = query.resource().clone();
        if !resource.keyed || identity.organization.is_none() || identity.user.0.is_empty() {
            return Err(unknown());
        }
        let inner = self.inner();
        for _ in 0..ATTEMPTS {
            let item = match read::item(inner, identity, &query).await {
                Ok(item) => item,
                Err(error) if error.kind() == Kind::RowUnknown => {
                    self.forget_holder(identity, &resource.name, id).await?;
                    return Err(error);
                }
                Err(error) => return Err(error),
            };
            let (_, row_id) = row_id(&resource, &item.body)?;
            let asked = Asked {
                organization: &identity.organization.0,
                resource: &resource.name,
                row_id: &row_id,
            };
            let mut lease = inner.lease(&inner.plain, None).await?;
            let stored = match asked.current(inner, &lease).await? {
                Some(stored) => {
                    let but = Some(&*identity.user.0);
                    if self.is_lost(&mut lease, &asked, &stored, but).await? {
                        execute(&lease, RETIRE, &[&stored.id]).await?;
                        continue;
                    }
                    stored
                }
                None => match asked.make(inner, &lease).await? {
                    Some(stored) => stored,
                    None => continue,
                },
            };
            let seal = holders::seal(&stored.secret, identity)?;
            let values: [&(dyn ToSql + Sync); 3] = [&stored.id, &&*identity.user.0, &seal];
            if !rows(&lease, HAND, &values).await?.is_empty() {
                return Ok(RowKey {
                    topic: format!("{}/{row_id}", resource.name),
                    id: uuid(&stored.id)?,
                    secret: stored.secret,
                    current: true,
                });
            }
        }
        Err(Error::new(
            Kind::Conflict,
            "The row's key changes too often at this moment.",
        ))
    }

    /// The keys of some rows that the caller has been shown; of those that it sees no more, none.
    ///
    /// # Errors
    /// As [`Database::key`]; `AnswerTooLarge` for more rows than [`KEYS_MAX`].
    pub async fn keys_of(
        &self,
        identity: &Identity,
        resource: &Resource,
        shown: impl Iterator<Item = &'_ [u8]>,
    ) -> Result<Vec<RowKey>> {
        let mut ids: Vec<String> = Vec::new();
        for row in shown {
            ids.push(row_id(resource, row)?.1);
            if ids.len() > KEYS_MAX {
                let detail = format!("One answer has the keys of at most {KEYS_MAX} rows.");
                let error = Error::new(Kind::AnswerTooLarge, detail);
                return Err(error.with_hint("Set a limit, or ask for the keys of rows one by one."));
            }
        }
        let mut keys = Vec::with_capacity(ids.len());
        for id in ids {
            match self.key(identity, &resource.name, &id).await {
                Ok(key) => keys.push(key),
                Err(error) if error.kind() == Kind::RowUnknown => {}
                Err(error) => return Err(error),
            }
        }
        Ok(keys)
    }

    /// A key that was handed to the caller before, in force or not.
    ///
    /// # Errors
    /// `KeyUnknown`, `KeyUnreadable`.
    pub async fn key_held(&self, identity: &Identity, resource: &str, id: Uuid) -> Result<RowKey> {
        let access = self.access(&identity.role).await?;
        let resource = access.resource(resource)?.resource;
        if !resource.keyed || identity.organization.is_none() {
            return Err(unknown());
        }
        let inner = self.inner();
        let lease = inner.lease(&inner.plain, None).await?;
        let organization = &*identity.organization.0;
        let text = id.to_string();
        let values: [&(dyn ToSql + Sync); 4] =
            [&text, &organization, &&*resource.name, &&*identity.user.0];
        let found = rows(&lease, HELD, &values).await?;
        let row = found.first().ok_or_else(unknown)?;
        let row_id: &str = row.get("row_id");
        let place = Place {
            id,
            organization,
            resource: &resource.name,
            row_id,
        };
        Ok(RowKey {
            topic: format!("{}/{row_id}", resource.name),
            id,
            secret: inner
                .masters
                .unwrap(place, row.get("master"), row.get("secret"))?,
            current: row.get("current"),
        })
    }

    /// Looks whether everybody who holds the key of a row still sees the row, and retires the key if
    /// not. Whether it was retired, now or just before, by whoever asked for it or another server.
    ///
    /// # Errors
    /// `KeyUnreadable`, `DatabaseUnavailable`.
    pub async fn reconsider_key(
        &self,
        organization: &OrganizationId,
        resource: &str,
        row_id: &str,
    ) -> Result<bool> {
        let inner = self.inner();
        let asked = Asked {
            organization: &organization.0,
            resource,
            row_id,
        };
        let mut lease = inner.lease(&inner.plain, None).await?;
        if let Some(stored) = asked.current(inner, &lease).await?
            && self.is_lost(&mut lease, &asked, &stored, None).await?
        {
            execute(&lease, RETIRE, &[&stored.id]).await?;
            return Ok(true);
        }
        let values: [&(dyn ToSql + Sync); 3] =
            [&asked.organization, &asked.resource, &asked.row_id];
        Ok(!rows(&lease, RETIRED, &values).await?.is_empty())
    }

    /// Somebody who may hold the key of a row does not see it, or it is gone: then the key is not for
    /// those who do, and is retired.
    ///
    /// # Errors
    /// `DatabaseUnavailable`.
    pub async fn forget_holder(&self, identity: &Identity, resource: &str, id: &str) -> Result<()> {
        let inner = self.inner();
        let lease = inner.lease(&inner.plain, None).await?;
        let values: [&(dyn ToSql + Sync); 4] = [
            &&*identity.organization.0,
            &resource,
            &id,
            &&*identity.user.0,
        ];
        for row in rows(&lease, HOLDS, &values).await? {
            execute(&lease, RETIRE, &[&row.get::<_, &str>("id")]).await?;
        }
        Ok(())
    }
}

impl Asked<'_> {
    fn place(&self, id: Uuid) -> Place<'_> {
        Place {
            id,
            organization: self.organization,
            resource: self.resource,
            row_id: self.row_id,
        }
    }

    /// The key in force.
    async fn current(&self, database: &Inner, lease: &Lease) -> Result<Option<Stored>> {
        let values: [&(dyn ToSql + Sync); 3] = [&self.organization, &self.resource, &self.row_id];
        let found = rows(lease, CURRENT, &values).await?;
        let Some(row) = found.first() else {
            return Ok(None);
        };
        let id: String = row.get("id");
        let place = self.place(uuid(&id)?);
        let secret = database
            .masters
            .unwrap(place, row.get("master"), row.get("secret"))?;
        Ok(Some(Stored { id, secret }))
    }

    /// A new key; `None` if somebody else has just made one.
    async fn make(&self, database: &Inner, lease: &Lease) -> Result<Option<Stored>> {
        let (id, secret) = (Uuid::new_v4(), wrap::draw()?);
        let wrapped = database.masters.wrap(self.place(id), &secret)?;
        let id = id.to_string();
        let master = database.masters.first()?;
        let values: [&(dyn ToSql + Sync); 6] = [
            &id,
            &self.organization,
            &self.resource,
            &self.row_id,
            &wrapped,
            &&master[..],
        ];
        let made = execute(lease, MAKE, &values).await?;
        Ok((made > 0).then_some(Stored { id, secret }))
    }
}

async fn rows(lease: &Lease, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>> {
    let statement = lease.statement(sql).await.map_err(refused)?;
    lease.query(&statement, values).await.map_err(refused)
}

async fn execute(lease: &Lease, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<u64> {
    let statement = lease.statement(sql).await.map_err(refused)?;
    lease.execute(&statement, values).await.map_err(refused)
}

fn uuid(text: &str) -> Result<Uuid> {
    let id = Uuid::parse_str(text);
    id.map_err(|error| Error::internal("the id of a key is no uuid").with_source(error))
}

fn unknown() -> Error {
    Error::new(Kind::KeyUnknown, "No such key was handed to you.")
}
