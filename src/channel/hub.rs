//! The hub: every channel of this server, by identity and by organization.

use super::{Audience, Channel, ChannelId, Group};
use crate::{
    config::Limits,
    error::Result,
    identity::{Identity, IdentityKey, OrganizationId},
    snapshot::Position,
};
use std::sync::Arc;

/// Every channel of this server.
#[derive(Debug)]
pub struct Hub {}

/// What is there now: for teardown assertions and metrics. All zero once everybody has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Channels that are registered.
    pub channels: usize,
    /// Channels that somebody reads.
    pub attachments: usize,
    /// Requests whose end was not yet handed out.
    pub requests: usize,
    /// Bytes that wait to be handed out.
    pub queued_bytes: usize,
    /// Bytes that are kept for readers who come back.
    pub replay_bytes: usize,
}

impl Hub {
    /// A hub without channels; the feed stands at `position`.
    pub fn new(_limits: &Limits, _position: Position) -> Arc<Self> {
        super::soon()
    }

    /// Starts the task that removes idle channels and old events; it ends with [`Hub::shut_down`] or
    /// when the hub is dropped. Needs a tokio runtime.
    pub fn start_sweeper(self: &Arc<Self>) {
        super::soon()
    }

    /// The identity's channel of that name, made and registered with the feed if need be.
    /// `TooManyChannels`, `ShuttingDown`.
    pub fn open(
        self: &Arc<Self>,
        _identity: &Arc<Identity>,
        _id: &ChannelId,
    ) -> Result<Arc<Channel>> {
        super::soon()
    }

    /// The identity's channel of that name, if it exists.
    pub fn find(&self, _key: &IdentityKey, _id: &ChannelId) -> Option<Arc<Channel>> {
        super::soon()
    }

    /// Ends a channel: its reader is closed (4002), its requests are cancelled without another word.
    /// Whether there was one.
    pub fn end(&self, _key: &IdentityKey, _id: &ChannelId) -> bool {
        super::soon()
    }

    /// The feed has taken the snapshot `to`: channels registered from now on start there. Returns
    /// those who were registered before, to whom everything up to `to` has to be told.
    pub fn advance(self: &Arc<Self>, _to: Position) -> Audience {
        super::soon()
    }

    /// Everything up to `to` was queued for every group that nobody holds: their `ping` and `open`
    /// may say so.
    pub fn settle(&self, _to: Position) {
        super::soon()
    }

    /// Begins the end: no new channels, attachments and requests; running requests are told
    /// `ShuttingDown`; each reader gets what is queued, the ends of its requests included, and then
    /// `close` 4100. How long that may take is the caller's to decide.
    pub fn shut_down(&self) {
        super::soon()
    }

    /// The groups of one organization that are online now.
    pub fn groups_of(&self, _organization: &OrganizationId) -> Arc<Vec<Arc<Group>>> {
        super::soon()
    }

    /// All groups that are online now.
    pub fn groups(&self) -> Vec<Arc<Group>> {
        super::soon()
    }

    /// What is there now.
    pub fn stats(&self) -> Stats {
        super::soon()
    }
}
