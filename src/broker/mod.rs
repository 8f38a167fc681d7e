//! Who carries what is announced to the channels: here in memory, later between nodes.
//!
//! Knows audiences and batches; knows neither the change log nor transports.

mod local;

pub use local::Local;

use crate::{
    channel::Batch,
    identity::{OrganizationId, Role},
};
use std::{fmt::Debug, sync::Arc};

/// For whom a batch is, in words that every node understands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// Everybody: shared resources, and resets of everything.
    Everybody,
    /// Everybody in one organization.
    Organization(OrganizationId),
    /// Those in one organization who read as this role, and so see the same columns.
    Role(OrganizationId, Role),
}

/// Carries batches to the channels of those whom they are for. What has been read for one identity
/// only is pushed to its [`crate::channel::Group`] directly: it was read because the identity is here.
pub trait Broker: Debug + Send + Sync {
    /// Queues a batch on every channel that it is for; never waits for a reader.
    fn publish(&self, to: &Address, batch: &Arc<Batch>);
}
