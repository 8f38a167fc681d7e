//! The database as the rest of the server sees it: the catalog, reads, streams, writes.
//!
//! A handle that is cheap to clone. Knows neither HTTP nor channels.

use super::{
    actions,
    changelog::since::Following,
    connection::{Address, Connection},
    discovery,
    keys::MasterKeys,
    lease::Lease,
    pool::{Pool, Share, Shares},
    read::{self, Item, Listing},
    rows::RowStream,
    time_zones::TimeZones,
    write::{self, Written},
};
use crate::{
    catalog::{Access, Catalog},
    config::Config,
    cursor::CursorSigner,
    error::{Error, Kind, Result},
    identity::{Identity, OrganizationId, Role, UserId},
    query::{Action, Query, Write, WriteOptions},
};
use std::{
    collections::HashMap,
    sync::{Arc, OnceLock, PoisonError, RwLock},
    time::Duration,
};
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

/// How long [`Database::close`] waits for statements that are being cancelled.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// One PostgreSQL database: its pools and its catalog.
#[derive(Clone)]
pub struct Database {
    pub(super) inner: Arc<Inner>,
}

/// What all handles share.
pub(super) struct Inner {
    pub(super) config: Config,
    address: Address,
    pub(super) plain: Pool,
    pub(super) streams: Pool,
    pub(super) shares: Shares,
    pub(super) statement_timeout: Duration,
    pub(super) answer_bytes_max: usize,
    default_role: Role,
    pub(super) masters: MasterKeys,
    // A std lock: held for a look-up, never across an await.
    known: RwLock<Known>,
    /// The names of time zones, once somebody has asked for one.
    pub(super) time_zones: TimeZones,
    signer: OnceLock<Arc<CursorSigner>>,
    // A std lock: held for a clone or an exchange.
    following: RwLock<Option<Following>>,
    pub(super) committed: Arc<Notify>,
    /// Owns the tasks that cancel statements; [`Database::close`] ends them.
    tasks: TaskTracker,
}

/// What is known of the schema at this moment.
#[derive(Default)]
struct Known {
    catalog: Arc<Catalog>,
    access: HashMap<Role, Arc<Access>>,
}

/// How many connections there are, for assertions and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connections {
    /// Plain ones in use.
    pub plain_busy: usize,
    /// Streams' ones in use.
    pub streams_busy: usize,
    /// All that are open.
    pub open: usize,
    /// Statements that are being cancelled.
    pub cancelling: usize,
}

impl Database {
    /// Connects, checks that this is a primary of a version that we know, and reads the catalog.
    ///
    /// # Errors
    /// `ConfigurationInvalid` for a URL that cannot be read or a server that does not fit,
    /// `DatabaseUnavailable`.
    pub async fn connect(config: &Config) -> Result<Self> {
        let settings = &config.database;
        let address = Address::new(settings)?;
        let masters = MasterKeys::new(&config.keys.master_keys)?;
        let acquire_timeout = Duration::from_millis(settings.acquire_timeout_ms);
        let pool = |size| Pool::new(address.clone(), size, acquire_timeout);
        let plain = pool(settings.connections_max)?;
        let streams = pool(settings.stream_connections_max)?;
        let connection = plain.get().await?;
        let facts = connection.facts();
        let default_role = [&settings.default_role, &facts.default_role]
            .into_iter()
            .flatten()
            .next()
            .unwrap_or(&facts.login);
        let default_role = Role::from(default_role.as_str());
        let catalog = discovery::discover(&connection, config).await?;
        Ok(Self {
            inner: Arc::new(Inner {
                shares: Shares::new(
                    settings.stream_connections_max,
                    config.limits.stream_share_percent,
                ),
                statement_timeout: Duration::from_millis(settings.statement_timeout_ms),
                answer_bytes_max: config.limits.answer_bytes_max,
                config: config.clone(),
                address,
                plain,
                streams,
                default_role,
                masters,
                known: RwLock::new(Known {
                    catalog: Arc::new(catalog),
                    access: HashMap::new(),
                }),
                time_zones: TimeZones::default(),
                signer: OnceLock::new(),
                following: RwLock::default(),
                committed: Arc::default(),
                tasks: TaskTracker::new(),
            }),
        })
    }

    /// Hands over what signs cursors; until then reads and writes fail. The feed makes it once the
    /// change log is there. Only the first call counts.
    pub fn sign_with(&self, signer: Arc<CursorSigner>) {
        let _ = self.inner.signer.set(signer);
    }

    /// Notified after each commit of a write made here, so that the feed looks at once.
    pub fn committed(&self) -> Arc<Notify> {
        self.inner.committed.clone()
    }

    /// From now on, this is what the change log tells.
    pub(super) fn follow(&self, following: Following) {
        let known = self.inner.following.write();
        *known.unwrap_or_else(PoisonError::into_inner) = Some(following);
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.inner
    }

