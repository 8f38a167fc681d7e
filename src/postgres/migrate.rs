//! rowcast's own schema: its numbered migrations, its secret, and the identity of the change log.
//!
//! Owns what is in `sql/migrations`. Knows nothing of the application's tables, nor of what the log
//! is read for.

use super::fault::{self, Speech};
use crate::{
    cursor::{CursorKey, DatabaseId, KEY_BYTES},
    error::{Error, Kind, Result},
};
use std::time::Duration;
use tokio_postgres::{Client, error::SqlState};

/// Makes the log, also where there is one.
const LOG: &str = include_str!("../../sql/migrations/5_plain_parts.sql");

/// All migrations in order; the first is number 1. A migration that was released never changes.
const MIGRATIONS: &[&str] = &[
    include_str!("../../sql/migrations/1_change_log.sql"),
    include_str!("../../sql/migrations/2_actions.sql"),
    include_str!("../../sql/migrations/3_retention.sql"),
    include_str!("../../sql/migrations/4_keys.sql"),
    LOG,
];

/// Takes from everybody else whatever the database grants on new objects by default.
pub(super) const CLOSE: &str = include_str!("../../sql/feed/close.sql");
const IDENTITY: &str = include_str!("../../sql/feed/identity.sql");
const IDENTIFY: &str = include_str!("../../sql/feed/identify.sql");

/// The advisory lock under which anything of rowcast's in the database is made or changed: "rowcast".
pub(super) const LOCK: i64 = 0x0072_6f77_6361_7374;

/// For how long a change of the log waits for those who write to it; others queue behind it for as
/// long. How often it is tried, and how long is waited in between.
const HASTE: &str = "set local lock_timeout = '20ms'";
const ATTEMPTS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(100);

/// Brings rowcast's schema up to date. Several servers may do so at once: one does it, the others
/// wait and find it done.
///
/// # Errors
/// `ConfigurationInvalid` if the schema is from a newer rowcast, or may not be made or used by the
/// role that we log in as; `DatabaseUnavailable`.
///
/// The connection is of no use after an error: a transaction may be open on it.
pub(super) async fn migrate(client: &Client) -> Result<()> {
    let applied = patiently(client, Work::Migrate).await?;
    if applied > 0 {
        tracing::info!(migrations = applied, "rowcast's schema is up to date");
    }
    Ok(())
}

/// Makes the log anew, empty, whatever is left of it. Whoever has a cursor from before can tell.
///
/// # Errors
/// As [`migrate`].
pub(super) async fn renew_log(client: &Client) -> Result<()> {
    patiently(client, Work::Renew).await.map(drop)
}

/// What is done in one transaction.
#[derive(Clone, Copy)]
enum Work {
    Migrate,
    Renew,
}

