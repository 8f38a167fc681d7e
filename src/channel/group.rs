//! Who is told: the channels of one identity, and all identities that are online.

use super::Batch;
use crate::{
    identity::{Identity, OrganizationId},
    snapshot::Position,
};
use std::sync::Arc;

/// Those who are online and have to be told what happened up to a position.
#[derive(Debug, Clone)]
pub struct Audience {}

impl Audience {
    /// Up to where they have to be told.
    pub fn position(&self) -> &Position {
        super::soon()
    }

    /// The organizations that have somebody online.
    pub fn organizations(&self) -> Vec<OrganizationId> {
        super::soon()
    }

    /// The groups of one organization.
    pub fn of(&self, _organization: &OrganizationId) -> Arc<Vec<Arc<Group>>> {
        super::soon()
    }

    /// The groups of all organizations.
    pub fn all(&self) -> Vec<Arc<Group>> {
        super::soon()
    }

    /// Whether nobody is online.
    pub fn is_empty(&self) -> bool {
        super::soon()
    }
}

/// One identity with its channels.
#[derive(Debug)]
pub struct Group {}

impl Group {
    /// Whose channels these are.
    pub fn identity(&self) -> &Arc<Identity> {
        super::soon()
    }

    /// Queues a batch on all channels that were registered before its state. While the group is held
    /// the batch is told without its cursor, since something earlier may still come.
    pub fn push(&self, _batch: &Arc<Batch>) {
        super::soon()
    }

    /// Holds the group's cursor where it is, because part of what happened is still being read.
    /// Take it before [`super::Hub::settle`] of the batch that it belongs to.
    pub fn hold(self: &Arc<Self>) -> Hold {
        super::soon()
    }
}

/// While it lives, the cursors that a group is told stay where they were when it was taken.
#[derive(Debug)]
pub struct Hold {}

impl Hold {
    /// Whose cursor is held.
    pub fn group(&self) -> &Arc<Group> {
        super::soon()
    }

    /// Releases the hold and queues what it waited for, which carries its cursor unless the group is
    /// held for something else too.
    pub fn complete(self, _batch: &Arc<Batch>) {
        super::soon()
    }
}