    pub(super) fn config(&self) -> &Config {
        &self.inner.config
    }

    /// The role of callers whose token names none.
    pub fn default_role(&self) -> Role {
        self.inner.default_role.clone()
    }

    /// What is exposed at this moment.
    pub fn catalog(&self) -> Arc<Catalog> {
        let known = self.inner.known.read();
        known
            .unwrap_or_else(PoisonError::into_inner)
            .catalog
            .clone()
    }

    /// Reads the catalog again. The privileges of each role are read again when it calls next.
    ///
    /// # Errors
    /// `DatabaseUnavailable`; the former catalog stays in force.
    pub async fn rediscover(&self) -> Result<()> {
        // A lease, because whoever waits for this may stop waiting in the middle of a transaction.
        let mut lease = self.inner.lease(&self.inner.plain, None).await?;
        lease.busy();
        let catalog = Arc::new(discovery::discover(&lease, &self.inner.config).await?);
        lease.idle();
        let known = self.inner.known.write();
        *known.unwrap_or_else(PoisonError::into_inner) = Known {
            catalog,
            access: HashMap::new(),
        };
        Ok(())
    }

    /// The catalog with what a role may do. The first call for a role asks PostgreSQL.
    ///
    /// # Errors
    /// `RoleNotAllowed` for a role that does not exist or that we may not switch to.
    pub async fn access(&self, role: &Role) -> Result<Arc<Access>> {
        let catalog = {
            let known = self.inner.known.read();
            let known = known.unwrap_or_else(PoisonError::into_inner);
            if let Some(access) = known.access.get(role) {
                return Ok(access.clone());
            }
            known.catalog.clone()
        };
        let connection = self.inner.plain.get().await?;
        let access = discovery::access(&connection, catalog.clone(), role).await?;
        let access = Arc::new(access);
        let known = self.inner.known.write();
        let mut known = known.unwrap_or_else(PoisonError::into_inner);
        // The catalog may have been read again meanwhile; then this answer serves this call only.
        if Arc::ptr_eq(&known.catalog, &catalog) {
            known.access.insert(role.clone(), access.clone());
        }
        Ok(access)
    }

    /// What a role may do with a catalog that may no longer be the one in force: for the feed, which
    /// works by one catalog until it has taken up the next.
    ///
    /// # Errors
    /// As [`Database::access`].
    pub(crate) async fn access_to(
        &self,
        catalog: &Arc<Catalog>,
        role: &Role,
    ) -> Result<Arc<Access>> {
        if Arc::ptr_eq(&self.catalog(), catalog) {
            let access = self.access(role).await?;
            if Arc::ptr_eq(access.catalog(), catalog) {
                return Ok(access);
            }
        }
        let connection = self.inner.plain.get().await?;
        discovery::access(&connection, catalog.clone(), role)
            .await
            .map(Arc::new)
    }

    /// A connection outside the pools, checked and set up like theirs: for the feed.
    ///
    /// # Errors
    /// `DatabaseUnavailable`.
    pub async fn dedicated(&self) -> Result<Connection> {
        self.inner.address.open().await
    }

    /// Whether this action of this user was committed, by whichever server.
    ///
    /// # Errors
    /// `DatabaseUnavailable`.
    pub async fn is_committed(
        &self,
        organization: &OrganizationId,
        user: &UserId,
        action: &str,
    ) -> Result<bool> {
        let signer = self.inner.signer()?;
        let connection = self.inner.plain.get().await?;
        actions::is_committed(&connection, signer, organization, user, action).await
    }

    /// Asks PostgreSQL whether it is there.
    ///
    /// # Errors
    /// `DatabaseUnavailable`.
    pub async fn ping(&self) -> Result<()> {
        let connection = self.inner.plain.get().await?;
        let asked = connection.batch_execute("select 1").await;
        asked.map_err(super::fault::unavailable)
    }

    /// The rows of a query, whole.
    ///
    /// # Errors
    /// As PostgreSQL says; `AnswerTooLarge`; `Overloaded` if no connection becomes free.
    pub async fn list(&self, identity: &Identity, query: &Query) -> Result<Listing> {
        read::list(&self.inner, identity, query).await
    }

    /// One row by its key.
    ///
    /// # Errors
    /// `RowUnknown` if the caller sees no such row; as [`Database::list`].
    pub async fn item(&self, identity: &Identity, query: &Query) -> Result<Item> {
        read::item(&self.inner, identity, query).await
    }

    /// The rows of a query, one after the other, all from the state that `position` of the stream
    /// names. Waits for a connection of the identity's share; dropping the future gives up the wait.
    ///
    /// # Errors
    /// As [`Database::list`]; errors may also come later, from [`RowStream::next`].
    pub async fn stream(&self, identity: &Identity, query: &Query) -> Result<RowStream> {
        read::stream(&self.inner, identity, query).await
    }

