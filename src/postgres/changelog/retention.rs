//! Keeping the log within its bounds: which of its parts is written to, which may go and when, and
//! what happens when it is damaged. Works as the only one among all servers of the database.
//!
//! - **A part goes when all that is in it may go**: when everything in it was visible at a mark taken
//!   one retention ago. By what was visible and never by age alone, since a transaction may have been
//!   open for longer than that.
//! - **Nobody waits.** A part is truncated under a lock that is taken at once or not at all. Who has
//!   it is whoever wrote to that part and is still at it (or reads in it for a moment); then the part
//!   is not looked at, since what it has not committed nobody sees, and later it is tried again.
//!   Writers use the current part, and that is never truncated.
//! - **Said before done.** `kept_version` is raised before anything goes, and readers look at it after
//!   they have read: whoever may have missed something knows.
//! - **Too large**: the oldest part goes sooner, and clients that were away for longer are told to
//!   `reset`. Nothing is refused to writers.
//! - **Damaged**: an entry that cannot be written fails the application's write, with PostgreSQL's own
//!   error. That is so on purpose: a write that nobody is told of would break what clients rely on,
//!   and catching the failure in the trigger would take a subtransaction, and with it a transaction id,
//!   for each statement that anybody runs. A log that cannot be written is found here within
//!   [`EXAMINED_EVERY`] and made anew, empty; then writes go on, and everybody is told to `reset`.

use crate::{
    error::{Error, Result},
    postgres::{
        connection::Connection,
        fault,
        migrate::{self, refused},
    },
};
use std::time::{Duration, Instant};
use tokio_postgres::error::SqlState;

const MARK: &str = include_str!("../../../sql/feed/mark.sql");
const PARTS: &str = include_str!("../../../sql/feed/parts.sql");
const EXPIRED: &str = include_str!("../../../sql/feed/expired.sql");
const ROTATE: &str = include_str!("../../../sql/feed/rotate.sql");
const KEEP: &str = include_str!("../../../sql/feed/keep.sql");

/// Writes an entry as a trigger would, uses everything else that there has to be, and takes it back.
const TRY: &str = "
    begin;
    do $$ begin
        execute 'insert into rowcast.changes_' || rowcast.current_slot()
            || ' (relation, op, action_id) values (0, ''s'', null)';
    end $$;
    select from rowcast.changes limit 0;
    select last_value from rowcast.kept_version;
    select from rowcast.marks limit 1;
    select from rowcast.slots limit 1;
    rollback";

/// Under this only one server keeps the log: "rowcast", and a `t`.
const LOCK: i64 = 0x726f_7763_6173_7474;

/// Not less is kept, however large the log is: a thousandth of the retention, at most a minute.
/// Clients that come back are this late.
const KEPT_MIN: Duration = Duration::from_secs(60);
const KEPT_SHARE_MIN: u32 = 1000;

/// Parts that the retention is divided into. Besides them there is the one that is written to and one
/// that is waiting to be, so that there are two more.
const PARTS_KEPT: u32 = 4;

/// How often is tried whether the log can be written.
const EXAMINED_EVERY: Duration = Duration::from_secs(30);

/// How often a part that somebody is using is tried, and how long is waited in between.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(20);

/// For how long, and how large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// For how long the log is kept.
    pub kept: Duration,
    /// The size in bytes beyond which it is kept for less.
    pub bytes_max: u64,
}

/// How the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogState {
    /// Its size in bytes, indexes included.
    pub bytes: u64,
    /// Parts with something in them.
    pub parts: usize,
    /// How long ago the oldest of them was opened: so long is everything kept, or longer.
    pub kept: Duration,
    /// What it suffers from.
    pub health: Health,
}

/// Whether the log does what it is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It does.
    Sound,
    /// It is larger than it may be, and kept for less time than it should be.
    TooLarge,
    /// It could not be written, and was made anew.
    Renewed,
}

/// One part of the log.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Part {
    slot: i16,
    current: bool,
    free: bool,
    open: Duration,
    bytes: u64,
}

/// The log's keeper, between two times.
#[derive(Debug, Default)]
pub(super) struct Retainer {
    examined: Option<Instant>,
}

impl Retainer {
    /// Examines the log, empties what need not be kept, and opens the next part if it is time to.
    /// `None` if another server is at it.
    ///
    /// # Errors
    /// `DatabaseUnavailable`, or as PostgreSQL says.
    pub(super) async fn keep(
        &mut self,
        connection: &Connection,
        retention: Retention,
    ) -> Result<Option<LogState>> {
        // For the session, since it lasts over several transactions; a broken connection gives it
        // back.
        let mine: bool = connection
            .query_one("select pg_try_advisory_lock($1)", &[&LOCK])
            .await
            .map_err(refused)?
            .get(0);
        if !mine {
            return Ok(None);
        }
        let kept = self.keep_alone(connection, retention).await;
        connection
            .execute("select pg_advisory_unlock($1)", &[&LOCK])
            .await
            .map_err(refused)?;
        kept.map(Some)
    }

