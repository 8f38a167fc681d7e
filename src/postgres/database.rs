//! The database as the rest of the server sees it: the catalog, reads, streams, writes.
//!
//! A handle that is cheap to clone. Knows neither HTTP nor channels.

use super::read::{Item, Listing, RowStream};
use super::write::Written;
use crate::{
    catalog::{Access, Catalog},
    config::Config,
    cursor::CursorSigner,
    error::{Error, Result},
    identity::{Identity, Role},
    query::{ActionId, Query, Write},
};
use std::sync::Arc;
use tokio::sync::Notify;

/// One PostgreSQL database: its pools and its catalog.
#[derive(Debug, Clone)]
pub struct Database {}

impl Database {
    /// Connects, checks that this is a primary of a version that we know, and reads the catalog.
    ///
    /// # Errors
    /// `ConfigurationInvalid` for a URL that cannot be read or a server that does not fit,
    /// `DatabaseUnavailable`.
    pub async fn connect(config: &Config) -> Result<Self> {
        let _ = config;
        Err(unbuilt())
    }

    /// Hands over what signs cursors; until then reads and writes fail. The feed makes it once the
    /// change log is there.
    pub fn sign_with(&self, signer: Arc<CursorSigner>) {
        let _ = signer;
    }

    /// Notified after each commit of a write made here, so that the feed looks at once.
    pub fn committed(&self) -> Arc<Notify> {
        Arc::default()
    }

    /// The role of callers whose token names none.
    pub fn default_role(&self) -> Role {
        Role::from("")
    }

    /// What is exposed at this moment.
    pub fn catalog(&self) -> Arc<Catalog> {
        Arc::default()
    }

    /// Reads the catalog again, and the privileges of the roles that have called so far.
    ///
    /// # Errors
    /// `DatabaseUnavailable`; the former catalog stays in force.
    pub async fn rediscover(&self) -> Result<()> {
        Err(unbuilt())
    }

    /// The catalog with what a role may do. The first call for a role asks PostgreSQL.
    ///
    /// # Errors
    /// `RoleNotAllowed` for a role that does not exist or that we may not switch to.
    pub async fn access(&self, role: &Role) -> Result<Arc<Access>> {
        let _ = role;
        Err(unbuilt())
    }

    /// The rows of a query, whole.
    ///
    /// # Errors
    /// As PostgreSQL says, see `fault`; `Overloaded` if the answer is larger than its limit.
    pub async fn list(&self, identity: &Identity, query: &Query) -> Result<Listing> {
        let _ = (identity, query);
        Err(unbuilt())
    }

    /// One row by its key.
    ///
    /// # Errors
    /// `RowUnknown` if the caller sees no such row; as [`Database::list`].
    pub async fn item(&self, identity: &Identity, query: &Query) -> Result<Item> {
        let _ = (identity, query);
        Err(unbuilt())
    }

    /// The rows of a query, one after the other, all from the state that `position` of the stream
    /// names. Waits for a connection of the identity's share; dropping the future gives up the wait.
    ///
    /// # Errors
    /// As [`Database::list`]; errors may also come later, from [`RowStream::next`].
    pub async fn stream(&self, identity: &Identity, query: &Query) -> Result<RowStream> {
        let _ = (identity, query);
        Err(unbuilt())
    }

    /// Carries out a write in one transaction, wakes the feed, and reads the rows again in a fresh
    /// snapshot. `action` travels with the transaction into the change log.
    ///
    /// # Errors
    /// `RowUnknown`, `RowNotAllowed`, `OrganizationNotAllowed`, `PreconditionFailed`,
    /// `UniqueViolation`, `ReferenceViolation`, `ConstraintViolation`, `PermissionDenied`,
    /// `DataInvalid`, `StatementInvalid`, `Raised`, `Conflict`, `StatementTimeout`.
    pub async fn write(
        &self,
        identity: &Identity,
        write: &Write,
        action: Option<&ActionId>,
    ) -> Result<Written> {
        let _ = (identity, write, action);
        Err(unbuilt())
    }

    /// Ends all connections, once those in use have come back, or at once if they do not come back
    /// within a second.
    pub async fn close(&self) {}
}

fn unbuilt() -> Error {
    Error::internal("not built yet")
}
