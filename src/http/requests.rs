//! `/requests/{id}?channel=…`: how far an asynchronous GET is, and cancelling it.

use super::{
    credentials::Callers,
    head::{Head, Segment, parameters},
    reply::{self, Answered, put_no_store},
};
use crate::{
    channel::{Channel, ChannelId, Hub, RequestId, RequestState, RequestStatus},
    error::{Error, Kind, Result},
    wire::answer::RequestProgress,
};
use http::StatusCode;
use std::sync::Arc;

/// Finds the requests of a caller.
#[derive(Debug)]
pub struct Progress {
    hub: Arc<Hub>,
    callers: Arc<Callers>,
}

impl Progress {
    /// Requests on the channels of this hub.
    pub fn new(hub: Arc<Hub>, callers: Arc<Callers>) -> Self {
        Self { hub, callers }
    }

    fn find(&self, id: &Segment, head: &Head) -> Result<Found> {
        let identity = self.callers.caller(head)?.identity;
        let id = RequestId::parse(&id.decode()?)?;
        let [channel] = parameters(&head.query, ["channel"])?;
        let channel_id = match channel {
            Some(name) => ChannelId::parse(&name)?,
            None => ChannelId::default(),
        };
        let unknown = || {
            let detail = format!(
                "There is no request {:?} on your channel {:?}.",
                id.as_str(),
                channel_id.as_str()
            );
            Error::new(Kind::RequestUnknown, detail)
        };
        let channel = self
            .hub
            .find(&identity.key, &channel_id)
            .ok_or_else(unknown)?;
        let status = channel.request(&id).ok_or_else(unknown)?;
        Ok(Found {
            channel,
            id,
            status,
        })
    }
}

struct Found {
    channel: Arc<Channel>,
    id: RequestId,
    status: RequestStatus,
}

/// `GET /requests/{id}`
pub(super) async fn show(id: Segment, head: Head, progress: Arc<Progress>) -> Answered {
    let found = progress.find(&id, &head)?;
    let (status, is_over) = (found.status, found.status.state == RequestState::Delivered);
    let body = RequestProgress {
        request_id: found.id.as_str(),
        channel_id: found.channel.id().as_str(),
        state: match status.state {
            RequestState::Running => "running",
            RequestState::Finished => "finished",
            RequestState::Delivered => "delivered",
        },
        rows_delivered: (!is_over).then_some(status.rows_delivered),
        rows_queued: (!is_over).then_some(status.rows_queued),
    };
    let mut response = reply::json(StatusCode::OK, body.encode());
    put_no_store(response.headers_mut());
    Ok(response)
}

/// `DELETE /requests/{id}`: what has ended already is left as it is.
pub(super) async fn cancel(id: Segment, head: Head, progress: Arc<Progress>) -> Answered {
    let found = progress.find(&id, &head)?;
    found.channel.cancel(&found.id);
    let mut response = reply::empty(StatusCode::NO_CONTENT);
    put_no_store(response.headers_mut());
    Ok(response)
}
