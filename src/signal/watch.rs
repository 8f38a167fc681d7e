//! What the channels and the feed say, as far as it concerns topics: comings and goings, and what may
//! have taken rights away.

use super::{Signals, lock, organization::Seat, topic::Topic};
use crate::{
    channel::{Batch, Channel, Entry, Watch},
    identity::{Identity, OrganizationId},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

impl Watch for Signals {
    fn attached(&self, channel: &Arc<Channel>) {
        let organization = self.organization(&channel.identity().organization);
        lock(&organization).attached(channel);
        self.work.notify_one();
    }

    fn detached(&self, channel: &Channel, lingers: Duration) {
        if let Some(organization) = self.known(&channel.identity().organization) {
            lock(&organization).detached(&Seat::of(channel), Instant::now() + lingers);
            self.work.notify_one();
        }
    }

    fn ended(&self, channel: &Channel) {
        if let Some(organization) = self.known(&channel.identity().organization) {
            lock(&organization).ended(&Seat::of(channel));
            self.work.notify_one();
        }
    }

    fn shaken(
        &self,
        organization: &OrganizationId,
        resource: &Arc<str>,
        rows: Option<&[Arc<str>]>,
    ) {
        if let Some(organization) = self.known(organization)
            && lock(&organization).shake(resource, rows)
        {
            self.work.notify_one();
        }
    }

    /// A row that went, for this identity, is no topic of its any more; a reset says that something
    /// may have gone.
    fn told(&self, identity: &Identity, batch: &Batch) {
        let Some(organization) = self.known(&identity.organization) else {
            return;
        };
        let mut organization = lock(&organization);
        let mut doubted = false;
        for topic in organization.rows_of(identity.key) {
            let Topic::Row(row) = &topic else {
                continue;
            };
            let concerns = |entry: &Entry| match entry {
                Entry::Change(change) => {
                    change.resource == row.resource
                        && change.key == row.key
                        && !change.op.leaves_row()
                }
                Entry::Reset { resource, .. } => {
                    resource.as_ref().is_none_or(|it| *it == row.resource)
                }
            };
            if batch.entries.iter().any(concerns) {
                organization.doubt(identity.key, topic);
                doubted = true;
            }
        }
        drop(organization);
        if doubted {
            self.work.notify_one();
        }
    }
}
