//! Who wants to know of channels that come and go, and of what they are told: signals and presence.

use super::{Batch, Channel};
use crate::identity::{Identity, OrganizationId};
use std::{fmt::Debug, sync::Arc, time::Duration};

/// Hears of channels. Called in the middle of other work, under locks of the hub: what it does takes
/// no time, waits for nothing, and asks nothing of the hub.
pub trait Watch: Debug + Send + Sync {
    /// Somebody reads the channel.
    fn attached(&self, channel: &Arc<Channel>);

    /// Nobody reads it any more, at least not before `lingers` is over.
    fn detached(&self, channel: &Channel, lingers: Duration);

    /// It is no more.
    fn ended(&self, channel: &Channel);

    /// Something happened by which somebody of an organization may have lost the right to rows of a
    /// resource: to these, as changes name them, or to any.
    fn shaken(&self, organization: &OrganizationId, resource: &Arc<str>, rows: Option<&[Arc<str>]>);

    /// A batch was queued for all channels of an identity.
    fn told(&self, identity: &Identity, batch: &Batch);
}
