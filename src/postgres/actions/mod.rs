//! Actions: what a user did under a name of its client's, recorded in the transaction that did it, so
//! that the same thing asked for again is answered and not done.
//!
//! Owns the table `rowcast.actions`. Its statements run as the role that we log in as, before the
//! caller's role is taken or in between: no role of the application's has any right on the table, and
//! there is no function that would lend it one. Knows nothing of what a write is, nor of rows.

mod record;

pub(super) use record::{Did, Record};

use super::{connection::Connection, migrate::refused};
use crate::{
    cursor::CursorSigner,
    error::{Error, Kind, Result},
    identity::{Identity, OrganizationId, UserId},
    query::Action,
};
use std::time::Duration;
use tokio_postgres::{Row, Statement, types::ToSql};

const LOCK: &str = include_str!("../../../sql/actions/lock.sql");
const FIND: &str = include_str!("../../../sql/actions/find.sql");
const RECORD: &str = include_str!("../../../sql/actions/record.sql");
const KNOWN: &str = include_str!("../../../sql/actions/known.sql");
const ROLE: &str = include_str!("../../../sql/actions/role.sql");
const TRIM: &str = include_str!("../../../sql/actions/trim.sql");

/// Keeps the digests of actions apart from whatever else the servers' secret signs.
const DOMAIN: &[u8] = b"rowcast action\0";

/// Under this only one server deletes old actions: "rowcast", and an `a`.
const TRIM_LOCK: i64 = 0x726f_7763_6173_7461;

/// As many rows as one piece of deleting has.
const PIECE: u64 = 5000;

/// Between two pieces, for others.
const PAUSE: Duration = Duration::from_millis(20);

/// One action of one user, on its way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taking<'a> {
    identity: &'a Identity,
    action: &'a Action,
    /// A digest of organization, user and action.
    key: [u8; 16],
}

/// What is known of an action that is about to be done.
#[derive(Debug)]
pub(super) enum Found {
    /// Nothing: it is ours to do.
    Free,
    /// Somebody is doing it at this moment.
    InFlight,
    /// Something else was done under this name.
    Another,
    /// It is done.
    Done(Record),
}

/// The statements of an action, prepared before its transaction begins: the caller's role may not even
/// name the table.
pub(super) struct Prepared {
    lock: Statement,
    find: Statement,
    record: Statement,
    role: Statement,
}

impl<'a> Taking<'a> {
    pub(super) fn new(signer: &CursorSigner, identity: &'a Identity, action: &'a Action) -> Self {
        let (organization, user) = (&identity.organization, &identity.user);
        Self {
            identity,
            action,
            key: key(signer, organization, user, action.id.as_str()),
        }
    }

    /// Prepares what an action takes, outside of any transaction.
    pub(super) async fn prepare(
        self,
        connection: &Connection,
    ) -> Result<Prepared, tokio_postgres::Error> {
        Ok(Prepared {
            lock: connection.statement(LOCK).await?,
            find: connection.statement(FIND).await?,
            record: connection.statement(RECORD).await?,
            role: connection.statement(ROLE).await?,
        })
    }

    /// Takes the action's lock and looks whether it is done; in one flight, as the role that we log in
    /// as. The lock lasts until the transaction ends.
    pub(super) async fn take(
        self,
        connection: &Connection,
        prepared: &Prepared,
    ) -> Result<Found, tokio_postgres::Error> {
        let number = i64::from_be_bytes(self.key[..8].try_into().expect("eight of sixteen bytes"));
        let key: &[u8] = &self.key;
        let lock: [&(dyn ToSql + Sync); 1] = [&number];
        let find: [&(dyn ToSql + Sync); 1] = [&key];
        let (locked, found) = tokio::join!(
            biased;
            connection.query_one(&prepared.lock, &lock),
            connection.query_opt(&prepared.find, &find),
        );
        let is_free: bool = locked?.try_get(0)?;
        // What is done is known as soon as it is, though somebody else may be looking as well.
        match found? {
            Some(row) => self.done(&row),
            None if is_free => Ok(Found::Free),
            None => Ok(Found::InFlight),
        }
    }