    async fn keep_alone(
        &mut self,
        connection: &Connection,
        retention: Retention,
    ) -> Result<LogState> {
        let due = |it: Instant| it.elapsed() >= EXAMINED_EVERY;
        let mut renewed = false;
        if self.examined.is_none_or(due) {
            renewed = examine(connection).await?;
            self.examined = Some(Instant::now());
        }
        expire(connection, retention.kept).await?;
        let too_large = shrink(connection, retention).await?;
        rotate(connection, retention).await?;
        let health = match (renewed, too_large) {
            (true, _) => Health::Renewed,
            (_, true) => Health::TooLarge,
            _ => Health::Sound,
        };
        Ok(state(&parts(connection).await?, health))
    }
}

/// How the log is, without doing anything about it; `None` where there is none.
///
/// # Errors
/// `DatabaseUnavailable`, or as PostgreSQL says.
pub(super) async fn look(connection: &Connection, bytes_max: u64) -> Result<Option<LogState>> {
    let there = "select to_regclass('rowcast.slots') is not null
                 and has_schema_privilege('rowcast', 'usage')";
    let there: bool = connection
        .query_one(there, &[])
        .await
        .map_err(refused)?
        .get(0);
    if !there {
        return Ok(None);
    }
    let parts = parts(connection).await?;
    let health = match size(&parts) > bytes_max {
        true => Health::TooLarge,
        false => Health::Sound,
    };
    Ok(Some(state(&parts, health)))
}

/// Tries whether the log can be written, and makes it anew if not. Whether it was.
async fn examine(connection: &Connection) -> Result<bool> {
    let Err(error) = connection.batch_execute(TRY).await else {
        return Ok(false);
    };
    connection
        .batch_execute("rollback")
        .await
        .map_err(fault::unavailable)?;
    if !error.code().is_some_and(is_damage) {
        return Err(refused(error));
    }
    let message = error.as_db_error().map_or("", |it| it.message());
    tracing::error!(
        message,
        "the change log cannot be written, so that writes to the tables that are logged fail; it is \
         made anew"
    );
    migrate::renew_log(connection).await?;
    tracing::warn!("the change log was made anew: everybody is told to reset");
    Ok(true)
}

/// Whether an error means that the log is not as it was made: something of it is missing, or cannot
/// be read or written (PostgreSQL manual, appendix A).
fn is_damage(code: &SqlState) -> bool {
    let internal = matches!(code.code().get(..2), Some("XX" | "58"));
    internal
        || [
            SqlState::UNDEFINED_TABLE,
            SqlState::UNDEFINED_FUNCTION,
            SqlState::UNDEFINED_COLUMN,
            // No partition for the row.
            SqlState::CHECK_VIOLATION,
            SqlState::NOT_NULL_VIOLATION,
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
        ]
        .contains(code)
}

/// Empties the parts of which everything was visible one retention ago.
async fn expire(connection: &Connection, kept: Duration) -> Result<()> {
    let every = (kept / 100).clamp(Duration::from_millis(10), Duration::from_secs(600));
    let mark = connection
        .query_opt(MARK, &[&every.as_secs_f64(), &kept.as_secs_f64()])
        .await
        .map_err(refused)?;
    let Some(mark) = mark else {
        return Ok(());
    };
    let mark: &str = mark.get(0);
    for part in parts(connection).await? {
        if !part.current && !part.free && expired_by(connection, part, mark).await? {
            empty(connection, part, mark).await?;
        }
    }
    empty_rest(connection, mark).await
}

/// While the log is too large, empties its oldest part, if that has been kept for a little while at
/// least. Whether it is too large, or was.
async fn shrink(connection: &Connection, retention: Retention) -> Result<bool> {
    let mut too_large = false;
    loop {
        let parts = parts(connection).await?;
        if size(&parts) <= retention.bytes_max {
            return Ok(too_large);
        }
        too_large = true;
        let Some(oldest) = parts.into_iter().find(|it| !it.current && !it.free) else {
            return Ok(true);
        };
        let at_least = KEPT_MIN.min(retention.kept / KEPT_SHARE_MIN).as_secs_f64();
        let sql = of_part(EXPIRED, oldest);
        let mark = connection.query_opt(&sql, &[&at_least]).await;
        let Some(mark) = mark.map_err(refused)? else {
            return Ok(true);
        };
        if !empty(connection, oldest, mark.get(0)).await? {
            return Ok(true);
        }
    }
}

