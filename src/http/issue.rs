//! `POST /passes`: a pass for one channel, in exchange for a token.

use super::{
    asynchronous::channel_of,
    body::Body,
    channels::read,
    credentials::Callers,
    head::Head,
    reply::{self, Answered, put_no_store},
};
use crate::{channel::ChannelId, wire::answer};
use http::StatusCode;
use serde::Deserialize;
use std::sync::Arc;

/// `POST /passes`
pub(super) async fn issue(head: Head, body: Body, callers: Arc<Callers>) -> Answered {
    /// A name that is misspelt would be a pass for another channel, so that unknown fields are refused.
    #[derive(Deserialize, Default)]
    #[serde(deny_unknown_fields)]
    struct Wanted {
        #[serde(alias = "channel")]
        channel_id: Option<String>,
    }
    let caller = callers.caller(&head)?;
    let body = body.json(&head).await?;
    let wanted: Wanted = match body.is_empty() {
        true => Wanted::default(),
        false => read(&body)?,
    };
    let channel = match wanted.channel_id {
        Some(name) => ChannelId::parse(&name)?,
        None => channel_of(&head)?,
    };
    let passes = callers.passes();
    let pass = passes.issue(caller, channel)?;
    let answer = answer::pass(&pass, passes.first_use_s());
    let mut response = reply::json(StatusCode::CREATED, answer);
    put_no_store(response.headers_mut());
    Ok(response)
}
