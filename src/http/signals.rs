//! Topics and signals by HTTP: the twins of `join`, `leave` and `signal`, and who is present.

use super::{
    asynchronous::channel_of,
    body::Body,
    channels::{done, read, unknown},
    credentials::Callers,
    head::{Head, Segment, parameters},
    reply::{self, Answered, put_no_store},
};
use crate::{
    channel::{Channel, ChannelId, Hub},
    error::Result,
    query::ActionId,
    signal::{Message, Signals},
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::Arc;

/// The topics of all callers.
#[derive(Debug)]
pub struct Topics {
    hub: Arc<Hub>,
    callers: Arc<Callers>,
    signals: Arc<Signals>,
}

impl Topics {
    /// Topics between the channels of this hub.
    pub fn new(hub: Arc<Hub>, callers: Arc<Callers>, signals: Arc<Signals>) -> Self {
        Self {
            hub,
            callers,
            signals,
        }
    }

    fn channel(&self, id: &Segment, head: &Head) -> Result<Arc<Channel>> {
        let identity = self.callers.caller(head)?.identity;
        let id = ChannelId::parse(&id.decode()?)?;
        let found = self.hub.find(&identity.key, &id);
        found.ok_or_else(|| unknown(&id))
    }
}

/// A topic in a path: `organization`, `tickets/42`, or the latter as one segment, `tickets%2F42`.
pub(super) struct Topic(String);

impl Topic {
    /// In one segment, decoded once.
    pub(super) fn one(segment: &Segment) -> Result<Self> {
        Ok(Self(segment.decode()?.into_owned()))
    }

    /// In two, of which the second is an id, whose own percent-encoding stays.
    pub(super) fn two(resource: &Segment, id: &Segment) -> Result<Self> {
        Ok(Self(format!("{}/{}", resource.decode()?, id.raw())))
    }
}

/// What a client asks for that takes part in a topic.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Joining {
    state: Option<Box<RawValue>>,
}

/// `PUT /channels/{id}/topics/{topic}`: perhaps with `{"state":…}`.
pub(super) async fn join(
    id: Segment,
    topic: Result<Topic>,
    head: Head,
    body: Body,
    topics: Arc<Topics>,
) -> Answered {
    let channel = topics.channel(&id, &head)?;
    let body = body.json(&head).await?;
    let joining = match body.is_empty() {
        true => Joining::default(),
        false => read(&body)?,
    };
    let state = joining.state.as_deref();
    topics.signals.join(&channel, &topic?.0, state).await?;
    Ok(done())
}

/// `DELETE /channels/{id}/topics/{topic}`
pub(super) async fn leave(
    id: Segment,
    topic: Result<Topic>,
    head: Head,
    topics: Arc<Topics>,
) -> Answered {
    let channel = topics.channel(&id, &head)?;
    topics.signals.leave(&channel, &topic?.0)?;
    Ok(done())
}

/// `GET /topics/{topic}/presence`
pub(super) async fn presence(topic: Result<Topic>, head: Head, topics: Arc<Topics>) -> Answered {
    let identity = topics.callers.caller(&head)?.identity;
    let [] = parameters(&head.query, [])?;
    let list = topics.signals.presence(&identity, &topic?.0).await?;
    let mut response = reply::json(StatusCode::OK, list);
    put_no_store(response.headers_mut());
    Ok(response)
}

/// `POST /signals`: from the channel that `Channel-Id` names, which hears nothing of it itself.
pub(super) async fn send(head: Head, body: Body, topics: Arc<Topics>) -> Answered {
    let identity = topics.callers.caller(&head)?.identity;
    let id = channel_of(&head)?;
    let body = body.json(&head).await?;
    let signal: Sent = read(&body)?;
    let channel = topics.hub.open(&identity, &id)?;
    topics.signals.send(&channel, &signal.message()?).await?;
    let mut response = reply::empty(StatusCode::ACCEPTED);
    put_no_store(response.headers_mut());
    Ok(response)
}

/// A signal as clients write it.
#[derive(Debug, Deserialize)]
pub(in crate::http) struct Sent {
    topic: String,
    name: String,
    action_id: Option<String>,
    data: Option<Box<RawValue>>,
}

impl Sent {
    /// What it says.
    ///
    /// # Errors
    /// `HeaderMalformed` for a bad action id.
    pub(in crate::http) fn message(&self) -> Result<Message<'_>> {
        let action = self.action_id.as_deref();
        Ok(Message {
            topic: &self.topic,
            name: &self.name,
            action: action.map(ActionId::new).transpose()?,
            data: self.data.as_deref(),
        })
    }
}
