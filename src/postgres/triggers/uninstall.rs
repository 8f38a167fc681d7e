//! Taking everything of rowcast's out of a database again.

use crate::{
    error::{Error, Kind, Result},
    postgres::{
        fault,
        migrate::{LOCK, refused},
        sql::identifier,
    },
};
use std::time::Duration;
use tokio_postgres::{Client, error::SqlState};

const TRIGGERS: &str = "
    select n.nspname::text as schema, c.relname::text as name, array_agg(g.tgname::text) as triggers
    from pg_trigger g
    join pg_proc p on p.oid = g.tgfoid
    join pg_class c on c.oid = g.tgrelid
    join pg_namespace n on n.oid = c.relnamespace
    where p.pronamespace = to_regnamespace('rowcast') and not g.tgisinternal
    group by n.nspname, c.relname
    order by n.nspname, c.relname";

/// How often a table that is being written to is tried, and how long each time waits for its lock.
const ATTEMPTS: u32 = 100;
const WAIT_MS: u64 = 50;
const PAUSE: Duration = Duration::from_millis(100);

/// Removes the triggers, table by table, and then the schema with all that is in it. Returns how many
/// tables had triggers.
///
/// # Errors
/// `CommandFailed` for a table that others held locked for too long, or a missing right;
/// `DatabaseUnavailable`.
pub(in crate::postgres) async fn uninstall(client: &Client) -> Result<usize> {
    let tables = client.query(TRIGGERS, &[]).await.map_err(refused)?;
    for table in &tables {
        let name = format!(
            "{}.{}",
            identifier(table.get("schema")),
            identifier(table.get("name"))
        );
        let drops: Vec<String> = table
            .get::<_, Vec<&str>>("triggers")
            .into_iter()
            .map(|it| format!("drop trigger if exists {} on {name};", identifier(it)))
            .collect();
        patiently(client, &name, &drops.join("\n")).await?;
    }
    let drop =
        format!("select pg_advisory_xact_lock({LOCK}); drop schema if exists rowcast cascade;");
    patiently(client, "rowcast", &drop).await?;
    Ok(tables.len())
}

/// Runs statements in one transaction, again and again while others hold the locks that they need.
async fn patiently(client: &Client, name: &str, statements: &str) -> Result<()> {
    let sql = format!("begin; set local lock_timeout = {WAIT_MS}; {statements} commit;");
    for _ in 0..ATTEMPTS {
        let Err(error) = client.batch_execute(&sql).await else {
            return Ok(());
        };
        client
            .batch_execute("rollback")
            .await
            .map_err(fault::unavailable)?;
        match error.code() {
            Some(code) if *code == SqlState::LOCK_NOT_AVAILABLE => {
                tokio::time::sleep(PAUSE).await;
            }
            Some(_) => {
                let message = error.as_db_error().map_or("", |it| it.message()).to_owned();
                return Err(Error::new(
                    Kind::CommandFailed,
                    format!("{name} cannot be cleaned: {message}"),
                )
                .with_source(error));
            }
            None => return Err(fault::unavailable(error)),
        }
    }
    Err(Error::new(
        Kind::CommandFailed,
        format!("{name} is locked by others; try again later"),
    ))
}
