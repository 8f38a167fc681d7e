//! The upkeep of the change log: its schema, the triggers, the memory of shapes.
//!
//! Works on one connection of its own, beside the feed, and in short transactions, so that it waits
//! for nobody's lock for long and nobody for it. Several servers keep one log; an advisory lock
//! orders them.

use super::{
    plan::{self, Plan},
    relations::{self, Relations, Shapes},
    retention::{self, LogState, Retainer, Retention},
    since::Following,
};
use crate::{
    catalog::Oid,
    cursor::{CursorKey, DatabaseId},
    error::Result,
    postgres::{
        Database, actions,
        connection::Connection,
        fault,
        migrate::{self, refused},
        triggers::{self, Logged, Outcome},
    },
};
use std::{collections::HashMap, sync::Arc, time::Duration};

/// For how long each attempt at a table waits for its lock. Later writers queue behind it for as
/// long, so the first attempts hardly wait at all.
const WAITS_MS: &[u64] = &[1, 1, 1, 1, 2, 5, 10, 20, 50, 100];

/// Between two attempts at the same table.
const PAUSE: Duration = Duration::from_millis(20);

/// Remembers the shapes; a change of one that was known is logged, for all servers and for everybody
/// who comes back later with a cursor from before.
const NOTE: &str = "
    with noted as (
        insert into rowcast.relations as r (relation, shape)
        select * from unnest($1::oid[], $2::int8[])
        on conflict (relation) do update set shape = excluded.shape where r.shape <> excluded.shape
        returning relation
    ), gone as (
        delete from rowcast.relations r
        where not exists (select from pg_class c where c.oid = r.relation)
    )
    insert into rowcast.changes (relation, op) select relation, 's' from noted";

/// Keeps the log of one database.
#[derive(Debug)]
pub struct Keeper {
    database: Database,
    connection: Connection,
    /// What this server last made of each relation: a definition that another server, configured
    /// differently, has replaced is left alone.
    made: HashMap<Oid, Logged>,
    retainer: Retainer,
}

/// How the installation of triggers went.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// How many relations were changed.
    pub installed: usize,
    /// Relations whose changes are not logged, and why. Trying again may help those that are only
    /// busy.
    pub unlogged: HashMap<Oid, String>,
    /// Whether trying again soon may help.
    pub busy: bool,
}

impl Keeper {
    /// Connects and brings rowcast's schema up to date.
    ///
    /// # Errors
    /// `ConfigurationInvalid` if the schema is from a newer rowcast or a right is missing;
    /// `DatabaseUnavailable`.
    pub async fn open(database: &Database) -> Result<Self> {
        let connection = database.dedicated().await?;
        // What it waits for is bounded by lock time-outs; nothing else of it may take long, but
        // names must not resolve to the application's.
        connection
            .batch_execute("set search_path = pg_catalog, pg_temp; set statement_timeout = '60s'")
            .await
            .map_err(fault::unavailable)?;
        migrate::migrate(&connection).await?;
        Ok(Self {
            database: database.clone(),
            connection,
            made: HashMap::new(),
            retainer: Retainer::default(),
        })
    }

    /// The secret that all servers of this database sign cursors with.
    ///
    /// # Errors
    /// `DatabaseUnavailable`.
    pub async fn cursor_key(&self) -> Result<CursorKey> {
        migrate::cursor_key(&self.connection).await
    }

    /// What cursors are bound to now; draws a new identity for the log if it was lost.
    ///
    /// # Errors
    /// `DatabaseUnavailable`.
    pub async fn database_id(&self) -> Result<DatabaseId> {
        migrate::database_id(&self.connection).await
    }

    /// Reads the catalog again and plans by it. The shapes are never newer than the plan, so that a
    /// change of the schema meanwhile is noticed by whoever compares them next.
    ///
    /// # Errors
    /// `DatabaseUnavailable`.
    pub async fn plan(&self) -> Result<(Arc<Plan>, Shapes)> {
        let schemas = &self.database.config().database.schemas;
        let mut others = plan::others(&self.database.catalog());
        loop {
            let shapes = relations::shapes(&self.connection, schemas, &others).await?;
            self.database.rediscover().await?;
            let catalog = self.database.catalog();
            let needed = plan::others(&catalog);
            if needed != others {
                others = needed;
                continue;
            }
            let relations = Relations::read(&self.connection, schemas, &others).await?;
            let plan = Plan::new(catalog, &relations, others);
            return Ok((Arc::new(plan), shapes));
        }
    }