/// Opens the next part when the current one has its share of the time or of the size, and a part is
/// free.
async fn rotate(connection: &Connection, retention: Retention) -> Result<()> {
    let parts = parts(connection).await?;
    let Some(current) = parts.iter().find(|it| it.current) else {
        return Err(Error::internal(
            "no part of the change log is the current one",
        ));
    };
    let share = retention.bytes_max / u64::from(PARTS_KEPT + 2);
    let old = current.open >= retention.kept / PARTS_KEPT;
    let due = !current.free && (old || current.bytes >= share);
    let Some(next) = parts
        .iter()
        .find(|it| !it.current && it.free)
        .filter(|_| due)
    else {
        return Ok(());
    };
    let sql = of_part(ROTATE, *next).replace("{lock}", &migrate::LOCK.to_string());
    done_or_undone(connection, &sql).await.map_err(refused)
}

async fn parts(connection: &Connection) -> Result<Vec<Part>> {
    let rows = connection.query(PARTS, &[]).await.map_err(refused)?;
    let parts = rows.iter().map(|row| Part {
        slot: row.get("slot"),
        current: row.get("current"),
        free: row.get("free"),
        open: Duration::try_from_secs_f64(row.get("open_seconds")).unwrap_or_default(),
        bytes: row.get::<_, i64>("bytes").unsigned_abs(),
    });
    Ok(parts.collect())
}

/// Whether everything that is committed in a part was visible at a mark.
async fn expired_by(connection: &Connection, part: Part, mark: &str) -> Result<bool> {
    let sql = of_part(
        "select not exists (
             select from rowcast.changes_{slot}
             where xid >= pg_snapshot_xmax($1::text::pg_snapshot)
         ) and not exists (
             select from rowcast.changes_{slot}
             where xid in (select pg_snapshot_xip($1::text::pg_snapshot))
         )",
        part,
    );
    let row = connection.query_one(&sql, &[&mark]).await;
    Ok(row.map_err(refused)?.get(0))
}

/// Empties a part of which everything was visible at a mark, unless somebody is using it. Whether it
/// was emptied.
async fn empty(connection: &Connection, part: Part, mark: &str) -> Result<bool> {
    connection.execute(KEEP, &[&mark]).await.map_err(refused)?;
    // The lock shows that nobody has written to it who is not over, so that the look behind it sees
    // all there is.
    let lock = of_part(
        "begin; lock table only rowcast.changes_{slot} in access exclusive mode nowait",
        part,
    );
    for _ in 0..ATTEMPTS {
        match done_or_undone(connection, &lock).await {
            Ok(()) => {
                let expired = expired_by(connection, part, mark).await;
                let end = match expired {
                    Ok(true) => of_part("truncate table only rowcast.changes_{slot}; commit", part),
                    _ => "rollback".to_owned(),
                };
                done_or_undone(connection, &end).await.map_err(refused)?;
                return expired;
            }
            Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(refused(error)),
        }
    }
    Ok(false)
}

/// Removes what was written to no part and was visible at a mark: by functions from before there were
/// parts, while they were being replaced, and by the servers themselves. It is little.
async fn empty_rest(connection: &Connection, mark: &str) -> Result<()> {
    const REST: &str =
        "from only rowcast.changes where xid < pg_snapshot_xmin($1::text::pg_snapshot)";
    let found = format!("select exists (select {REST})");
    let found = connection.query_one(&found, &[&mark]).await;
    if found.map_err(refused)?.get(0) {
        connection.execute(KEEP, &[&mark]).await.map_err(refused)?;
        let delete = format!("delete {REST}");
        let deleted = connection.execute(&delete, &[&mark]).await;
        deleted.map_err(refused)?;
    }
    Ok(())
}

/// Runs statements that begin or end a transaction, and leaves none open if one fails.
async fn done_or_undone(
    connection: &Connection,
    sql: &str,
) -> std::result::Result<(), tokio_postgres::Error> {
    let done = connection.batch_execute(sql).await;
    if done.is_err() {
        // If that fails too the connection is gone, which the first error says.
        let _ = connection.batch_execute("rollback").await;
    }
    done
}

fn of_part(sql: &str, part: Part) -> String {
    sql.replace("{slot}", &part.slot.to_string())
}

fn size(parts: &[Part]) -> u64 {
    parts.iter().map(|it| it.bytes).sum()
}

fn state(parts: &[Part], health: Health) -> LogState {
    let used = || parts.iter().filter(|it| !it.free);
    LogState {
        bytes: size(parts),
        parts: used().count(),
        kept: used().map(|it| it.open).max().unwrap_or_default(),
        health,
    }
}
