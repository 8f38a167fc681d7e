//! Who is told: the channels of one identity, and all identities that are online.
//!
//! Owns which batches may carry their cursor to a group. Knows nothing of queues.

use super::{
    Batch, Channel, ChannelId, Hub,
    hub::{Mark, Shared},
    look::Shown,
    sync::{AtomicUsize, Mutex, lock},
};
use crate::{
    error::{Error, Kind, Result},
    identity::{Identity, OrganizationId},
    snapshot::Position,
};
use std::sync::{Arc, atomic::Ordering::Relaxed};

/// Those who are online and have to be told what happened up to a position.
///
/// Who comes later is found too, but a batch up to the position passes over channels that were
/// registered at it, so nobody is told what happened before; except for its resets.
#[derive(Debug, Clone)]
pub struct Audience {
    hub: Arc<Hub>,
    position: Position,
}

impl Audience {
    pub(super) fn new(hub: Arc<Hub>, position: Position) -> Self {
        Self { hub, position }
    }

    /// Up to where they have to be told.
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// The organizations that have somebody online.
    pub fn organizations(&self) -> Vec<OrganizationId> {
        self.hub.organizations()
    }

    /// The groups of one organization.
    pub fn of(&self, organization: &OrganizationId) -> Arc<Vec<Arc<Group>>> {
        self.hub.groups_of(organization)
    }

    /// The groups of all organizations.
    pub fn all(&self) -> Vec<Arc<Group>> {
        self.hub.groups()
    }

    /// Says that somebody of an organization may have lost the right to rows of a resource.
    pub fn shake(
        &self,
        organization: &OrganizationId,
        resource: &Arc<str>,
        rows: Option<&[Arc<str>]>,
    ) {
        if let Some(watch) = self.hub.watched() {
            watch.shaken(organization, resource, rows);
        }
    }

    /// Whether nobody is online.
    pub fn is_empty(&self) -> bool {
        self.hub.is_empty()
    }
}

/// One identity with its channels.
#[derive(Debug)]
pub struct Group {
    identity: Arc<Identity>,
    shared: Arc<Shared>,
    members: Mutex<Members>,
    /// Requests whose end was not yet handed out, over all channels.
    requests: AtomicUsize,
    pub(super) shown: Shown,
}

#[derive(Debug, Default)]
struct Members {
    channels: Vec<Arc<Channel>>,
    /// Where the feed had told everything when each hold was taken.
    holds: Vec<(u64, Mark)>,
    holds_taken: u64,
}

impl Members {
    /// Up to where everything was told, as far as holds other than this one say.
    fn held_at(&self, epoch: u64, except: Option<u64>) -> Option<&Mark> {
        let others = self.holds.iter().filter(|it| Some(it.0) != except);
        others
            .map(|it| &it.1)
            .filter(|it| it.epoch == epoch)
            .min_by_key(|it| it.position.version)
    }

    fn push(&self, batch: &Arc<Batch>, epoch: u64, except: Option<u64>) {
        let held_at = self.held_at(epoch, except);
        let cursor = held_at.is_none_or(|it| batch.position.version <= it.position.version);
        for channel in &self.channels {
            channel.push(batch, epoch, cursor);
        }
    }
}

impl Group {
    pub(super) fn new(identity: Arc<Identity>, shared: Arc<Shared>) -> Self {
        Self {
            identity,
            shared,
            members: Mutex::default(),
            requests: AtomicUsize::new(0),
            shown: Shown::default(),
        }
    }

    /// Whose channels these are.
    pub fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// Queues a batch on all channels that were registered before its state, and its resets on those
    /// that were registered at it. While the group is held the batch is told without its cursor, since
    /// something earlier may still come.
    pub fn push(&self, batch: &Arc<Batch>) {
        let epoch = self.shared.epoch();
        lock(&self.members).push(batch, epoch, None);
        self.has_told(batch);
    }

    fn has_told(&self, batch: &Batch) {
        if let Some(watch) = self.shared.watch() {
            watch.told(&self.identity, batch);
        }
    }

    /// Holds the group's cursor where it is, because part of what happened is still being read.
    /// Take it before [`super::Hub::settle`] of the batch that it belongs to.
    pub fn hold(self: &Arc<Self>) -> Hold {
        let since = self.shared.settled();
        let mut members = lock(&self.members);
        members.holds_taken += 1;
        let number = members.holds_taken;
        let epoch = since.epoch;
        members.holds.push((number, since));
        Hold {
            group: self.clone(),
            number,
            epoch,
        }
    }

    /// Up to where everything was queued on the group's channels.
    pub(super) fn position(&self) -> Mark {
        // In this order: who holds does so before the feed settles what it holds for.
        let settled = self.shared.settled();
        match lock(&self.members).held_at(settled.epoch, None) {
            Some(held) if held.position.version < settled.position.version => held.clone(),
            _ => settled,
        }
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(super) fn find(&self, id: &ChannelId) -> Option<Arc<Channel>> {
        let members = lock(&self.members);
        let named = members.channels.iter().find(|it| it.id() == id);
        named.filter(|it| !it.has_ended()).cloned()
    }

    /// Adds a channel; the caller has looked that there is none of that name.
    pub(super) fn add(&self, channel: Arc<Channel>) -> Result<()> {
        let mut members = lock(&self.members);
        members.channels.retain(|it| !it.has_ended());
        if members.channels.len() >= self.shared.bounds.channels_per_identity {
            return Err(Error::new(
                Kind::TooManyChannels,
                "The identity has as many channels as it may have.",
            ));
        }
        members.channels.push(channel);
        Ok(())
    }

    /// Forgets channels that have ended; whether none is left.
    pub(super) fn prune(&self) -> bool {
        let mut members = lock(&self.members);
        members.channels.retain(|it| !it.has_ended());
        members.channels.shrink_to_fit();
        members.channels.is_empty()
    }

    pub(super) fn channels(&self) -> Vec<Arc<Channel>> {
        lock(&self.members).channels.clone()
    }

    pub(super) fn begin_request(&self) -> Result<()> {
        let max = self.shared.bounds.requests_per_identity;
        let more = |open: usize| (open < max).then_some(open + 1);
        match self.requests.fetch_update(Relaxed, Relaxed, more) {
            Ok(_) => Ok(()),
            Err(_) => Err(Error::new(
                Kind::TooManyRequests,
                "The identity has as many open requests as it may have.",
            )),
        }
    }

    pub(super) fn end_requests(&self, count: usize) {
        if count > 0 {
            self.requests.fetch_sub(count, Relaxed);
        }
    }

    pub(super) fn requests(&self) -> usize {
        self.requests.load(Relaxed)
    }
}

/// While it lives, the cursors that a group is told stay where they were when it was taken.
#[derive(Debug)]
pub struct Hold {
    group: Arc<Group>,
    number: u64,
    epoch: u64,
}

impl Hold {
    /// Whose cursor is held.
    pub fn group(&self) -> &Arc<Group> {
        &self.group
    }

    /// Releases the hold and queues what it waited for, which carries its cursor unless the group is
    /// held for something earlier too.
    pub fn complete(self, batch: &Arc<Batch>) {
        // Queued before the hold ends, so that no ping in between says that it was.
        lock(&self.group.members).push(batch, self.epoch, Some(self.number));
        self.group.has_told(batch);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut members = lock(&self.group.members);
        members.holds.retain(|it| it.0 != self.number);
        if members.holds.is_empty() {
            members.holds = Vec::new();
        }
    }
}