/// Does something in a transaction, again and again while others hold the locks that it needs.
async fn patiently(client: &Client, work: Work) -> Result<usize> {
    let mut attempt = 0;
    loop {
        client.batch_execute("begin").await.map_err(refused)?;
        let done = match work {
            Work::Migrate => migrate_in(client).await,
            Work::Renew => renew_in(client).await,
        };
        match done {
            Ok(done) => {
                client.batch_execute("commit").await.map_err(refused)?;
                return Ok(done);
            }
            Err(error) if is_locked(&error) && attempt < ATTEMPTS => {
                client.batch_execute("rollback").await.map_err(refused)?;
                attempt += 1;
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Whether a lock was not to be had in time.
fn is_locked(error: &Error) -> bool {
    std::error::Error::source(error)
        .and_then(|it| it.downcast_ref::<tokio_postgres::Error>())
        .is_some_and(|it| it.code() == Some(&SqlState::LOCK_NOT_AVAILABLE))
}

async fn renew_in(transaction: &Client) -> Result<usize> {
    transaction
        .execute("select pg_advisory_xact_lock($1)", &[&LOCK])
        .await
        .map_err(refused)?;
    for statements in [HASTE, LOG, CLOSE] {
        transaction
            .batch_execute(statements)
            .await
            .map_err(refused)?;
    }
    Ok(1)
}

async fn migrate_in(transaction: &Client) -> Result<usize> {
    transaction
        .execute("select pg_advisory_xact_lock($1)", &[&LOCK])
        .await
        .map_err(refused)?;
    // `create schema if not exists` asks for the right to create even where it exists.
    let exists: bool = transaction
        .query_one("select to_regclass('rowcast.migrations') is not null", &[])
        .await
        .map_err(refused)?
        .get(0);
    if !exists {
        transaction
            .batch_execute(
                "do $$ begin
                     if to_regnamespace('rowcast') is null then create schema rowcast; end if;
                 end $$;
                 create table rowcast.migrations (
                     number integer primary key,
                     applied_at timestamptz not null default now()
                 )",
            )
            .await
            .map_err(refused)?;
    }
    let applied: i32 = transaction
        .query_one(
            "select coalesce(max(number), 0) from rowcast.migrations",
            &[],
        )
        .await
        .map_err(refused)?
        .get(0);
    let applied = usize::try_from(applied).unwrap_or_default();
    if applied > MIGRATIONS.len() {
        return Err(Error::new(
            Kind::ConfigurationInvalid,
            format!(
                "the schema rowcast in this database is of version {applied}, and this program knows \
                 versions up to {}",
                MIGRATIONS.len()
            ),
        )
        .with_hint("Run the newer rowcast, or `rowcast uninstall` of that one first."));
    }
    transaction.batch_execute(HASTE).await.map_err(refused)?;
    for (number, migration) in (1i32..).zip(MIGRATIONS).skip(applied) {
        transaction
            .batch_execute(migration)
            .await
            .map_err(refused)?;
        transaction
            .execute(
                "insert into rowcast.migrations (number) values ($1)",
                &[&number],
            )
            .await
            .map_err(refused)?;
    }
    if applied < MIGRATIONS.len() {
        transaction.batch_execute(CLOSE).await.map_err(refused)?;
        transaction
            .execute(
                "insert into rowcast.settings (cursor_key) values ($1) on conflict do nothing",
                &[&CursorKey::draw()?.as_slice()],
            )
            .await
            .map_err(refused)?;
    }
    Ok(MIGRATIONS.len() - applied)
}

/// The secret that all servers of this database sign cursors with.
///
/// # Errors
/// `DatabaseUnavailable`, `ConfigurationInvalid`.
pub(super) async fn cursor_key(client: &Client) -> Result<CursorKey> {
    let row = client
        .query_one("select cursor_key from rowcast.settings", &[])
        .await
        .map_err(refused)?;
    let secret: [u8; KEY_BYTES] = row
        .get::<_, &[u8]>(0)
        .try_into()
        .map_err(|_| Error::internal("the cursor key has another length than it was made with"))?;
    Ok(CursorKey::new(&secret))
}

/// What cursors are bound to now. Draws a new identity for the log if it was lost (or is new, or came
/// with a dump from a database whose transaction ids are ahead); of several servers that notice, all
/// get the same.
///
/// # Errors
/// `DatabaseUnavailable`, `ConfigurationInvalid`.
pub(super) async fn database_id(client: &Client) -> Result<DatabaseId> {
    let mut row = client.query_one(IDENTITY, &[]).await.map_err(refused)?;
    if row.get::<_, Option<&str>>("log_id").is_none() || row.get("ahead") {
        client.batch_execute(IDENTIFY).await.map_err(refused)?;
        row = client.query_one(IDENTITY, &[]).await.map_err(refused)?;
    }
    let lost = || Error::internal("the log's identity was lost again while it was read");
    let system_identifier = match row.get("may_ask") {
        false => 0,
        true => client
            .query_one("select system_identifier from pg_control_system()", &[])
            .await
            .map_err(refused)?
            .get::<_, i64>(0),
    };
    Ok(DatabaseId {
        // PostgreSQL shows the unsigned number as a signed one.
        system_identifier: system_identifier.cast_unsigned(),
        timeline: u32::try_from(row.get::<_, i64>("timeline")).map_err(|_| lost())?,
        database: row.get("database"),
        log_id: row
            .get::<_, Option<&str>>("log_id")
            .and_then(|it| it.parse().ok())
            .ok_or_else(lost)?,
    })
}

/// An error while rowcast's own things are made or used: a missing right is a matter of
/// configuration, and what PostgreSQL said of it belongs before the operator's eyes.
pub(super) fn refused(error: tokio_postgres::Error) -> Error {
    match error.as_db_error() {
        Some(refusal) if refusal.code().code().starts_with("42") => Error::new(
            Kind::ConfigurationInvalid,
            format!(
                "rowcast's schema cannot be made or used: {}",
                refusal.message()
            ),
        )
        .with_hint(
            "The role of database.url needs the right to create schemas in the database once, and \
             owns what it makes.",
        )
        .with_source(error),
        _ => fault::fault(error, Speech::Open),
    }
}