    /// Sees to it that all that is planned is logged, as far as can be done without making writers
    /// wait, and notes the shapes as they are then.
    ///
    /// # Errors
    /// `DatabaseUnavailable`; tables that cannot be logged are in the answer.
    pub async fn install(&mut self, plan: &Arc<Plan>) -> Result<Progress> {
        let mut progress = Progress::default();
        let mut open: Vec<&Logged> = plan.logged.iter().collect();
        let mut reasons: HashMap<Oid, String> = HashMap::new();
        for wait in WAITS_MS {
            let mut busy = Vec::new();
            for logged in open {
                let replace = self.made.get(&logged.relation) != Some(logged);
                let wait = Duration::from_millis(*wait);
                match triggers::install(&self.connection, logged, replace, wait).await? {
                    Outcome::Busy => {
                        busy.push(logged);
                        continue;
                    }
                    Outcome::Refused(reason) => {
                        reasons.insert(logged.relation, reason);
                        continue;
                    }
                    Outcome::Installed => progress.installed += 1,
                    Outcome::Present => {}
                }
                self.made.insert(logged.relation, logged.clone());
            }
            open = busy;
            if open.is_empty() {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        progress.busy = !open.is_empty();
        let waiting = "other transactions hold it locked";
        reasons.extend(open.iter().map(|it| (it.relation, waiting.to_owned())));
        progress.unlogged = reasons;
        triggers::sweep(&self.connection, &plan.logged).await?;
        self.note(plan).await?;
        self.database.follow(Following {
            plan: plan.clone(),
            unlogged: Arc::new(progress.unlogged.keys().copied().collect()),
        });
        Ok(progress)
    }

    /// Remembers the shapes of what is followed, and logs those that have changed.
    async fn note(&self, plan: &Plan) -> Result<()> {
        let schemas = &self.database.config().database.schemas;
        let shapes = relations::shapes(&self.connection, schemas, &plan.others).await?;
        let followed: Vec<(Oid, i64)> = shapes
            .into_iter()
            .filter(|(relation, _)| !plan.concerns(*relation).is_empty())
            .map(|(relation, shape)| (relation, shape.digest()))
            .collect();
        let (relations, shapes): (Vec<Oid>, Vec<i64>) = followed.into_iter().unzip();
        self.connection
            .execute(NOTE, &[&relations, &shapes])
            .await
            .map_err(refused)?;
        Ok(())
    }

    /// Keeps the log within its bounds: empties what was visible one retention ago, or sooner if the
    /// log is too large, and makes it anew if it cannot be written. `None` if another server is at it.
    ///
    /// # Errors
    /// `DatabaseUnavailable`, or as PostgreSQL says.
    pub async fn retain(&mut self, retention: Retention) -> Result<Option<LogState>> {
        self.retainer.keep(&self.connection, retention).await
    }

    /// How the log of a database is, by a connection of its own; `None` where there is none.
    ///
    /// # Errors
    /// `DatabaseUnavailable`, or as PostgreSQL says.
    pub async fn log_state(database: &Database) -> Result<Option<LogState>> {
        let bytes_max = database.config().feed.log_bytes_max;
        retention::look(&database.dedicated().await?, bytes_max).await
    }

    /// Forgets the actions that were recorded longer ago than `retention`. Nothing if another server is
    /// at it.
    ///
    /// # Errors
    /// `DatabaseUnavailable`.
    pub async fn trim_actions(&self, retention: Duration) -> Result<()> {
        actions::trim(&self.connection, retention).await
    }

    /// Removes everything of rowcast's from the database: triggers, functions, the schema. Returns
    /// how many tables had triggers.
    ///
    /// # Errors
    /// `CommandFailed` for a table that others hold locked, or a missing right;
    /// `DatabaseUnavailable`.
    pub async fn uninstall(database: &Database) -> Result<usize> {
        let connection = database.dedicated().await?;
        triggers::uninstall(&connection).await
    }
}
