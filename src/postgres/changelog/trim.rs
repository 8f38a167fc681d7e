//! Cutting the log: by what was visible one retention ago, never by age alone, since a transaction
//! may have been open for longer than that.

use super::entry::Xid8;
use crate::{
    error::Result,
    postgres::{connection::Connection, migrate::refused},
};
use std::time::Duration;

const MARK: &str = include_str!("../../../sql/feed/mark.sql");
const KEEP_FROM: &str = include_str!("../../../sql/feed/keep_from.sql");
const TRIM: &str = include_str!("../../../sql/feed/trim.sql");

/// Under this only one server cuts the log: "rowcast", and a `t`.
const LOCK: i64 = 0x726f_7763_6173_7474;

/// As many rows as one piece has.
const PIECE: u64 = 5000;

/// Between two pieces, for others.
const PAUSE: Duration = Duration::from_millis(20);

/// Not less is kept, however large the log is: clients that come back are this late.
const RETENTION_MIN: Duration = Duration::from_secs(60);

/// Deletes what was visible `retention` ago; sooner if the log is larger than `bytes_max`. Nothing if
/// another server is at it.
///
/// # Errors
/// `DatabaseUnavailable`.
pub(super) async fn trim(
    connection: &Connection,
    retention: Duration,
    bytes_max: u64,
) -> Result<()> {
    // For the session, since it lasts over several transactions; a broken connection gives it back.
    let mine: bool = connection
        .query_one("select pg_try_advisory_lock($1)", &[&LOCK])
        .await
        .map_err(refused)?
        .get(0);
    if !mine {
        return Ok(());
    }
    let trimmed = trim_alone(connection, retention, bytes_max).await;
    connection
        .execute("select pg_advisory_unlock($1)", &[&LOCK])
        .await
        .map_err(refused)?;
    trimmed
}

async fn trim_alone(connection: &Connection, retention: Duration, bytes_max: u64) -> Result<()> {
    let every = (retention / 100).clamp(Duration::from_secs(1), Duration::from_secs(600));
    let visible = async |ago: Duration| -> Result<(Option<Xid8>, u64)> {
        let row = connection
            .query_one(MARK, &[&every.as_secs_f64(), &ago.as_secs_f64()])
            .await
            .map_err(refused)?;
        let bytes = row.get::<_, i64>("bytes");
        Ok((row.get("visible_before"), bytes.unsigned_abs()))
    };
    let (mut before, bytes) = visible(retention).await?;
    if bytes > bytes_max {
        let share = retention.mul_f64(bytes_max as f64 / bytes as f64);
        let shorter = share.max(RETENTION_MIN.min(retention));
        tracing::warn!(
            bytes,
            bytes_max,
            kept_seconds = shorter.as_secs(),
            "the change log is larger than feed.log_bytes_max and is cut sooner than \
             feed.retention_hours says"
        );
        before = visible(shorter).await?.0.or(before);
    }
    let Some(before) = before else {
        return Ok(());
    };
    connection
        .execute(KEEP_FROM, &[&before])
        .await
        .map_err(refused)?;
    let piece = connection.statement(TRIM).await.map_err(refused)?;
    while connection
        .execute(&piece, &[&before])
        .await
        .map_err(refused)?
        >= PIECE
    {
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}