    fn done(self, row: &Row) -> Result<Found, tokio_postgres::Error> {
        if row.try_get::<_, &[u8]>("fingerprint")? != self.action.fingerprint.0 {
            return Ok(Found::Another);
        }
        Ok(Found::Done(Record::read(row.try_get("written")?)))
    }

    /// Records what was done, in the same transaction: takes our own role for that, and then the
    /// caller's again. Everything is sent at once.
    pub(super) async fn record(
        self,
        connection: &Connection,
        prepared: &Prepared,
        written: &str,
    ) -> Result<(), tokio_postgres::Error> {
        let (key, fingerprint): (&[u8], &[u8]) = (&self.key, &self.action.fingerprint.0);
        let organization = match self.identity.organization.is_none() {
            true => "",
            false => &self.identity.organization.0,
        };
        let values: [&(dyn ToSql + Sync); 6] = [
            &key,
            &organization,
            &&*self.identity.user.0,
            &self.action.id.as_str(),
            &fingerprint,
            &written,
        ];
        let role: [&(dyn ToSql + Sync); 1] = [&&*self.identity.role.0];
        let (reset, recorded, taken) = tokio::join!(
            biased;
            connection.batch_execute("reset role"),
            connection.execute(&prepared.record, &values),
            connection.query_one(&prepared.role, &role),
        );
        reset?;
        recorded?;
        taken.map(|_| ())
    }
}

/// Whether an action was committed.
///
/// # Errors
/// `DatabaseUnavailable`.
pub(super) async fn is_committed(
    connection: &Connection,
    signer: &CursorSigner,
    organization: &OrganizationId,
    user: &UserId,
    action: &str,
) -> Result<bool> {
    let key = key(signer, organization, user, action);
    let known = connection.query_opt(KNOWN, &[&&key[..]]).await;
    known.map(|row| row.is_some()).map_err(refused)
}

fn key(
    signer: &CursorSigner,
    organization: &OrganizationId,
    user: &UserId,
    action: &str,
) -> [u8; 16] {
    let parts = [
        organization.0.as_bytes(),
        user.0.as_bytes(),
        action.as_bytes(),
    ];
    let digest = signer.digest(DOMAIN, &parts);
    let mut key = [0; 16];
    key.copy_from_slice(&digest[..16]);
    key
}

/// The answer to an action that is being done.
pub(super) fn in_flight() -> Error {
    Error::new(
        Kind::ActionInFlight,
        "The same action is being carried out at this moment.",
    )
    .with_hint("Ask again in a moment: by then it is done, or free to be done.")
}

/// The answer to an action's name that stands for something else.
pub(super) fn another() -> Error {
    Error::new(
        Kind::ActionReused,
        "Another request was carried out under this Action-Id.",
    )
    .with_hint(
        "Use a new Action-Id for each thing that a user does, and repeat requests unchanged.",
    )
}

/// Deletes the actions that were recorded longer ago than `retention`, in pieces. Nothing if another
/// server is at it.
///
/// # Errors
/// `DatabaseUnavailable`.
pub(super) async fn trim(connection: &Connection, retention: Duration) -> Result<()> {
    // For the session, since it lasts over several transactions; a broken connection gives it back.
    let mine: bool = connection
        .query_one("select pg_try_advisory_lock($1)", &[&TRIM_LOCK])
        .await
        .map_err(refused)?
        .get(0);
    if !mine {
        return Ok(());
    }
    let trimmed = trim_alone(connection, retention).await;
    connection
        .execute("select pg_advisory_unlock($1)", &[&TRIM_LOCK])
        .await
        .map_err(refused)?;
    trimmed.map_err(refused)
}

async fn trim_alone(
    connection: &Connection,
    retention: Duration,
) -> Result<(), tokio_postgres::Error> {
    let piece = connection.statement(TRIM).await?;
    let seconds = retention.as_secs_f64();
    while connection.execute(&piece, &[&seconds]).await? >= PIECE {
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}