    /// How PostgreSQL would run a query, in its own words: for those who look for an index.
    ///
    /// # Errors
    /// As [`Database::list`].
    pub async fn explain(&self, identity: &Identity, query: &Query) -> Result<String> {
        read::explain(&self.inner, identity, query).await
    }

    /// Carries out a write in one transaction, wakes the feed, and reads the rows again in a fresh
    /// snapshot. The id of `action` travels with the transaction into the change log, and the action is
    /// recorded in it: one that is recorded already is not done again, but answered as it can be read
    /// now.
    ///
    /// # Errors
    /// `RowUnknown`, `RowNotAllowed`, `OrganizationNotAllowed`, `PreconditionFailed`,
    /// `UniqueViolation`, `ReferenceViolation`, `ConstraintViolation`, `PermissionDenied`,
    /// `DataInvalid`, `StatementInvalid`, `Raised`, `Conflict`, `StatementTimeout`; `ActionInFlight`,
    /// `ActionReused`.
    pub async fn write(
        &self,
        identity: &Identity,
        write: &Write,
        action: Option<&Action>,
    ) -> Result<Written> {
        write::write(&self.inner, identity, write, action).await
    }

    /// Carries out several writes in one transaction, all or none, later ones seeing what earlier ones
    /// wrote; otherwise as [`Database::write`]. The answers are in the order of the writes, and of one
    /// snapshot.
    ///
    /// # Errors
    /// As [`Database::write`], with the index of the write that failed.
    pub async fn batch(
        &self,
        identity: &Identity,
        writes: &[Write],
        action: Option<&Action>,
    ) -> Result<Vec<Written>> {
        write::batch(&self.inner, identity, writes, action).await
    }

    /// Calls a function that may write, in one transaction, and wakes the feed. `options` say how many
    /// rows it may give, and whether it is undone.
    ///
    /// # Errors
    /// As PostgreSQL says; `NotSingular`, `TooManyAffected`, `AnswerTooLarge`.
    pub async fn call(
        &self,
        identity: &Identity,
        query: &Query,
        options: &WriteOptions,
        action: Option<&Action>,
    ) -> Result<Written> {
        write::call(&self.inner, identity, query, options, action).await
    }

    /// How many connections there are.
    pub fn connections(&self) -> Connections {
        let (plain_busy, plain) = self.inner.plain.status();
        let (streams_busy, streams) = self.inner.streams.status();
        Connections {
            plain_busy,
            streams_busy,
            open: plain + streams,
            cancelling: self.inner.tasks.len(),
        }
    }

    /// Gives out no more connections and ends the free ones; waits a moment for those statements that
    /// are being cancelled. Connections in use end with what uses them.
    pub async fn close(&self) {
        self.inner.plain.close();
        self.inner.streams.close();
        self.inner.tasks.close();
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, self.inner.tasks.wait()).await;
    }
}

impl Inner {
    /// A connection of a pool.
    pub(super) async fn lease(&self, pool: &Pool, share: Option<Share>) -> Result<Lease> {
        Ok(Lease::new(pool.get().await?, share, self.tasks.clone()))
    }

    /// What the change log tells; nothing until there is one.
    pub(super) fn following(&self) -> Option<Following> {
        let known = self.following.read();
        known.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Refuses to go on with a query whose resources are not what they were when it was planned, which
    /// may be long before the snapshot that it now has.
    ///
    /// A reader keeps, per row, what has the highest version. Rows that lack a new column must not come
    /// with a version beyond that of the last reset that tells of it. That reset is told once the catalog
    /// with the column is in force; so if what is compared here does not know the column yet, it comes
    /// later than the snapshot, with a higher version, and what was read is fetched again.
    pub(super) fn expect_current(&self, query: &Query) -> Result<()> {
        let catalog = {
            let known = self.known.read();
            let known = known.unwrap_or_else(PoisonError::into_inner);
            if Arc::ptr_eq(&known.catalog, query.catalog()) {
                return Ok(());
            }
            known.catalog.clone()
        };
        match query.is_current(&catalog) {
            true => Ok(()),
            false => Err(Self::altered(Error::internal(
                "the schema changed before the snapshot was taken",
            ))),
        }
    }

    pub(super) fn signer(&self) -> Result<&CursorSigner> {
        let signer = self.signer.get().map(|it| &**it);
        signer.ok_or_else(|| Error::internal("nothing signs cursors yet"))
    }

    /// The answer when a table turns out to be another than the catalog says. The feed notices as well,
    /// and has the catalog read again.
    pub(super) fn altered(cause: Error) -> Error {
        Error::new(
            Kind::Conflict,
            "The table has just been altered; the same request may succeed now.",
        )
        .with_source(cause)
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").finish_non_exhaustive()
    }
}
