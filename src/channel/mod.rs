//! Channels: the hub that knows them all, each channel's bounded queue, the attachment that drains
//! it. Knows neither HTTP nor PostgreSQL.

mod attachment;
mod batch;
mod departed;
mod group;
mod handle;
mod hub;
mod ids;
mod lane;
mod look;
mod priority;
mod queue;
mod replay;
mod sync;
mod time;
mod watch;

#[cfg(test)]
mod tests;

pub use attachment::{Attach, Attachment, Delivery, Frame, Frames, Opened, Since};
pub use batch::{Batch, BatchBuilder, Change, Entry};
pub use group::{Audience, Group, Hold};
pub use handle::{Channel, RequestState, RequestStatus};
pub use hub::{Hub, Stats};
pub use ids::{ChannelId, RequestId};
pub use lane::RequestLane;
pub use look::Look;
pub use priority::Priority;
pub use replay::ReplayLane;
pub use watch::Watch;
